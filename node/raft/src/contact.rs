//! For how long this node has had no word from a leader, by its own monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
}
