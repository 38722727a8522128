//! What the services count. Labels come from closed sets, never from requests.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tonic::Code;

use crate::alarms::Replicated;
use crate::queues::QueueMetrics;

const LATENCY_BUCKETS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0, 10.0];

/// The metrics of one node's services.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) calls: IntCounterVec,
    pub(crate) latency: HistogramVec,
    pub(crate) sends: IntCounterVec,
    pub(crate) deliveries: IntCounter,
    pub(crate) delivery: Histogram,
    pub(crate) presence_changes: IntCounter,
    records: IntGauge,
    sealed_records: IntGauge,
    sealed_at: IntGauge,
    pub(crate) streams: IntGauge,
    pub(crate) sessions: IntGauge,
    pub(crate) slow_readers: IntCounter,
    pub(crate) queues: QueueMetrics,
    pub(crate) connections_waiting: IntGauge,
    pub(crate) typing_dropped: IntCounter,
    pub(crate) sign_ins_refused: IntCounter,
    pub(crate) kits_pending: IntGauge,
    pub(crate) certificates_revoked: IntGauge,
    pub(crate) emergencies_pending: IntGauge,
    pub(crate) emergencies_in_force: IntGauge,
    pub(crate) emergencies_unreviewed: IntGauge,
    observations: IntCounter,
}

impl Metrics {
    /// Registers them.
    ///
    /// Errors: when the registry has one of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let opts = HistogramOpts::new(
            "tricord_client_call_seconds",
            "Time to answer a call of a client that was admitted, by method",
        )
        .buckets(LATENCY_BUCKETS.to_vec());
        let latency = HistogramVec::new(opts, &["method"])?;
        registry.register(Box::new(latency.clone()))?;
        let opts = HistogramOpts::new(
            "tricord_client_delivery_seconds",
            "Time from a change being applied here until it is written to a stream of this node, the oldest of each portion",
        );
        let delivery = Histogram::with_opts(opts.buckets(LATENCY_BUCKETS.to_vec()))?;
        registry.register(Box::new(delivery.clone()))?;
        let sends = counters("tricord_client_sends_total", "Messages clients sent, by how it ended", &["result"])?;
        ["sent", "failed"].iter().for_each(|result| drop(sends.with_label_values(&[result])));
        Ok(Self {
            sign_ins_refused: counter(
                "tricord_client_sign_ins_refused_total",
                "Sign-ins with a wrong password or code",
            )?,
            kits_pending: gauge(
                "tricord_recovery_kits_pending",
                "Recovery kits that wait for a second administrator: 0 or 1",
            )?,
            certificates_revoked: gauge(
                "tricord_certificates_revoked",
                "Certificates that are revoked, as known here",
            )?,
            emergencies_pending: gauge(
                "tricord_emergencies_pending",
                "Emergency access that waits for a second keyholder",
            )?,
            emergencies_in_force: gauge(
                "tricord_emergencies_in_force",
                "Emergency access that two keyholders act by now",
            )?,
            emergencies_unreviewed: gauge(
                "tricord_emergencies_unreviewed",
                "Emergency access in force, or over and not reviewed by an auditor",
            )?,
            calls: counters("tricord_client_calls_total", "Calls of clients, by method and code", &["method", "code"])?,
            latency,
            sends,
            deliveries: counter("tricord_client_deliveries_total", "Events written to sync streams")?,
            delivery,
            presence_changes: counter(
                "tricord_client_presence_changes_total",
                "Users whose presence may look different, as applied here",
            )?,
            records: gauge("tricord_audit_records", "Records in the audit log")?,
            sealed_records: gauge("tricord_audit_sealed_records", "Records the newest sealed head covers")?,
            sealed_at: gauge(
                "tricord_audit_sealed_head_timestamp_seconds",
                "When the newest sealed head of the audit log was sealed, in seconds since 1970; 0: never",
            )?,
            streams: gauge("tricord_client_streams", "Sync streams open on this node")?,
            sessions: gauge("tricord_client_sessions", "Sessions with a sync stream open on this node")?,
            slow_readers: counter("tricord_client_slow_readers_total", "Sync streams cut off for reading too slowly")?,
            queues: QueueMetrics::register(registry)?,
            connections_waiting: gauge(
                "tricord_client_connections_waiting",
                "Changes of connected sessions waiting to be put to the cluster",
            )?,
            observations: counter("tricord_audit_observations_total", "Fetches and refusals put to the audit log")?,
            typing_dropped: counter("tricord_client_typing_dropped_total", "Typing notices dropped under load")?,
        })
    }

    /// Counts a call, and its time where it was admitted: refusals are quick, and would hide what the others wait.
    pub(crate) fn called(&self, method: &'static str, code: Code, took: Option<Duration>) {
        self.calls.with_label_values(&[method, code_label(code)]).inc();
        if let Some(took) = took {
            self.latency.with_label_values(&[method]).observe(took.as_secs_f64());
        }
    }

    /// How far the audit log is, and how far two nodes have signed it.
    pub(crate) fn audit(&self, audit: Replicated) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (size, at) = audit.sealed.map_or((0, 0), |(size, at)| (size, at.0 / 1_000));
        self.records.set(number(audit.records));
        self.sealed_records.set(number(size));
        self.sealed_at.set(number(at));
    }

    pub(crate) fn observed(&self, count: usize) {
        self.observations.inc_by(count as u64);
    }

    pub(crate) fn sent(&self, ok: bool) {
        self.sends.with_label_values(&[if ok { "sent" } else { "failed" }]).inc();
    }
}

const fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_help_and_unit() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("unique names");
        metrics.called("SendMessage", Code::Ok, Some(Duration::from_millis(3)));
        metrics.sent(true);
        for family in registry.gather() {
            assert!(!family.help().is_empty(), "{}", family.name());
            // The guide keeps these for what histograms are made of; what is counted is its own unit.
            let taken = ["_count", "_sum", "_bucket"];
            assert!(!taken.iter().any(|suffix| family.name().ends_with(suffix)), "{}", family.name());
            let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
            assert_eq!(family.name().ends_with("_total"), counter, "{}", family.name());
        }
        assert!(Metrics::register(&registry).is_err());
    }
}
