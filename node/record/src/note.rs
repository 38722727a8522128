//! Signed notes (C2SP `signed-note`): a text, and lines of who signed it. Only Ed25519 is signed and checked; lines of
//! other kinds are kept and ignored.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Longest note that is read. A witness adds a line or two; nobody adds a megabyte.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signature lines of a note. The C2SP specification asks for 16 at least.
const SIGNATURES_MAX: usize = 64;
/// The kind byte of Ed25519.
const ED25519_KIND: u8 = 1;
/// What a signature line begins with: an em dash and a space.
const LINE: &str = "\u{2014} ";

/// Why a note or a key could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a note.
    #[error("this is not a signed note")]
    Note,
    /// Not a key.
    #[error("this is not a key for signed notes")]
    Key,
    /// A name with a space or a plus sign in it, or none.
    #[error("this is not a name for a key")]
    Name,
}

/// A public key with its name: `name+id+base64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    name: String,
    id: u32,
    key: [u8; 32],
}

impl Verifier {
    /// A key and its name.
    ///
    /// Errors: [`Error::Name`].
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, ED25519_KIND, &key), key })
    }

    /// Reads `name+id+base64`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once('+').ok_or(Error::Key)?;
        let (id, key) = rest.split_once('+').ok_or(Error::Key)?;
        let key = STANDARD.decode(key).map_err(|_| Error::Key)?;
        let Some((&ED25519_KIND, key)) = key.split_first() else { return Err(Error::Key) };
        let verifier = Self::new(name, key.try_into().map_err(|_| Error::Key)?)?;
        if id == spelled(verifier.id) { Ok(verifier) } else { Err(Error::Key) }
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether this key signed the text.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_KIND], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, spelled(self.id))
    }
}

/// A private key with its name. Never printed but by [`Signer::secret`].
pub struct Signer {
    verifier: Verifier,
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("name", &self.verifier.name).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that follows from 32 random bytes.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Error::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| Error::Key)?;
        Ok(Self { verifier: Verifier::new(name, key)?, pair, seed })
    }

    /// Reads what [`Signer::secret`] gives.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = text.trim_end().strip_prefix("PRIVATE+KEY+").ok_or(Error::Key)?;
        let (name, rest) = rest.split_once('+').ok_or(Error::Key)?;
        let (id, seed) = rest.split_once('+').ok_or(Error::Key)?;
        let seed = STANDARD.decode(seed).map_err(|_| Error::Key)?;
        let Some((&ED25519_KIND, seed)) = seed.split_first() else { return Err(Error::Key) };
        let signer = Self::from_seed(name, seed.try_into().map_err(|_| Error::Key)?)?;
        if id == spelled(signer.verifier.id) { Ok(signer) } else { Err(Error::Key) }
    }

    /// `PRIVATE+KEY+name+id+base64`, as other tools for signed notes write it. A secret.
    #[must_use]
    pub fn secret(&self) -> String {
        let seed = STANDARD.encode([&[ED25519_KIND], self.seed.as_slice()].concat());
        format!("PRIVATE+KEY+{}+{}+{seed}", self.verifier.name, spelled(self.verifier.id))
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs a text.
    #[must_use]
    pub fn sign(&self, text: &str) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(text.as_bytes()).as_ref()); // Ed25519: always 64 bytes.
        signature
    }
}

/// One line below a note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Whose, as it says.
    pub name: String,
    pub(crate) id: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Signature {
    /// Reads one line, without its line end.
    ///
    /// Errors: [`Error::Note`].
    pub fn parse(line: &str) -> Result<Self, Error> {
        signature(line)
    }

    /// Whether it says it is by the key of this name and id.
    pub(crate) fn names(&self, name: &str, id: u32) -> bool {
        self.name == name && self.id == id
    }

    /// The line of a signature by this key.
    #[must_use]
    pub fn new(verifier: &Verifier, signature: &[u8]) -> Self {
        Self { name: verifier.name.clone(), id: verifier.id, bytes: signature.to_vec() }
    }
}

/// A text and who signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The text, with its last line end.
    pub text: String,
    /// The lines below it.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// Reads a note.
    ///
    /// Errors: [`Error::Note`] for anything that is none.
    pub fn parse(bytes: &str) -> Result<Self, Error> {
        if bytes.len() > NOTE_BYTES_MAX || bytes.chars().any(|c| c.is_control() && c != '\n') {
            return Err(Error::Note);
        }
        let split = bytes.rfind("\n\n").ok_or(Error::Note)?;
        let (text, lines) = (&bytes[..=split], &bytes[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(Error::Note)?;
        let signatures: Vec<Signature> = lines.split('\n').map(signature).collect::<Result<_, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(Error::Note);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Those of these keys that signed it.
    ///
    /// Errors: the key that a line names whose signature is false. Such a note was tampered with, whoever else signed it, and is
    /// to be believed in nothing (C2SP `signed-note`: a failing signature of a known key SHOULD have the note rejected).
    pub fn signers<'a>(&self, keys: impl IntoIterator<Item = &'a Verifier>) -> Result<Vec<&'a Verifier>, &'a Verifier> {
        let mut signers = Vec::new();
        for key in keys {
            let mut own = self.signatures.iter().filter(|line| line.names(&key.name, key.id)).peekable();
            if own.peek().is_none() {
                continue;
            }
            if !own.all(|line| key.verifies(&self.text, &line.bytes)) {
                return Err(key);
            }
            signers.push(key);
        }
        Ok(signers)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| {
            let bytes = STANDARD.encode([line.id.to_be_bytes().as_slice(), &line.bytes].concat());
            writeln!(f, "{LINE}{} {bytes}", line.name)
        })
    }
}

fn signature(line: &str) -> Result<Signature, Error> {
    let (name, bytes) = line.strip_prefix(LINE).and_then(|line| line.split_once(' ')).ok_or(Error::Note)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| Error::Note)?;
    let Some((id, bytes)) = bytes.split_first_chunk() else { return Err(Error::Note) };
    if !is_name(name) || bytes.is_empty() {
        return Err(Error::Note);
    }
    Ok(Signature { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
}

pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

/// The id of a key as it is written, and in no other way.
pub(crate) fn spelled(id: u32) -> String {
    format!("{id:08x}")
}

/// The first four bytes of SHA-256(name ‖ line end ‖ kind ‖ key).
pub(crate) fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> u32 {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key).finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str) -> Signer {
        Signer::from_seed(name, [7; 32]).expect("a key")
    }

    #[test]
    fn the_example_of_the_specification_verifies() {
        // golang.org/x/mod/sumdb/note, the package's documentation.
        let key = Verifier::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").expect("a key");
        let note = Note::parse(
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
             \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        )
        .expect("a note");
        assert_eq!(note.signers([&key]), Ok(vec![&key]));
    }

    #[test]
    fn keys_and_notes_read_back_as_they_were_written() {
        let signer = signer("tricord/audit/x/a1");
        assert_eq!(Verifier::parse(&signer.verifier().to_string()).as_ref(), Ok(signer.verifier()));
        assert_eq!(Signer::parse(&signer.secret()).expect("a key").verifier(), signer.verifier());
        assert!(!format!("{signer:?}").contains("PRIVATE"));
        let text = "origin\n7\nroot\n";
        let line = Signature::new(signer.verifier(), &signer.sign(text));
        let note = Note { text: text.to_owned(), signatures: vec![line] };
        assert_eq!(Note::parse(&note.to_string()).as_ref(), Ok(&note));
        assert_eq!(note.signers([signer.verifier()]), Ok(vec![signer.verifier()]));
    }

    #[test]
    fn a_changed_text_and_another_key_are_found_out() {
        let (signer, other) = (signer("a"), Signer::from_seed("a", [8; 32]).expect("a key"));
        let line = Signature::new(signer.verifier(), &signer.sign("x\n"));
        let note = Note { text: String::from("x\n"), signatures: vec![line] };
        assert_eq!(note.signers([other.verifier()]), Ok(vec![]));
        let changed = Note { text: String::from("y\n"), ..note };
        assert_eq!(changed.signers([signer.verifier()]), Err(signer.verifier()));
    }

    #[test]
    fn a_false_signature_of_a_known_key_spoils_the_note_whoever_else_signed_it() {
        let (good, bad) = (signer("a"), Signer::from_seed("b", [8; 32]).expect("a key"));
        let signed = Signature::new(good.verifier(), &good.sign("x\n"));
        let forged = Signature::new(bad.verifier(), &good.sign("x\n"));
        for signatures in [vec![signed.clone(), forged.clone()], vec![forged, signed.clone()]] {
            let note = Note { text: String::from("x\n"), signatures };
            assert_eq!(note.signers([good.verifier(), bad.verifier()]), Err(bad.verifier()));
            assert_eq!(
                note.signers([good.verifier()]),
                Ok(vec![good.verifier()]),
                "a key that is not known is ignored"
            );
        }
        let twice = vec![signed, Signature::new(good.verifier(), &[7; 64])];
        let note = Note { text: String::from("x\n"), signatures: twice };
        assert_eq!(note.signers([good.verifier()]), Err(good.verifier()), "one that is true beside one that is false");
    }

    #[test]
    fn what_is_no_note_and_no_key_is_refused() {
        for bad in ["", "text\n", "text\n\n", "text\n\nline\n", "text\n\n\u{2014} a AAAA\n", "text\n\n\u{2014} a b"] {
            assert_eq!(Note::parse(bad), Err(Error::Note), "{bad:?}");
        }
        for bad in [
            "",
            "a",
            "a+00000000+",
            "a b+00000000+AAAA",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(Verifier::parse(bad).is_err(), "{bad:?}");
        }
        let (key, secret) = (signer("a").verifier().to_string(), signer("a").secret());
        let id = key.split('+').nth(1).expect("an id").to_owned();
        for other in [id.to_uppercase(), format!("+{id}"), format!("0{id}")] {
            assert!(other == id || Verifier::parse(&key.replacen(&id, &other, 1)).is_err(), "{other}");
            assert!(other == id || Signer::parse(&secret.replacen(&id, &other, 1)).is_err(), "{other}");
        }
    }
}
