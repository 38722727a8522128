//! How this node is: rates and times of its last ten seconds, from the metrics everybody else reads too.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus::Registry;
use prometheus::proto::{Histogram, MetricFamily};
use raft::Vitals;
use types::Timestamp;

/// How far back rates and times reach.
const WINDOW: Duration = Duration::from_secs(10);
/// What is under way for less is only slow.
const STUCK_MIN: Duration = Duration::from_secs(5);
/// Looks kept: one a second, and one to spare.
const LOOKS_MAX: usize = 12;

/// Looks at the metrics now and then, and says what happened between.
pub struct Gauge {
    registry: Registry,
    started: Timestamp,
    looks: VecDeque<Look>,
    /// Since when batches of the log wait and none has been made safe.
    stuck: Option<Instant>,
}

/// The counts at one moment.
#[derive(Clone, Default)]
struct Look {
    at: Option<Instant>,
    sends: f64,
    deliveries: f64,
    send: Buckets,
    delivery: Buckets,
    fsync: Buckets,
    queued: f64,
    memory: u64,
    sessions: u32,
    renewal_failed: bool,
}

/// The upper bound of each bucket of a histogram, in seconds, and how many came up to it.
type Buckets = Vec<(f64, u64)>;

impl Gauge {
    /// Reads this registry.
    pub fn new(registry: Registry) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = Timestamp(u64::try_from(since.as_millis()).unwrap_or_default());
        Self { registry, started, looks: VecDeque::new(), stuck: None }
    }

    /// Looks, and says how it was since the look of ten seconds ago. A batch of the log that is not made safe at all counts
    /// with the time it has taken so far: nothing that ended would show it.
    pub fn look(&mut self, now: Instant) -> Vitals {
        let look = Look { at: Some(now), ..Look::of(&self.registry.gather()) };
        while self.looks.len() >= LOOKS_MAX || self.looks.get(1).is_some_and(|next| next.age(now) >= WINDOW) {
            self.looks.pop_front();
        }
        let waits =
            self.looks.back().filter(|last| look.queued > 0.0 && last.queued > 0.0 && look.fsyncs() == last.fsyncs());
        self.stuck = waits.and_then(|last| self.stuck.or(last.at));
        let stuck = self.stuck.map(|since| now.saturating_duration_since(since)).filter(|time| *time >= STUCK_MIN);
        let vitals = self.looks.front().map_or_else(|| look.since(&look), |first| look.since(first));
        self.looks.push_back(look);
        Vitals { started: self.started, fsync_p99: stuck.or(vitals.fsync_p99), ..vitals }
    }
}

impl Look {
    fn of(families: &[MetricFamily]) -> Self {
        let mut look = Self::default();
        for family in families {
            let metrics = family.get_metric();
            let counted = || metrics.iter().map(|one| one.get_counter().get_value()).sum();
            let first = || metrics.first().map_or(0.0, |one| one.get_gauge().get_value());
            let histogram = || metrics.first().map(|one| buckets(one.get_histogram())).unwrap_or_default();
            match family.name() {
                "tricord_client_sends_total" => look.sends = counted(),
                "tricord_client_deliveries_total" => look.deliveries = counted(),
                "tricord_client_delivery_seconds" => look.delivery = histogram(),
                "tricord_log_fsync_seconds" => look.fsync = histogram(),
                "tricord_log_queue_bytes" => look.queued = first(),
                "process_resident_memory_bytes" => look.memory = first() as u64,
                "tricord_client_sessions" => look.sessions = first() as u32,
                "tricord_server_certificate_renewal_failed_flag" => look.renewal_failed = first() > 0.0,
                "tricord_client_call_seconds" => {
                    let send = metrics.iter().find(|one| one.get_label().iter().any(|l| l.value() == "SendMessage"));
                    look.send = send.map(|one| buckets(one.get_histogram())).unwrap_or_default();
                }
                _ => {}
            }
        }
        look
    }

    fn fsyncs(&self) -> u64 {
        self.fsync.last().map_or(0, |(_, all)| *all)
    }

    fn age(&self, now: Instant) -> Duration {
        self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    fn since(&self, before: &Self) -> Vitals {
        let seconds = self.at.map_or(0.0, |at| before.age(at).as_secs_f64());
        let rate = |now: f64, then: f64| if seconds > 0.0 { (now - then).max(0.0) / seconds } else { 0.0 };
        Vitals {
            memory: self.memory,
            sessions: self.sessions,
            renewal_failed: self.renewal_failed,
            sends: rate(self.sends, before.sends),
            deliveries: rate(self.deliveries, before.deliveries),
            send_p99: p99(&self.send, &before.send),
            delivery_p99: p99(&self.delivery, &before.delivery),
            fsync_p99: p99(&self.fsync, &before.fsync),
            ..Vitals::default()
        }
    }
}

fn buckets(histogram: &Histogram) -> Buckets {
    let mut buckets: Buckets =
        histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
    buckets.push((f64::INFINITY, histogram.get_sample_count()));
    buckets
}

/// What 99 of 100 stayed within, between two looks: by straight line within its bucket, as Prometheus does it. What is above
/// the last bound counts as that bound.
fn p99(now: &Buckets, before: &Buckets) -> Option<Duration> {
    let then = |index: usize| before.get(index).map_or(0, |bucket| bucket.1);
    let counts: Vec<(f64, u64)> =
        now.iter().enumerate().map(|(index, (bound, count))| (*bound, count.saturating_sub(then(index)))).collect();
    let all = counts.last()?.1;
    let rank = all as f64 * 0.99;
    let (mut lower, mut below) = (0.0, 0);
    for (bound, count) in counts.into_iter().filter(|_| all > 0) {
        if count as f64 >= rank {
            let within = if bound.is_finite() {
                lower + (bound - lower) * (rank - below as f64) / (count - below).max(1) as f64
            } else {
                lower
            };
            return Some(Duration::from_secs_f64(within));
        }
        (lower, below) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, IntCounterVec, Opts};

    #[test]
    fn a_batch_that_is_never_made_safe_counts_with_the_time_it_has_taken() {
        let registry = Registry::new();
        let fsync = HistogramOpts::new("tricord_log_fsync_seconds", "x").buckets(vec![0.001, 0.01]);
        let fsync = prometheus::Histogram::with_opts(fsync).expect("a name of its own");
        let queue = prometheus::IntGauge::new("tricord_log_queue_bytes", "x").expect("a name of its own");
        registry.register(Box::new(fsync.clone())).expect("a name of its own");
        registry.register(Box::new(queue.clone())).expect("a name of its own");
        let (mut gauge, start) = (Gauge::new(registry), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        gauge.look(at(0));
        queue.set(100);
        (1..6).for_each(|second| assert_eq!(gauge.look(at(second)).fsync_p99, None));
        assert_eq!(gauge.look(at(6)).fsync_p99, Some(Duration::from_secs(5)));
        assert_eq!(gauge.look(at(30)).fsync_p99, Some(Duration::from_secs(29)));
        fsync.observe(0.0005);
        assert!(gauge.look(at(31)).fsync_p99.is_none_or(|time| time < Duration::from_secs(1)), "it goes on");
        queue.set(0);
        assert!(gauge.look(at(60)).fsync_p99.is_none(), "nothing waits");
    }

    #[test]
    fn rates_and_times_are_of_the_last_ten_seconds() {
        let registry = Registry::new();
        let sends =
            IntCounterVec::new(Opts::new("tricord_client_sends_total", "x"), &["result"]).expect("a name of its own");
        let fsync = HistogramOpts::new("tricord_log_fsync_seconds", "x").buckets(vec![0.001, 0.01, 0.1]);
        let fsync = prometheus::Histogram::with_opts(fsync).expect("a name of its own");
        registry.register(Box::new(sends.clone())).expect("a name of its own");
        registry.register(Box::new(fsync.clone())).expect("a name of its own");
        let (mut gauge, start) = (Gauge::new(registry), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);

        fsync.observe(0.5);
        assert_eq!(gauge.look(at(0)).fsync_p99, None, "what was before the first look is nobody's");
        sends.with_label_values(&["sent"]).inc_by(50);
        sends.with_label_values(&["failed"]).inc_by(50);
        (0..100).for_each(|_| fsync.observe(0.0005));
        let vitals = gauge.look(at(5));
        assert!((vitals.sends - 20.0).abs() < 1e-9, "{}", vitals.sends);
        assert_eq!(vitals.fsync_p99, Some(Duration::from_micros(990)));
        for second in 6..16 {
            gauge.look(at(second));
        }
        let vitals = gauge.look(at(16));
        assert!(vitals.sends == 0.0 && vitals.fsync_p99.is_none(), "{vitals:?}");
        fsync.observe(7.0);
        assert_eq!(gauge.look(at(17)).fsync_p99, Some(Duration::from_millis(100)), "the last bound is what is known");
        assert!(gauge.looks.len() <= LOOKS_MAX);
    }
}
