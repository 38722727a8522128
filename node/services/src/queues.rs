//! How full what is bounded is, for the metrics: what is near its limit is about to refuse.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use raft::Handle;
use types::limits::{
    AUDIT_SPOOL_BYTES_MAX, OBSERVATIONS_WAITING_MAX, PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAITING_MAX,
    STREAMS_PER_NODE_MAX,
};

use crate::limiter::lock;
use crate::{Services, confirmations};

/// What waits on a node, and how much may.
#[derive(Clone)]
pub(crate) struct QueueMetrics {
    entries: IntGaugeVec,
    entries_max: IntGaugeVec,
    spool_bytes: IntGauge,
    spool_max: IntGauge,
}

impl QueueMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let of = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let bytes = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        Ok(Self {
            entries: of("tricord_client_queue_entries", "What waits, or is open, on this node")?,
            entries_max: of("tricord_client_queue_max_entries", "How much of it may; more is refused")?,
            spool_bytes: bytes(
                "tricord_audit_spool_bytes",
                "Bytes of records this node keeps by itself while there is no majority",
            )?,
            spool_max: bytes("tricord_audit_spool_max_bytes", "Bytes it may keep; then nothing more is shown")?,
        })
    }

    fn set(&self, queue: &str, entries: usize, most: usize) {
        self.entries.with_label_values(&[queue]).set(number(entries));
        self.entries_max.with_label_values(&[queue]).set(number(most));
    }
}

impl<H: Handle> Services<H> {
    /// Brings the depths of the queues up to date.
    pub(crate) fn measure_queues(&self) {
        let inner = &self.inner;
        let queues = &inner.metrics.queues;
        let (calls, calls_max) = inner.gate.inside();
        queues.set("calls", calls, calls_max);
        queues.set("confirmations", inner.confirmations.len(), confirmations::WAITING_MAX);
        queues.set("observations", inner.observer.len(), OBSERVATIONS_WAITING_MAX);
        queues.set("passwords", inner.passwords.waiting(), PASSWORD_HASHES_WAITING_MAX + PASSWORD_HASHES_AT_ONCE);
        queues.set("send_streams", inner.send_streams.len(), STREAMS_PER_NODE_MAX);
        // As it is set now: an operator may lower it.
        queues.set("streams", inner.hub.streams(), inner.limits.load().streams as usize);
        queues.spool_bytes.set(number(lock(&inner.spool).len()));
        queues.spool_max.set(number(AUDIT_SPOOL_BYTES_MAX));
    }
}

fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_beside_its_limit() {
        let registry = Registry::new();
        let queues = QueueMetrics::register(&registry).expect("names of their own");
        queues.set("calls", 3, 32);
        queues.set("calls", 4, 64);
        let of = |name: &str| {
            let families = registry.gather();
            let family = families.iter().find(|family| family.name() == name).expect("registered");
            family.get_metric().iter().map(|one| one.get_gauge().get_value()).collect::<Vec<_>>()
        };
        assert_eq!(of("tricord_client_queue_entries"), [4.0]);
        assert_eq!(of("tricord_client_queue_max_entries"), [64.0]);
    }
}
