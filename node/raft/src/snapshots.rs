//! When a snapshot is made, and how much log stays behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use store::{Engine, Fault, LogStore};
use tokio::time::{MissedTickBehavior, interval};
use types::limits;

use crate::shared::Shared;

/// When a snapshot is made, and how much log is kept. Smaller in tests.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotLimits {
    /// A snapshot is made after this much log.
    pub log_bytes: u64,
    /// Or after this time, if anything was applied.
    pub every: Duration,
    /// At most so many entries stay behind it; `LOG_KEPT_BYTES_MAX` holds beside.
    pub log_kept_entries: u64,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            log_bytes: limits::SNAPSHOT_LOG_BYTES,
            every: Duration::from_millis(limits::SNAPSHOT_MS),
            log_kept_entries: limits::LOG_KEPT_ENTRIES_MAX,
        }
    }
}

/// Looks every second.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, log: LogStore<E>, limits: SnapshotLimits) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked_bytes = 0;
    let mut asked = Instant::now();
    loop {
        ticks.tick().await;
        let bytes = shared.applied_bytes.load(Ordering::Relaxed);
        let grown = bytes - asked_bytes;
        if grown >= limits.log_bytes || (grown > 0 && asked.elapsed() >= limits.every) {
            (asked_bytes, asked) = (bytes, Instant::now());
            if shared.raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
        let looking = {
            let (shared, log) = (shared.clone(), log.clone());
            tokio::task::spawn_blocking(move || look(&shared, &log, limits)).await
        };
        match looking {
            Ok(Ok(Some(upto))) if shared.raft.trigger().purge_log(upto).await.is_err() => return,
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(fault)) => (shared.on_fatal)(&format!("look after the stores: {fault}")),
        }
    }
}

/// How far the log may be purged: to what a snapshot and durable state both cover, less the tail that is kept so that a
/// peer that was away needs no snapshot. On the way, whether the engines are well.
fn look<E: Engine>(shared: &Shared<E>, log: &LogStore<E>, limits: SnapshotLimits) -> Result<Option<u64>, Fault> {
    log.healthy()?;
    shared.state.healthy()?;
    log.measure();
    shared.state.measure();
    let Some(snapshot) = shared.state.current_snapshot().and_then(|snapshot| snapshot.manifest().applied) else {
        return Ok(None);
    };
    let Some(durable) = shared.state.durable_applied()? else { return Ok(None) };
    let covered = snapshot.index.min(durable.index);
    let point = log.purge_point(covered)?.map(|id| id.index);
    let (purged, last) = log.bounds();
    let by_count =
        last.and_then(|last| last.index.checked_sub(limits.log_kept_entries)).map(|index| index.min(covered));
    let upto = point.max(by_count);
    Ok(upto.filter(|upto| purged.is_none_or(|purged| purged.index < *upto)))
}
