//! Founding: all three nodes at once, from fresh data directories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::peer;
use store::Engine;
use tokio::time::{sleep, timeout};
use types::command::Found;
use types::limits::PEER_CONNECT_MS_MAX;
use types::{NodeId, Slot};

use crate::kinds::{NodeInfo, is_known};
use crate::peer::directory::Lane;
use crate::shared::Shared;
use crate::wire::sixteen;

/// Completes the first command of the log with what only the node that puts it can make: the first cluster key, sealed to
/// the three nodes' public keys, as each told it over its own certified connection. None: it could not.
pub type Complete = Arc<dyn Fn(Found, &[(NodeId, [u8; 32]); 3]) -> Option<Found> + Send + Sync>;

/// What all three are told when they are founded.
#[derive(Clone)]
pub struct Founding {
    /// The first command of the log; its cluster and lineage are the nodes'. None: the nodes begin with a state that is
    /// founded already, the same on all three.
    pub found: Option<Found>,
    /// The three nodes. A disk id of zeros is learnt from the node itself.
    pub nodes: [NodeInfo; 3],
    /// Without it the command is put as it is: a cluster without keys, for tests of what needs none.
    pub complete: Option<Complete>,
}

/// On the node of slot a: waits until all three are there, fresh, and who they should be, then gives the log its first
/// entry, the membership. Ends when there is one, whoever wrote it.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, founding: Founding) {
    if shared.directory.identity.node.slot() != Some(Slot::A) {
        return;
    }
    loop {
        match shared.raft.is_initialized().await {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
        if let Some(members) = all_fresh(&shared, &founding.nodes).await {
            match shared.raft.initialize(members).await {
                Ok(()) => tracing::info!("the three nodes are one cluster"),
                Err(error) => tracing::warn!(%error, "found the cluster"),
            }
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// The three with their disks, if all of them answer that they are fresh.
async fn all_fresh<E: Engine>(shared: &Shared<E>, nodes: &[NodeInfo; 3]) -> Option<BTreeMap<u64, NodeInfo>> {
    let mut members = BTreeMap::new();
    for info in nodes {
        let disk = if info.node == shared.directory.identity.node {
            shared.directory.identity.disk
        } else {
            ask(shared, info).await?
        };
        if is_known(info.disk) && info.disk != disk {
            tracing::warn!(node = %info.node, "a node's disk is not the one the founding document names");
            return None;
        }
        members.insert(info.node.0, NodeInfo { disk, ..info.clone() });
    }
    (members.len() == 3).then_some(members)
}

/// The disk of a node that is fresh and says it is the one meant.
async fn ask<E: Engine>(shared: &Shared<E>, info: &NodeInfo) -> Option<[u8; 16]> {
    let mut client = shared.directory.client(info, Lane::Control)?;
    let limit = Duration::from_millis(2 * PEER_CONNECT_MS_MAX);
    let hello = match timeout(limit, client.hello(peer::HelloRequest {})).await.ok()? {
        Ok(response) => response.into_inner(),
        Err(status) => {
            tracing::debug!(node = %info.node, %status, "a node to be founded does not answer yet");
            return None;
        }
    };
    let node = hello.node?;
    let own = &shared.directory.identity;
    let fits = node.cluster == own.cluster.0.as_slice()
        && node.lineage == own.lineage.0.as_slice()
        && NodeId(node.node) == info.node;
    if !fits || hello.founded {
        tracing::warn!(node = %info.node, founded = hello.founded, "a node is not fresh, or not of this founding");
        return None;
    }
    sixteen(&node.disk)
}

/// The first command of the log, once all three nodes have told their public keys.
pub(crate) fn command<E: Engine>(shared: &Shared<E>, founding: &Founding) -> Option<Found> {
    let found = founding.found.clone()?;
    let Some(complete) = &founding.complete else { return Some(found) };
    let [a, b, c] = founding.nodes.each_ref().map(|info| {
        let status = shared.node_status(info.slot()?);
        let known = status.node == info.node;
        status.public_key.filter(|_| known).map(|key| (info.node, key))
    });
    let command = complete(found, &[a?, b?, c?]);
    if command.is_none() {
        tracing::error!("the first cluster key could not be made");
    }
    command
}
