//! Makes a backup when it is time. Every node that has a target keeps the same schedule; the one that comes first makes the
//! backup, and the others see in the state that it is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use raft::Handle;
use state::View;
use state::keys;
use state::view::heads;
use types::backup::Backup;
use types::limits::{BACKUP_RETRY_MS, BACKUP_STAGGER_MS, NODE_LEASES_WATCHED_MAX};
use types::{Row, Timestamp};

use super::{Backups, Wish};

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps the schedule until it is dropped; what is being made then is given up.
pub async fn run(backups: Backups) {
    let stop = StopOnDrop(Arc::default());
    let mut failed: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY.min(backups.inner.config.load().backup.every)).await;
        let Some(newest) = backups.measure() else { continue };
        let waits = failed.is_some_and(|at| at.elapsed() < Duration::from_millis(BACKUP_RETRY_MS));
        if backups.inner.config.load().backup.dir.is_none() || waits || !backups.is_due(newest) {
            continue;
        }
        let wish = Wish { dir: None, init: false, keep: None, scheduled: true };
        let made = backups.make(wish, stop.0.clone(), |_, _| {}).await;
        failed = made.is_err().then(Instant::now);
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Backups {
    /// When any node last made one, as the metrics then say too; none: the cluster is not founded.
    fn measure(&self) -> Option<Option<Timestamp>> {
        let view = self.inner.node.view();
        let (from, to) = keys::backups();
        let rows = view.scan(&from, &to, false, NODE_LEASES_WATCHED_MAX).ok()?;
        let rows: Vec<Backup> = rows
            .into_iter()
            .filter_map(|(_, row)| match row {
                Row::Backup(backup) => Some(backup),
                _ => None,
            })
            .collect();
        let newest = rows.iter().max_by_key(|backup| backup.made);
        let seconds = |at: Option<Timestamp>| at.map_or(0, |at| i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX));
        let metrics = &self.inner.metrics;
        metrics.last.set(seconds(newest.and_then(|backup| backup.made)));
        metrics.verified.set(seconds(rows.iter().filter_map(|backup| backup.verified).max()));
        metrics.bytes.set(newest.map_or(0, |backup| i64::try_from(backup.bytes).unwrap_or(i64::MAX)));
        self.cluster().map(|_| newest.and_then(|backup| backup.made))
    }

    /// Whether it is this node's turn: a's first, then b's, then c's, so that one that is down is stood in for.
    fn is_due(&self, newest: Option<Timestamp>) -> bool {
        let now = heads(&self.inner.node.view()).map(|heads| heads.clock).unwrap_or_default();
        let turn = u64::from(self.node().slot().map_or(0, |slot| slot.number() - 1));
        let every = u64::try_from(self.inner.config.load().backup.every.as_millis()).unwrap_or(u64::MAX);
        due(newest, self.cluster().map(|cluster| cluster.founded), now, every, turn)
    }
}

fn due(newest: Option<Timestamp>, founded: Option<Timestamp>, now: Timestamp, every: u64, turn: u64) -> bool {
    let wait = every / 6;
    let turn = turn.saturating_mul(BACKUP_STAGGER_MS.min(wait));
    match (newest, founded) {
        (Some(newest), _) => now >= newest.plus_ms(every).plus_ms(turn),
        (None, Some(founded)) => now >= founded.plus_ms(turn),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_makes_it_and_the_others_stand_in() {
        const HOUR: u64 = 60 * 60 * 1_000;
        let (made, founded) = (Some(Timestamp(100 * HOUR)), Some(Timestamp(HOUR)));
        let at = |now: u64, turn| due(made, founded, Timestamp(now), 24 * HOUR, turn);
        assert!(!at(124 * HOUR - 1, 0) && at(124 * HOUR, 0));
        assert!(!at(124 * HOUR, 1) && at(124 * HOUR + BACKUP_STAGGER_MS, 1));
        assert!(!at(124 * HOUR + BACKUP_STAGGER_MS, 2) && at(124 * HOUR + 2 * BACKUP_STAGGER_MS, 2));
        assert!(due(None, founded, Timestamp(HOUR), 24 * HOUR, 0), "the first one is due at once");
        assert!(!due(None, None, Timestamp(HOUR), 24 * HOUR, 0), "nothing to back up yet");
    }
}
