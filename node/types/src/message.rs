//! Messages: a clear header and a sealed payload.

use alloc::vec::Vec;

use crate::id::{DeviceId, EventNumber, RoleId, Seq, Timestamp, UserId};
use crate::principal::Principal;

/// How urgent a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Priority {
    /// In its turn.
    Routine,
    /// Soon.
    Urgent,
    /// As soon as possible.
    Asap,
    /// At once.
    Stat,
}

/// What the payload is. A client that does not know the number shows "newer client needed".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageKind(pub u32);

impl MessageKind {
    /// Text of at most `MESSAGE_TEXT_BYTES_MAX`.
    pub const TEXT: Self = Self(1);
}

/// Who wrote a message, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The signed-in user: a person, or a location or service that acts for itself.
    pub user: UserId,
    /// The duty they wrote in.
    pub acting_role: Option<RoleId>,
    /// The place they wrote from.
    pub location: Option<UserId>,
    /// The interface it came through.
    pub service: Option<UserId>,
    /// The device.
    pub device: DeviceId,
}

/// The fields of a message that its author decides and that stay clear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the payload is.
    pub kind: MessageKind,
    /// How urgent.
    pub priority: Priority,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// The message it takes the place of.
    pub supersedes: Option<Seq>,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// Whom it mentions: at most `MENTIONS_MAX`, sorted, without repeats.
    pub mentions: Vec<Principal>,
}

/// A payload as the log, the state and backups hold it, and what it is bound to.
///
/// Shape of `bytes`: version ‖ key id ‖ nonce ‖ ciphertext ‖ tag (crate `seal`).
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key it is sealed with; 0 while sealing is not in force.
    pub key_id: u64,
    /// SHA-256(tag ‖ salt ‖ payload): lets one message be proven later without giving away a key.
    pub commitment: [u8; 32],
    /// At most `MESSAGE_PAYLOAD_BYTES_MAX`.
    pub bytes: Vec<u8>,
}

impl core::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

/// One record of a conversation. Never changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its place, from 1.
    pub seq: Seq,
    /// Cluster time at which it was committed.
    pub at: Timestamp,
    /// Its event.
    pub event: EventNumber,
    /// Who wrote it.
    pub sender: Sender,
    /// What stays clear.
    pub header: Header,
    /// What does not.
    pub sealed: Sealed,
}
