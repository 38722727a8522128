//! Who can be reached.

use alloc::vec::Vec;

use crate::id::Timestamp;

/// What a user says of themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Availability {
    /// Can be reached.
    Available,
    /// At work on something.
    Busy,
    /// Do not disturb.
    Dnd,
    /// Not there.
    Away,
}

/// A status a user set, until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct Status {
    /// What they said; none means what the sessions show.
    pub availability: Option<Availability>,
    /// A sealed text ("out to lunch"); may be empty.
    pub text: Vec<u8>,
    /// When both cease to hold.
    pub expires: Option<Timestamp>,
    /// When it was set.
    pub set: Timestamp,
}

impl core::fmt::Debug for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Status").field("availability", &self.availability).finish_non_exhaustive()
    }
}

/// What others see of a user: the sessions and the status combined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Presence {
    /// Connected somewhere and not idle.
    Available,
    /// Connected, and said so.
    Busy,
    /// Connected, and said so.
    Dnd,
    /// Connected, and said so.
    Away,
    /// Connected, idle everywhere, since then.
    Idle(Timestamp),
    /// Connected, and locked everywhere since then: reachable by alert.
    Locked(Timestamp),
    /// The node it was connected to has gone; it may come back. Never shown as available.
    Reconnecting,
    /// Connected nowhere; last seen then, if ever.
    Offline(Option<Timestamp>),
}

/// The lease of a node, under which its sessions count as connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLease {
    /// New at each start of the node.
    pub epoch: u64,
    /// When the leader gave up on it; none while it is live.
    pub expired: Option<Timestamp>,
}

/// What a node says of one session that is connected to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// Its stream opened here, or its client is active again.
    Active,
    /// Its client reports no activity since then.
    Idle(Timestamp),
    /// Its stream closed.
    Gone,
    /// Its user did something in it so many milliseconds ago, on this node.
    Used(u64),
}
