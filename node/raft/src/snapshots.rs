//! When a snapshot is made, how much log stays behind it, and when the state is made durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use state::{Rows, View};
use store::{Engine, Fault, LogStore, StateStore};
use tokio::time::{MissedTickBehavior, interval};
use types::limits;

use crate::node::OnFatal;
use crate::peer::transfer::Mend;
use crate::shared::Shared;

/// When a snapshot is made, how much log is kept, and how much is replayed after a crash. Smaller in tests.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotLimits {
    /// A snapshot is made after this much log.
    pub log_bytes: u64,
    /// Or after this time, if anything was applied.
    pub every: Duration,
    /// At most so many entries stay behind it; `LOG_KEPT_BYTES_MAX` holds beside.
    pub log_kept_entries: u64,
    /// The state is made durable after this much log.
    pub flush_bytes: u64,
    /// Or after this time, if anything was applied.
    pub flush_every: Duration,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self {
            log_bytes: limits::SNAPSHOT_LOG_BYTES,
            every: Duration::from_millis(limits::SNAPSHOT_MS),
            log_kept_entries: limits::LOG_KEPT_ENTRIES_MAX,
            flush_bytes: limits::STATE_FLUSH_BYTES,
            flush_every: Duration::from_millis(limits::STATE_FLUSH_MS),
        }
    }
}

/// Says when something is due: after so many bytes were applied, or after some time if any were.
struct Due {
    bytes: u64,
    every: Duration,
    done_bytes: u64,
    done: Instant,
}

impl Due {
    fn new(bytes: u64, every: Duration) -> Self {
        Self { bytes, every, done_bytes: 0, done: Instant::now() }
    }

    /// Whether it is due now that `applied` bytes were applied in all; if so, it is taken for done.
    fn is_now(&mut self, applied: u64) -> bool {
        let grown = applied.saturating_sub(self.done_bytes);
        let due = grown >= self.bytes.max(1) || (grown > 0 && self.done.elapsed() >= self.every);
        if due {
            (self.done_bytes, self.done) = (applied, Instant::now());
        }
        due
    }
}

/// Looks every second.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, log: LogStore<E>, limits: SnapshotLimits) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut snapshot = Due::new(limits.log_bytes, limits.every);
    let mut flush = Due::new(limits.flush_bytes, limits.flush_every);
    let mut revived = false;
    loop {
        ticks.tick().await;
        let applied = shared.applied_bytes.load(Ordering::Relaxed);
        let flushes = flush.is_now(applied) || revived;
        if (snapshot.is_now(applied) || revived) && shared.raft.trigger().snapshot().await.is_err() {
            return;
        }
        let looking = {
            let (shared, log) = (shared.clone(), log.clone());
            crate::blocking::run(move || {
                if flushes {
                    shared.state.flush()?;
                }
                Ok::<_, Fault>((look(&shared, &log, limits)?, is_revived(&shared.state.view(), &log)?))
            })
            .await
        };
        match looking {
            Ok(Ok((Some(upto), _))) if shared.raft.trigger().purge_log(upto).await.is_err() => return,
            Ok(Ok((_, is_revived))) => revived = is_revived,
            Err(_) => {}
            Ok(Err(fault)) => (shared.on_fatal)(&format!("look after the stores: {fault}")),
        }
    }
}

/// Looks after snapshots of ours that did not arrive: whoever waits for one shall not have to wait until the next is due.
pub(crate) fn mender<E: Engine>(state: Arc<StateStore<E>>, on_fatal: OnFatal) -> Mend {
    Arc::new(move |snapshot| match state.replace_if_rotten(snapshot) {
        Ok(true) => {
            tracing::warn!("a snapshot had rotted on this node's disk: it was thrown away, and a fresh one made");
        }
        Ok(false) => {}
        Err(fault) => on_fatal(&format!("replace a snapshot that has rotted: {fault}")),
    })
}

/// Whether the log goes on from a state that came from a backup, and still begins at its beginning. Sent from there to a node whose
/// state is empty it would make another state there; so all of it is purged as soon as a snapshot covers it, and who is new gets that.
pub(crate) fn is_revived<E: Engine, V: View<Fault = Fault>>(view: &V, log: &LogStore<E>) -> Result<bool, Fault> {
    Ok(log.bounds().0.is_none() && view.refounding()?.is_some())
}

/// Makes a fresh snapshot where the one there is ends below what the log begins with, or will once openraft has seen that
/// the state is ahead of it: a crash right after the installation of a snapshot, or a new history, leaves it so. openraft
/// would send it again and again to a peer that it does not help.
pub(crate) async fn catch_up<E: Engine>(state: &Arc<StateStore<E>>, log: &LogStore<E>) -> Result<(), Fault> {
    let (purged, last) = log.bounds();
    let (applied, _) = state.applied()?;
    let begins_after = if applied > last { applied } else { purged };
    let covered = state.current_snapshot().and_then(|snapshot| snapshot.manifest().applied);
    if covered >= begins_after {
        return Ok(());
    }
    tracing::info!(?covered, ?begins_after, "the snapshot ends before the log begins: a fresh one is made");
    let state = state.clone();
    let built = crate::blocking::run(move || state.build_snapshot()).await;
    built.unwrap_or(Err(Fault::Misuse("the making of a snapshot panicked"))).map(drop)
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
    let all = is_revived(&shared.state.view(), log)?.then_some(covered);
    let upto = point.max(by_count).max(all);
    Ok(upto.filter(|upto| purged.is_none_or(|purged| purged.index < *upto)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_enough_bytes_or_time_and_never_without_a_change() {
        let mut by_bytes = Due::new(10, Duration::from_secs(3600));
        assert!(!by_bytes.is_now(9));
        assert!(by_bytes.is_now(10));
        assert!(!by_bytes.is_now(19));
        assert!(by_bytes.is_now(25));
        let mut by_time = Due::new(10, Duration::ZERO);
        assert!(!by_time.is_now(0), "nothing was applied");
        assert!(by_time.is_now(1));
        assert!(!by_time.is_now(1), "nothing was applied since");
    }
}
