//! Payloads: how texts are wrapped before a command exists, and what they are bound to.
//!
//! **Not encrypted yet.** This release writes version 0, which is clear: whoever reads the disk, the log or a backup
//! reads the texts. The format has its place for version 1 (XAES-256-GCM under a data key), and everything above this
//! crate treats payloads as opaque, so that encryption comes in here and nowhere else.
//!
//! Shape: version byte ‖ key id, 8 bytes big-endian ‖ body. In version 0 the key id is 0 and the body is the payload.

mod payload;
mod request;
mod reveal;

use sha2::{Digest, Sha256};
use types::message::Sealed;

pub use payload::Payload;
pub use request::request_hash;
pub use reveal::{reveal, revealed};

/// The version this release writes: clear.
const VERSION_CLEAR: u8 = 0;
/// The key id of clear payloads.
const KEY_NONE: u64 = 0;
/// Bytes before the body.
const HEADER_BYTES: usize = 9;
/// What the commitment of a message begins with, so that it is never taken for another kind of hash.
const MESSAGE_TAG: &[u8] = b"tricord/message/v1";

/// Why a payload could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than its header.
    #[error("a payload of {0} bytes is too short")]
    Short(usize),
    /// Written by a newer release.
    #[error("payload version {0} is not known to this release")]
    Version(u8),
    /// A key this node does not have.
    #[error("key {0} is not known")]
    Key(u64),
    /// The body is not a payload.
    #[error("the payload is damaged")]
    Damaged,
    /// The payload is not the one that was committed to.
    #[error("the payload is not the one its record commits to")]
    Commitment,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
}

/// Wraps the text of a message, with a random salt inside, and commits to it.
///
/// Errors: [`Error::Randomness`] only.
pub fn message(text: &str) -> Result<Sealed, Error> {
    let payload = Payload::with_text(text)?;
    let body = payload.encode();
    let commitment = commit(&payload.salt, &body);
    Ok(Sealed { key_id: KEY_NONE, commitment, bytes: wrap(&body) })
}

/// Opens the payload of a message: version, key and commitment are checked each time.
pub fn open(sealed: &Sealed) -> Result<Payload, Error> {
    let (key, body) = unwrap(&sealed.bytes)?;
    if key != sealed.key_id {
        return Err(Error::Key(sealed.key_id));
    }
    let payload = Payload::decode(body)?;
    if commit(&payload.salt, body) != sealed.commitment {
        return Err(Error::Commitment);
    }
    Ok(payload)
}

/// Wraps a title or a status text. No text gives no bytes.
///
/// Errors: [`Error::Randomness`] only.
pub fn text(text: &str) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    Ok(wrap(&Payload::with_text(text)?.encode()))
}

/// Opens what [`text`] wrapped.
pub fn open_text(bytes: &[u8]) -> Result<String, Error> {
    if bytes.is_empty() {
        return Ok(String::new());
    }
    let (_, body) = unwrap(bytes)?;
    Ok(Payload::decode(body)?.text)
}

fn wrap(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.push(VERSION_CLEAR);
    bytes.extend_from_slice(&KEY_NONE.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn unwrap(bytes: &[u8]) -> Result<(u64, &[u8]), Error> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Error::Short(bytes.len()));
    };
    let [version, key @ ..] = *header;
    if version != VERSION_CLEAR {
        return Err(Error::Version(version));
    }
    match u64::from_be_bytes(key) {
        KEY_NONE => Ok((KEY_NONE, body)),
        key => Err(Error::Key(key)),
    }
}

fn commit(salt: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(MESSAGE_TAG).chain_update(salt).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_opens_to_its_text() -> Result<(), Error> {
        for text in ["", "a", "K 5.9, ECG changes, please call", &"ä".repeat(8192)] {
            assert_eq!(open(&message(text)?)?.text, text);
        }
        Ok(())
    }

    #[test]
    fn equal_texts_have_different_commitments() -> Result<(), Error> {
        assert_ne!(message("same")?.commitment, message("same")?.commitment);
        Ok(())
    }

    #[test]
    fn a_changed_payload_is_found_out() -> Result<(), Error> {
        let sealed = message("give 5 mg")?;
        for at in 0..sealed.bytes.len() {
            let mut other = sealed.clone();
            other.bytes[at] ^= 0x11;
            assert!(open(&other).is_err(), "byte {at} may not be changed");
        }
        let cut = Sealed { bytes: sealed.bytes[..5].to_vec(), ..sealed };
        assert_eq!(open(&cut), Err(Error::Short(5)));
        Ok(())
    }

    #[test]
    fn a_newer_version_and_an_unknown_key_are_named() -> Result<(), Error> {
        let mut sealed = message("x")?;
        sealed.bytes[0] = 1;
        assert_eq!(open(&sealed), Err(Error::Version(1)));
        let mut bytes = text("x")?;
        bytes[8] = 7;
        assert_eq!(open_text(&bytes), Err(Error::Key(7)));
        Ok(())
    }

    #[test]
    fn no_title_takes_no_bytes() -> Result<(), Error> {
        assert!(text("")?.is_empty());
        assert_eq!(open_text(&[])?, "");
        assert_eq!(open_text(&text("Ward 3")?)?, "Ward 3");
        Ok(())
    }
}
