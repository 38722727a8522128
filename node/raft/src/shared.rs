//! What the parts of a node have in common, and what it says of itself and the others.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use proto::peer;
use state::Rows;
use store::{Engine, LogStore, Space, StateStore};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::limits::{ENVELOPE_BYTES_MAX, NODES_WITH_LOW_DISK_MAX};
use types::reply::Answer;
use types::{Envelope, NodeId, Slot, Timestamp};

use crate::clock::ClusterClock;
use crate::contact::{Contact, Lag};
use crate::early::Streams;
use crate::forward::Forwarder;
use crate::gossip::{self, Reports};
use crate::handle::{KeyReport, NodeStatus, ProposeError, Role, Typing, Vitals};
use crate::leadership::{Leadership, jitter, replaced};
use crate::leases::Leases;
use crate::machine::Core;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::node::OnFatal;
use crate::peer::directory::{self, Directory};
use crate::peer::transfer::Arrivals;
use crate::propose::{Proposer, Refusal, Room, Wait};
use crate::read::Barrier;
use crate::vitals;

/// What the parts of a node have in common.
pub(crate) struct Shared<E: Engine> {
    pub(crate) directory: Arc<Directory>,
    pub(crate) raft: Core<E>,
    pub(crate) log: LogStore<E>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) state: Arc<StateStore<E>>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) contact: Contact,
    pub(crate) lag: Lag,
    pub(crate) reports: Reports,
    pub(crate) arrivals: Arrivals,
    pub(crate) proposer: Proposer,
    pub(crate) forwarder: Forwarder,
    pub(crate) barrier: Barrier,
    pub(crate) leaders: Arc<Streams>,
    pub(crate) typing: mpsc::Sender<Typing>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) applied: watch::Receiver<Option<u64>>,
    pub(crate) applied_bytes: Arc<AtomicU64>,
    pub(crate) metrics: Metrics,
    pub(crate) on_fatal: OnFatal,
    pub(crate) stop: CancellationToken,
    /// This node alone votes.
    pub(crate) alone: AtomicBool,
    /// It was said that this disk is an old copy.
    pub(crate) barred: AtomicBool,
    /// Calls of peers that have not ended.
    pub(crate) calls: TaskTracker,
    pub(crate) last_log: AtomicU64,
    pub(crate) streams: AtomicU32,
    /// Free bytes and whether they are too few, once known.
    pub(crate) disk: Mutex<Option<Space>>,
    pub(crate) certificates_expire_ms: AtomicU64,
    pub(crate) vitals: Mutex<Option<Vitals>>,
    pub(crate) key: Option<KeyReport>,
    pub(crate) version: String,
    pub(crate) client_address: String,
}

impl<E: Engine> Shared<E> {
    /// Tries until there is an answer, or `deadline`.
    pub(crate) async fn propose(
        &self,
        envelope: Envelope,
        wait: Wait,
        deadline: Instant,
    ) -> Result<Answer, ProposeError> {
        let bytes = codec::envelope_len(&envelope);
        if bytes > ENVELOPE_BYTES_MAX {
            return Err(ProposeError::TooLarge(bytes - ENVELOPE_BYTES_MAX));
        }
        let mut sent = false;
        let mut leadership = self.leadership.clone();
        loop {
            let leader = leadership.borrow_and_update().leader;
            let refusal = match self.attempt(leader, &envelope, wait, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            sent |= refusal == Refusal::OutcomeUnknown;
            if let Some(error) = verdict(refusal, sent) {
                return Err(error);
            }
            if self.stop.is_cancelled() && !sent {
                return Err(ProposeError::ShuttingDown);
            }
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep(jitter()) => {}
                    // When consensus has ended nothing changes any more: then only the pause counts.
                    Ok(()) = leadership.changed() => {}
                }
            };
            if self.stop.is_cancelled() || tokio::time::timeout_at(deadline.into(), wait).await.is_err() {
                return Err(if sent { ProposeError::OutcomeUnknown } else { ProposeError::NoMajority });
            }
        }
    }

    async fn attempt(
        &self,
        leader: Option<NodeId>,
        envelope: &Envelope,
        wait: Wait,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        match leader {
            Some(leader) if leader == self.directory.identity.node => {
                self.proposer.put(envelope.clone(), wait, deadline).await
            }
            Some(leader) => tokio::select! {
                biased;
                answer = self.forwarder.put(leader, envelope, wait, deadline) => answer,
                // One that is gone without a word never answers, and would be waited for until it is taken for gone.
                () = replaced(self.leadership.clone(), leader) => Err(Refusal::OutcomeUnknown),
            },
            None => Err(Refusal::NotLeader),
        }
    }

    /// Takes in what a peer remembers of this node. A vote that the log has lost cannot be put back under a running
    /// core, so the node stops; the next start takes it up.
    pub(crate) fn told(&self, by: NodeId, remembered: Option<&peer::Remembered>) {
        let Some(remembered) = remembered else { return };
        if self.memory.told(by, remembered).is_err() {
            let memory = self.memory.clone();
            if let Err(fault) = memory.save() {
                tracing::error!(%fault, "keep what nodes promised");
            }
            (self.on_fatal)("the log has lost a vote that a peer remembers; starting again takes it up");
        }
        if self.memory.is_barred() && !self.barred.swap(true, Ordering::Relaxed) {
            let saved = self.memory.save();
            if let Err(fault) = saved {
                tracing::error!(%fault, "keep that this disk is an old copy");
            }
            (self.on_fatal)(&crate::node::StartError::Restored.to_string());
        }
    }

    /// This node as it tells of itself.
    pub(crate) fn own_report(&self) -> peer::NodeReport {
        let disk = *self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (snapshot_bytes, snapshot_bytes_all) = self.arrivals.progress();
        peer::NodeReport {
            feature_level: self.state.known_level(),
            snapshot_bytes,
            snapshot_bytes_all,
            role: gossip::role_number(self.leadership.borrow().own),
            applied: self.applied_index(),
            last_log: self.last_log.load(Ordering::Relaxed),
            version: self.version.clone(),
            client_address: self.client_address.clone(),
            streams: self.streams.load(Ordering::Relaxed),
            disk_free_bytes: disk.map(|disk| disk.free),
            disk_low: disk.is_some_and(|disk| disk.is_low()),
            disk_full: disk.is_some_and(|disk| disk.is_full()),
            certificates_expire_ms: self.certificates_expire_ms.load(Ordering::Relaxed),
            public_key: self.key.as_ref().map(|key| key.public.to_vec().into()).unwrap_or_default(),
            key_protection: self.key.as_ref().map(|key| key.protection.clone()).unwrap_or_default(),
            vitals: self.own_vitals().as_ref().map(vitals::told),
        }
    }

    fn own_vitals(&self) -> Option<Vitals> {
        let told = *self.vitals.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = *self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.directory.identity.node.slot();
        let offset = Slot::ALL.into_iter().zip(self.clock.offsets_ms(own)).find(|(slot, _)| Some(*slot) == own);
        told.map(|told| Vitals {
            disk_size: disk.map_or(0, |disk| disk.total),
            clock_offset_ms: offset.and_then(|(_, ms)| ms).unwrap_or_default(),
            clock_alone: self.clock.read().alone,
            vote_held: u32::try_from(self.metrics.vote_held.get()).unwrap_or_default(),
            ..told
        })
    }

    /// Looks at all disks as last heard of, and refuses clients' writes while too many are low. A node that does not answer
    /// counts as it was: what fills disks fills them alike.
    pub(crate) fn judge_disks(&self) {
        let own = self.own_report();
        self.metrics.disk_free.set(gauge(own.disk_free_bytes.unwrap_or_default()));
        let disk = *self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.metrics.disk_size.set(gauge(disk.map_or(0, |disk| disk.total)));
        self.metrics.disk_low.set(i64::from(own.disk_low));
        let identity = self.directory.identity.node.slot();
        let others = Slot::ALL.into_iter().filter(|slot| Some(*slot) != identity);
        // Whoever is the whole cluster has nobody to wait for: its own disk decides, before a write on it fails and ends it.
        let alone = self.alone.load(Ordering::Relaxed);
        let others = others.filter(|_| !alone).filter_map(|slot| self.reports.of(slot)).map(|report| report.told);
        let told: Vec<_> = others.chain([own]).collect();
        let too_many = if alone { 1 } else { NODES_WITH_LOW_DISK_MAX };
        let most = |is: fn(&peer::NodeReport) -> bool| told.iter().filter(|told| is(told)).count() >= too_many;
        let room = match (most(|told| told.disk_full), most(|told| told.disk_low)) {
            (true, _) => Room::Reserve,
            (false, true) => Room::Low,
            (false, false) => Room::Enough,
        };
        match (self.proposer.set_room(room), room) {
            (before, now) if before == now => {}
            (_, Room::Reserve) => tracing::error!(
                "the disks of most nodes are full but for a reserve: nothing is recorded, so no content is shown until there is room"
            ),
            (_, Room::Low) => {
                tracing::error!(
                    "the disks of most nodes are nearly full: clients' writes are refused until there is room"
                );
            }
            (_, Room::Enough) => tracing::info!("there is room on the disks again: clients' writes are taken"),
        }
        self.metrics.writes_refused.set(i64::from(room < Room::Enough));
    }

    /// After a refounding this node may be the only one: then clients' writes wait for a second, unless an operator accepted one copy.
    pub(crate) fn judge_copies(&self) {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let alone = metrics.membership_config.membership().voter_ids().take(2).count() == 1;
        let accepted = || self.state.view().refounding().ok().flatten().is_some_and(|last| last.single_copy);
        self.alone.store(alone, Ordering::Relaxed);
        let wait = alone && !accepted();
        if self.proposer.set_alone(wait) {
            if wait {
                tracing::error!(
                    "this node is the only one of the cluster: clients' writes wait until another has joined"
                );
            } else {
                tracing::info!("clients' writes are taken: this node is not the only one any more");
            }
        }
    }

    /// For how long nobody who counts was heard of. Alone, a leader is its own majority.
    pub(crate) fn stale_age(&self) -> Option<Duration> {
        let alone = self.alone.load(Ordering::Relaxed) && self.leadership.borrow().own == Role::Leader;
        if alone { None } else { self.contact.stale_age() }
    }

    /// For how long this node has not caught up with what a majority had; zero if it keeps up.
    pub(crate) fn lag(&self) -> Duration {
        let committed = self.raft.metrics().borrow_watched().cluster_committed;
        self.lag.age(committed.map_or(0, |id| id.index), self.applied_index())
    }

    fn applied_index(&self) -> u64 {
        self.applied.borrow().unwrap_or_default()
    }

    pub(crate) fn measure_core(&self, last_log: Option<u64>, term: u64) {
        let last_log = last_log.unwrap_or_default();
        self.last_log.store(last_log, Ordering::Relaxed);
        self.metrics.last_log.set(gauge(last_log));
        self.metrics.term.set(gauge(term));
    }

    pub(crate) fn measure(&self) {
        self.metrics.applied.set(gauge(self.applied_index()));
        self.metrics.committed.set(gauge(self.log.committed().map_or(0, |id| id.index)));
        self.metrics.proposal_bytes_waiting.set(self.proposer.waiting_bytes());
        let (calls, calls_max) = self.proposer.calls();
        self.metrics.calls_waiting.set(gauge(calls as u64));
        self.metrics.calls_max.set(gauge(calls_max as u64));
        for (slot, offset) in Slot::ALL.into_iter().zip(self.clock.offsets_ms(self.directory.identity.node.slot())) {
            match offset {
                Some(ms) => self.metrics.clock_offset.with_label_values(&[slot.letter()]).set(ms as f64 / 1e3),
                None => drop(self.metrics.clock_offset.remove_label_values(&[slot.letter()])),
            }
        }
        self.metrics.clock_alone.set(i64::from(self.clock.read().alone));
        let last_log = self.last_log.load(Ordering::Relaxed);
        for slot in Slot::ALL {
            if let Some(report) = self.reports.of(slot) {
                let lag = last_log.saturating_sub(report.told.last_log);
                self.metrics.lag.with_label_values(&[slot.letter()]).set(gauge(lag));
            }
        }
    }

    /// The node of a slot as this one sees it.
    pub(crate) fn node_status(&self, slot: Slot) -> NodeStatus {
        let identity: &directory::Identity = &self.directory.identity;
        let known = self.directory.by_slot(slot);
        if identity.node.slot() == Some(slot) {
            return status_of(slot, identity.node, self.own_report(), true, None);
        }
        let node = known.as_ref().map_or(NodeId(0), |info| info.node);
        match self.reports.of(slot).filter(|report| report.node == node) {
            Some(report) => {
                let age = self.clock.monotonic().saturating_sub(report.heard);
                let reachable = age <= REACHABLE_WITHIN;
                let mut status = status_of(slot, node, report.told, reachable, Some(report.at));
                if reachable {
                    status.last_seen = None;
                } else {
                    status.role = Role::Unknown;
                }
                status
            }
            None => {
                let client_address = known.map(|info| info.client_address).unwrap_or_default();
                let told = peer::NodeReport { client_address, ..peer::NodeReport::default() };
                status_of(slot, node, told, false, None)
            }
        }
    }
}

/// Two rounds of gossip and a bit.
const REACHABLE_WITHIN: Duration = Duration::from_millis(1_250);

fn status_of(
    slot: Slot,
    node: NodeId,
    told: peer::NodeReport,
    reachable: bool,
    last_seen: Option<types::Timestamp>,
) -> NodeStatus {
    NodeStatus {
        slot,
        node,
        reachable,
        role: gossip::role_of(told.role),
        applied: told.applied,
        last_log: told.last_log,
        version: told.version,
        client_address: told.client_address,
        last_seen,
        streams: told.streams,
        disk_free: told.disk_free_bytes,
        disk_low: told.disk_low,
        disk_full: told.disk_full,
        public_key: told.public_key.as_ref().try_into().ok(),
        key_protection: told.key_protection,
        feature_level: told.feature_level,
        snapshot: (told.snapshot_bytes_all > 0).then_some((told.snapshot_bytes, told.snapshot_bytes_all)),
        vitals: told.vitals.as_ref().map(vitals::heard),
        certificates_expire: (told.certificates_expire_ms > 0).then_some(Timestamp(told.certificates_expire_ms)),
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a refusal says to who asked, once it was sent or not yet; none: it is tried again. What may have been written once is
/// never called unwritten, whoever refuses it afterwards.
const fn verdict(refusal: Refusal, sent: bool) -> Option<ProposeError> {
    match (refusal, sent) {
        (Refusal::Overloaded, false) => Some(ProposeError::Overloaded),
        (Refusal::DiskFull, false) => Some(ProposeError::DiskFull),
        (Refusal::SingleCopy, false) => Some(ProposeError::SingleCopy),
        (Refusal::Refused, false) => Some(ProposeError::Refused),
        (Refusal::Refused, true) => Some(ProposeError::OutcomeUnknown), // It will be refused again.
        (Refusal::NotLeader | Refusal::OutcomeUnknown, _)
        | (Refusal::Overloaded | Refusal::DiskFull | Refusal::SingleCopy, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_once_is_never_called_unwritten() {
        let all = [
            Refusal::NotLeader,
            Refusal::Overloaded,
            Refusal::DiskFull,
            Refusal::SingleCopy,
            Refusal::Refused,
            Refusal::OutcomeUnknown,
        ];
        for refusal in all {
            let verdict = verdict(refusal, true);
            assert!(matches!(verdict, None | Some(ProposeError::OutcomeUnknown)), "{refusal:?}: {verdict:?}");
        }
        let told = all.iter().filter(|refusal| verdict(**refusal, false).is_some()).count();
        assert_eq!(told, 4, "what was not sent is refused at once where waiting would not help");
    }
}
