//! Values whose bytes are kept. Every field has a value of its own where it can, so that fields changed for one another
//! are seen.

mod logged;
mod people;
mod stored;
mod trust;

pub(super) use logged::{answers, entry, envelopes};
pub(super) use stored::{keys, records_of_each_action, rows};

use types::key::{Envelope as KeyEnvelope, Holder};
use types::message::{Header, MessageKind, Priority, Sealed};
use types::user::ExternalId;
use types::{ConversationId, DeviceId, Principal, RoleId, Seq, SessionId, Timestamp, UserId};

const ANA: UserId = UserId([0xA1; 16]);
const BEN: UserId = UserId([0xB2; 16]);
const WARD: UserId = UserId([0xC3; 16]);
const PATIENT: UserId = UserId([0xD4; 16]);
const DUTY: RoleId = RoleId([0xE5; 16]);
const PHONE: DeviceId = DeviceId([0x16; 16]);
const SESSION: SessionId = SessionId([0x27; 16]);
const TALK: ConversationId = ConversationId([0x38; 16]);
const AT: Timestamp = Timestamp(1_795_305_600_123);
const LATER: Timestamp = Timestamp(1_795_392_000_456);

fn header() -> Header {
    Header {
        kind: MessageKind::TEXT,
        priority: Priority::Stat,
        reply_to: Some(Seq(40)),
        supersedes: Some(Seq(0)),
        expires_at: Some(LATER),
        mentions: vec![Principal::User(BEN), Principal::Role(DUTY)],
    }
}

fn sealed() -> Sealed {
    Sealed { key_id: 5, commitment: [0x5C; 32], bytes: b"sealed".to_vec() }
}

fn key_envelope(holder: Holder) -> KeyEnvelope {
    KeyEnvelope { holder, public: [0xD1; 32], sealed: b"envelope".to_vec() }
}

fn external_id() -> ExternalId {
    ExternalId { system: "urn:oid:2.16.840.1.113883.4.6".to_owned(), value: "1234567893".to_owned() }
}
