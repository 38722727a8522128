//! What someone needs who helps from elsewhere: releases, settings, how the cluster is, numbers, log lines. Only what stands on
//! a list goes in; texts, people's names, tokens and keys do not, and a test looks for them.

mod gather;
mod recent;

use serde_json::{Value, json};
use services::Services;
use types::NodeId;

use crate::config::Config;
use crate::reload::InForce;
use crate::run::Consensus;

pub use gather::gather;
pub use recent::Recent;

/// Called at each request.
pub type Diagnostics = Box<dyn Fn() -> String + Send + Sync>;

/// What this node tells of itself, to whoever shows a certificate of the cluster.
pub fn diagnostics(config: InForce, recent: Recent, node: NodeId, services: Services<Consensus>) -> Diagnostics {
    Box::new(move || {
        let status = services.cluster_status().ok().flatten();
        let told = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": node.to_string(),
            "settings": settings(&config.load()),
            "status": status.as_ref().map(status_of),
            "log": recent.lines(),
        });
        told.to_string()
    })
}

/// The settings that are told: by name, so that a new one is not told by itself.
fn settings(config: &Config) -> Value {
    json!({
        "node.slot": config.slot.to_string(),
        "cluster": config.cluster.to_string(),
        "peer.listen": config.peer_listen.to_string(),
        "client.listen": config.client_listen.to_string(),
        "ops.listen": config.ops_listen.to_string(),
        "ops.metrics_token": config.metrics_token.is_some(),
        "ops.downtime": config.downtime.is_some(),
        "log.level": config.log_level,
        "password.memory_kib": config.password_memory_kib,
        "password.iterations": config.password_iterations,
        "limits.calls_per_second": config.limits.calls_per_second,
        "limits.streams": config.limits.streams,
        "limits.failures_per_address": config.limits.failures_per_address,
        "limits.sign_ins_per_login": config.limits.sign_ins_per_login,
        "audit.key": config.audit_key.is_some(),
        "audit.heads": config.outside.directory.is_some(),
        "audit.syslog": config.outside.syslog.is_some(),
        "audit.witness": config.outside.witness.is_some(),
        "keys.protection": config.keys.describe(&config.data),
        "backup.dir": config.backup.dir.is_some(),
        "backup.every_s": config.backup.every.as_secs(),
        "backup.keep": config.backup.keep,
        "backup.bytes_per_second": config.backup.bytes_per_second,
    })
}

/// How the cluster is, without what it is called.
fn status_of(status: &proto::v1::GetClusterStatusResponse) -> Value {
    let seconds = |at: Option<prost_types::Timestamp>| at.map(|at| at.seconds);
    let nodes: Vec<Value> = status
        .nodes
        .iter()
        .map(|node| {
            json!({
                "slot": node.slot, "node": node.node, "reachable": node.reachable, "role": node.role().as_str_name(),
                "applied_index": node.applied_index, "lag": node.lag, "version": node.version, "streams": node.streams,
                "last_seen": seconds(node.last_seen_time), "disk_free_bytes": node.disk_free_bytes,
                "disk_low": node.disk_low, "certificates_expire": seconds(node.certificates_expire_time),
            })
        })
        .collect();
    let alarms: Vec<Value> = status
        .alarms
        .iter()
        .map(|alarm| json!({"severity": alarm.severity().as_str_name(), "slot": alarm.slot, "runbook": alarm.runbook}))
        .collect();
    json!({
        "health": status.health().as_str_name(), "term": status.term, "feature_level": status.feature_level,
        "answered_by": status.answered_by, "cluster_time": seconds(status.cluster_time),
        "stale_since": seconds(status.stale_since_time), "nodes": nodes, "alarms": alarms,
        "backup": status.backup.as_ref().map(|backup| json!({
            "last": seconds(backup.last_time), "node": backup.node, "bytes": backup.bytes,
            "verified": seconds(backup.verify_time), "failed": seconds(backup.fail_time),
        })),
    })
}
