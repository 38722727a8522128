use types::key::{KeyScope, Month};

use super::*;
use crate::ClusterKey;

const WARD: ConversationId = ConversationId([7; 16]);
const ITO: UserId = UserId([1; 16]);
const HERE: Place = Place::Message(WARD, MessageKind::TEXT, ITO);

fn key() -> DataKey {
    let cluster = ClusterKey::generate(1).expect("a key");
    DataKey::mint(&cluster, KeyScope::Conversation(WARD), Month(683)).expect("a key").0
}

#[test]
fn a_message_opens_to_its_text_and_its_bytes_do_not_show_it() -> Result<(), Error> {
    let key = key();
    for text in ["", "a", "K 5.9, ECG changes, please call", &"ä".repeat(8192)] {
        let sealed = message(&key, &HERE, text)?;
        assert_eq!(open(&key, &HERE, &sealed)?.text, text);
        assert_eq!(key_id(&sealed.bytes), Some(key.id()));
        if text.len() > 8 {
            assert!(!sealed.bytes.windows(8).any(|bytes| bytes == &text.as_bytes()[..8]));
        }
    }
    Ok(())
}

#[test]
fn equal_texts_have_different_commitments_and_bytes() -> Result<(), Error> {
    let key = key();
    let (one, other) = (message(&key, &HERE, "same")?, message(&key, &HERE, "same")?);
    assert_ne!(one.commitment, other.commitment);
    assert_ne!(one.bytes, other.bytes);
    Ok(())
}

#[test]
fn a_changed_payload_is_found_out() -> Result<(), Error> {
    let key = key();
    let sealed = message(&key, &HERE, "give 5 mg")?;
    for at in 0..sealed.bytes.len() {
        let mut other = sealed.clone();
        other.bytes[at] ^= 0x11;
        assert!(open(&key, &HERE, &other).is_err(), "byte {at} may not be changed");
    }
    let cut = Sealed { bytes: sealed.bytes[..12].to_vec(), ..sealed.clone() };
    assert!(open(&key, &HERE, &cut).is_err());
    let other = Sealed { commitment: [0; 32], ..sealed };
    assert_eq!(open(&key, &HERE, &other).err(), Some(Error::Commitment));
    Ok(())
}

#[test]
fn a_payload_opens_only_where_it_belongs() -> Result<(), Error> {
    let key = key();
    let sealed = message(&key, &HERE, "give 5 mg")?;
    let elsewhere = [
        Place::Message(ConversationId([8; 16]), MessageKind::TEXT, ITO),
        Place::Message(WARD, MessageKind(2), ITO),
        Place::Message(WARD, MessageKind::TEXT, UserId([2; 16])),
        Place::Title(WARD),
    ];
    for place in elsewhere {
        assert_eq!(open(&key, &place, &sealed).err(), Some(Error::Damaged), "{place:?}");
    }
    let status = text(&key, &Place::Status(ITO), "out to lunch")?;
    assert_eq!(open_text(&key, &Place::Name(ITO), &status).err(), Some(Error::Damaged));
    assert_eq!(open_text(&key, &Place::Status(ITO), &status)?, "out to lunch");
    Ok(())
}

#[test]
fn a_newer_version_another_key_and_no_key_are_named() -> Result<(), Error> {
    let (key, other) = (key(), self::key());
    let mut sealed = message(&key, &HERE, "x")?;
    assert_eq!(open(&other, &HERE, &sealed).err(), Some(Error::Key(other.id())));
    sealed.bytes[0] = 9;
    assert_eq!(open(&key, &HERE, &sealed).err(), Some(Error::Version(9)));
    assert!(open(&key, &HERE, &unkeyed_message()).is_err());
    assert_eq!(key_id(&unkeyed_text()), Some(0));
    Ok(())
}

#[test]
fn no_title_takes_no_bytes() -> Result<(), Error> {
    let key = key();
    assert!(text(&key, &Place::Title(WARD), "")?.is_empty());
    assert_eq!(open_text(&key, &Place::Title(WARD), &[])?, "");
    Ok(())
}

#[test]
fn what_is_not_sealed_does_not_open() -> Result<(), Error> {
    let (key, payload) = (key(), Payload::with_text("x")?);
    let body = payload.encode();
    let bytes = [&[0][..], &key.id().to_be_bytes(), &body].concat();
    let clear = Sealed { key_id: key.id(), commitment: commit(&payload.salt, &body), bytes };
    assert_eq!(open(&key, &HERE, &clear).err(), Some(Error::Version(0)));
    Ok(())
}
