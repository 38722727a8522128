//! Key pairs that cluster keys are sealed to: each node's, and the one of the recovery kit.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use zeroize::Zeroizing;

use crate::{Error, random};

/// The public half of a [`NodeKey`]: 32 bytes, printed as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PublicKey(pub [u8; 32]);

impl core::str::FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut key = [0; 32];
        if text.len() != 64 {
            return Err(Error::Short(text.len()));
        }
        // As it prints, and in no other way: keys are compared by eye. `from_str_radix` would also take a sign.
        if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::Damaged);
        }
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = core::str::from_utf8(digits).map_err(|_| Error::Damaged)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| Error::Damaged)?;
        }
        Ok(Self(key))
    }
}

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An X25519 key pair, made on the machine that uses it. Wiped when dropped.
pub struct NodeKey {
    private: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NodeKey")
    }
}

impl NodeKey {
    /// A new pair.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self { private: random::secret()? })
    }

    /// The pair of this private half.
    #[must_use]
    pub fn from_private(private: &[u8; 32]) -> Self {
        Self { private: Zeroizing::new(*private) }
    }

    /// The public half.
    pub fn public(&self) -> Result<PublicKey, Error> {
        let private = PrivateKey::from_private_key(&X25519, self.private.as_ref()).map_err(|_| Error::Library)?;
        let public = private.compute_public_key().map_err(|_| Error::Library)?;
        Ok(PublicKey(public.as_ref().try_into().map_err(|_| Error::Library)?))
    }

    /// The private half, for [`crate::Protected`] and for making a recovery kit.
    #[must_use]
    pub fn private_bytes(&self) -> &[u8; 32] {
        &self.private
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_has_one_spelling() {
        let text = PublicKey([0xAB; 32]).to_string();
        assert_eq!(text.parse(), Ok(PublicKey([0xAB; 32])));
        for other in [text.to_uppercase(), text.replacen("ab", "+b", 1), text.replacen("ab", "ä", 1)] {
            assert_eq!(other.parse::<PublicKey>(), Err(Error::Damaged), "{other}");
        }
        assert_eq!(text[2..].parse::<PublicKey>(), Err(Error::Short(62)));
    }

    #[test]
    fn a_pair_is_known_by_its_private_half_and_prints_none_of_it() -> Result<(), Error> {
        let pair = NodeKey::generate()?;
        assert_eq!(NodeKey::from_private(pair.private_bytes()).public()?, pair.public()?);
        assert_ne!(NodeKey::generate()?.public()?, pair.public()?);
        assert_eq!(format!("{pair:?}"), "NodeKey");
        Ok(())
    }
}
