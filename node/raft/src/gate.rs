//! Refuses who would wait too long, before they wait: on the leader for an entry, on each node for all a call needs.
//!
//! How many may be inside follows from how long those before them took: fewer where that was longer than
//! `CALL_WAIT_MS_MAX`, more where it was not and some were refused. So it needs to know neither the disks nor the load, and
//! what a call costs may change at any time. A stop of the disks shows before anybody has been answered: by what waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use types::limits::{CALL_WAIT_MS_MAX, PROPOSALS_WAITING_MAX};

/// What calls may take: a little less than the most, for it is found out only afterwards.
const GOAL: Duration = Duration::from_millis(CALL_WAIT_MS_MAX * 4 / 5);
/// What has waited this long will not be answered in time.
const STUCK: Duration = Duration::from_millis(CALL_WAIT_MS_MAX / 2);
/// More are let in at most this often.
const RAISED_EVERY: Duration = Duration::from_millis(10);

/// Counts the calls that wait for an answer, and lets in no more than are answered in time.
#[derive(Debug)]
pub struct Gate(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// So many always come in.
    least: usize,
    inside: usize,
    limit: usize,
    /// The most that were inside since the limit was last looked at.
    most: usize,
    /// Somebody was refused since then.
    refused: bool,
    /// When the oldest of what waits for an entry began to.
    waiting_since: Option<Instant>,
    /// How long calls take, of the last few.
    takes: Duration,
    /// When the limit was last lowered: what was inside then tells nothing new.
    lowered: Option<Instant>,
    raised: Option<Instant>,
}

/// One call inside; leaves when dropped.
#[derive(Debug)]
pub struct Inside(Arc<Gate>);

impl Gate {
    /// One through which so many always come in; four times as many to begin with.
    #[must_use]
    pub fn new(least: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            least,
            inside: 0,
            limit: 4 * least,
            most: 0,
            refused: false,
            waiting_since: None,
            takes: Duration::ZERO,
            lowered: None,
            raised: None,
        })))
    }

    /// Lets a call in; none: it would wait too long. The least always come in, and so does what is urgent.
    pub fn enter(self: &Arc<Self>, urgent: bool, now: Instant) -> Option<Inside> {
        let mut inner = self.lock();
        let stuck = inner.waiting_since.is_some_and(|since| now.saturating_duration_since(since) >= STUCK);
        let too_many = inner.inside >= inner.limit || (stuck && inner.inside >= inner.least);
        if too_many && !urgent {
            inner.refused = true;
            return None;
        }
        inner.inside += 1;
        inner.most = inner.most.max(inner.inside);
        Some(Inside(Arc::clone(self)))
    }

    /// Something waits for an entry since now, or for longer if something waited before it.
    pub(crate) fn waits(&self, now: Instant) {
        self.lock().waiting_since.get_or_insert(now);
    }

    /// An entry took what waited; what still does began at this time.
    pub(crate) fn taken(&self, rest: Option<Instant>) {
        self.lock().waiting_since = rest;
    }

    /// A call was answered that was inside for so long: on the leader that which was in an entry's for the longest.
    pub fn answered(&self, took: Duration, now: Instant) {
        let mut inner = self.lock();
        inner.takes = (inner.takes + took) / 2;
        let long_ago = |at: Option<Instant>, time| at.is_none_or(|at| now.saturating_duration_since(at) > time);
        if inner.takes > GOAL {
            // Those that are answered for a while yet came in under the old limit.
            if long_ago(inner.lowered, inner.takes) {
                let share = (GOAL.as_secs_f64() / inner.takes.as_secs_f64()).max(0.5);
                let fit = inner.limit.min(inner.most) as f64 * share;
                inner.limit = (fit as usize).max(inner.least);
                inner.lowered = Some(now);
                (inner.most, inner.refused) = (inner.inside, false);
            }
        } else if inner.refused && long_ago(inner.raised, RAISED_EVERY) {
            inner.limit = (inner.limit + (inner.limit / 16).max(2)).min(PROPOSALS_WAITING_MAX);
            inner.raised = Some(now);
            (inner.most, inner.refused) = (inner.inside, false);
        }
    }

    /// How many calls may be inside now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.lock().limit
    }

    /// How many calls are inside, and how many may be.
    #[must_use]
    pub fn inside(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.inside, inner.limit)
    }

    /// What a poisoned lock protects is still sound here: each change is a few assignments that cannot fail.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.inside = inner.inside.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A leader that makes an entry of what waits whenever the one before is answered, in virtual time: an entry takes
    /// `entry`, and each call in it `each`.
    struct Leader {
        gate: Arc<Gate>,
        start: Instant,
        now: Duration,
        entry: Duration,
        each: Duration,
        queue: VecDeque<(Duration, Inside)>,
        under_way: Option<(Duration, Vec<(Duration, Inside)>)>,
        refused: usize,
        took: Vec<Duration>,
        waited: Duration,
    }

    impl Leader {
        fn new(entry: Duration, each: Duration) -> Self {
            Self {
                gate: Gate::new(32),
                start: Instant::now(),
                now: Duration::ZERO,
                entry,
                each,
                queue: VecDeque::new(),
                under_way: None,
                refused: 0,
                took: Vec::new(),
                waited: Duration::ZERO,
            }
        }

        /// So many calls a second, for so long; each goes away when it is refused.
        fn offer(&mut self, per_second: u32, time: Duration) {
            let (step, until) = (Duration::from_secs(1) / per_second, self.now + time);
            while self.now < until {
                self.now += step;
                self.serve();
                match self.gate.enter(false, self.start + self.now) {
                    Some(inside) => {
                        self.gate.waits(self.start + self.now);
                        self.queue.push_back((self.now, inside));
                    }
                    None => self.refused += 1,
                }
                self.begin();
            }
        }

        fn serve(&mut self) {
            while let Some((end, calls)) = self.under_way.take_if(|(end, _)| *end <= self.now) {
                let oldest = calls.iter().map(|(since, _)| *since).min().expect("an entry has calls");
                self.took.extend(calls.into_iter().map(|(since, _)| end - since));
                self.gate.answered(end - oldest, self.start + end);
                self.begin();
            }
        }

        fn begin(&mut self) {
            if self.under_way.is_none() && !self.queue.is_empty() {
                let calls: Vec<_> = self.queue.drain(..).collect();
                self.gate.taken(None);
                self.waited = self.waited.max(self.now - calls[0].0);
                let takes = self.entry + self.each * u32::try_from(calls.len()).expect("few");
                self.under_way = Some((self.now + takes, calls));
            }
        }

        fn p99(&mut self) -> Duration {
            self.took.sort();
            self.took[self.took.len() * 99 / 100]
        }
    }

    const WAIT_MAX: Duration = Duration::from_millis(CALL_WAIT_MS_MAX);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nobody_is_refused_while_all_are_answered_in_time() {
        let mut leader = Leader::new(5 * MS, MS / 10); // At most 10,000 a second.
        leader.offer(5_000, Duration::from_secs(5));
        assert_eq!(leader.refused, 0);
        assert!(leader.p99() < WAIT_MAX);
    }

    #[test]
    fn at_ten_times_what_it_can_those_it_lets_in_do_not_wait() {
        let mut leader = Leader::new(5 * MS, MS / 10);
        leader.offer(100_000, Duration::from_millis(500)); // Until it knows how much it can.
        (leader.took, leader.waited) = (Vec::new(), Duration::ZERO);
        leader.offer(100_000, Duration::from_secs(5));
        assert!(leader.waited < WAIT_MAX, "waited {:?}", leader.waited);
        assert!(leader.p99() < WAIT_MAX * 5 / 4, "p99 {:?}", leader.p99());
        assert!(leader.took.len() > 5 * 6_000, "it does most of what it can: {} in 5 s", leader.took.len());
    }

    #[test]
    fn when_the_disk_stops_refusals_begin_before_anybody_has_waited_too_long() {
        let mut leader = Leader::new(Duration::from_secs(5), Duration::ZERO);
        leader.offer(20_000, WAIT_MAX);
        assert!(leader.refused > 0);
        assert!(leader.queue.len() < 20_000 / 20, "not all of what came in 50 ms: {}", leader.queue.len());
    }

    #[test]
    fn a_slow_disk_alone_refuses_nobody() {
        let mut leader = Leader::new(200 * MS, Duration::ZERO);
        leader.offer(60, Duration::from_secs(5)); // Never more than two dozen inside.
        assert_eq!(leader.refused, 0);
    }

    #[test]
    fn after_a_stop_it_lets_in_as_many_as_before_within_two_seconds() {
        let mut leader = Leader::new(5 * MS, MS / 20);
        leader.offer(15_000, Duration::from_secs(2));
        leader.entry = Duration::from_secs(2);
        leader.offer(15_000, Duration::from_secs(3));
        leader.entry = 5 * MS;
        leader.offer(15_000, Duration::from_secs(3));
        leader.refused = 0;
        leader.offer(15_000, Duration::from_secs(2));
        assert!(leader.refused < 300, "{} of 30,000 refused", leader.refused);
    }

    #[test]
    fn what_is_urgent_comes_in_and_who_has_left_makes_room() {
        let (gate, now) = (Gate::new(32), Instant::now());
        let mut inside: Vec<_> = std::iter::from_fn(|| gate.enter(false, now)).collect();
        assert_eq!(inside.len(), gate.limit());
        inside.push(gate.enter(true, now).expect("it is urgent"));
        inside.truncate(gate.limit() - 1);
        assert!(gate.enter(false, now).is_some());
    }
}
