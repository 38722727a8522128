//! Secrets of one node that are its own: sealed to its pair, so that they lie on its disk as safely as that does.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::{Error, NodeKey, PublicKey};

/// What it is for, so that it is never taken for another use of the same key pair.
const INFO: &[u8] = b"tricord/own-secret/v1";
/// Bytes of an encapsulated X25519 secret.
const ENCAPSULATED_BYTES: usize = 32;

/// Seals a secret to a pair; `what` names it, and it opens under no other name.
///
/// Shape: HPKE in base mode (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM): encapsulated secret ‖ ciphertext ‖ tag.
pub fn seal_own(to: &PublicKey, what: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
    let public = HpkePublicKey(to.0.to_vec());
    let sealed = DH_KEM_X25519_HKDF_SHA256_AES_256.seal(INFO, what.as_bytes(), secret, &public);
    let (EncapsulatedSecret(mut bytes), ciphertext) = sealed.map_err(|_| Error::Library)?;
    bytes.extend_from_slice(&ciphertext);
    Ok(bytes)
}

/// Opens what [`seal_own`] made.
///
/// Errors: [`Error::Damaged`] for another pair or name, [`Error::Short`] for a torn one.
pub fn open_own(with: &NodeKey, what: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_BYTES).ok_or(Error::Short(sealed.len()))?;
    let private = HpkePrivateKey::from(with.private_bytes().to_vec());
    let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
    let plain = DH_KEM_X25519_HKDF_SHA256_AES_256.open(&encapsulated, INFO, what.as_bytes(), ciphertext, &private);
    plain.map(Zeroizing::new).map_err(|_| Error::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_pair_and_under_its_name_alone() -> Result<(), Error> {
        let (pair, other) = (NodeKey::generate()?, NodeKey::generate()?);
        let sealed = seal_own(&pair.public()?, "renewal", b"a key")?;
        assert_eq!(open_own(&pair, "renewal", &sealed)?.as_slice(), b"a key");
        assert_eq!(open_own(&other, "renewal", &sealed).err(), Some(Error::Damaged));
        assert_eq!(open_own(&pair, "another", &sealed).err(), Some(Error::Damaged));
        for cut in 0..sealed.len() {
            assert!(open_own(&pair, "renewal", &sealed[..cut]).is_err(), "cut to {cut}");
        }
        Ok(())
    }
}
