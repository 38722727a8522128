//! A node's key pair as it lies on its disk: never in the clear.
//!
//! Shape: `TNK1` ‖ kind, 1 byte ‖ Argon2 memory in KiB and passes, 4 bytes big-endian each (0 for a key) ‖ salt, 16 ‖ public
//! key, 32 ‖ nonce, 24 ‖ private key, 32 ‖ tag, 16. All before the nonce is additional data.
//!
//! Where the secret comes from is the caller's business: a key file, a systemd credential, a passphrase; a TPM would
//! unseal one more [`Secret::Key`].

use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::xaes::Xaes;
use crate::{Error, NodeKey, PublicKey, random};

const MAGIC: &[u8; 4] = b"TNK1";
const KIND_KEY: u8 = 1;
const KIND_PASSPHRASE: u8 = 2;
/// Argon2id for a passphrase: 64 MiB and three passes, the second recommendation of RFC 9106. Once at each start.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 64 * 1024 };
const PASSES: u32 = 3;
/// What a file may ask of us at most, so that a forged one takes neither all memory nor all day.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// See [`MEMORY_KIB_MAX`].
const PASSES_MAX: u32 = 16;
const SALT_AT: usize = 13;
const PUBLIC_AT: usize = SALT_AT + 16;
const SEALED_AT: usize = PUBLIC_AT + 32;

/// What protects a node's key.
pub enum Secret {
    /// Random bytes, 32 or more, from a place of their own.
    Key(Zeroizing<Vec<u8>>),
    /// Words that people remember.
    Passphrase(Zeroizing<String>),
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Secret::Key",
            Self::Passphrase(_) => "Secret::Passphrase",
        })
    }
}

/// A protected key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct Protected(Vec<u8>);

impl Protected {
    /// Protects a pair.
    pub fn protect(pair: &NodeKey, secret: &Secret) -> Result<Self, Error> {
        let (kind, memory, passes) = match secret {
            Secret::Key(_) => (KIND_KEY, 0, 0),
            Secret::Passphrase(_) => (KIND_PASSPHRASE, MEMORY_KIB, PASSES),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(&memory.to_be_bytes());
        bytes.extend_from_slice(&passes.to_be_bytes());
        let salt: [u8; 16] = random::bytes()?;
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&pair.public()?.0);
        let aad = bytes.clone();
        let wrapping = wrapping(secret, memory, passes, &salt)?;
        Xaes::new(&wrapping)?.seal(&aad, pair.private_bytes(), &mut bytes)?;
        Ok(Self(bytes))
    }

    /// What was read from a file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() <= SEALED_AT { Err(Error::Short(bytes.len())) } else { Ok(Self(bytes)) }
    }

    /// What goes into a file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it was protected with a passphrase.
    #[must_use]
    pub fn needs_passphrase(&self) -> bool {
        self.0.get(4) == Some(&KIND_PASSPHRASE)
    }

    /// Opens it.
    ///
    /// Errors: [`Error::WrongSecret`] for another secret or changed bytes, [`Error::Version`] for a file of a newer release.
    pub fn open(&self, secret: &Secret) -> Result<(NodeKey, PublicKey), Error> {
        let number = |at: usize| {
            let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Error::Damaged)
        };
        if self.0.first_chunk() != Some(MAGIC) {
            return Err(Error::Version(self.0.get(3).copied().unwrap_or_default()));
        }
        let (memory, passes) = (number(5)?, number(9)?);
        let fits = match (self.0[4], secret) {
            (KIND_KEY, Secret::Key(_)) => true,
            (KIND_PASSPHRASE, Secret::Passphrase(_)) => memory <= MEMORY_KIB_MAX && passes <= PASSES_MAX,
            _ => false,
        };
        if !fits {
            return Err(Error::WrongSecret);
        }
        let (aad, sealed) = self.0.split_at(SEALED_AT);
        let wrapping = wrapping(secret, memory, passes, &aad[SALT_AT..PUBLIC_AT])?;
        let private = Xaes::new(&wrapping)?.open(aad, sealed).map_err(|_| Error::WrongSecret)?;
        let pair = NodeKey::from_private(private.as_slice().try_into().map_err(|_| Error::Damaged)?);
        let public = pair.public()?;
        if public.0 == aad[PUBLIC_AT..] { Ok((pair, public)) } else { Err(Error::Damaged) }
    }
}

/// The key that wraps, from the secret.
fn wrapping(secret: &Secret, memory: u32, passes: u32, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    match secret {
        Secret::Key(bytes) => {
            // A random key already: one extraction binds it to this use and this file.
            let mut mac = Hmac::<Sha256>::new_from_slice(bytes).map_err(|_| Error::Library)?;
            mac.update(b"tricord/node-key/v1");
            mac.update(salt);
            key.copy_from_slice(&mac.finalize().into_bytes());
        }
        Secret::Passphrase(words) => {
            let params = Params::new(memory, passes, 1, Some(32)).map_err(|_| Error::Damaged)?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(words.as_bytes(), salt, key.as_mut()).map_err(|_| Error::Library)?;
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::Key(Zeroizing::new(vec![byte; 32]))
    }

    fn words(words: &str) -> Secret {
        Secret::Passphrase(Zeroizing::new(words.into()))
    }

    #[test]
    fn a_pair_opens_with_what_protected_it_and_nothing_else() -> Result<(), Error> {
        let pair = NodeKey::generate()?;
        for (right, wrong) in [(key(1), key(2)), (words("correct horse"), words("correct house"))] {
            let protected = Protected::from_bytes(Protected::protect(&pair, &right)?.as_bytes().to_vec())?;
            assert_eq!(protected.needs_passphrase(), matches!(right, Secret::Passphrase(_)));
            let (opened, public) = protected.open(&right)?;
            assert_eq!((opened.private_bytes(), public), (pair.private_bytes(), pair.public()?));
            assert_eq!(protected.open(&wrong).err(), Some(Error::WrongSecret));
            let shown = protected.as_bytes().windows(32).any(|bytes| bytes == pair.private_bytes());
            assert!(!shown, "the private key lies in the clear");
        }
        assert_eq!(Protected::protect(&pair, &key(1))?.open(&words("x")).err(), Some(Error::WrongSecret));
        Ok(())
    }

    #[test]
    fn a_changed_file_does_not_open() -> Result<(), Error> {
        let whole = Protected::protect(&NodeKey::generate()?, &key(1))?;
        for at in 0..whole.as_bytes().len() {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(Protected::from_bytes(bytes)?.open(&key(1)).is_err(), "byte {at}");
            let cut = Protected::from_bytes(whole.as_bytes()[..at].to_vec());
            assert!(cut.and_then(|cut| cut.open(&key(1))).is_err(), "cut to {at}");
        }
        Ok(())
    }
}
