//! The key of a series of backups, and files sealed with it.
//!
//! The key is random, and sealed to the recovery kit (HPKE, as cluster keys are). A file's name among sealed files is a
//! keyed hash of what is in it, so that a file that is there already need not be written again, and the name tells nobody
//! who lacks the key what it is. Each sealed file has a key of its own, by a random salt: the same nonces under the same
//! key never meet two contents, whatever a disk does while it is read.
//!
//! Shape of a sealed file: `TRICBF`, format 2 bytes big-endian ‖ salt, 32 bytes ‖ chunks. A chunk is AES-256-GCM of
//! [`BACKUP_CHUNK_BYTES`], the last one of 1 to as many (of a file with nothing in it, of none); its nonce is its number, 11
//! bytes big-endian, and 1 if it is the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, as in age).

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use sha2::Sha256;
use types::limits::BACKUP_CHUNK_BYTES;
use zeroize::Zeroizing;

use crate::xaes::TAG_BYTES;
use crate::{Error, NodeKey, PublicKey, random};

/// What an envelope is for, so that it is never taken for another use of the same key pair.
const INFO: &[u8] = b"tricord/backup-key/v1";
/// Bytes of an encapsulated X25519 secret.
const ENCAPSULATED_BYTES: usize = 32;
/// What a sealed file begins with, its format last.
const MAGIC: &[u8; 8] = b"TRICBF\x00\x01";
const SALT_BYTES: usize = 32;

/// The key of a series of backups. Wiped when dropped.
pub struct BackupKey(Zeroizing<[u8; 32]>);

impl core::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BackupKey")
    }
}

impl BackupKey {
    /// A new key.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(random::secret()?))
    }

    /// What was kept of one.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The key itself, to be kept where the data is that it seals.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key sealed to the recovery kit; `context` says for what, and is needed to open it.
    ///
    /// Shape: HPKE in base mode (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM): encapsulated secret ‖ ciphertext ‖ tag.
    pub fn envelope(&self, to: &PublicKey, context: &[u8]) -> Result<Vec<u8>, Error> {
        let public = HpkePublicKey(to.0.to_vec());
        let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(INFO, context, self.0.as_ref(), &public);
        let (EncapsulatedSecret(mut envelope), ciphertext) = sealed.map_err(|_| Error::Library)?;
        envelope.extend_from_slice(&ciphertext);
        Ok(envelope)
    }

    /// Opens an envelope.
    ///
    /// Errors: [`Error::Damaged`] for another pair, context or key.
    pub fn open(envelope: &[u8], context: &[u8], with: &NodeKey) -> Result<Self, Error> {
        let (encapsulated, ciphertext) =
            envelope.split_at_checked(ENCAPSULATED_BYTES).ok_or(Error::Short(envelope.len()))?;
        let private = HpkePrivateKey::from(with.private_bytes().to_vec());
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let plain = DH_KEM_X25519_HKDF_SHA256_AES_256.open(&encapsulated, INFO, context, ciphertext, &private);
        let plain = Zeroizing::new(plain.map_err(|_| Error::Damaged)?);
        Ok(Self(Zeroizing::new(plain.as_slice().try_into().map_err(|_| Error::Damaged)?)))
    }

    /// The name that a file with this hash and length has among sealed files.
    pub fn name_of(&self, sha256: &[u8; 32], bytes: u64) -> Result<[u8; 32], Error> {
        self.mac(&[b"tricord/backup-name/v1", sha256, &bytes.to_be_bytes()])
    }

    /// Seals what is written into the file of this name.
    pub fn seal<W: Write>(&self, name: &[u8; 32], mut out: W) -> Result<Sealing<W>, SealError> {
        let salt: [u8; SALT_BYTES] = random::bytes()?;
        let key = self.file_key(name, &salt)?;
        out.write_all(MAGIC)?;
        out.write_all(&salt)?;
        Ok(Sealing { key, number: 0, waiting: Vec::with_capacity(BACKUP_CHUNK_BYTES + TAG_BYTES), out })
    }

    /// Opens the file of this name. Reading fails at the first chunk that is not what was sealed, and at an end that is not
    /// the end; what was read before is good, and is not all.
    ///
    /// Errors: [`Error::Version`] for a file of a newer release, [`Error::Damaged`] for none at all.
    pub fn unseal<R: Read>(&self, name: &[u8; 32], mut input: R) -> Result<Unsealing<R>, SealError> {
        let (mut magic, mut salt) = ([0; MAGIC.len()], [0; SALT_BYTES]);
        read_or_damaged(&mut input, &mut magic)?;
        if magic != *MAGIC {
            let newer = magic[..6] == MAGIC[..6];
            return Err(if newer { Error::Version(magic[7]) } else { Error::Damaged }.into());
        }
        read_or_damaged(&mut input, &mut salt)?;
        let key = self.file_key(name, &salt)?;
        Ok(Unsealing { key, number: 0, plain: Vec::new(), at: 0, ahead: None, ended: false, input })
    }

    fn file_key(&self, name: &[u8; 32], salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey, Error> {
        let key = Zeroizing::new(self.mac(&[b"tricord/backup-file/v1", name, salt])?);
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| Error::Library)?))
    }

    fn mac(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).map_err(|_| Error::Library)?;
        parts.iter().for_each(|part| mac.update(part));
        Ok(mac.finalize().into_bytes().into())
    }
}

/// Why a file could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is not what was sealed, or cannot be.
    #[error(transparent)]
    Seal(#[from] Error),
    /// The file itself.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file being sealed. What is not [finished](Sealing::finish) does not open.
pub struct Sealing<W> {
    key: LessSafeKey,
    number: u64,
    waiting: Vec<u8>,
    out: W,
}

impl<W: Write> Sealing<W> {
    /// Takes more of the file.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        while !bytes.is_empty() {
            if self.waiting.len() == BACKUP_CHUNK_BYTES {
                self.chunk(false)?; // Only now is it known that this one is not the last.
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(BACKUP_CHUNK_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(taken);
            bytes = rest;
        }
        Ok(())
    }

    /// Ends the file: what it was written to.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.chunk(true)?;
        Ok(self.out)
    }

    fn chunk(&mut self, last: bool) -> Result<(), SealError> {
        let nonce = nonce(self.number, last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.waiting);
        sealed.map_err(|_| Error::Library)?;
        self.out.write_all(&self.waiting)?;
        self.waiting.clear();
        self.number += 1;
        Ok(())
    }
}

/// A sealed file being read.
pub struct Unsealing<R> {
    key: LessSafeKey,
    number: u64,
    /// As it lies in the clear on the node's own disk: texts are sealed within, so it is not wiped.
    plain: Vec<u8>,
    at: usize,
    /// A byte read to see whether a chunk is the last.
    ahead: Option<u8>,
    ended: bool,
    input: R,
}

impl<R: Read> Unsealing<R> {
    /// The next part; nothing at the end.
    fn chunk(&mut self) -> io::Result<()> {
        let mut sealed = vec![0; BACKUP_CHUNK_BYTES + TAG_BYTES];
        let mut length = 0;
        if let Some(byte) = self.ahead.take() {
            sealed[0] = byte;
            length = 1;
        }
        length += read_full(&mut self.input, &mut sealed[length..])?;
        let mut next = [0];
        let last = length < sealed.len() || read_full(&mut self.input, &mut next)? == 0;
        if !last {
            self.ahead = Some(next[0]);
        }
        sealed.truncate(length);
        let opened = self.key.open_in_place(nonce(self.number, last), Aad::empty(), &mut sealed);
        let plain = opened.map_err(|_| damaged())?.len();
        sealed.truncate(plain);
        // Not what Sealing writes: another spelling of the same file.
        if plain == 0 && self.number > 0 {
            return Err(damaged());
        }
        (self.plain, self.at, self.ended) = (sealed, 0, last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Unsealing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.plain.len() && !self.ended {
            self.chunk()?;
        }
        let rest = &self.plain[self.at..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::Damaged)
}

fn read_or_damaged(input: &mut impl Read, out: &mut [u8]) -> Result<(), SealError> {
    if read_full(input, out)? == out.len() { Ok(()) } else { Err(Error::Damaged.into()) }
}

/// As many bytes as there are, at most as many as fit.
fn read_full(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < out.len() {
        match input.read(&mut out[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
