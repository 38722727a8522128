//! A follower that starts again with less than it had acknowledged, while this node leads: its acknowledgement must not count.
//!
//! openraft has no call that takes an acknowledgement back. So the leader gives its term up: whoever leads next, most likely
//! itself, begins with nothing acknowledged. It costs an election, and only when a disk has lost something
//! (ADR 2026-11-22-vote-guard).

use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::VoteRequest;
use store::{Engine, LogId};
use types::NodeId;

use crate::handle::Role;
use crate::kinds::{LeaderId, RaftVote, log_id};
use crate::shared::Shared;
use crate::stored::to_id;

/// To be called when `node` is first seen to have started again, with the end of its log, before it is answered anything, and
/// before anything it acknowledges counts.
pub(crate) async fn seen<E: Engine>(shared: &Arc<Shared<E>>, node: NodeId, end: Option<LogId>) {
    crate::memory::look(shared); // It is about to hear what we remember of it: of this moment.
    take_back(shared, node, end).await;
}

async fn take_back<E: Engine>(shared: &Arc<Shared<E>>, node: NodeId, end: Option<LogId>) {
    if shared.leadership.borrow().own != Role::Leader {
        return;
    }
    let metrics = shared.raft.metrics().borrow_watched().clone();
    let had = metrics.replication.and_then(|all| all.get(&node.0).cloned().flatten()).map(|had| to_id(&had));
    // What is committed as well is remembered by now, and keeps that node from voting until it has it again.
    let committed = metrics.local_committed.as_ref().map(to_id);
    if had <= end || had.map(|had| had.index) <= committed.map(|committed| committed.index) {
        return;
    }
    tracing::error!(%node, ?had, ?end, "a follower started again with less than it had acknowledged; this term is given up");
    let term = metrics.current_term;
    let vote = RaftVote { leader_id: LeaderId { term: term + 1, node_id: node.0 }, committed: false };
    // As if that node stood and had everything: this node lets go of its term and votes for nobody else in the next one. The
    // other cannot win by it, for it did not ask; nothing of this leaves the node but its vote.
    let last = log_id(term, metrics.id, u64::MAX);
    let request = VoteRequest { leadership_transfer: true, ..VoteRequest::new(vote, Some(last)) };
    // In a task of its own: it goes on when the caller has no patience left, which it has not while this node's disk stalls.
    let raft = shared.raft.clone();
    let given_up = tokio::spawn(async move { raft.vote(request).await }).await;
    match given_up {
        Ok(Ok(response)) if response.vote_granted => {}
        Ok(Ok(_)) => tracing::info!("another term has begun already"),
        Ok(Err(error)) => tracing::warn!(%error, "give up this term"),
        Err(error) => tracing::warn!(%error, "give up this term"),
    }
}
