//! Giving away one message with its proof: the payload and its salt, from which its commitment follows, and never a key.

use crate::sealed::commit;
use crate::{Error, Payload};

/// The bytes of an opened payload, salt included, as its commitment was made from them.
#[must_use]
pub fn reveal(payload: &Payload) -> Vec<u8> {
    payload.encode()
}

/// The payload that was given away, if it is the one committed to.
///
/// Errors: [`Error::Damaged`] if it is no payload, [`Error::Commitment`] if it is another.
pub fn revealed(bytes: &[u8], commitment: &[u8; 32]) -> Result<Payload, Error> {
    let payload = Payload::decode(bytes)?;
    if commit(&payload.salt, bytes) == *commitment { Ok(payload) } else { Err(Error::Commitment) }
}

#[cfg(test)]
mod tests {
    use types::key::{KeyScope, Month};
    use types::message::MessageKind;
    use types::{ConversationId, UserId};

    use super::*;
    use crate::{ClusterKey, DataKey, Place};

    #[test]
    fn what_is_given_away_is_checked_against_its_commitment() -> Result<(), Error> {
        let place = Place::Message(ConversationId([7; 16]), MessageKind::TEXT, UserId([1; 16]));
        let cluster = ClusterKey::generate(1)?;
        let (key, _) = DataKey::mint(&cluster, KeyScope::Conversation(ConversationId([7; 16])), Month(683))?;
        let sealed = crate::message(&key, &place, "K 5.9, please call")?;
        let bytes = reveal(&crate::open(&key, &place, &sealed)?);
        assert_eq!(revealed(&bytes, &sealed.commitment)?.text, "K 5.9, please call");
        let other = bytes.iter().enumerate().map(|(at, byte)| if at == bytes.len() - 1 { byte ^ 1 } else { *byte });
        assert_eq!(revealed(&other.collect::<Vec<_>>(), &sealed.commitment), Err(Error::Commitment));
        Ok(())
    }
}
