//! What the stores measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{Counter, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use types::limits::LOG_QUEUE_BYTES_MAX;

use crate::engine::{Sizes, Work};

/// Metrics of the log. Clones are the same metrics.
#[derive(Clone)]
pub struct LogMetrics {
    pub(crate) write_seconds: Histogram,
    pub(crate) batch_entries: Histogram,
    pub(crate) batch_bytes: Histogram,
    pub(crate) queue_bytes: IntGauge,
    queue_max: IntGauge,
    pub(crate) torn_bytes: IntGauge,
    pub(crate) engine: EngineMetrics,
}

impl Default for LogMetrics {
    fn default() -> Self {
        Self {
            write_seconds: histogram(
                "tricord_log_fsync_seconds",
                "Time of one batch of the log: write and fsync",
                exponential(50e-6, 2.0, 16),
            ),
            batch_entries: histogram("tricord_log_batch_entries", "Entries in one batch", exponential(1.0, 2.0, 13)),
            batch_bytes: histogram("tricord_log_batch_bytes", "Bytes of one batch", exponential(128.0, 4.0, 9)),
            queue_bytes: gauge("tricord_log_queue_bytes", "Bytes waiting for the log's writer"),
            queue_max: gauge("tricord_log_queue_max_bytes", "Bytes that may wait for the log's writer"),
            torn_bytes: gauge("tricord_log_torn_bytes", "Bytes cut off the log's end when it was opened"),
            engine: EngineMetrics::new("log"),
        }
    }
}

impl LogMetrics {
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        for histogram in [&self.write_seconds, &self.batch_entries, &self.batch_bytes] {
            registry.register(Box::new(histogram.clone()))?;
        }
        self.queue_max.set(i64::try_from(LOG_QUEUE_BYTES_MAX).unwrap_or(i64::MAX));
        for gauge in [&self.queue_bytes, &self.queue_max, &self.torn_bytes] {
            registry.register(Box::new(gauge.clone()))?;
        }
        self.engine.register(registry)
    }
}

/// Metrics of the state. Clones are the same metrics.
#[derive(Clone)]
pub struct StateMetrics {
    pub(crate) apply_seconds: Histogram,
    pub(crate) apply_entries: Histogram,
    pub(crate) apply_bytes: Histogram,
    pub(crate) flush_seconds: Histogram,
    pub(crate) snapshot_seconds: Histogram,
    pub(crate) snapshot_bytes: IntGauge,
    pub(crate) snapshot_made: IntGauge,
    pub(crate) snapshots: IntCounterVec,
    cache_bytes: IntGauge,
    cache_max: IntGauge,
    pub(crate) engine: EngineMetrics,
}

impl Default for StateMetrics {
    fn default() -> Self {
        let seconds = |name, help| histogram(name, help, exponential(50e-6, 2.0, 16));
        Self {
            apply_seconds: seconds("tricord_state_apply_seconds", "Time of one apply call"),
            apply_entries: histogram(
                "tricord_state_apply_entries",
                "Entries of one apply call",
                exponential(1.0, 2.0, 13),
            ),
            apply_bytes: histogram(
                "tricord_state_apply_bytes",
                "Bytes one apply call wrote",
                exponential(128.0, 4.0, 9),
            ),
            flush_seconds: histogram("tricord_state_flush_seconds", "Time of one flush", exponential(1e-3, 2.0, 16)),
            snapshot_seconds: histogram(
                "tricord_state_snapshot_seconds",
                "Time of building one snapshot",
                exponential(10e-3, 2.0, 16),
            ),
            snapshot_bytes: gauge("tricord_state_snapshot_bytes", "Bytes of the newest snapshot"),
            snapshot_made: gauge(
                "tricord_state_snapshot_timestamp_seconds",
                "When the newest snapshot here was made, in seconds since 1970; 0: there is none",
            ),
            snapshots: IntCounterVec::new(
                Opts::new("tricord_state_snapshots_total", "Snapshots this node made, or could not make"),
                &["result"],
            )
            .expect("names above are valid"),
            cache_bytes: gauge(
                "tricord_store_block_cache_bytes",
                "Bytes of the blocks that log and state keep in memory",
            ),
            cache_max: gauge("tricord_store_block_cache_max_bytes", "Bytes that these blocks may take"),
            engine: EngineMetrics::new("state"),
        }
    }
}

impl StateMetrics {
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let histograms =
            [&self.apply_seconds, &self.apply_entries, &self.apply_bytes, &self.flush_seconds, &self.snapshot_seconds];
        for histogram in histograms {
            registry.register(Box::new(histogram.clone()))?;
        }
        ["made", "failed"].iter().for_each(|result| drop(self.snapshots.with_label_values(&[result])));
        registry.register(Box::new(self.snapshots.clone()))?;
        for gauge in [&self.snapshot_bytes, &self.snapshot_made, &self.cache_bytes, &self.cache_max] {
            registry.register(Box::new(gauge.clone()))?;
        }
        self.engine.register(registry)
    }

    /// The cache that log and state share, told here for both.
    pub(crate) fn cache(&self, work: Work) {
        self.cache_bytes.set(number(work.cache_bytes));
        self.cache_max.set(number(work.cache_bytes_max));
    }
}

/// What one engine takes, and what it does in the background.
#[derive(Clone)]
pub(crate) struct EngineMetrics {
    memtable: IntGauge,
    table: IntGauge,
    wal: IntGauge,
    pending: IntGauge,
    stopped: IntGauge,
    delayed: IntGauge,
    compactions: IntGauge,
    flushes: IntGauge,
    stalled: Arc<Counted<Counter>>,
    cache_hits: Arc<Counted<IntCounter>>,
    cache_misses: Arc<Counted<IntCounter>>,
}

impl EngineMetrics {
    fn new(part: &str) -> Self {
        let name = |what: &str| format!("tricord_{part}_{what}");
        let of = |what: &str, help: &str| gauge(&name(what), help);
        let stalled = Counter::new(name("stalled_seconds_total"), "Time writers waited for flushes or compactions");
        Self {
            memtable: of("memtable_bytes", "Bytes in memory, not yet in tables"),
            table: of("sst_bytes", "Bytes of tables and blobs on disk"),
            wal: of("wal_bytes", "Bytes of write-ahead logs on disk"),
            pending: of("compaction_pending_bytes", "Bytes waiting to be compacted"),
            stopped: of("write_stopped_flag", "1: writes wait until flushes or compactions have caught up"),
            delayed: of(
                "write_delayed_bytes_per_second",
                "What writes are slowed to, for compactions to keep up; 0: they are not slowed",
            ),
            compactions: of("compactions_running", "Compactions under way"),
            flushes: of("flushes_running", "Flushes under way"),
            stalled: Arc::new(Counted::new(stalled.expect("names above are valid"))),
            cache_hits: Arc::new(Counted::new(counter(
                &name("block_cache_hits_total"),
                "Blocks of tables that were found in memory",
            ))),
            cache_misses: Arc::new(Counted::new(counter(
                &name("block_cache_misses_total"),
                "Blocks of tables that were read from disk",
            ))),
        }
    }

    pub(crate) fn set(&self, sizes: Sizes, work: Work) {
        let all = [
            (&self.memtable, sizes.memtable_bytes),
            (&self.table, sizes.table_bytes),
            (&self.wal, sizes.wal_bytes),
            (&self.pending, sizes.pending_compaction_bytes),
            (&self.stopped, u64::from(work.write_stopped)),
            (&self.delayed, work.delayed_write_rate),
            (&self.compactions, work.compactions),
            (&self.flushes, work.flushes),
        ];
        all.into_iter().for_each(|(gauge, value)| gauge.set(number(value)));
        self.stalled.metric.inc_by(self.stalled.grown(work.stall_us) as f64 / 1e6);
        self.cache_hits.metric.inc_by(self.cache_hits.grown(work.cache_hits));
        self.cache_misses.metric.inc_by(self.cache_misses.grown(work.cache_misses));
    }

    fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        for gauge in [&self.memtable, &self.table, &self.wal, &self.pending] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for gauge in [&self.stopped, &self.delayed, &self.compactions, &self.flushes] {
            registry.register(Box::new(gauge.clone()))?;
        }
        registry.register(Box::new(self.stalled.metric.clone()))?;
        registry.register(Box::new(self.cache_hits.metric.clone()))?;
        registry.register(Box::new(self.cache_misses.metric.clone()))
    }
}

/// A counter that follows a count of the engine's own, which begins anew with each engine.
struct Counted<C> {
    metric: C,
    seen: AtomicU64,
}

impl<C> Counted<C> {
    const fn new(metric: C) -> Self {
        Self { metric, seen: AtomicU64::new(0) }
    }

    /// What has come since it was last asked.
    fn grown(&self, now: u64) -> u64 {
        let seen = self.seen.swap(now, Ordering::Relaxed);
        now.checked_sub(seen).unwrap_or(now)
    }
}

fn exponential(from: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(from), |bound| Some(bound * factor)).take(count).collect()
}

fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("names and buckets above are valid")
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("names above are valid")
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::with_opts(Opts::new(name, help)).expect("names above are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_a_unit_and_help() {
        let registry = Registry::new();
        LogMetrics::default().register(&registry).expect("log");
        StateMetrics::default().register(&registry).expect("state");
        for family in registry.gather() {
            let units = ["_seconds", "_bytes", "_entries", "_total", "_flag", "_per_second", "_running"];
            assert!(units.iter().any(|unit| family.name().ends_with(unit)), "{}", family.name());
            assert!(family.name().starts_with("tricord_") && !family.help().is_empty(), "{}", family.name());
        }
    }

    #[test]
    fn counts_of_an_engine_go_on_when_another_takes_its_place() {
        let metrics = EngineMetrics::new("state");
        let work = |stall_us, cache_hits| Work { stall_us, cache_hits, ..Work::default() };
        metrics.set(Sizes::default(), work(1_500_000, 10));
        metrics.set(Sizes::default(), work(2_000_000, 12));
        metrics.set(Sizes::default(), work(500_000, 3));
        assert!((metrics.stalled.metric.get() - 2.5).abs() < 1e-9, "{}", metrics.stalled.metric.get());
        assert_eq!(metrics.cache_hits.metric.get(), 15);
        assert_eq!(metrics.cache_misses.metric.get(), 0);
    }
}
