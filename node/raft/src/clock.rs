//! Cluster time: the middle of the three nodes' clocks, carried on by this node's monotonic clock (DESIGN 3, "Time").
//!
//! A clock is held as what it shows minus what our monotonic clock shows, so a sample needs no carrying on: it stays
//! true as long as that clock runs at our pace, and it is thrown away before a bad oscillator makes a difference.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::limits::{CLOCK_SAMPLE_MS_MAX, CLOCK_SPREAD_MS_MAX};
use types::{Slot, Timestamp};

/// Where time comes from. A simulation puts its own in place.
pub trait Time: Send + Sync + 'static {
    /// This machine's clock, in milliseconds since 1970-01-01 UTC. May step.
    fn wall_ms(&self) -> u64;

    /// Time since some moment, never going back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own time.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Time for SystemClock {
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Cluster time on this node. Shared by all that stamp or sample.
pub(crate) struct ClusterClock {
    time: Arc<dyn Time>,
    core: Mutex<Core>,
}

/// A reading of cluster time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) now: Timestamp,
    /// No two clocks agree: this is our monotonic clock going on from when two did.
    pub(crate) alone: bool,
}

impl ClusterClock {
    pub(crate) fn new(time: Arc<dyn Time>) -> Self {
        Self { time, core: Mutex::new(Core::default()) }
    }

    /// Goes on from what the state last knew of cluster time, until two clocks agree: a machine that starts with a wrong
    /// clock, and alone for the moment, must not stamp what its own clock shows.
    pub(crate) fn resume(&self, known: Timestamp) {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.resume(ms(self.time.monotonic()), known);
    }

    /// This node's own clock, for the samples of others.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.time.wall_ms()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.time.monotonic()
    }

    pub(crate) fn read(&self) -> Reading {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.read(ms(self.time.monotonic()), self.time.wall_ms())
    }

    /// How far each slot's clock is from cluster time, in milliseconds, ours among them; none for one not heard of lately.
    pub(crate) fn offsets_ms(&self, own: Option<Slot>) -> [Option<i64>; 3] {
        let (now, wall) = (ms(self.time.monotonic()), self.time.wall_ms());
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.offsets(now, wall, own)
    }

    /// What `peer` said its clock shows, somewhere between `asked` and now.
    pub(crate) fn sample(&self, peer: Slot, asked: Duration, peer_wall_ms: u64) {
        let now = ms(self.time.monotonic());
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.sample(peer, ms(asked), now, peer_wall_ms);
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The clocks as last seen. Pure: all times are given.
#[derive(Default)]
struct Core {
    /// By slot; our own place stays empty.
    samples: [Option<Sample>; 3],
    /// The offset we go by.
    offset: Option<i64>,
}

#[derive(Clone, Copy)]
struct Sample {
    /// The peer's clock minus our monotonic one.
    offset: i64,
    /// By our monotonic clock.
    taken: i64,
}

impl Core {
    fn sample(&mut self, peer: Slot, asked: i64, now: i64, peer_wall_ms: u64) {
        let round_trip = now - asked;
        // Half of it is how wrong the sample may be; a slow answer says too little.
        if !(0..=limit(CLOCK_SPREAD_MS_MAX)).contains(&round_trip) {
            return;
        }
        let middle = asked + round_trip / 2;
        let Ok(wall) = i64::try_from(peer_wall_ms) else { return };
        self.samples[usize::from(peer.number() - 1)] = Some(Sample { offset: wall - middle, taken: now });
    }

    fn resume(&mut self, now: i64, known: Timestamp) {
        // Before the founding there is nothing to go on from.
        let known = i64::try_from(known.0).ok().filter(|known| *known > 0);
        self.offset = self.offset.or(known.map(|known| known.saturating_sub(now)));
    }

    fn offsets(&mut self, now: i64, own_wall_ms: u64, own: Option<Slot>) -> [Option<i64>; 3] {
        let cluster = i64::try_from(self.read(now, own_wall_ms).now.0).unwrap_or(i64::MAX).saturating_sub(now);
        let mine = i64::try_from(own_wall_ms).unwrap_or(i64::MAX).saturating_sub(now);
        Slot::ALL.map(|slot| {
            if Some(slot) == own {
                return Some(mine.saturating_sub(cluster));
            }
            let sample = self.samples[usize::from(slot.number() - 1)].as_ref()?;
            let fresh = now - sample.taken <= limit(CLOCK_SAMPLE_MS_MAX);
            fresh.then(|| sample.offset.saturating_sub(cluster))
        })
    }

    fn read(&mut self, now: i64, own_wall_ms: u64) -> Reading {
        let own = i64::try_from(own_wall_ms).unwrap_or(i64::MAX).saturating_sub(now);
        let fresh = |sample: &Sample| now - sample.taken <= limit(CLOCK_SAMPLE_MS_MAX);
        let mut offsets: Vec<i64> = self.samples.iter().flatten().filter(|s| fresh(s)).map(|s| s.offset).collect();
        offsets.push(own);
        offsets.sort_unstable();
        let agreed = agreed(&offsets);
        let offset = agreed.or(self.offset).unwrap_or(own);
        self.offset = Some(offset);
        let at = u64::try_from(offset.saturating_add(now)).unwrap_or_default();
        Reading { now: Timestamp(at), alone: agreed.is_none() }
    }
}

/// The middle of three or the lower of two, if it is one of two that agree.
fn agreed(sorted: &[i64]) -> Option<i64> {
    let close = |a: i64, b: i64| b - a <= limit(CLOCK_SPREAD_MS_MAX);
    match *sorted {
        [low, middle, high] => (close(low, middle) || close(middle, high)).then_some(middle),
        [low, high] => close(low, high).then_some(low),
        _ => None,
    }
}

fn limit(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_700_000_000_000;

    fn with(samples: &[(Slot, i64, u64)]) -> Core {
        let mut core = Core::default();
        for &(slot, at, wall) in samples {
            core.sample(slot, at, at, wall);
        }
        core
    }

    #[test]
    fn of_three_clocks_the_middle_counts() {
        let mut core = with(&[(Slot::B, 0, NOON + 400), (Slot::C, 0, NOON + 900)]);
        assert_eq!(core.read(0, NOON), Reading { now: Timestamp(NOON + 400), alone: false });
        assert_eq!(core.read(70, NOON + 70).now, Timestamp(NOON + 470), "carried on by the monotonic clock");
    }

    #[test]
    fn one_wrong_clock_of_three_does_not_count() {
        let hour = 3_600_000;
        for own in [NOON - hour, NOON + hour] {
            let mut core = with(&[(Slot::B, 0, NOON), (Slot::C, 0, NOON + 10)]);
            let reading = core.read(0, own);
            assert!(!reading.alone);
            assert!((NOON..=NOON + 10).contains(&reading.now.0), "{reading:?}");
        }
    }

    #[test]
    fn of_two_clocks_the_lower_counts_if_they_agree() {
        let mut core = with(&[(Slot::B, 0, NOON + 800)]);
        assert_eq!(core.read(0, NOON), Reading { now: Timestamp(NOON), alone: false });
        let mut core = with(&[(Slot::B, 0, NOON + 5_000)]);
        assert!(core.read(0, NOON).alone);
    }

    #[test]
    fn without_agreement_time_goes_on_from_where_it_was() {
        let mut core = with(&[(Slot::B, 0, NOON), (Slot::C, 0, NOON)]);
        assert_eq!(core.read(0, NOON).now, Timestamp(NOON));
        let later = limit(CLOCK_SAMPLE_MS_MAX) + 1;
        let stepped = core.read(later, NOON + 86_400_000);
        assert_eq!(stepped, Reading { now: Timestamp(NOON + CLOCK_SAMPLE_MS_MAX + 1), alone: true });
    }

    #[test]
    fn a_node_that_starts_with_a_wrong_clock_goes_on_from_what_the_cluster_knew() {
        let mut core = Core::default();
        core.resume(5, Timestamp(NOON));
        assert_eq!(core.read(105, NOON + 3_600_000), Reading { now: Timestamp(NOON + 100), alone: true });
        core.sample(Slot::B, 200, 200, NOON + 90_000);
        assert!(core.read(200, NOON + 3_600_000).alone, "one other that differs is no agreement");
        core.sample(Slot::C, 200, 200, NOON + 90_000);
        assert_eq!(core.read(200, NOON + 3_600_000), Reading { now: Timestamp(NOON + 90_000), alone: false });

        let mut founding = Core::default();
        founding.resume(0, Timestamp(0));
        assert_eq!(founding.read(0, NOON).now, Timestamp(NOON), "nothing is known yet");
    }

    #[test]
    fn half_the_round_trip_is_taken_off() {
        let mut core = Core::default();
        core.sample(Slot::B, 100, 300, NOON);
        core.sample(Slot::C, 100, 300, NOON);
        assert_eq!(core.read(300, NOON + 500).now, Timestamp(NOON + 100));
    }

    #[test]
    fn an_answer_slower_than_the_spread_says_nothing() {
        let mut core = Core::default();
        core.sample(Slot::B, 0, 1_001, NOON);
        assert!(core.read(1_001, NOON).alone);
    }
}

/// A clock for tests of this crate.
#[cfg(test)]
pub(crate) mod tests_support {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Monotonic time in milliseconds, moved by hand.
    #[derive(Clone, Default)]
    pub(crate) struct Hand(pub(crate) Arc<AtomicU64>);

    impl Time for Hand {
        fn wall_ms(&self) -> u64 {
            0
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }
}
