//! For how long this node has had no word from a leader, by its own monotonic clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use types::limits::STALE_AFTER_MS;

use crate::clock::ClusterClock;

/// When a leader was last heard of here.
pub(crate) struct Contact {
    clock: Arc<ClusterClock>,
    /// Monotonic milliseconds, plus one; 0: never since the start.
    heard: AtomicU64,
    started: Duration,
}

impl Contact {
    pub(crate) fn new(clock: Arc<ClusterClock>) -> Self {
        let started = clock.monotonic();
        Self { clock, heard: AtomicU64::new(0), started }
    }

    /// A leader that counts was heard of just now.
    pub(crate) fn heard(&self) {
        self.heard_at(self.clock.monotonic());
    }

    /// It was heard of at that moment of the monotonic clock.
    pub(crate) fn heard_at(&self, at: Duration) {
        self.heard.fetch_max(millis(at) + 1, Ordering::Relaxed);
    }

    /// None: within the last second. Before the first word nobody knows for how long: at least since the start, and no
    /// less than a second.
    pub(crate) fn stale_age(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let limit = Duration::from_millis(STALE_AFTER_MS);
        match self.heard.load(Ordering::Relaxed) {
            0 => Some(now.saturating_sub(self.started).max(limit)),
            heard => Some(now.saturating_sub(Duration::from_millis(heard - 1))).filter(|age| *age > limit),
        }
    }
}

/// For how long this node has not caught up with what a majority had.
pub(crate) struct Lag {
    clock: Arc<ClusterClock>,
    /// What a majority had when this was last reached, and when that was.
    mark: Mutex<(u64, Duration)>,
}

impl Lag {
    pub(crate) fn new(clock: Arc<ClusterClock>) -> Self {
        let now = clock.monotonic();
        Self { clock, mark: Mutex::new((0, now)) }
    }

    /// Zero while what was committed at one look is applied at the next. Otherwise for how long it is not.
    pub(crate) fn age(&self, committed: u64, applied: u64) -> Duration {
        let now = self.clock.monotonic();
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if applied >= mark.0 {
            *mark = (committed, now);
            return Duration::ZERO;
        }
        now.saturating_sub(mark.1)
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests_support::Hand;

    #[test]
    fn it_is_stale_until_first_heard_and_a_second_after_the_last_word() {
        let hand = Hand::default();
        let contact = Contact::new(Arc::new(ClusterClock::new(Arc::new(hand.clone()))));
        assert_eq!(contact.stale_age(), Some(Duration::from_secs(1)), "a node that just started knows nothing");
        contact.heard();
        assert_eq!(contact.stale_age(), None);
        hand.0.store(1_000, Ordering::Relaxed);
        assert_eq!(contact.stale_age(), None);
        hand.0.store(1_500, Ordering::Relaxed);
        assert_eq!(contact.stale_age(), Some(Duration::from_millis(1_500)));
        contact.heard_at(Duration::from_millis(200));
        assert_eq!(contact.stale_age(), Some(Duration::from_millis(1_300)));
    }

    #[test]
    fn whoever_keeps_up_does_not_lag_however_much_is_written_and_whoever_does_not_does() {
        let hand = Hand::default();
        let lag = Lag::new(Arc::new(ClusterClock::new(Arc::new(hand.clone()))));
        for second in 0..10 {
            hand.0.store(1_000 * second, Ordering::Relaxed);
            assert_eq!(lag.age(100 * (second + 1), 100 * second), Duration::ZERO, "always a little behind");
        }
        for (second, age) in [(20, 11), (30, 21)] {
            hand.0.store(1_000 * second, Ordering::Relaxed);
            assert_eq!(lag.age(9_000, 950), Duration::from_secs(age), "it does not reach 1,000");
        }
        assert_eq!(lag.age(9_000, 1_000), Duration::ZERO, "it does; but what was there then is far");
        hand.0.store(36_000, Ordering::Relaxed);
        assert_eq!(lag.age(9_000, 5_000), Duration::from_secs(6));
        assert_eq!(lag.age(9_100, 9_000), Duration::ZERO);
    }
}
