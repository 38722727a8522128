//! The cluster key: what data keys are wrapped under. Every node holds it, and the recovery kit does.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::xaes::Xaes;
use crate::{Error, NodeKey, PublicKey, random};

/// What an envelope is for, so that it is never taken for another use of the same key pair.
const INFO: &[u8] = b"tricord/cluster-key/v1";
/// Bytes of an encapsulated X25519 secret.
const ENCAPSULATED_BYTES: usize = 32;

/// The cluster key in one of its versions, opened. Wiped when dropped.
pub struct ClusterKey {
    version: u32,
    bytes: Zeroizing<[u8; 32]>,
    pub(crate) xaes: Xaes,
}

impl core::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClusterKey(version {})", self.version)
    }
}

impl ClusterKey {
    /// A new key. Versions count from 1.
    pub fn generate(version: u32) -> Result<Self, Error> {
        Self::of(version, random::secret()?)
    }

    fn of(version: u32, bytes: Zeroizing<[u8; 32]>) -> Result<Self, Error> {
        Ok(Self { version, xaes: Xaes::new(&bytes)?, bytes })
    }

    /// Which version it is.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// A value by which the key is recognised and which says nothing of it.
    ///
    /// Shape: SHA-256 over a tag and the key, which has 256 bits of randomness of its own.
    #[must_use]
    pub fn check_value(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"tricord/cluster-key-check/v1").chain_update(self.bytes.as_ref()).finalize().into()
    }

    /// The key sealed to a holder's public key.
    ///
    /// Shape: HPKE in base mode (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM): encapsulated secret ‖ ciphertext ‖ tag.
    pub fn envelope(&self, to: &PublicKey) -> Result<Vec<u8>, Error> {
        let public = HpkePublicKey(to.0.to_vec());
        let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(INFO, &self.aad(), self.bytes.as_ref(), &public);
        let (EncapsulatedSecret(mut envelope), ciphertext) = sealed.map_err(|_| Error::Library)?;
        envelope.extend_from_slice(&ciphertext);
        Ok(envelope)
    }

    /// Opens an envelope with the key pair it was sealed to, and compares the check value kept beside it.
    ///
    /// Errors: [`Error::Damaged`] for another pair, version or key.
    pub fn open(version: u32, check_value: &[u8; 32], envelope: &[u8], with: &NodeKey) -> Result<Self, Error> {
        let (encapsulated, ciphertext) =
            envelope.split_at_checked(ENCAPSULATED_BYTES).ok_or(Error::Short(envelope.len()))?;
        let private = HpkePrivateKey::from(with.private_bytes().to_vec());
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let aad = aad(version);
        let plain = DH_KEM_X25519_HKDF_SHA256_AES_256.open(&encapsulated, INFO, &aad, ciphertext, &private);
        let plain = Zeroizing::new(plain.map_err(|_| Error::Damaged)?);
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| Error::Damaged)?;
        let key = Self::of(version, Zeroizing::new(bytes))?;
        if key.check_value() == *check_value { Ok(key) } else { Err(Error::Damaged) }
    }

    fn aad(&self) -> [u8; 4] {
        aad(self.version)
    }
}

const fn aad(version: u32) -> [u8; 4] {
    version.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_with_its_pair_alone() -> Result<(), Error> {
        let (pair, other) = (NodeKey::generate()?, NodeKey::generate()?);
        let key = ClusterKey::generate(3)?;
        let envelope = key.envelope(&pair.public()?)?;
        let check = key.check_value();
        assert_eq!(ClusterKey::open(3, &check, &envelope, &pair)?.check_value(), check);
        assert_eq!(ClusterKey::open(3, &check, &envelope, &other).err(), Some(Error::Damaged));
        assert_eq!(ClusterKey::open(2, &check, &envelope, &pair).err(), Some(Error::Damaged));
        assert_eq!(ClusterKey::open(3, &[0; 32], &envelope, &pair).err(), Some(Error::Damaged));
        for at in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[at] ^= 1;
            assert!(ClusterKey::open(3, &check, &changed, &pair).is_err(), "byte {at}");
            assert!(ClusterKey::open(3, &check, &envelope[..at], &pair).is_err(), "cut to {at}");
        }
        Ok(())
    }
}
