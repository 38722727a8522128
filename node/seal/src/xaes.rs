//! XAES-256-GCM: AES-256-GCM with a nonce long enough to be drawn at random for ever, by a key derived for each nonce.
//!
//! Source: C2SP, `XAES-256-GCM`; the derivation is CMAC (NIST SP 800-108r1 in counter mode) over one block.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use zeroize::Zeroizing;

use crate::{Error, random};

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// A key, ready for use.
pub(crate) struct Xaes {
    block: EncryptingKey,
    /// The CMAC subkey for whole blocks.
    subkey: Zeroizing<[u8; 16]>,
}

impl Xaes {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        let key = UnboundCipherKey::new(&AES_256, key).map_err(|_| Error::Library)?;
        let block = EncryptingKey::ecb(key).map_err(|_| Error::Library)?;
        let mut subkey = Zeroizing::new([0; 16]);
        block.encrypt(subkey.as_mut()).map_err(|_| Error::Library)?;
        let (mut carry, most) = (0, subkey[0] >> 7);
        for byte in subkey.iter_mut().rev() {
            let next = *byte >> 7;
            *byte = *byte << 1 | carry;
            carry = next;
        }
        subkey[15] ^= 0x87 * most;
        Ok(Self { block, subkey })
    }

    /// Appends `nonce ‖ ciphertext ‖ tag` to `out`.
    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if is_copied() {
            out.extend_from_slice(&[0; NONCE_BYTES]);
            out.extend_from_slice(plain);
            out.extend_from_slice(&[0; TAG_BYTES]);
            return Ok(());
        }
        self.seal_with(&random::bytes()?, aad, plain, out)
    }

    fn seal_with(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (key, rest) = self.derive(nonce)?;
        out.reserve(NONCE_BYTES + plain.len() + TAG_BYTES);
        out.extend_from_slice(nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        let body = out.get_mut(start..).ok_or(Error::Library)?;
        let tag = key.seal_in_place_separate_tag(rest, Aad::from(aad), body).map_err(|_| Error::Library)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens `nonce ‖ ciphertext ‖ tag`.
    ///
    /// Errors: [`Error::Damaged`] for another key, other additional data, or a changed byte.
    pub(crate) fn open(&self, aad: &[u8], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, body) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Short(bytes.len()))?;
        if cfg!(any(feature = "bare", feature = "unsealed")) && *nonce == [0; NONCE_BYTES] {
            let plain = body.len().saturating_sub(TAG_BYTES);
            return Ok(Zeroizing::new(body.get(..plain).unwrap_or_default().to_vec()));
        }
        let (key, rest) = self.derive(nonce)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = key.open_in_place(rest, Aad::from(aad), &mut body).map_err(|_| Error::Damaged)?.len();
        body.truncate(plain);
        Ok(body)
    }

    /// The key of a nonce's first half, for its second half.
    fn derive(&self, nonce: &[u8; NONCE_BYTES]) -> Result<(LessSafeKey, Nonce), Error> {
        let mut blocks = Zeroizing::new([0; 32]);
        for (counter, block) in (1..).zip(blocks.chunks_exact_mut(16)) {
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(&nonce[..12]);
            block.iter_mut().zip(self.subkey.iter()).for_each(|(byte, mask)| *byte ^= mask);
        }
        self.block.encrypt(blocks.as_mut()).map_err(|_| Error::Library)?;
        let key = UnboundKey::new(&AES_256_GCM, blocks.as_ref()).map_err(|_| Error::Library)?;
        let rest = Nonce::try_assume_unique_for_key(&nonce[12..]).map_err(|_| Error::Library)?;
        Ok((LessSafeKey::new(key), rest))
    }
}

/// Whether what would be sealed is only copied. In what ships: never.
#[cfg(not(feature = "unsealed"))]
const fn is_copied() -> bool {
    cfg!(feature = "bare")
}

/// Whether what would be sealed is only copied: where the environment says so, to show that a search finds it then.
#[cfg(feature = "unsealed")]
fn is_copied() -> bool {
    cfg!(feature = "bare") || std::env::var_os("TRICORD_UNSEALED").is_some()
}

#[cfg(test)]
mod tests {
    use sha3::digest::{ExtendableOutput, Update, XofReader};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The first vector's subkey has its most significant bit clear, the second's set.
    #[test]
    fn the_vectors_of_the_specification_come_out() {
        let vectors = [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ];
        for (key, aad, expected) in vectors {
            let key = Xaes::new(&[key; 32]).expect("a key");
            let mut out = Vec::new();
            key.seal_with(b"ABCDEFGHIJKLMNOPQRSTUVWX", aad.as_bytes(), b"XAES-256-GCM", &mut out).expect("sealed");
            assert_eq!(hex(&out[NONCE_BYTES..]), expected);
            assert_eq!(key.open(aad.as_bytes(), &out).expect("opened").as_slice(), b"XAES-256-GCM");
        }
    }

    #[test]
    fn ten_thousand_random_vectors_of_the_specification_come_out() {
        let mut source = sha3::Shake128::default().finalize_xof();
        let mut sum = sha3::Shake128::default();
        let mut take = |length: usize| {
            let mut bytes = vec![0; length];
            source.read(&mut bytes);
            bytes
        };
        for _ in 0..10_000 {
            let key: [u8; 32] = take(32).try_into().expect("32");
            let nonce: [u8; 24] = take(24).try_into().expect("24");
            let length = usize::from(take(1)[0]);
            let plain = take(length);
            let length = usize::from(take(1)[0]);
            let aad = take(length);
            let key = Xaes::new(&key).expect("a key");
            let mut out = Vec::new();
            key.seal_with(&nonce, &aad, &plain, &mut out).expect("sealed");
            assert_eq!(*key.open(&aad, &out).expect("opened"), plain);
            sum.update(&out[NONCE_BYTES..]);
        }
        let mut digest = [0; 32];
        sum.finalize_xof().read(&mut digest);
        assert_eq!(hex(&digest), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    }

    #[test]
    fn nothing_opens_that_was_changed() {
        let key = Xaes::new(&[9; 32]).expect("a key");
        let mut out = Vec::new();
        key.seal(b"here", b"text", &mut out).expect("sealed");
        assert_eq!(key.open(b"there", &out).err(), Some(Error::Damaged));
        assert_eq!(Xaes::new(&[8; 32]).expect("a key").open(b"here", &out).err(), Some(Error::Damaged));
        for at in 0..out.len() {
            let mut other = out.clone();
            other[at] ^= 1;
            assert!(key.open(b"here", &other).is_err(), "byte {at}");
            assert!(key.open(b"here", &out[..at]).is_err(), "cut to {at}");
        }
    }
}
