//! Cosignatures of witnesses (C2SP `tlog-cosignature` v1): a witness saw a head at a time, and never one that does not go on
//! from those it saw before.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::note::{Error, Note, Signature, is_name, key_id, spelled};

/// The kind byte of timestamped Ed25519 cosignatures.
const KIND: u8 = 4;

/// A witness: its name and its public key, written `name+id+base64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    name: String,
    id: u32,
    key: [u8; 32],
}

impl Witness {
    /// Reads `name+id+base64`.
    ///
    /// Errors: [`Error::Key`] for anything else, keys of other kinds included; [`Error::Name`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once('+').ok_or(Error::Key)?;
        let (id, key) = rest.split_once('+').ok_or(Error::Key)?;
        let key = STANDARD.decode(key).map_err(|_| Error::Key)?;
        let Some((&KIND, key)) = key.split_first() else { return Err(Error::Key) };
        let witness = Self::new(name, key.try_into().map_err(|_| Error::Key)?)?;
        if id == spelled(witness.id) { Ok(witness) } else { Err(Error::Key) }
    }

    /// A key and its name.
    ///
    /// Errors: [`Error::Name`].
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, KIND, &key), key })
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When this witness saw the head of a note, in seconds since 1970: the latest time of its lines. None where it has no line,
    /// or one that is false: such a note was tampered with.
    #[must_use]
    pub fn saw(&self, note: &Note) -> Option<u64> {
        let own = note.signatures.iter().filter(|line| line.names(&self.name, self.id));
        let times: Option<Vec<u64>> = own.map(|line| self.time(&note.text, line)).collect();
        times?.into_iter().max()
    }

    fn time(&self, text: &str, line: &Signature) -> Option<u64> {
        let (time, signature) = line.bytes.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        key.verify(message(time, text).as_bytes(), signature).is_ok().then_some(time)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[KIND], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, spelled(self.id))
    }
}

/// What a witness signs: the time, and the text of the note.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A witness that signs whatever it is given, for tests of those who ask one.
#[cfg(any(test, feature = "witness"))]
pub mod cosigner {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::{Witness, message};
    use crate::note::{Error, Signature};

    /// A witness's private key.
    pub struct Cosigner {
        pair: Ed25519KeyPair,
        witness: Witness,
    }

    impl Cosigner {
        /// The key that follows from 32 bytes.
        ///
        /// Errors: [`Error::Name`].
        pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, Error> {
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Error::Key)?;
            let key = pair.public_key().as_ref().try_into().map_err(|_| Error::Key)?;
            Ok(Self { pair, witness: Witness::new(name, key)? })
        }

        /// The public half.
        #[must_use]
        pub const fn witness(&self) -> &Witness {
            &self.witness
        }

        /// The line for a text seen at a time.
        #[must_use]
        pub fn cosign(&self, text: &str, time: u64) -> Signature {
            let signature = self.pair.sign(message(time, text).as_bytes());
            let bytes = [time.to_be_bytes().as_slice(), signature.as_ref()].concat();
            Signature { name: self.witness.name.clone(), id: self.witness.id, bytes }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cosigner::Cosigner;
    use super::*;

    #[test]
    fn a_key_has_one_spelling_and_is_no_key_for_notes() {
        let cosigner = Cosigner::from_seed("witness.example", [7; 32]).expect("a key");
        let text = cosigner.witness().to_string();
        assert_eq!(Witness::parse(&text).as_ref(), Ok(cosigner.witness()));
        assert_eq!(crate::note::Verifier::parse(&text), Err(Error::Key));
        assert_eq!(Witness::parse(&text.replacen('+', "x+", 1)), Err(Error::Key), "the id is of the name too");
        assert_eq!(Witness::parse(&text.replacen('+', "++", 1)), Err(Error::Key), "an id has no sign");
        let other = crate::note::Signer::from_seed("witness.example", [7; 32]).expect("a key");
        assert_eq!(Witness::parse(&other.verifier().to_string()), Err(Error::Key));
    }

    #[test]
    fn a_cosignature_holds_for_its_text_time_name_and_key_alone() {
        let cosigner = Cosigner::from_seed("witness.example", [7; 32]).expect("a key");
        let text = "origin\n7\nroot\n";
        let line = cosigner.cosign(text, 1_700_000_000);
        let saw = |text: &str, line: &Signature, witness: &Witness| {
            witness.saw(&Note { text: text.to_owned(), signatures: vec![line.clone()] })
        };
        assert_eq!(saw(text, &line, cosigner.witness()), Some(1_700_000_000));
        assert_eq!(saw("origin\n8\nroot\n", &line, cosigner.witness()), None);
        let mut later = line.clone();
        later.bytes[7] ^= 1;
        assert_eq!(saw(text, &later, cosigner.witness()), None, "the time is signed");
        let cut = Signature { bytes: line.bytes[..7].to_vec(), ..line.clone() };
        assert_eq!(saw(text, &cut, cosigner.witness()), None);
        for other in [Cosigner::from_seed("witness.example", [8; 32]), Cosigner::from_seed("other.example", [7; 32])] {
            assert_eq!(saw(text, &line, other.expect("a key").witness()), None);
        }
    }

    #[test]
    fn the_latest_of_several_counts() {
        let cosigner = Cosigner::from_seed("witness.example", [7; 32]).expect("a key");
        let signatures = [5, 9, 7].map(|time| cosigner.cosign("x\n", time)).to_vec();
        assert_eq!(cosigner.witness().saw(&Note { text: "x\n".into(), signatures }), Some(9));
    }
}
