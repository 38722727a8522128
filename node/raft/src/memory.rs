//! What this node and its peers remember of each other's promises, and whether this node may vote
//! (ADR 2026-11-22-vote-guard).
//!
//! A log whose end was cut off looks like one that never had it. So promises are kept beside the log as well: here, in a
//! file of our own, and by each peer, which says with every call what it remembers of the one it calls. A node whose log
//! ends below what it once acknowledged neither votes nor stands until it has caught up to there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use proto::peer;
use store::{Engine, Fault, LogId, Promises, Remembered, Vote};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use types::limits::{REMEMBER_MS, VOTE_HELD_MS};
use types::{Lineage, NodeId, Slot};

use crate::clock::ClusterClock;
use crate::handle::Role;
use crate::shared::Shared;
use crate::stored::to_id;

/// Where the log ends, and the newest vote: as later calls see them.
pub(crate) type Ends = (Option<LogId>, Option<Vote>);

/// Shared by all that call peers and are called by them.
pub(crate) struct Memory {
    own: NodeId,
    boot_seq: u64,
    nonce: u64,
    /// None: nothing is kept.
    path: Option<PathBuf>,
    ends: Box<dyn Fn() -> Ends + Send + Sync>,
    clock: Arc<ClusterClock>,
    started: Duration,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    remembered: Remembered,
    unsaved: bool,
    /// Below this the log must not end.
    floor: Option<LogId>,
    /// Peers that have said what they remember.
    heard: BTreeSet<Slot>,
    /// What was last said in the log of why it does not vote.
    said: Option<Held>,
}

/// Why this node does not vote now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// Later starts of this disk were seen: it is an old copy.
    Restored,
    /// Its log ends below what it acknowledged.
    Behind,
    /// It has not heard yet what the peers remember of it.
    NotHeard,
}

impl Held {
    /// As peers are told.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Restored => "DISK_RESTORED",
            Self::Behind => "LOG_BEHIND",
            Self::NotHeard => "NOT_HEARD",
        }
    }
}

/// A peer remembers a vote of this node that its log has lost.
#[derive(Debug)]
pub(crate) struct VoteLost;

/// What a node's memory is made of.
pub(crate) struct Start {
    pub(crate) own: NodeId,
    pub(crate) lineage: Lineage,
    pub(crate) boot_seq: u64,
    pub(crate) nonce: u64,
    pub(crate) path: Option<PathBuf>,
    pub(crate) ends: Box<dyn Fn() -> Ends + Send + Sync>,
    pub(crate) clock: Arc<ClusterClock>,
}

impl Memory {
    /// Loads what was saved. A file that is damaged is as good as none: the log itself may be whole.
    ///
    /// Errors: the file cannot be read.
    pub(crate) fn load(start: Start) -> Result<Self, Fault> {
        let Start { own, lineage, boot_seq, nonce, path, ends, clock } = start;
        let remembered = match path.as_deref().map_or_else(|| Ok(Remembered::default()), Remembered::load) {
            Err(fault @ Fault::Damaged { .. }) => {
                tracing::error!(%fault, "going on with what the log says and the peers remember");
                Remembered::default()
            }
            other => other?,
        };
        let remembered = of_lineage(remembered, lineage);
        let floor = remembered.nodes.get(&own).and_then(|seen| seen.log);
        let mut inner = Inner { remembered, floor, ..Inner::default() };
        let seen = inner.of(own);
        (seen.boot_seq, seen.nonce) = (boot_seq, nonce);
        let started = clock.monotonic();
        Ok(Self { own, boot_seq, nonce, path, ends, clock, started, inner: Mutex::new(inner), changed: Notify::new() })
    }

    /// The vote this node is known to have given, if the log does not have it any more.
    pub(crate) fn lost_vote(&self) -> Option<Vote> {
        let known = self.lock().of(self.own).vote;
        known.filter(|known| rank(Some(*known)) > rank((self.ends)().1))
    }

    /// Puts this start, and what this node remembers of `to`, into an introduction.
    pub(crate) fn introduce(&self, caller: &mut peer::Caller, to: NodeId) {
        caller.end = (self.ends)().0.map(wire_id);
        (caller.boot_seq, caller.boot_nonce) = (self.boot_seq, self.nonce);
        caller.remembered = Some(self.of(to));
    }

    /// What this node remembers of a peer, for that peer.
    pub(crate) fn of(&self, peer: NodeId) -> peer::Remembered {
        let seen = self.lock().remembered.nodes.get(&peer).copied().unwrap_or_default();
        peer::Remembered {
            boot_seq: seen.boot_seq,
            boot_nonce: seen.nonce,
            ballot: seen.vote.map(|vote| peer::Ballot { term: vote.term, node: vote.node.0, committed: false }),
            last: seen.log.map(wire_id),
        }
    }

    /// Notes the start with which a peer introduced itself; says whether it is new.
    ///
    /// Errors: [`Held::Restored`] when a later start of that disk was seen, or another with the same number.
    pub(crate) fn saw_start(&self, peer: NodeId, boot_seq: u64, nonce: u64) -> Result<bool, Held> {
        let mut inner = self.lock();
        let seen = inner.of(peer);
        if boot_seq < seen.boot_seq || (boot_seq == seen.boot_seq && boot_seq > 0 && nonce != seen.nonce) {
            return Err(Held::Restored);
        }
        let new = boot_seq > seen.boot_seq;
        if new {
            (seen.boot_seq, seen.nonce) = (boot_seq, nonce);
            inner.unsaved = true;
            self.changed.notify_one(); // At once: a copy of the disk may come next.
        }
        Ok(new)
    }

    /// Notes that a peer's vote is at least this one.
    pub(crate) fn saw_vote(&self, peer: NodeId, vote: Vote) {
        let mut inner = self.lock();
        if rank(Some(vote)) > rank(inner.of(peer).vote) {
            inner.of(peer).vote = Some(Vote { committed: false, ..vote });
            inner.unsaved = true;
        }
    }

    /// Notes that a node has this entry on stable storage, and that it is committed.
    fn saw_log(&self, node: NodeId, log: LogId) {
        let mut inner = self.lock();
        if Some(log) > inner.of(node).log {
            inner.of(node).log = Some(log);
            inner.unsaved = true;
        }
    }

    /// Takes in what a peer remembers of this node.
    ///
    /// Errors: [`VoteLost`], once for each such vote. It is kept, and taken up at the next start: the node must stop.
    pub(crate) fn told(&self, by: NodeId, told: &peer::Remembered) -> Result<(), VoteLost> {
        let Some(slot) = by.slot() else { return Ok(()) };
        let mut inner = self.lock();
        // Not before the peer has seen this start: a leader that has not yet counts what the log may have lost.
        if told.boot_seq >= self.boot_seq {
            inner.heard.insert(slot);
        }
        let later = told.boot_seq > self.boot_seq;
        let twin = told.boot_seq == self.boot_seq && told.boot_seq > 0 && told.boot_nonce != self.nonce;
        if (later || twin) && self.boot_seq > 0 && !inner.remembered.barred {
            inner.remembered.barred = true;
            inner.unsaved = true;
            self.changed.notify_one();
        }
        let log = told.last.map(|log| LogId { term: log.term, node: NodeId(log.node), index: log.index });
        inner.floor = inner.floor.max(log);
        let vote = told.ballot.map(|vote| Vote { term: vote.term, node: NodeId(vote.node), committed: false });
        let known = rank(inner.of(self.own).vote).max(rank((self.ends)().1));
        if rank(vote) > known && !inner.remembered.barred {
            inner.of(self.own).vote = vote;
            inner.unsaved = true;
            return Err(VoteLost);
        }
        Ok(())
    }

    /// Whether this node may vote and stand now.
    ///
    /// Errors: why not. A line in the log says so once.
    pub(crate) fn may_vote(&self) -> Result<(), Held> {
        let end = (self.ends)().0;
        let mut inner = self.lock();
        let held = self.held(&inner, end);
        if inner.said != held {
            match held {
                Some(Held::Restored) => tracing::error!(
                    "this disk is an old copy: the peers have seen it in a later state. It takes no part; replace this node"
                ),
                Some(Held::Behind) => tracing::error!(
                    ends = ?end, acknowledged = ?inner.floor,
                    "the log lost entries that this node had acknowledged; it does not vote until it has them again"
                ),
                Some(Held::NotHeard) | None if inner.said == Some(Held::Behind) => {
                    tracing::info!("the log has all that this node had acknowledged again; it votes");
                }
                Some(Held::NotHeard) | None => {}
            }
            inner.said = held;
        }
        held.map_or(Ok(()), Err)
    }

    /// Whether this node takes part at all.
    pub(crate) fn is_barred(&self) -> bool {
        self.lock().remembered.barred
    }

    fn held(&self, inner: &Inner, end: Option<LogId>) -> Option<Held> {
        if inner.remembered.barred {
            return Some(Held::Restored);
        }
        if end < inner.floor {
            return Some(Held::Behind);
        }
        // At its very first start a disk has promised nothing to anybody.
        let waited = self.clock.monotonic().saturating_sub(self.started) >= Duration::from_millis(VOTE_HELD_MS);
        let enough = if waited { 1 } else { Slot::ALL.len() - 1 };
        (self.boot_seq > 1 && inner.heard.len() < enough).then_some(Held::NotHeard)
    }

    /// Saves what has changed. Blocks on the disk.
    pub(crate) fn save(&self) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut inner = self.lock();
        if !std::mem::take(&mut inner.unsaved) {
            return Ok(());
        }
        let remembered = inner.remembered.clone();
        drop(inner);
        remembered.save(path)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn of(&mut self, node: NodeId) -> &mut Promises {
        self.remembered.nodes.entry(node).or_default()
    }
}

/// What was remembered, if it is of this history.
fn of_lineage(remembered: Remembered, lineage: Lineage) -> Remembered {
    match remembered.lineage {
        Some(other) if other != lineage => {
            tracing::info!(%other, "what nodes promised in another history does not count in this one");
            Remembered { lineage: Some(lineage), ..Remembered::default() }
        }
        Some(_) | None => Remembered { lineage: Some(lineage), ..remembered },
    }
}

fn wire_id(log: LogId) -> peer::LogId {
    peer::LogId { term: log.term, node: log.node.0, index: log.index }
}

/// Votes in their order, without whether a majority granted them.
fn rank(vote: Option<Vote>) -> Option<(u64, NodeId)> {
    vote.map(|vote| (vote.term, vote.node))
}

/// Keeps the file up to date, until the node stops.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>) {
    let mut ticks = interval(Duration::from_millis(REMEMBER_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => look(&shared),
            () = shared.memory.changed.notified() => {}
        }
        let memory = shared.memory.clone();
        match crate::blocking::run(move || memory.save()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(fault)) => (shared.on_fatal)(&format!("keep what nodes promised: {fault}")),
        }
    }
}

/// What this node sees of promises now: its own, and as leader those of the followers. Only what is durable there and
/// committed counts, for only that is never taken back: an entry that is not committed may be removed by the next leader.
pub(crate) fn look<E: Engine>(shared: &Shared<E>) {
    let metrics = shared.raft.metrics().borrow_watched().clone();
    let memory = &shared.memory;
    shared.metrics.held(memory.may_vote().err());
    let Some(committed) = metrics.local_committed.as_ref().map(to_id) else { return };
    let both = |one: LogId| if one.index < committed.index { one } else { committed };
    if let Some(durable) = shared.log.durable_last() {
        memory.saw_log(memory.own, both(durable));
    }
    memory.saw_vote(memory.own, crate::stored::to_vote(&metrics.vote));
    if shared.leadership.borrow().own != Role::Leader {
        return;
    }
    for (node, matched) in metrics.replication.unwrap_or_default() {
        if let Some(matched) = matched.filter(|_| node != memory.own.0) {
            memory.saw_log(NodeId(node), both(to_id(&matched)));
            memory.saw_vote(NodeId(node), crate::stored::to_vote(&metrics.vote));
        }
    }
}

#[cfg(test)]
impl Memory {
    /// One that keeps nothing and has not heard anything.
    pub(crate) fn detached(own: NodeId) -> Arc<Self> {
        let clock = Arc::new(ClusterClock::new(Arc::new(crate::clock::SystemClock::default())));
        let lineage = Lineage([8; 16]);
        let start = Start { own, lineage, boot_seq: 0, nonce: 0, path: None, ends: Box::new(|| (None, None)), clock };
        Arc::new(Self::load(start).expect("nothing to read"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::tests_support::Hand;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn log(index: u64) -> LogId {
        LogId { term: 3, node: A, index }
    }

    struct Fixture {
        memory: Memory,
        end: Arc<Mutex<Ends>>,
        hand: Hand,
    }

    fn started(boot_seq: u64, end: Ends, path: Option<PathBuf>) -> Fixture {
        let hand = Hand::default();
        let end = Arc::new(Mutex::new(end));
        let ends = end.clone();
        let start = Start {
            own: A,
            lineage: Lineage([8; 16]),
            boot_seq,
            nonce: 5,
            path,
            ends: Box::new(move || *ends.lock().expect("not poisoned")),
            clock: Arc::new(ClusterClock::new(Arc::new(hand.clone()))),
        };
        Fixture { memory: Memory::load(start).expect("readable"), end, hand }
    }

    fn remembers(boot_seq: u64, boot_nonce: u64, index: Option<u64>) -> peer::Remembered {
        let last = index.map(|index| peer::LogId { term: 3, node: 1, index });
        peer::Remembered { boot_seq, boot_nonce, ballot: None, last }
    }

    #[test]
    fn a_node_that_has_just_started_hears_both_peers_first_or_one_of_them_after_a_second() {
        let nothing = remembers(2, 5, None);
        let Fixture { memory, hand, .. } = started(2, (Some(log(9)), None), None);
        assert_eq!(memory.may_vote(), Err(Held::NotHeard));
        hand.0.store(60_000, Ordering::Relaxed);
        assert_eq!(memory.may_vote(), Err(Held::NotHeard), "alone it cannot lead anyway");
        memory.told(B, &nothing).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Ok(()));
        let Fixture { memory, .. } = started(2, (Some(log(9)), None), None);
        memory.told(B, &nothing).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Err(Held::NotHeard));
        memory.told(C, &nothing).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Ok(()));
    }

    #[test]
    fn a_peer_that_has_not_seen_this_start_yet_does_not_count_as_heard() {
        let Fixture { memory, hand, .. } = started(2, (Some(log(9)), None), None);
        hand.0.store(60_000, Ordering::Relaxed);
        memory.told(B, &remembers(1, 7, Some(9))).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Err(Held::NotHeard), "it may still count what this log has lost");
        memory.told(B, &remembers(2, 5, Some(9))).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Ok(()));
    }

    #[test]
    fn what_was_promised_in_another_history_does_not_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("remembered");
        let mut old = Remembered { lineage: Some(Lineage([7; 16])), ..Remembered::default() };
        old.nodes.entry(A).or_default().log = Some(log(99));
        old.save(&path).expect("written");
        let Fixture { memory, .. } = started(1, (Some(log(1)), None), Some(path));
        assert_eq!(memory.may_vote(), Ok(()));
    }

    #[test]
    fn a_disk_at_its_first_start_has_promised_nothing() {
        assert_eq!(started(1, (None, None), None).memory.may_vote(), Ok(()));
    }

    #[test]
    fn a_log_that_ends_below_what_a_peer_remembers_does_not_vote_until_it_has_caught_up() {
        let Fixture { memory, end, .. } = started(2, (Some(log(8)), None), None);
        memory.told(B, &remembers(2, 5, Some(9))).expect("no vote is lost");
        memory.told(C, &remembers(2, 5, Some(4))).expect("no vote is lost");
        assert_eq!(memory.may_vote(), Err(Held::Behind));
        end.lock().expect("not poisoned").0 = Some(log(9));
        assert_eq!(memory.may_vote(), Ok(()));
    }

    #[test]
    fn what_a_node_acknowledged_it_remembers_itself_across_a_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("remembered");
        let Fixture { memory, .. } = started(1, (Some(log(9)), None), Some(path.clone()));
        memory.saw_log(A, log(9));
        memory.saw_vote(A, Vote { term: 4, node: B, committed: true });
        memory.save().expect("written");
        let old = Vote { term: 3, node: A, committed: true };
        let Fixture { memory, .. } = started(2, (Some(log(8)), Some(old)), Some(path));
        for peer in [B, C] {
            memory.told(peer, &remembers(2, 5, None)).expect("no vote is lost");
        }
        assert_eq!(memory.may_vote(), Err(Held::Behind));
        assert_eq!(memory.lost_vote(), Some(Vote { term: 4, node: B, committed: false }));
    }

    #[test]
    fn a_vote_that_only_a_peer_remembers_is_kept_and_the_node_must_stop() {
        let vote = Vote { term: 4, node: A, committed: false };
        let Fixture { memory, .. } = started(2, (None, Some(vote)), None);
        let ballot = |term| Some(peer::Ballot { term, node: 2, committed: false });
        assert!(memory.told(B, &peer::Remembered { ballot: ballot(3), ..remembers(1, 7, None) }).is_ok());
        assert!(memory.told(B, &peer::Remembered { ballot: ballot(5), ..remembers(1, 7, None) }).is_err());
        assert_eq!(memory.lost_vote(), Some(Vote { term: 5, node: B, committed: false }));
    }

    #[test]
    fn an_old_copy_of_a_disk_is_refused_and_stays_out_for_good() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("remembered");
        let Fixture { memory, .. } = started(7, (None, None), Some(path.clone()));
        assert_eq!(memory.saw_start(B, 4, 1), Ok(true));
        assert_eq!(memory.saw_start(B, 4, 1), Ok(false), "the same start");
        assert_eq!(memory.saw_start(B, 5, 2), Ok(true));
        assert_eq!(memory.saw_start(B, 5, 3), Err(Held::Restored), "a copy of what ran");
        assert_eq!(memory.saw_start(B, 4, 1), Err(Held::Restored), "yesterday's copy");
        assert!(!memory.is_barred());
        memory.told(B, &remembers(7, 5, None)).expect("no vote is lost");
        assert!(!memory.is_barred(), "the same start");
        memory.told(B, &remembers(7, 6, None)).expect("no vote is lost");
        assert!(memory.is_barred());
        memory.save().expect("written");
        let Fixture { memory, .. } = started(8, (None, None), Some(path));
        assert_eq!(memory.may_vote(), Err(Held::Restored));
    }
}
