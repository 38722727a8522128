//! Ranges of keys: each names the first and the last key of what it covers.

use types::certificate::{SERIAL_BYTES, Serial};
use types::key::Holder;
use types::row::Timer;
use types::session::Attachment;
use types::{ConversationId, DeviceId, EventNumber, Key, NodeId, Principal, RoleId, SessionId, Timestamp, UserId};

use alloc::string::String;

const LOWEST: [u8; 16] = [0; 16];
const HIGHEST: [u8; 16] = [u8::MAX; 16];
const FIRST: Principal = Principal::User(UserId(LOWEST));
const LAST: Principal = Principal::Role(RoleId(HIGHEST));

const FIRST_TIMER: Key = Key::Timer(Timestamp(0), Timer::SessionExpiry(SessionId(LOWEST)));

/// First and last key of a range.
pub type Range = (Key, Key);

/// The sessions of a user.
#[must_use]
pub const fn user_sessions(user: UserId) -> Range {
    (Key::UserSession(user, SessionId(LOWEST)), Key::UserSession(user, SessionId(HIGHEST)))
}

/// All sessions from this one on.
#[must_use]
pub const fn sessions_from(from: SessionId) -> Range {
    (Key::Session(from), Key::Session(SessionId(HIGHEST)))
}

/// The devices of a user.
#[must_use]
pub const fn user_devices(user: UserId) -> Range {
    (Key::UserDevice(user, DeviceId(LOWEST)), Key::UserDevice(user, DeviceId(HIGHEST)))
}

/// The sessions attached to a node in one epoch.
#[must_use]
pub const fn attached(to: Attachment) -> Range {
    (Key::Attached(to, SessionId(LOWEST)), Key::Attached(to, SessionId(HIGHEST)))
}

/// All that take part in a conversation, or did.
#[must_use]
pub const fn participants(conversation: ConversationId) -> Range {
    (Key::Participant(conversation, FIRST), Key::Participant(conversation, LAST))
}

/// The conversations of a principal, also those it has left.
#[must_use]
pub const fn participations(principal: Principal) -> Range {
    (Key::Participation(principal, ConversationId(LOWEST)), Key::Participation(principal, ConversationId(HIGHEST)))
}

/// A device's answers with `from ≤ number ≤ to`.
#[must_use]
pub const fn answers(device: DeviceId, from: u64, to: u64) -> Range {
    (Key::Answer(device, from), Key::Answer(device, to))
}

/// What is due at `now` or was before.
#[must_use]
pub const fn timers_due(now: Timestamp) -> Range {
    // The last kind of timer there can be at a time is the first one a millisecond later.
    (FIRST_TIMER, Key::Timer(now.plus_ms(1), Timer::SessionExpiry(SessionId(LOWEST))))
}

/// Where events above `dropped` are.
#[must_use]
pub const fn events_after(dropped: EventNumber) -> Range {
    (Key::EventScope(dropped.next()), Key::EventScope(EventNumber(u64::MAX)))
}

/// Heads of the audit tree with at most this size.
#[must_use]
pub const fn heads_to(size: u64) -> Range {
    (Key::Head(0), Key::Head(size))
}

/// Everyone who signs the audit tree, or did.
#[must_use]
pub const fn signers() -> Range {
    (Key::Signer(NodeId(0)), Key::Signer(NodeId(u64::MAX)))
}

/// What nodes, of today and of before, say of their backups.
#[must_use]
pub const fn backups() -> Range {
    (Key::Backup(NodeId(0)), Key::Backup(NodeId(u64::MAX)))
}

/// Sorts after every word: none may begin with it.
pub(crate) const WORD_END: char = '\u{10FFFF}';

/// The words of a user.
#[must_use]
pub fn user_words(user: UserId) -> Range {
    (Key::UserWord(user, String::new()), Key::UserWord(user, String::from(WORD_END)))
}

/// All versions of the cluster key.
#[must_use]
pub const fn cluster_keys() -> Range {
    (Key::ClusterKey(0), Key::ClusterKey(u32::MAX))
}

/// A version of the cluster key as it is sealed to its holders.
#[must_use]
pub const fn key_envelopes(version: u32) -> Range {
    (Key::KeyEnvelope(version, Holder::Recovery), Key::KeyEnvelope(version, Holder::Node(NodeId(u64::MAX))))
}

/// Everyone who may hold cluster keys.
#[must_use]
pub const fn key_holders() -> Range {
    (Key::KeyHolder(Holder::Recovery), Key::KeyHolder(Holder::Node(NodeId(u64::MAX))))
}

/// Data keys whose id is this or higher.
#[must_use]
pub const fn data_keys(from: u64) -> Range {
    (Key::DataKey(from), Key::DataKey(u64::MAX))
}

/// Every node that was let in after founding.
#[must_use]
pub const fn seats() -> Range {
    (Key::Seat(NodeId(0)), Key::Seat(NodeId(u64::MAX)))
}

/// Emergency access, each time it was asked for, from this number on.
#[must_use]
pub const fn emergencies(from: u64) -> Range {
    (Key::Emergency(from), Key::Emergency(u64::MAX))
}

/// Emergency access that is not over, or not reviewed.
#[must_use]
pub const fn emergencies_open() -> Range {
    (Key::EmergencyOpen(0), Key::EmergencyOpen(u64::MAX))
}

/// What all nodes show.
#[must_use]
pub const fn node_certificates() -> Range {
    (Key::NodeCertificates(NodeId(0)), Key::NodeCertificates(NodeId(u64::MAX)))
}

/// Certificates that are revoked.
#[must_use]
pub const fn revoked() -> Range {
    (Key::Revoked(Serial([0; SERIAL_BYTES])), Key::Revoked(Serial([u8::MAX; SERIAL_BYTES])))
}

/// Recovery kits of before.
#[must_use]
pub const fn former_kits() -> Range {
    (Key::FormerKit(0), Key::FormerKit(u32::MAX))
}
