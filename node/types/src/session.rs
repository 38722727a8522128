//! Devices, their numbering of writes, and sessions.

use alloc::vec::Vec;

use crate::id::{DeviceId, NodeId, Seq, SessionId, Timestamp, UserId};
use crate::identity::{DeviceKey, Method};
use crate::place::Place;
use crate::user::CodeHash;

/// A device and what makes its retries safe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Never reused.
    pub id: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// Below this number the device has all its answers; none is kept.
    pub settled: u64,
    /// The highest number seen, 0 before the first.
    pub highest: u64,
    /// When it last wrote; its answers are dropped `ANSWERS_KEPT_MS` later.
    pub last_write: Timestamp,
    /// When it was enrolled.
    pub created: Timestamp,
    /// With which it proves itself for new tokens; none: it gets a short session and no new token.
    pub key: Option<DeviceKey>,
    /// The highest number it signed; none is good twice.
    pub proofs: u64,
}

/// How a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// It may act.
    Active,
    /// It must be unlocked first.
    Locked,
    /// It is over.
    Ended(Timestamp, SessionEnd),
}

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionEnd {
    /// The user signed out there.
    SignedOut,
    /// The user, or an operator, ended it from elsewhere.
    Ended,
    /// It was not used, or has lasted, too long.
    Expired,
    /// The account was deactivated, or its password reset.
    Revoked,
    /// An operator signed the user, the device or everybody out.
    LoggedOff,
    /// A part at a place: someone else took it.
    TappedOut,
    /// A part at a place: nothing was done in it for too long.
    Idle,
}

/// A signed-in period on a device.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Never reused.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// Where.
    pub device: DeviceId,
    /// SHA-256 of the token the client holds.
    pub token: CodeHash,
    /// How it stands.
    pub state: SessionState,
    /// When it began.
    pub created: Timestamp,
    /// When it ends if it is not used; moved on at most once an hour.
    pub expires: Timestamp,
    /// The node and lease epoch its stream is connected to, if it is.
    pub attached: Option<Attachment>,
    /// Since when the client has been idle, if it says so.
    pub idle_since: Option<Timestamp>,
    /// When it was last connected; 0 if never.
    pub last_seen: Timestamp,
    /// When its user last proved who they are.
    pub authenticated: Timestamp,
    /// By what.
    pub methods: Vec<Method>,
    /// The token is good until then.
    pub token_expires: Timestamp,
    /// The token before it, still good for calls that are under way.
    pub previous: Option<(CodeHash, Timestamp)>,
    /// It ends then, whatever it does.
    pub ends: Timestamp,
    /// When its user was last known to do something in it.
    pub active: Timestamp,
    /// When it is next looked at whether it locks or, as a part at a place, ends: there is a timer then.
    pub idle_due: Option<Timestamp>,
    /// At which place it is a person's part, if it is one.
    pub place: Option<Place>,
    /// Of a location's session: the part that a person has in it.
    pub part: Option<SessionId>,
    /// It ends after so long without being used.
    pub idle_ms: u64,
    /// The network address it was last known to be used from, sealed.
    pub address: Option<Vec<u8>>,
    /// What was refused in it lately, for the audit log.
    pub refusals: Option<Refusals>,
}

/// Refusals of one session in one minute of cluster time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusals {
    /// Minutes since 1970.
    pub minute: u64,
    /// How many. Those beyond `REFUSALS_PER_MINUTE_MAX` leave one record together, once the minute, or the session, is over.
    pub count: u32,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The connection of a session: to which node, in which of its lease epochs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Attachment {
    /// The node.
    pub node: NodeId,
    /// The node's lease epoch, new at each of its starts.
    pub epoch: u64,
}

/// How far one device of a principal has come in a conversation. Both only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The device has everything up to here.
    pub delivered: Seq,
    /// When `delivered` last grew.
    pub delivered_at: Timestamp,
    /// Everything up to here was on a screen.
    pub displayed: Seq,
    /// When `displayed` last grew.
    pub displayed_at: Timestamp,
}
