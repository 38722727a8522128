//! openraft's values as `store` keeps them, and back.

use openraft::EntryPayload;
use types::NodeId;

use crate::kinds::{Commands, LeaderId, NodeInfo, RaftEntry, RaftLogId, RaftVote, log_id};
use crate::wire::{Malformed, membership_bytes, membership_from_bytes};

pub(crate) fn to_id(id: &RaftLogId) -> store::LogId {
    let leader = id.committed_leader_id();
    store::LogId { term: leader.term, node: NodeId(leader.node_id), index: id.index() }
}

pub(crate) fn from_id(id: store::LogId) -> RaftLogId {
    log_id(id.term, id.node.0, id.index)
}

pub(crate) fn to_vote(vote: &RaftVote) -> store::Vote {
    store::Vote { term: vote.leader_id.term, node: NodeId(vote.leader_id.node_id), committed: vote.committed }
}

pub(crate) fn from_vote(vote: store::Vote) -> RaftVote {
    RaftVote { leader_id: LeaderId { term: vote.term, node_id: vote.node.0 }, committed: vote.committed }
}

pub(crate) fn to_payload(payload: EntryPayload<Commands, u64, NodeInfo>) -> store::Payload {
    match payload {
        EntryPayload::Blank => store::Payload::Blank,
        EntryPayload::Normal(commands) => store::Payload::Commands(commands.0),
        EntryPayload::Membership(membership) => store::Payload::Membership(membership_bytes(&membership)),
    }
}

fn from_payload(payload: store::Payload) -> Result<EntryPayload<Commands, u64, NodeInfo>, Malformed> {
    Ok(match payload {
        store::Payload::Blank => EntryPayload::Blank,
        store::Payload::Commands(bytes) => EntryPayload::Normal(Commands(bytes)),
        store::Payload::Membership(bytes) => EntryPayload::Membership(membership_from_bytes(&bytes)?),
    })
}

pub(crate) fn to_entry(entry: RaftEntry) -> store::LogEntry {
    store::LogEntry { id: to_id(&entry.log_id), payload: to_payload(entry.payload) }
}

/// Errors: [`Malformed`] when the bytes of a membership are damaged.
pub(crate) fn from_entry(entry: store::LogEntry) -> Result<RaftEntry, Malformed> {
    Ok(RaftEntry { log_id: from_id(entry.id), payload: from_payload(entry.payload)? })
}
