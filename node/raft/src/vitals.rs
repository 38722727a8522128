//! How a node is, as nodes tell each other.

use std::time::Duration;

use proto::peer::NodeVitals;
use types::Timestamp;

use crate::handle::Vitals;

/// As it goes over the wire.
pub(crate) fn told(vitals: &Vitals) -> NodeVitals {
    NodeVitals {
        started_ms: vitals.started.0,
        memory_bytes: vitals.memory,
        disk_size_bytes: vitals.disk_size,
        clock_offset_ms: vitals.clock_offset_ms,
        clock_alone: vitals.clock_alone,
        vote_held: vitals.vote_held,
        sends_per_1000s: (vitals.sends * 1e3) as u64,
        deliveries_per_1000s: (vitals.deliveries * 1e3) as u64,
        send_p99_us: micros(vitals.send_p99),
        delivery_p99_us: micros(vitals.delivery_p99),
        fsync_p99_us: micros(vitals.fsync_p99),
        sessions: vitals.sessions,
        renewal_failed: vitals.renewal_failed,
    }
}

/// As it was told.
pub(crate) fn heard(told: &NodeVitals) -> Vitals {
    Vitals {
        started: Timestamp(told.started_ms),
        memory: told.memory_bytes,
        disk_size: told.disk_size_bytes,
        clock_offset_ms: told.clock_offset_ms,
        clock_alone: told.clock_alone,
        vote_held: told.vote_held,
        sends: told.sends_per_1000s as f64 / 1e3,
        deliveries: told.deliveries_per_1000s as f64 / 1e3,
        send_p99: time(told.send_p99_us),
        delivery_p99: time(told.delivery_p99_us),
        fsync_p99: time(told.fsync_p99_us),
        sessions: told.sessions,
        renewal_failed: told.renewal_failed,
    }
}

/// Zero stands for none, so what took less than a microsecond took one.
fn micros(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1))
}

fn time(micros: u64) -> Option<Duration> {
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let vitals = Vitals {
            started: Timestamp(1_700_000_000_000),
            memory: 1 << 30,
            disk_size: 1 << 40,
            clock_offset_ms: -3_600_000,
            clock_alone: true,
            vote_held: 2,
            sends: 12.5,
            deliveries: 3_000.25,
            send_p99: Some(Duration::from_micros(1_250)),
            delivery_p99: None,
            fsync_p99: Some(Duration::from_secs(2)),
            sessions: 10_000,
            renewal_failed: true,
        };
        assert_eq!(heard(&told(&vitals)), vitals);
        assert_eq!(heard(&NodeVitals::default()), Vitals::default());
    }
}
