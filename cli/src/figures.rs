//! What nodes measure of themselves, in a few columns each: for `top` and `cluster status`.

use proto::v1::{NodeStatus, NodeVitals};

use crate::text::thousands;
use crate::when::{clock, now, roughly};

/// What stands where nothing was measured.
pub const NONE: &str = "-";
/// Log entries a node must be behind for it to be shown: each was heard at another moment of the last second.
const LAG_SHOWN: u64 = 1_000;
/// From here on the time of day no longer says when.
const TODAY_S: i64 = 20 * 60 * 60;

/// What a node tells of itself, while it answers.
pub fn vitals(node: &NodeStatus) -> Option<&NodeVitals> {
    node.vitals.as_ref().filter(|_| node.reachable)
}

/// Log entries it is behind, if that is worth a word; at most 6 columns.
pub fn behind(node: &NodeStatus) -> Option<String> {
    (node.reachable && node.lag >= LAG_SHOWN).then(|| count(node.lag))
}

/// `gone 17:16`, or `gone 3 days`; at most 12 columns.
pub fn gone(node: &NodeStatus) -> String {
    let Some(seen) = &node.last_seen_time else { return "no answer".into() };
    let ago = now().seconds.saturating_sub(seen.seconds);
    if ago < TODAY_S { format!("gone {}", clock(Some(seen))) } else { format!("gone {}", roughly(ago)) }
}

/// What is free of its disk; at most 5 columns.
pub fn free(node: &NodeStatus) -> String {
    let percent =
        vitals(node).and_then(|one| node.disk_free_bytes.saturating_mul(100).checked_div(one.disk_size_bytes));
    percent.map_or_else(|| NONE.into(), |percent| format!("{} %", percent.min(100)))
}

/// A time of a node, if it measured one; at most 6 columns.
pub fn time(node: &NodeStatus, of: fn(&NodeVitals) -> Option<&prost_types::Duration>) -> String {
    vitals(node).and_then(of).map_or_else(|| NONE.into(), |time| short(millis(time)))
}

/// In milliseconds.
pub fn millis(time: &prost_types::Duration) -> f64 {
    time.seconds as f64 * 1e3 + f64::from(time.nanos) / 1e6
}

/// `3.0 ms`, `214 ms`, `5.0 s`, `600 s`.
fn short(ms: f64) -> String {
    match ms {
        _ if ms >= 99_950.0 => format!("{:.0} s", ms / 1e3),
        _ if ms >= 999.5 => format!("{:.1} s", ms / 1e3),
        _ if ms >= 9.95 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// So many a second; at most 6 columns.
pub fn rate(value: f64) -> String {
    if value < 999.95 { format!("{value:.1}") } else { count(value.round() as u64) }
}

/// `99,999`, `123k`, `98.8M`; at most 6 columns.
pub fn count(value: u64) -> String {
    match value {
        0..100_000 => thousands(value),
        100_000..1_000_000 => format!("{}k", value / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", (value / 100_000) as f64 / 10.0),
        _ => format!("{}G", value / 1_000_000_000),
    }
}

/// What a clock shows too much, or too little; at most 7 columns.
pub fn offset(time: &prost_types::Duration) -> String {
    let seconds = millis(time) / 1e3;
    match seconds.abs() {
        far if far >= 1_000.0 => format!("{:+.1}h", seconds / 3_600.0),
        far if far >= 10.0 => format!("{seconds:+.1}s"),
        _ => format!("{seconds:+.2}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stay_within_their_columns() {
        for (ms, text) in [(0.04, "0.0 ms"), (9.96, "10 ms"), (999.6, "1.0 s"), (5_000.0, "5.0 s"), (99_960.0, "100 s")]
        {
            assert_eq!(short(ms), text);
        }
        for (value, text) in [(999.97, "1,000"), (0.04, "0.0"), (12_345.6, "12,346"), (250_000.0, "250k")] {
            assert_eq!(rate(value), text);
        }
        for (value, text) in [(99_999, "99,999"), (999_999, "999k"), (98_765_432, "98.7M"), (123_456_789_012, "123G")] {
            assert_eq!(count(value), text);
        }
        let of = |seconds, nanos| offset(&prost_types::Duration { seconds, nanos });
        assert_eq!([of(0, -20_000_000), of(3_600, 0), of(-12, 0)], ["-0.02s", "+1.0h", "-12.0s"]);
    }

    #[test]
    fn whoever_has_been_gone_for_days_is_not_told_by_the_time_of_day() {
        let at = |ago: i64| NodeStatus {
            last_seen_time: Some(prost_types::Timestamp { seconds: now().seconds - ago, nanos: 0 }),
            ..Default::default()
        };
        assert_eq!(gone(&at(3 * 86_400)), "gone 3 days");
        assert!(gone(&at(60)).contains(':'));
        assert_eq!(gone(&NodeStatus::default()), "no answer");
    }
}
