//! What is asked of Tricord's speed: a row for each answer, with what it should be.

use serde_json::{Value, json};

/// What a value should be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Aim {
    /// At most this.
    Most(f64),
    /// At least this.
    Least(f64),
    /// Known for comparison.
    None,
}

impl Aim {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::Most(most) => Some(value <= most),
            Self::Least(least) => Some(value >= least),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Most(most) => format!("≤ {most}"),
            Self::Least(least) => format!("≥ {least}"),
            Self::None => String::new(),
        }
    }

    fn value(self) -> Option<f64> {
        match self {
            Self::Most(aim) | Self::Least(aim) => Some(aim),
            Self::None => None,
        }
    }
}

/// Every row of a plain run: its name, its unit, its aim. `README.md` says how each is measured.
pub const ROWS: &[(&str, &str, Aim)] = &[
    ("unary-1-p50-ms", "ms", Aim::Most(0.6)),
    ("unary-1-per-s", "messages/s", Aim::None),
    ("unary-16-per-s", "messages/s", Aim::Least(8_000.0)),
    ("unary-16-p99-ms", "ms", Aim::None),
    ("unary-64-per-s", "messages/s", Aim::Least(12_000.0)),
    ("unary-64-p99-ms", "ms", Aim::Most(10.0)),
    ("unary-64-cpu-ms-per-message", "ms", Aim::None),
    ("stream-256-per-s", "messages/s", Aim::None),
    ("stream-256-p99-ms", "ms", Aim::None),
    ("stream-256-cpu-ms-per-message", "ms", Aim::Most(0.08)),
    ("stream-1024-per-s", "messages/s", Aim::None),
    ("stream-1024-p99-ms", "ms", Aim::None),
    ("stream-1024-cpu-ms-per-message", "ms", Aim::None),
    ("deliver-other-node-p50-ms", "ms", Aim::Most(1.1)),
    ("deliver-other-node-p99-ms", "ms", Aim::Most(2.2)),
    ("group-500-last-delivery-p99-ms", "ms", Aim::Most(25.0)),
    ("group-500-cpu-us-per-delivery", "µs", Aim::Most(5.0)),
    ("idle-stream-kib", "KiB", Aim::Most(40.0)),
    ("resume-5000-missed-ms", "ms", Aim::Most(50.0)),
    ("history-front-p99-ms", "ms", Aim::Most(3.0)),
    ("history-middle-p99-ms", "ms", Aim::Most(3.0)),
    ("history-end-p99-ms", "ms", Aim::Most(3.0)),
    ("proof-p99-ms", "ms", Aim::Most(5.0)),
    ("verify-million-records-s", "s", Aim::Most(10.0)),
    ("reconnect-storm-s", "s", Aim::Most(5.0)),
    ("rolling-restart-gap-median-ms", "ms", Aim::None),
    ("rolling-restart-gap-max-ms", "ms", Aim::Most(300.0)),
    ("kill-leader-gap-median-ms", "ms", Aim::Most(250.0)),
    ("kill-leader-gap-max-ms", "ms", Aim::Most(600.0)),
    ("vanish-leader-gap-median-ms", "ms", Aim::Most(1_000.0)),
    ("vanish-leader-gap-max-ms", "ms", Aim::Most(1_500.0)),
    ("disk-bytes-per-message-and-node", "bytes", Aim::Most(700.0)),
    ("disk-written-to-grown", "", Aim::Most(4.0)),
    ("restart-s", "s", Aim::Most(5.0)),
    ("memory-mib-per-node", "MiB", Aim::Most(400.0)),
];

/// Rows of `--stored`.
pub const GROWTH: &[(&str, &str, Aim)] = &[
    ("stored-memory-mib-per-node", "MiB", Aim::Most(400.0)),
    ("stored-restart-s", "s", Aim::Most(5.0)),
    ("stored-catch-up-s", "s", Aim::Most(240.0)),
    ("stored-replace-s", "s", Aim::Most(240.0)),
    ("stored-replace-mib", "MiB", Aim::None),
    ("stored-replace-by-snapshot", "", Aim::None),
    ("growth-unary-64-ratio", "", Aim::Most(1.25)),
    ("growth-history-ratio", "", Aim::Most(1.25)),
    ("growth-resume-ratio", "", Aim::Most(1.25)),
    ("growth-restart-ratio", "", Aim::Most(1.25)),
    ("growth-rested-unary-64-ratio", "", Aim::Most(1.25)),
    ("growth-rested-history-ratio", "", Aim::Most(1.25)),
    ("growth-rested-resume-ratio", "", Aim::Most(1.25)),
];

/// Rows of `--bare`: how much slower and dearer sealing and the audit log make a message.
pub const COST: &[(&str, &str, Aim)] = &[
    ("sealed-audited-unary-64-rate-percent", "%", Aim::Most(15.0)),
    ("sealed-audited-unary-64-cpu-percent", "%", Aim::Most(15.0)),
    ("sealed-audited-stream-256-rate-percent", "%", Aim::Most(15.0)),
    ("sealed-audited-stream-256-cpu-percent", "%", Aim::Most(15.0)),
];

/// Rows of `--crowd`: so many sessions on one node, two streams each.
pub const CROWD: &[(&str, &str, Aim)] = &[
    ("crowd-idle-stream-kib", "KiB", Aim::Most(40.0)),
    ("crowd-idle-cpu-percent", "%", Aim::None),
    ("crowd-reconnect-s", "s", Aim::Most(5.0)),
];

/// Rows of `--peer`: what the peer does, and what we do as a multiple of that.
pub const PEERS: &[(&str, &str, Aim)] = &[
    ("unary-1-rate-to-etcd", "", Aim::None),
    ("unary-1-p99-to-etcd", "", Aim::None),
    ("unary-16-rate-to-etcd", "", Aim::None),
    ("unary-16-p99-to-etcd", "", Aim::None),
    ("unary-64-rate-to-etcd", "", Aim::None),
    ("unary-64-p99-to-etcd", "", Aim::None),
    ("stream-256-rate-to-etcd", "", Aim::Least(2.0)),
    ("stream-256-p99-to-etcd", "", Aim::Most(1.0)),
    ("stream-1024-rate-to-etcd", "", Aim::Least(2.0)),
    ("stream-1024-p99-to-etcd", "", Aim::Most(1.0)),
    ("unary-1-rate-to-nats", "", Aim::None),
    ("unary-1-p99-to-nats", "", Aim::None),
    ("unary-16-rate-to-nats", "", Aim::None),
    ("unary-16-p99-to-nats", "", Aim::None),
    ("unary-64-rate-to-nats", "", Aim::None),
    ("unary-64-p99-to-nats", "", Aim::None),
    ("stream-256-rate-to-nats", "", Aim::Least(0.7)),
    ("stream-256-p99-to-nats", "", Aim::Most(1.0)),
    ("stream-1024-rate-to-nats", "", Aim::Least(0.7)),
    ("stream-1024-p99-to-nats", "", Aim::Most(1.0)),
];

fn all() -> impl Iterator<Item = &'static (&'static str, &'static str, Aim)> {
    [ROWS, GROWTH, COST, CROWD, PEERS].into_iter().flatten()
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Row {
    /// As in [`ROWS`], [`GROWTH`], [`COST`], [`CROWD`] or [`PEERS`].
    pub id: &'static str,
    /// In the unit of its row.
    pub value: f64,
}

impl Row {
    /// The row of this name.
    ///
    /// Errors: there is none.
    pub fn new(id: &str, value: f64) -> cluster::Result<Self> {
        let known = all().find(|(known, ..)| *known == id);
        let (id, ..) = known.ok_or_else(|| format!("no row is called {id}"))?;
        Ok(Self { id, value })
    }

    fn about(&self) -> (&'static str, Aim) {
        all().find(|(id, ..)| *id == self.id).map_or(("", Aim::None), |&(_, unit, aim)| (unit, aim))
    }

    /// As a line of the table. `floor_ms`: a synced write and a round trip of this machine, in milliseconds.
    pub fn line(&self, floor_ms: f64) -> String {
        let (unit, aim) = self.about();
        let met = match aim.met(self.value) {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let ratio = self.floor_ratio(floor_ms).map_or(String::new(), |ratio| format!("{ratio:.1} x floor"));
        let line = format!("{:36} {:>12} {unit:10} {:>10} {met:6} {ratio}", self.id, short(self.value), aim.text());
        line.trim_end().to_owned()
    }

    /// As JSON.
    pub fn json(&self, floor_ms: f64) -> Value {
        let (unit, aim) = self.about();
        json!({
            "id": self.id, "value": self.value, "unit": unit, "aim": aim.value(), "met": aim.met(self.value),
            "floor_ratio": self.floor_ratio(floor_ms),
        })
    }

    /// For times of single messages: how many times the least that this machine could take.
    fn floor_ratio(&self, floor_ms: f64) -> Option<f64> {
        let single = self.id.starts_with("unary-1-p50") || self.id.starts_with("deliver-");
        (single && floor_ms > 0.0).then(|| self.value / floor_ms)
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_kebab_case_and_each_is_there_once() {
        let mut names: Vec<&str> = all().map(|(id, ..)| *id).collect();
        let kebab =
            |id: &str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        assert!(names.iter().all(|id| kebab(id)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_line_says_what_was_aimed_at() {
        let row = Row::new("unary-64-p99-ms", 12.5).expect("known");
        assert!(row.line(0.2).contains("12.50") && row.line(0.2).ends_with("missed"), "{}", row.line(0.2));
        assert!(Row::new("nonsense", 1.0).is_err());
    }
}
