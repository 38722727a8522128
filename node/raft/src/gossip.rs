//! What nodes tell each other twice a second: how they are, and what their clocks show. Typing goes the same way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto::peer;
use store::Engine;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use types::limits::{GOSSIP_MS, NODE_REPORT_TEXT_BYTES_MAX, TYPING_WAITING_MAX};
use types::{NodeId, Slot, Timestamp};

use crate::clock::ClusterClock;
use crate::handle::{Role, Typing};
use crate::kinds::NodeInfo;
use crate::peer::directory::Lane;
use crate::shared::Shared;

/// What the peers last told of themselves.
pub(crate) struct Reports {
    clock: Arc<ClusterClock>,
    heard: Mutex<BTreeMap<Slot, Report>>,
}

/// What one peer told.
#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) node: NodeId,
    pub(crate) told: peer::NodeReport,
    /// By our monotonic clock.
    pub(crate) heard: Duration,
    /// By cluster time.
    pub(crate) at: Timestamp,
}

impl Reports {
    pub(crate) fn new(clock: Arc<ClusterClock>) -> Self {
        Self { clock, heard: Mutex::default() }
    }

    pub(crate) fn heard(&self, node: NodeId, mut told: peer::NodeReport, at: Timestamp) {
        let Some(slot) = node.slot() else { return };
        bound(&mut told);
        let report = Report { node, told, heard: self.clock.monotonic(), at };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, report);
    }

    pub(crate) fn of(&self, slot: Slot) -> Option<Report> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned()
    }
}

/// Cuts what a peer tells of itself to the size that is kept.
pub(crate) fn bound(told: &mut peer::NodeReport) {
    cut(&mut told.version);
    cut(&mut told.client_address);
    cut(&mut told.key_protection);
    told.public_key.truncate(32);
}

fn cut(text: &mut String) {
    while text.len() > NODE_REPORT_TEXT_BYTES_MAX {
        text.pop();
    }
}

pub(crate) const fn role_number(role: Role) -> u32 {
    match role {
        Role::Unknown => 0,
        Role::Leader => 1,
        Role::Follower => 2,
        Role::Candidate => 3,
        Role::Learner => 4,
    }
}

pub(crate) const fn role_of(number: u32) -> Role {
    match number {
        1 => Role::Leader,
        2 => Role::Follower,
        3 => Role::Candidate,
        4 => Role::Learner,
        _ => Role::Unknown,
    }
}

/// Asks every peer twice a second.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>) {
    let mut ticks = interval(Duration::from_millis(GOSSIP_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silences = BTreeMap::new();
    loop {
        ticks.tick().await;
        let peers = shared.directory.peers();
        let calls = peers.iter().map(|info| ask(&shared, info));
        let answers = futures::future::join_all(calls).await;
        silences.retain(|node, _| peers.iter().any(|info| info.node == *node));
        for (info, answer) in peers.iter().zip(answers) {
            note(silences.entry(info.node).or_default(), info.node, answer.is_some());
        }
        shared.measure();
        shared.judge_copies();
    }
}

/// So many rounds without an answer are worth a line in the log.
const SILENT_ROUNDS: u32 = 4;

/// One line when a peer falls silent, and one when it is back.
fn note(silence: &mut u32, node: NodeId, answered: bool) {
    let before = *silence;
    *silence = if answered { 0 } else { before.saturating_add(1) };
    if *silence == SILENT_ROUNDS && before < SILENT_ROUNDS {
        tracing::warn!(%node, "a peer does not answer");
    } else if answered && before >= SILENT_ROUNDS {
        tracing::info!(%node, "a peer answers again");
    }
}

/// None: it did not answer.
async fn ask<E: Engine>(shared: &Shared<E>, info: &NodeInfo) -> Option<()> {
    let (slot, mut client) = (info.slot()?, shared.directory.client(info, Lane::Control)?);
    let request = peer::GossipRequest { report: Some(shared.own_report()) };
    let asked = shared.clock.monotonic();
    let response = match timeout(Duration::from_millis(GOSSIP_MS), client.gossip(request)).await.ok()? {
        Ok(response) => response.into_inner(),
        Err(status) => {
            is_out(shared, info.node, &status);
            return None;
        }
    };
    shared.clock.sample(slot, asked, response.clock_ms);
    shared.told(info.node, response.remembered.as_ref());
    if let Some(report) = response.report {
        shared.reports.heard(info.node, report, shared.clock.read().now);
        shared.judge_disks();
    }
    Some(())
}

/// A node that was replaced, or left out when the cluster was founded anew, must not go on as if it counted.
fn is_out<E: Engine>(shared: &Shared<E>, by: NodeId, status: &tonic::Status) {
    if status.code() != tonic::Code::FailedPrecondition {
        return;
    }
    let own = shared.directory.identity.node;
    match status.message() {
        "NODE_REPLACED" => (shared.on_fatal)(&format!(
            "{by} says that this node, {own}, was replaced: another one has its place, and its disk is refused for ever. \
             Nothing that was acknowledged is only here. To use this machine again, empty its data directory and replace a node with it"
        )),
        "LINEAGE_ENDED" => (shared.on_fatal)(&format!(
            "{by} says that the cluster was founded anew without this node, {own}: its disk is refused for ever. Keep the disk: \
             it may hold messages that the cluster lacks. To use this machine again, give it an empty disk and replace a node with it"
        )),
        _ => {}
    }
}

/// Tells the peers who is typing, all that waits in one call. What a peer does not take at once is dropped.
pub(crate) async fn tell_typing<E: Engine>(shared: Arc<Shared<E>>, mut waiting: mpsc::Receiver<Typing>) {
    let mut typing = Vec::new();
    while waiting.recv_many(&mut typing, TYPING_WAITING_MAX).await > 0 {
        let notices: Vec<_> = typing
            .drain(..)
            .map(|one| peer::TypingNotice {
                conversation: Bytes::copy_from_slice(&one.conversation.0),
                user: Bytes::copy_from_slice(&one.user.0),
            })
            .collect();
        let calls = shared.directory.peers().into_iter().map(|info| {
            let client = shared.directory.client(&info, Lane::Control);
            let request = peer::TellTypingRequest { notices: notices.clone() };
            async move {
                let mut client = client?;
                timeout(Duration::from_millis(GOSSIP_MS), client.tell_typing(request)).await.ok()?.ok()
            }
        });
        futures::future::join_all(calls).await;
    }
}
