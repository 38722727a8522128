//! openraft's types as we fill them, and the way to and from `store`'s. No encoding of openraft's own is ever stored
//! or sent, so that another version of it is a change of code and not of data.

use std::fmt;

use bytes::Bytes;
use openraft::Membership;
use openraft::type_config::alias::{LogIdOf, StoredMembershipOf, VoteOf};
use types::reply::Answer;
use types::{NodeId, Slot};

openraft::declare_raft_types!(
    /// What this cluster replicates, and by what it names its nodes.
    pub TypeConfig:
        D = Commands,
        R = Answers,
        NodeId = u64,
        Node = NodeInfo,
);

pub(crate) type RaftLogId = LogIdOf<TypeConfig>;
pub(crate) type RaftVote = VoteOf<TypeConfig>;
pub(crate) type RaftEntry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type RaftMembership = Membership<u64, NodeInfo>;
pub(crate) type RaftStoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type LeaderId = openraft::type_config::alias::LeaderIdOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// The encoded commands of one log entry: the same bytes are logged, sent to the peers and applied.
#[derive(Clone, PartialEq, Eq)]
pub struct Commands(pub Bytes);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commands({} bytes)", self.0.len())
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The answers to the envelopes of one entry, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(pub Vec<Answer>);

/// A node of the membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its identity; the slot follows from it.
    pub node: NodeId,
    /// Where its peers reach it: `host:port`.
    pub peer_address: String,
    /// Where clients reach it: `host:port`.
    pub client_address: String,
    /// The id of its disk; all zero while it is not known.
    pub disk: [u8; 16],
}

impl NodeInfo {
    /// Its place in the cluster.
    #[must_use]
    pub const fn slot(&self) -> Option<Slot> {
        self.node.slot()
    }
}

/// Whether the disk with this id is known, rather than yet to be learnt.
pub(crate) fn is_known(disk: [u8; 16]) -> bool {
    disk != [0; 16]
}

pub(crate) fn log_id(term: u64, node: u64, index: u64) -> RaftLogId {
    RaftLogId::new(LeaderId { term, node_id: node }, index)
}
