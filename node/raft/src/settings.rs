//! openraft's settings. They are not open: reasons in ADR 2026-11-22-consensus.

use openraft::{Config, ConfigError, SnapshotPolicy, StepDownPolicy};
use types::limits;

/// The settings every node runs with.
///
/// Errors: none with these values; openraft checks them against each other.
pub(crate) fn openraft_config(cluster: String) -> Result<Config, ConfigError> {
    Config {
        cluster_name: cluster,
        heartbeat_interval: 100,
        election_timeout_min: 300,
        election_timeout_max: 400,
        // A leader that restarts must not lead on in its old term: entries that others hold and it has lost would be
        // replaced under the same log id, and acknowledged writes with them.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        quorum_loss_probe_interval: Some(1_500),
        // Ours decides by bytes and time (`snapshots`), and keeps a long tail of the log.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: limits::LOG_KEPT_ENTRIES_MAX,
        purge_batch_size: 4_096,
        // Snapshots only for what the log no longer has.
        replication_lag_threshold: 1_000_000,
        // The bytes are capped where entries are read (`log`).
        max_payload_entries: 1_024,
        api_batch_linger_ms: 0,
        removed_leader_step_down: StepDownPolicy::After(150),
        allow_log_reversion: None,
        install_snapshot_timeout: 60_000,
        ..Config::default()
    }
    .validate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_leader_does_not_lead_on_and_candidates_ask_first() {
        let config = openraft_config(String::from("test")).expect("valid");
        assert_eq!(config.enable_leader_restore, Some(false), "otherwise a power cut loses acknowledged writes");
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.allow_log_reversion, None, "a wiped disk is a new node");
        assert_eq!(config.snapshot_policy, SnapshotPolicy::Never);
        assert_eq!(
            (config.heartbeat_interval, config.election_timeout_min, config.election_timeout_max),
            (100, 300, 400)
        );
    }
}
