//! What the stores measure.

use prometheus::{Histogram, HistogramOpts, IntGauge, Opts, Registry};
use types::limits::LOG_QUEUE_BYTES_MAX;

use crate::engine::Sizes;

/// Metrics of the log. Clones are the same metrics.
#[derive(Clone)]
pub struct LogMetrics {
    pub(crate) write_seconds: Histogram,
    pub(crate) batch_entries: Histogram,
    pub(crate) batch_bytes: Histogram,
    pub(crate) queue_bytes: IntGauge,
    queue_max: IntGauge,
    pub(crate) torn_bytes: IntGauge,
    pub(crate) sizes: SizeMetrics,
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
            sizes: SizeMetrics::new("log"),
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
        self.sizes.register(registry)
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
    pub(crate) sizes: SizeMetrics,
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
            sizes: SizeMetrics::new("state"),
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
        registry.register(Box::new(self.snapshot_bytes.clone()))?;
        registry.register(Box::new(self.snapshot_made.clone()))?;
        self.sizes.register(registry)
    }
}

/// Sizes of one engine.
#[derive(Clone)]
pub(crate) struct SizeMetrics {
    memtable: IntGauge,
    table: IntGauge,
    wal: IntGauge,
    pending: IntGauge,
}

impl SizeMetrics {
    fn new(part: &str) -> Self {
        let of = |what: &str, help: &str| gauge(&format!("tricord_{part}_{what}_bytes"), help);
        Self {
            memtable: of("memtable", "Bytes in memory, not yet in tables"),
            table: of("sst", "Bytes of tables and blobs on disk"),
            wal: of("wal", "Bytes of write-ahead logs on disk"),
            pending: of("compaction_pending", "Bytes waiting to be compacted"),
        }
    }

    pub(crate) fn set(&self, sizes: Sizes) {
        let all = [
            (&self.memtable, sizes.memtable_bytes),
            (&self.table, sizes.table_bytes),
            (&self.wal, sizes.wal_bytes),
            (&self.pending, sizes.pending_compaction_bytes),
        ];
        all.into_iter().for_each(|(gauge, bytes)| gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX)));
    }

    fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        [&self.memtable, &self.table, &self.wal, &self.pending]
            .into_iter()
            .try_for_each(|gauge| registry.register(Box::new(gauge.clone())))
    }
}

fn exponential(from: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(from), |bound| Some(bound * factor)).take(count).collect()
}

fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("names and buckets above are valid")
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
            let units = ["_seconds", "_bytes", "_entries"];
            assert!(units.iter().any(|unit| family.name().ends_with(unit)), "{}", family.name());
            assert!(family.name().starts_with("tricord_") && !family.help().is_empty(), "{}", family.name());
        }
    }
}
