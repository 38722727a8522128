//! What a node does by itself: renews its lease, and as leader fires timers and gives up on nodes that went silent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use state::{Rows, View, keys};
use store::{Engine, Fault};
use tokio::time::{MissedTickBehavior, interval};
use types::command::Lease;
use types::limits::{AUDIT_HEAD_MS, NODE_LEASE_RENEW_MS, TICK_MS};
use types::reply::Reject;
use types::{Author, Command, Envelope, Key, NodeId, Row, Slot, Timestamp};

use crate::finalize::{Patience, next_level};
use crate::founding::{self, Founding};
use crate::handle::{ClusterStatus, Role};
use crate::propose::Wait;
use crate::shared::Shared;

/// Renews this node's lease until the node stops.
pub(crate) async fn renew<E: Engine>(shared: Arc<Shared<E>>, epoch: u64) {
    let mut ticks = interval(Duration::from_millis(NODE_LEASE_RENEW_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // In this state of the cluster there are no leases yet.
        while !matches!(founded(&shared).await, Ok(true)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(Err(reject)) = put(&shared, Command::RenewLease(Lease { epoch })).await {
            tracing::warn!(%reject, "this node's lease was not renewed");
        }
    }
}

/// The leader's duties, done while this node leads.
pub(crate) async fn lead<E: Engine>(shared: Arc<Shared<E>>, founding: Option<Founding>) {
    let mut ticks = interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leadership = shared.leadership.clone();
    let mut patience = Patience::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = leadership.changed() => if changed.is_err() { return },
        }
        if leadership.borrow_and_update().own != Role::Leader {
            patience = Patience::default();
            continue;
        }
        if let Some(level) = finalizable(&shared, &mut patience)
            && put(&shared, Command::RaiseFeatureLevel(level)).await == Some(Ok(()))
        {
            tracing::info!(level, "finalized by itself: the release before can no longer be started");
        }
        for command in due(&shared, founding.as_ref()).await {
            if let Some(Err(reject)) = put(&shared, command).await {
                tracing::debug!(%reject, "a duty was done already");
            }
        }
    }
}

async fn due<E: Engine>(shared: &Arc<Shared<E>>, founding: Option<&Founding>) -> Vec<Command> {
    let reading = {
        let shared = shared.clone();
        crate::blocking::run(move || read(&shared)).await
    };
    match reading {
        Ok(Ok(Due { founded: false, .. })) => {
            founding.and_then(|founding| founding::command(shared, founding)).map(Command::Found).into_iter().collect()
        }
        Ok(Ok(due)) => due.commands,
        Ok(Err(fault)) => {
            (shared.on_fatal)(&format!("read the state: {fault}"));
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// The feature level that it is time to raise the cluster to.
fn finalizable<E: Engine>(shared: &Shared<E>, patience: &mut Patience) -> Option<u32> {
    let current = shared.state.view().cluster().ok()??.feature_level;
    let nodes = Slot::ALL.map(|slot| shared.node_status(slot));
    let next = next_level(&ClusterStatus { term: 0, leader: None, nodes }, current);
    patience.is_over(next, shared.clock.monotonic())
}

struct Due {
    founded: bool,
    commands: Vec<Command>,
}

fn read<E: Engine>(shared: &Shared<E>) -> Result<Due, Fault> {
    let view = shared.state.view();
    if view.cluster()?.is_none() {
        return Ok(Due { founded: false, commands: Vec::new() });
    }
    let mut commands = Vec::new();
    let now = shared.clock.read().now.max(state::heads(&view)?.clock);
    let (from, to) = keys::timers_due(now);
    if !view.scan(&from, &to, false, 1)?.is_empty() {
        commands.push(Command::Tick);
    }
    if audit_head_due(&view, now)? {
        commands.push(Command::MarkHead);
    }
    let leases = view.scan(&Key::NodeLease(NodeId(0)), &Key::NodeLease(NodeId(u64::MAX)), false, LEASES_READ_MAX)?;
    for (key, row) in leases {
        if let (Key::NodeLease(node), Row::NodeLease(lease)) = (key, row)
            && lease.expired.is_none()
            && shared.leases.is_over(node)
        {
            commands.push(Command::ExpireLease(node, Lease { epoch: lease.epoch }));
        }
    }
    Ok(Due { founded: true, commands })
}

/// Whether the audit log has news that the nodes should sign by now.
fn audit_head_due<V: View<Fault = Fault>>(view: &V, now: Timestamp) -> Result<bool, Fault> {
    let records = state::heads(view)?.records;
    let (from, to) = keys::signers();
    if view.scan(&from, &to, false, 1)?.is_empty() {
        return Ok(false);
    }
    let (from, to) = keys::heads_to(u64::MAX);
    Ok(match view.scan(&from, &to, true, 1)?.pop() {
        Some((Key::Head(size), Row::Head(head))) => size < records && now >= head.marked.plus_ms(AUDIT_HEAD_MS),
        _ => records > 0,
    })
}

/// Nodes there ever were, and more: each replacement makes one.
const LEASES_READ_MAX: usize = 1_024;

async fn founded<E: Engine>(shared: &Arc<Shared<E>>) -> Result<bool, Fault> {
    Ok(shared.state.view().cluster()?.is_some())
}

/// None: it got no answer; the next round does it.
pub(crate) async fn put<E: Engine>(shared: &Shared<E>, command: Command) -> Option<Result<(), Reject>> {
    let origin = shared.directory.identity.node;
    let envelope = Envelope { origin, author: Author::Node, command };
    let deadline = Instant::now() + Duration::from_millis(NODE_LEASE_RENEW_MS);
    let answer = shared.propose(envelope, Wait::Patient, deadline).await.ok()?;
    Some(answer.result.map(drop))
}
