//! What consensus measures.

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use types::Slot;
use types::limits::{PROPOSAL_BYTES_WAITING_MAX, PROPOSALS_WAITING_MAX};

use crate::memory::Held;
use crate::propose::Refusal;

/// Metrics of consensus. Clones are the same metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) role: IntGauge,
    pub(crate) term: IntGauge,
    pub(crate) applied: IntGauge,
    pub(crate) committed: IntGauge,
    pub(crate) durable_applied: IntGauge,
    pub(crate) last_log: IntGauge,
    pub(crate) lag: IntGaugeVec,
    pub(crate) elections: IntCounter,
    pub(crate) early_elections: IntCounter,
    pub(crate) leader_changes: IntCounter,
    pub(crate) proposals_waiting: IntGauge,
    pub(crate) proposals_refused: IntCounterVec,
    proposals_max: IntGauge,
    pub(crate) proposal_bytes_waiting: IntGauge,
    proposal_bytes_max: IntGauge,
    pub(crate) batch_envelopes: Histogram,
    pub(crate) proposal_seconds: Histogram,
    pub(crate) wait_seconds: Histogram,
    pub(crate) calls_waiting: IntGauge,
    pub(crate) calls_max: IntGauge,
    snapshots_received: IntCounterVec,
    pub(crate) clock_alone: IntGauge,
    pub(crate) clock_offset: GaugeVec,
    pub(crate) typing_dropped: IntCounter,
    pub(crate) vote_held: IntGauge,
    pub(crate) disk_free: IntGauge,
    pub(crate) disk_size: IntGauge,
    pub(crate) disk_low: IntGauge,
    pub(crate) writes_refused: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let lag = Opts::new("tricord_raft_lag_entries", "Entries a peer's log is behind this node's, as last heard");
        let offset = Opts::new(
            "tricord_raft_clock_offset_seconds",
            "What a node's clock shows minus cluster time, as last heard; absent while nothing is heard",
        );
        let refused = Opts::new("tricord_raft_proposals_refused_total", "Commands this node as leader did not take");
        let received = Opts::new(
            "tricord_raft_snapshots_received_total",
            "Snapshots a leader sent because the log no longer goes back far enough: installed here, or not",
        );
        Self {
            role: gauge("tricord_raft_role_number", "0 unknown, 1 leader, 2 follower, 3 candidate, 4 learner"),
            term: gauge("tricord_raft_term_number", "The term"),
            applied: gauge("tricord_raft_applied_index", "The last log index applied here"),
            committed: gauge("tricord_raft_committed_index", "The last log index known to be committed"),
            durable_applied: gauge(
                "tricord_raft_durable_applied_index",
                "The last log index whose effects are in tables on disk; what is above is replayed after a crash",
            ),
            last_log: gauge("tricord_raft_last_log_index", "The last index in the log here"),
            lag: IntGaugeVec::new(lag, &["slot"]).expect("a valid name and label"),
            elections: counter("tricord_raft_elections_total", "Times this node became leader"),
            early_elections: counter(
                "tricord_raft_early_elections_total",
                "Times this node stood for election before the timeout, the leader's process being gone",
            ),
            leader_changes: counter("tricord_raft_leader_changes_total", "Times another leader was seen"),
            proposals_waiting: gauge("tricord_raft_proposals_waiting", "Commands waiting for the next entry"),
            proposals_max: gauge("tricord_raft_proposals_max", "Commands that may wait; more are refused"),
            proposal_bytes_waiting: gauge("tricord_raft_proposals_waiting_bytes", "Bytes of the commands that wait"),
            proposal_bytes_max: gauge("tricord_raft_proposals_max_bytes", "Bytes that may wait; more are refused"),
            proposals_refused: IntCounterVec::new(refused, &["reason"]).expect("a valid name and label"),
            batch_envelopes: histogram(
                "tricord_raft_batch_envelopes",
                "Commands in one entry",
                prometheus::exponential_buckets(1.0, 2.0, 11),
            ),
            proposal_seconds: histogram(
                "tricord_raft_proposal_seconds",
                "Time from an entry's proposal to its answers",
                prometheus::exponential_buckets(100e-6, 2.0, 16),
            ),
            wait_seconds: histogram(
                "tricord_raft_proposal_wait_seconds",
                "Time a call waited for its entry, the oldest of each entry; refusals keep it short",
                prometheus::exponential_buckets(100e-6, 2.0, 16),
            ),
            calls_waiting: gauge("tricord_raft_calls_waiting", "Calls that wait for this leader's answer"),
            snapshots_received: IntCounterVec::new(received, &["result"]).expect("a valid name and label"),
            calls_max: gauge(
                "tricord_raft_calls_max",
                "Calls that may wait for this leader's answer now, so that none waits long; more are refused",
            ),
            clock_alone: gauge("tricord_raft_clock_alone_flag", "1: no two clocks agree, time goes on by itself"),
            clock_offset: GaugeVec::new(offset, &["slot"]).expect("a valid name and label"),
            vote_held: gauge(
                "tricord_raft_vote_held_number",
                "0: votes; 1: has not heard yet what peers remember; 2: its log lost what it had; 3: an old copy of a disk",
            ),
            disk_free: gauge("tricord_raft_disk_free_bytes", "Bytes free on the disk of the data directory"),
            disk_size: gauge("tricord_raft_disk_size_bytes", "Bytes the disk of the data directory holds in all"),
            disk_low: gauge("tricord_raft_disk_low_flag", "1: the disk here has too little room left"),
            writes_refused: gauge(
                "tricord_raft_writes_refused_flag",
                "1: as leader this node refuses clients' writes, as most nodes' disks are nearly full",
            ),
            typing_dropped: counter("tricord_raft_typing_dropped_total", "Typing notices dropped, a peer being busy"),
        }
    }
}

impl Metrics {
    /// Why this node does not vote, if it does not.
    pub(crate) fn held(&self, held: Option<Held>) {
        self.vote_held.set(match held {
            None => 0,
            Some(Held::NotHeard) => 1,
            Some(Held::Behind) => 2,
            Some(Held::Restored) => 3,
        });
    }

    /// A command that was not taken here, or whose outcome is not known.
    pub(crate) fn refused(&self, why: Refusal) {
        self.proposals_refused.with_label_values(&[reason(why)]).inc();
    }

    /// How a snapshot that arrived ended.
    pub(crate) fn snapshot_received(&self, installed: bool) {
        self.snapshots_received.with_label_values(&[received(installed)]).inc();
    }

    /// Errors: a name is taken, because a node was started with this registry before.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        for slot in Slot::ALL {
            self.lag.with_label_values(&[slot.letter()]).set(0);
        }
        let reasons = [
            Refusal::NotLeader,
            Refusal::Overloaded,
            Refusal::DiskFull,
            Refusal::SingleCopy,
            Refusal::OutcomeUnknown,
            Refusal::Refused,
        ];
        for why in reasons {
            self.proposals_refused.with_label_values(&[reason(why)]);
        }
        self.proposals_max.set(i64::try_from(PROPOSALS_WAITING_MAX).unwrap_or(i64::MAX));
        self.proposal_bytes_max.set(i64::try_from(PROPOSAL_BYTES_WAITING_MAX).unwrap_or(i64::MAX));
        for one in [
            &self.role,
            &self.term,
            &self.applied,
            &self.committed,
            &self.durable_applied,
            &self.last_log,
            &self.proposals_waiting,
            &self.proposals_max,
            &self.proposal_bytes_waiting,
            &self.proposal_bytes_max,
            &self.calls_waiting,
            &self.calls_max,
            &self.clock_alone,
            &self.vote_held,
        ] {
            registry.register(Box::new(one.clone()))?;
        }
        for one in [&self.disk_free, &self.disk_size, &self.disk_low, &self.writes_refused] {
            registry.register(Box::new(one.clone()))?;
        }
        for one in [&self.elections, &self.early_elections, &self.leader_changes, &self.typing_dropped] {
            registry.register(Box::new(one.clone()))?;
        }
        for one in [&self.batch_envelopes, &self.proposal_seconds, &self.wait_seconds] {
            registry.register(Box::new(one.clone()))?;
        }
        [true, false].iter().for_each(|done| drop(self.snapshots_received.with_label_values(&[received(*done)])));
        registry.register(Box::new(self.snapshots_received.clone()))?;
        registry.register(Box::new(self.proposals_refused.clone()))?;
        registry.register(Box::new(self.clock_offset.clone()))?;
        registry.register(Box::new(self.lag.clone()))
    }
}

const fn received(installed: bool) -> &'static str {
    if installed { "installed" } else { "failed" }
}

const fn reason(why: Refusal) -> &'static str {
    match why {
        Refusal::NotLeader => "not_leader",
        Refusal::Overloaded => "overloaded",
        Refusal::DiskFull => "disk_full",
        Refusal::SingleCopy => "single_copy",
        Refusal::OutcomeUnknown => "outcome_unknown",
        Refusal::Refused => "refused",
    }
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("a valid name")
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("a valid name")
}

fn histogram(name: &str, help: &str, buckets: prometheus::Result<Vec<f64>>) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.expect("valid buckets"));
    Histogram::with_opts(options).expect("a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_a_name_of_its_own_and_help() {
        let registry = Registry::new();
        Metrics::default().register(&registry).expect("names are unique");
        assert!(registry.gather().iter().all(|family| !family.help().is_empty()));
        assert!(Metrics::default().register(&registry).is_err(), "two nodes cannot share a registry");
    }
}
