//! What is sealed: a salt and, for now, a text, in protobuf's wire format with room for later kinds.

use crate::Error;

/// Bytes of random salt in each payload.
const SALT_BYTES: usize = 16;
/// Field 1, length-delimited.
const SALT_KEY: u8 = 0x0A;
/// Field 2, length-delimited.
const TEXT_KEY: u8 = 0x12;

/// An opened payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// Makes equal texts look different, and a guessed text impossible to confirm from its commitment.
    pub salt: [u8; SALT_BYTES],
    /// The text.
    pub text: String,
}

impl core::fmt::Debug for Payload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Payload({} bytes)", self.text.len())
    }
}

impl Payload {
    pub(crate) fn with_text(text: &str) -> Result<Self, Error> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| Error::Randomness)?;
        Ok(Self { salt, text: text.into() })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.text.len() + SALT_BYTES + 8);
        put(&mut bytes, SALT_KEY, &self.salt);
        put(&mut bytes, TEXT_KEY, self.text.as_bytes());
        bytes
    }

    /// Reads what `encode` writes, and no other spelling: a payload that is given away is encoded again, and its commitment
    /// must still hold.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let payload = Self::read(bytes)?;
        if payload.encode() == bytes { Ok(payload) } else { Err(Error::Damaged) }
    }

    fn read(mut bytes: &[u8]) -> Result<Self, Error> {
        let (mut salt, mut text) = (None, None);
        while let Some((&key, rest)) = bytes.split_first() {
            let (value, rest) = take(rest)?;
            match key {
                SALT_KEY if salt.is_none() => salt = Some(value.try_into().map_err(|_| Error::Damaged)?),
                TEXT_KEY if text.is_none() => text = Some(core::str::from_utf8(value).map_err(|_| Error::Damaged)?),
                _ => return Err(Error::Damaged),
            }
            bytes = rest;
        }
        match (salt, text) {
            (Some(salt), Some(text)) => Ok(Self { salt, text: text.into() }),
            _ => Err(Error::Damaged),
        }
    }
}

fn put(bytes: &mut Vec<u8>, key: u8, value: &[u8]) {
    bytes.push(key);
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(value);
}

fn take(mut bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = bytes.split_first().ok_or(Error::Damaged)?;
        bytes = rest;
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return bytes.split_at_checked(length).ok_or(Error::Damaged);
        }
    }
    Err(Error::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_one_spelling() {
        let payload = Payload { salt: [5; 16], text: "x".into() };
        let bytes = payload.encode();
        assert_eq!(Payload::decode(&bytes), Ok(payload));
        let (salt, text) = bytes.split_at(18);
        let longer_length = [salt, &[TEXT_KEY, 0x81, 0x00, b'x']].concat();
        for other in [[text, salt].concat(), longer_length, bytes[..18].to_vec()] {
            assert_eq!(Payload::decode(&other), Err(Error::Damaged), "{other:?}");
        }
    }
}
