//! What is counted of backups.

use prometheus::{IntCounter, IntGauge, Registry};

/// The metrics of this node's backups.
#[derive(Clone)]
pub struct Metrics {
    /// Since 1970, when any node last made one.
    pub last: IntGauge,
    /// Since 1970, when any node last found one good.
    pub verified: IntGauge,
    /// How long the last one took here.
    pub seconds: IntGauge,
    /// Bytes of the newest.
    pub bytes: IntGauge,
    /// Those that failed here.
    pub failures: IntCounter,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let failures = IntCounter::new("tricord_backup_failures_total", "Backups this node could not make")?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self {
            last: gauge(
                "tricord_backup_last_timestamp_seconds",
                "When a node last made a backup, since 1970; 0: never",
            )?,
            verified: gauge(
                "tricord_backup_verified_timestamp_seconds",
                "When a backup was last found good by restoring it, since 1970; 0: never",
            )?,
            seconds: gauge("tricord_backup_duration_seconds", "How long this node's last backup took")?,
            bytes: gauge("tricord_backup_bytes", "Bytes of the newest backup in its target")?,
            failures,
        })
    }
}
