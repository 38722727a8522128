//! Who fills the three slots: nodes that were let in after founding, and histories that were begun anew.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Lineage, NodeId, Timestamp};
use crate::key::Envelope;

/// A node that was let into a slot, whatever became of it. The three of the founding have none until they are replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The id of its disk.
    pub disk: [u8; 16],
    /// Its public key that cluster keys are sealed to: X25519.
    pub public: [u8; 32],
    /// Where its peers reach it: `host:port`.
    pub peer_address: String,
    /// Where clients reach it: `host:port`.
    pub client_address: String,
    /// When it was let in.
    pub admitted: Timestamp,
    /// Since when it counts as one of three.
    pub seated: Option<Timestamp>,
    /// When another one took its slot; it is refused from then on.
    pub replaced: Option<Timestamp>,
}

impl Seat {
    /// Whether it is on its way to its slot.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.seated.is_none() && self.replaced.is_none()
    }
}

/// Lets a new node into a slot, with the cluster keys sealed to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdmitNode {
    /// Its id: higher than any that the slot ever had.
    pub node: NodeId,
    /// The id of its disk.
    pub disk: [u8; 16],
    /// Its public key: X25519.
    pub public: [u8; 32],
    /// Where its peers reach it: `host:port`.
    pub peer_address: String,
    /// Where clients reach it: `host:port`.
    pub client_address: String,
    /// Each version of the cluster key that is not retired, ascending, sealed to it.
    pub envelopes: Vec<(u32, Envelope)>,
}

/// A history begun anew from what one node had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refound {
    /// The new lineage.
    pub lineage: Lineage,
    /// The node whose data it begins with.
    pub node: NodeId,
    /// By the clock of whoever began it: everything since `Refounding::last` may be missing.
    pub at: Timestamp,
    /// An operator accepts that writes are on one disk alone until another node has joined.
    pub single_copy: bool,
}

/// What the last refounding left behind, for whoever asks what may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refounding {
    /// The lineage that ended.
    pub before: Lineage,
    /// The cluster time of the newest entry that survived.
    pub last: Timestamp,
    /// When the new one began.
    pub at: Timestamp,
    /// The node whose data it began with.
    pub node: NodeId,
    /// Writes on one disk alone are accepted until another node has joined.
    pub single_copy: bool,
    /// Records of the audit log that survived.
    pub records: u64,
}
