//! How long whoever failed to prove themselves has to wait before another try counts.
//!
//! Failures are counted for each source by itself: whoever guesses at a desk blocks that desk for that login, not the
//! user on their own phone. Guesses from many places together make new devices wait; the user's own devices never do so
//! for what others did.

use types::Timestamp;
use types::identity::{Failures, Source};
use types::limits::{FAILURES_FREE, FAILURES_KEPT_MS, FAILURES_STRANGE_FREE, LOCKOUT_MS_MAX, LOCKOUT_MS_MIN};

/// The milliseconds until a try from this source counts; none: now.
#[must_use]
pub fn wait_ms(failures: &Failures, source: Source, now: Timestamp) -> Option<u64> {
    let own = failures.sources.iter().find(|failing| failing.source == source);
    let own = own.and_then(|failing| left(failing.count, FAILURES_FREE, failing.last, now));
    let strange = match source {
        Source::Device(_) => None,
        Source::Address(_) => left(failures.strange, FAILURES_STRANGE_FREE, failures.strange_last, now),
    };
    own.max(strange)
}

fn left(count: u32, free: u32, last: Timestamp, now: Timestamp) -> Option<u64> {
    let over = count.checked_sub(free)?;
    let wait = LOCKOUT_MS_MIN.saturating_mul(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(LOCKOUT_MS_MAX);
    let end = last.plus_ms(wait);
    (now < end).then(|| end.since_ms(now))
}

/// Whether a failure then says nothing any more.
pub(crate) fn is_faded(last: Timestamp, now: Timestamp) -> bool {
    now.since_ms(last) >= FAILURES_KEPT_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use types::DeviceId;
    use types::identity::Failing;

    const DESK: Source = Source::Address([1; 16]);
    const PHONE: Source = Source::Device(DeviceId([2; 16]));
    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn the_wait_doubles_with_each_failure_and_has_an_end() {
        let waits = [4, 5, 6, 7, 10, 30, 200].map(|count| {
            let sources = vec![Failing { source: DESK, count, last: NOW }];
            wait_ms(&Failures { sources, ..Failures::default() }, DESK, NOW)
        });
        assert_eq!(
            waits.map(|wait| wait.map(|ms| ms / 1_000)),
            [None, Some(30), Some(60), Some(120), Some(900), Some(900), Some(900)]
        );
    }

    #[test]
    fn guesses_from_many_places_do_not_lock_out_the_users_own_device() {
        let failures = Failures { sources: vec![], strange: 1_000, strange_last: NOW };
        assert!(wait_ms(&failures, DESK, NOW).is_some());
        assert_eq!(wait_ms(&failures, PHONE, NOW), None);
    }
}
