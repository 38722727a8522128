//! Elections before the timeout, when the leader's process is certainly gone (DESIGN 5, ADR 2026-11-22-early-election).
//!
//! A process that dies takes its sockets with it: the streams of its log end, and its port refuses connections. Neither
//! happens to a leader that is slow, paused, or behind a broken network. A survivor that finds both asks the other one,
//! which must find the same for itself. Then both let go of the leader's lease, and the one with the greater
//! (last log id, node id) asks for votes, as it would have after the timeout: pre-vote first, granted by the same rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::raft::TransferLeaderRequest;
use proto::peer;
use store::Engine;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use types::NodeId;
use types::limits::{EARLY_ASK_PAUSE_MS, EARLY_ASKS_MAX, PEER_CONNECT_MS_MAX};

use crate::kinds::{RaftLogId, RaftVote};
use crate::peer::directory::Lane;
use crate::shared::Shared;
use crate::stored::from_id;
use crate::wire;

/// The append streams that others have open to this node.
pub(crate) struct Streams {
    open: Mutex<HashMap<NodeId, usize>>,
    ended: mpsc::Sender<NodeId>,
}

/// One of them, until it is dropped.
pub(crate) struct Open {
    streams: Arc<Streams>,
    from: NodeId,
}

impl Streams {
    /// With where the nodes come out whose last stream has ended.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<NodeId>) {
        let (ended, endings) = mpsc::channel(1); // One that waits stands for all: each is looked at as things are then.
        (Arc::new(Self { open: Mutex::default(), ended }), endings)
    }

    /// Counts a stream.
    pub(crate) fn opened(self: &Arc<Self>, from: NodeId) -> Open {
        *self.lock().entry(from).or_default() += 1;
        Open { streams: self.clone(), from }
    }

    fn any_from(&self, node: NodeId) -> bool {
        self.lock().get(&node).is_some_and(|count| *count > 0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        let count = open.entry(self.from).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&self.from);
            let _ = self.streams.ended.try_send(self.from); // One waits already.
        }
    }
}

/// A leader that this node follows, and how far this node's log goes.
struct Following {
    leader: NodeId,
    vote: RaftVote,
    last: Option<RaftLogId>,
}

/// Looks after each leader whose streams have ended.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, mut endings: mpsc::Receiver<NodeId>) {
    while let Some(node) = endings.recv().await {
        for _ in 0..EARLY_ASKS_MAX {
            match following(&shared).await {
                Some(following) if following.leader == node => {
                    // A port closes a little later than a stream, and the other node may find out a little later too.
                    if is_gone(&shared, node).await && attempt(&shared, following).await {
                        break;
                    }
                }
                _ => break, // Another leads, or stands already.
            }
            tokio::time::sleep(Duration::from_millis(EARLY_ASK_PAUSE_MS)).await;
        }
    }
}

/// Whether that settled it.
async fn attempt<E: Engine>(shared: &Shared<E>, own: Following) -> bool {
    if shared.memory.may_vote().is_err() {
        return true;
    }
    let mut others = shared.directory.peers();
    others.retain(|info| info.node != own.leader);
    let Some(other) = others.pop().filter(|_| others.is_empty()) else { return true }; // A slot is being refilled.
    let Some(mut client) = shared.directory.client(&other, Lane::Control) else { return true };
    let request =
        peer::ConfirmGoneRequest { leader: Some(wire::ballot(&own.vote)), last: wire::wire_id_option(&own.last) };
    let asked = timeout(Duration::from_millis(PEER_CONNECT_MS_MAX), client.confirm_gone(request)).await;
    let Ok(Ok(response)) = asked else { return false };
    let response = response.into_inner();
    if !response.gone {
        return false;
    }
    let stands = (own.last, shared.directory.identity.node) > (response.last.map(wire::id_of), other.node);
    tracing::info!(leader = %own.leader, stands, "the leader's process is gone, and the other node finds the same");
    shared.metrics.early_elections.inc_by(u64::from(stands));
    if release(shared, &own).await && stands {
        drop(shared.raft.trigger().elect(true).await); // It fails only when consensus has ended.
    }
    true
}

/// Answers a survivor that asks: whether its leader is gone for this node too. If so, and the other is to stand for
/// election, this node holds to that leader no longer when this returns.
pub(crate) async fn confirm<E: Engine>(
    shared: &Shared<E>,
    asking: NodeId,
    vote: &RaftVote,
    last: Option<RaftLogId>,
) -> Option<Option<RaftLogId>> {
    let own = following(shared).await.filter(|own| own.vote == *vote && own.leader != asking)?;
    shared.memory.may_vote().ok()?;
    if !is_gone(shared, own.leader).await {
        return None;
    }
    if (last, asking) > (own.last, shared.directory.identity.node) {
        release(shared, &own).await;
    }
    Some(own.last)
}

/// The streams have ended, and the port refuses.
async fn is_gone<E: Engine>(shared: &Shared<E>, leader: NodeId) -> bool {
    !shared.leaders.any_from(leader) && shared.directory.refuses(leader).await
}

/// Lets go of the leader's lease: a pre-vote, and a vote, may be granted before it has run out.
async fn release<E: Engine>(shared: &Shared<E>, own: &Following) -> bool {
    // openraft does that for a leader that hands over. Who is named there stands at once, and is granted regardless of
    // leases, so it names nobody: whoever stands asks first whether it would be elected.
    const NOBODY: u64 = 0;
    let handover = TransferLeaderRequest::new(own.vote, NOBODY, own.last);
    matches!(shared.raft.handle_transfer_leader(handover).await, Ok(Ok(())))
}

/// None: this node leads, stands, or knows of no leader.
async fn following<E: Engine>(shared: &Shared<E>) -> Option<Following> {
    // Not openraft's `with_raft_state`: given up half-way, as when the node stops, it logs an error.
    let (tell, told) = oneshot::channel();
    shared.raft.external_request(move |state| _ = tell.send(*state.vote_ref())).await.ok()?;
    let vote = told.await.ok()?;
    let last = shared.log.bounds().1.map(from_id); // After consensus has answered: what came before is in the log then.
    let leader = NodeId(vote.leader_id.node_id);
    (vote.committed && leader != shared.directory.identity.node).then_some(Following { leader, vote, last })
}
