//! Sealed payloads.
//!
//! Shape: version 1 ‖ key id, 8 bytes big-endian ‖ nonce, 24 bytes ‖ ciphertext ‖ tag, 16 bytes. The additional data are
//! these first nine bytes and the [`Place`]: what the node knows before the command is applied. A payload that was moved
//! to another conversation, sender or user does not open.

use sha2::{Digest, Sha256};
use types::message::{MessageKind, Sealed};
use types::{ConversationId, SessionId, UserId};

use crate::{DataKey, Error, Payload};

/// The version this release writes.
const VERSION: u8 = 1;
/// Bytes before the nonce.
const HEADER_BYTES: usize = 9;
/// What the commitment of a message begins with, so that it is never taken for another kind of hash.
const MESSAGE_TAG: &[u8] = b"tricord/message/v1";

/// Where a payload belongs. It opens nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A message of this conversation and kind, by this user.
    Message(ConversationId, MessageKind, UserId),
    /// A conversation's title.
    Title(ConversationId),
    /// A user's status text.
    Status(UserId),
    /// A patient's name.
    Name(UserId),
    /// The secret of a user's second factor.
    Secret(UserId),
    /// The network address a session is used from; that of a try to begin one has id 0.
    Address(SessionId),
}

impl Place {
    fn aad(&self, header: &[u8; HEADER_BYTES]) -> Vec<u8> {
        let mut aad = Vec::with_capacity(HEADER_BYTES + 64);
        aad.extend_from_slice(b"tricord/payload");
        aad.extend_from_slice(header);
        match self {
            Self::Message(conversation, kind, sender) => {
                aad.push(1);
                aad.extend_from_slice(&conversation.0);
                aad.extend_from_slice(&kind.0.to_be_bytes());
                aad.extend_from_slice(&sender.0);
            }
            Self::Title(conversation) => {
                aad.push(2);
                aad.extend_from_slice(&conversation.0);
            }
            Self::Status(user) => {
                aad.push(3);
                aad.extend_from_slice(&user.0);
            }
            Self::Name(user) => {
                aad.push(4);
                aad.extend_from_slice(&user.0);
            }
            Self::Secret(user) => {
                aad.push(5);
                aad.extend_from_slice(&user.0);
            }
            Self::Address(session) => {
                aad.push(6);
                aad.extend_from_slice(&session.0);
            }
        }
        aad
    }
}

/// Seals the text of a message, with a random salt inside, and commits to it.
pub fn message(key: &DataKey, place: &Place, text: &str) -> Result<Sealed, Error> {
    let payload = Payload::with_text(text)?;
    let body = payload.encode();
    let commitment = commit(&payload.salt, &body);
    Ok(Sealed { key_id: key.id(), commitment, bytes: wrap(key, place, &body)? })
}

/// Opens the payload of a message: key, place and commitment are checked each time.
pub fn open(key: &DataKey, place: &Place, sealed: &Sealed) -> Result<Payload, Error> {
    if key_id(&sealed.bytes) != Some(sealed.key_id) {
        return Err(Error::Key(sealed.key_id));
    }
    let body = unwrap(key, place, &sealed.bytes)?;
    let payload = Payload::decode(&body)?;
    if commit(&payload.salt, &body) != sealed.commitment {
        return Err(Error::Commitment);
    }
    Ok(payload)
}

/// Seals a title, a status text or a name. No text gives no bytes.
pub fn text(key: &DataKey, place: &Place, text: &str) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    wrap(key, place, &Payload::with_text(text)?.encode())
}

/// Opens what [`text`] sealed.
pub fn open_text(key: &DataKey, place: &Place, bytes: &[u8]) -> Result<String, Error> {
    if bytes.is_empty() {
        return Ok(String::new());
    }
    Ok(Payload::decode(&unwrap(key, place, bytes)?)?.text)
}

/// The id of the key that a payload was sealed with; none if it is no payload. Never 0 in one that can be opened.
#[must_use]
pub fn key_id(bytes: &[u8]) -> Option<u64> {
    types::key::key_id_of(bytes)
}

/// A payload without content and without a key, for a command that will be refused: it asks the state why.
#[must_use]
pub fn unkeyed_message() -> Sealed {
    Sealed { key_id: 0, commitment: [0; 32], bytes: unkeyed_text() }
}

/// See [`unkeyed_message`].
#[must_use]
pub fn unkeyed_text() -> Vec<u8> {
    header(0).to_vec()
}

fn header(key_id: u64) -> [u8; HEADER_BYTES] {
    let mut header = [VERSION; HEADER_BYTES];
    header[1..].copy_from_slice(&key_id.to_be_bytes());
    header
}

fn wrap(key: &DataKey, place: &Place, body: &[u8]) -> Result<Vec<u8>, Error> {
    let header = header(key.id());
    let mut bytes = Vec::with_capacity(HEADER_BYTES + crate::xaes::NONCE_BYTES + body.len() + crate::xaes::TAG_BYTES);
    bytes.extend_from_slice(&header);
    key.xaes.seal(&place.aad(&header), body, &mut bytes)?;
    Ok(bytes)
}

fn unwrap(key: &DataKey, place: &Place, bytes: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    let (found, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Error::Short(bytes.len()))?;
    if found[0] != VERSION {
        return Err(Error::Version(found[0]));
    }
    if *found != header(key.id()) {
        return Err(Error::Key(key.id()));
    }
    key.xaes.open(&place.aad(found), rest)
}

/// What the record of a message holds of it.
pub(crate) fn commit(salt: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(MESSAGE_TAG).chain_update(salt).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests;
