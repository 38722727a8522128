//! Times, as people read them: local.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use prost_types::Timestamp as Wire;

/// A time of the wire in the local zone; none if it is out of any calendar.
pub fn local(wire: &Wire) -> Option<Zoned> {
    let timestamp = Timestamp::new(wire.seconds, wire.nanos).ok()?;
    // Tests compare what is shown, wherever they run.
    let zone = if cfg!(test) { TimeZone::UTC } else { TimeZone::system() };
    Some(timestamp.to_zoned(zone))
}

/// `2026-03-04 02:13`, or `-`.
pub fn minute(wire: Option<&Wire>) -> String {
    wire.and_then(local).map_or_else(|| "-".into(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

/// `02:13`, or `-`.
pub fn clock(wire: Option<&Wire>) -> String {
    wire.and_then(local).map_or_else(|| "-".into(), |time| time.strftime("%H:%M").to_string())
}

/// `Wed 2026-03-04`, or nothing.
pub fn day(wire: Option<&Wire>) -> String {
    wire.and_then(local).map_or_else(String::new, |time| time.strftime("%a %Y-%m-%d").to_string())
}

/// RFC 3339 in UTC for programs.
pub fn rfc3339(wire: Option<&Wire>) -> Option<String> {
    wire.and_then(|wire| Timestamp::new(wire.seconds, wire.nanos).ok()).map(|time| time.to_string())
}

/// Now, on this machine's clock.
pub fn now() -> Wire {
    let now = Timestamp::now();
    Wire { seconds: now.as_second(), nanos: now.subsec_nanosecond() }
}

/// 95 s as `2 min`, roughly, for people.
pub fn roughly(seconds: i64) -> String {
    match seconds {
        i64::MIN..=0 => "0 s".into(),
        1..=90 => format!("{seconds} s"),
        91..=5400 => format!("{} min", (seconds + 30) / 60),
        5401..=172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// `90s`, `30m`, `2h`, `1d` in seconds.
pub fn parse_span(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    (number > 0 && number <= 366 * 86_400 / factor).then(|| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_said() {
        assert_eq!(parse_span("30m"), Some(1800));
        assert_eq!(parse_span("2h"), Some(7200));
        for wrong in ["", "m", "-1m", "0m", "5", "5y", "999999999999d", "9223372036854775807d", "5µ"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
        assert_eq!(roughly(45), "45 s");
        assert_eq!(roughly(125), "2 min");
        assert_eq!(roughly(7200), "2 h");
    }
}
