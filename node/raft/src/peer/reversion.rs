//! A follower whose log lost its end while this node went on leading.
//!
//! openraft counts on a follower to keep what it acknowledged, and ends when one does not. Such a follower says that it
//! does not vote until it has caught up (`memory`), so here it is only given everything again from where its log ends.
//! What was committed stays committed.

use std::sync::{Arc, Weak};

use futures::StreamExt;
use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::StreamAppendError;
use proto::peer;
use store::{Engine, LogId};
use types::NodeId;

use super::append::Responses;
use crate::kinds::TypeConfig;
use crate::memory::Memory;
use crate::shared::Shared;

/// What is done about such followers.
#[derive(Clone)]
pub(crate) struct Reversion {
    /// Tells openraft to expect the loss, if the node is known to have had the entry with this index.
    lost: Arc<dyn Fn(NodeId, u64) -> BoxFuture<'static, ()> + Send + Sync>,
    /// A start of the node was seen that was not known, with the end of its log.
    started: Arc<dyn Fn(NodeId, Option<LogId>) -> BoxFuture<'static, ()> + Send + Sync>,
}

/// The way to openraft, which does not keep it from ending.
pub(crate) fn of<E: Engine>(shared: &Arc<Shared<E>>) -> Reversion {
    let start: Weak<Shared<E>> = Arc::downgrade(shared);
    let started = move |node, end| -> BoxFuture<'static, ()> {
        let start = start.clone();
        Box::pin(async move {
            if let Some(shared) = start.upgrade() {
                crate::forgotten::seen(&shared, node, end).await;
            }
        })
    };
    Reversion { lost: lost(shared), started: Arc::new(started) }
}

fn lost<E: Engine>(shared: &Arc<Shared<E>>) -> Arc<dyn Fn(NodeId, u64) -> BoxFuture<'static, ()> + Send + Sync> {
    let shared: Weak<Shared<E>> = Arc::downgrade(shared);
    Arc::new(move |node, index| {
        let shared = shared.clone();
        Box::pin(async move {
            let Some(shared) = shared.upgrade() else { return };
            crate::memory::look(&shared); // What it had is known until openraft is told to expect the loss.
            let metrics = shared.raft.metrics().borrow_watched().clone();
            let replication = metrics.replication.unwrap_or_default();
            let had = replication.get(&node.0).and_then(Option::as_ref).is_some_and(|had| had.index() >= index);
            if had {
                tracing::error!(%node, index, "a follower has lost what it acknowledged; it is sent again");
                drop(shared.raft.trigger().allow_next_revert(&node.0, true).await);
            }
        })
    })
}

/// Takes note of the start with which a follower answers, before anything that it acknowledges counts. Had nobody seen that
/// start, a copy of its disk from before could not be told from it.
///
/// Errors: `Unreachable`: its disk is an old copy.
pub(crate) async fn meet(
    memory: &Memory,
    follower: &peer::Caller,
    reversion: Option<&Reversion>,
) -> Result<(), RPCError<TypeConfig>> {
    let node = NodeId(follower.node);
    let new = memory.saw_start(node, follower.boot_seq, follower.boot_nonce);
    let new = new.map_err(|held| RPCError::Unreachable(Unreachable::from_string(held.reason())))?;
    if let Some(reversion) = reversion.filter(|_| new) {
        let end = follower.end.map(|log| LogId { term: log.term, node: NodeId(log.node), index: log.index });
        (reversion.started)(node, end).await;
    }
    Ok(())
}

/// Looks at each conflict on its way to openraft.
pub(crate) fn allow(responses: Responses, node: NodeId, reversion: Option<Reversion>) -> Responses {
    let Some(reversion) = reversion else { return responses };
    let looked = responses.then(move |response| {
        let lost = match &response {
            Ok(Err(StreamAppendError::Conflict(at))) => Some((reversion.lost)(node, at.index())),
            _ => None,
        };
        async move {
            if let Some(lost) = lost {
                lost.await;
            }
            response
        }
    });
    looked.boxed()
}
