//! The results, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::floor::Floor;
use crate::send::{Mode, Sends};

/// Collects what was measured.
pub struct Report {
    lines: Vec<String>,
    values: serde_json::Map<String, Value>,
    sends: Vec<Value>,
}

impl Report {
    /// Begins one: so long for each measurement, so many users.
    pub fn new(time: Duration, senders: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let heading = format!(
            "Three nodes on one machine with {processors} processors, {senders} users, 200-byte texts, {} s each.\n\
             fsync: every log batch is synced on a majority before it is acknowledged; it cannot be turned off.",
            time.as_secs()
        );
        let mut values = serde_json::Map::new();
        values.insert("processors".into(), processors.into());
        values.insert("seconds_each".into(), time.as_secs().into());
        values.insert("text_bytes".into(), 200.into());
        values.insert("fsync".into(), "every log batch, on a majority, before the acknowledgement".into());
        Self { lines: vec![heading], values, sends: Vec::new() }
    }

    /// The machine's own.
    pub fn floor(&mut self, floor: &Floor) {
        self.lines.push(format!(
            "floor: fdatasync of 4 KiB p50 {} p99 {}; loopback round trip p50 {} p99 {}",
            ms(floor.fdatasync.value_at_quantile(0.5)),
            ms(floor.fdatasync.value_at_quantile(0.99)),
            ms(floor.round_trip.value_at_quantile(0.5)),
            ms(floor.round_trip.value_at_quantile(0.99)),
        ));
        self.values.insert("fdatasync_4k_us".into(), quantiles(&floor.fdatasync));
        self.values.insert("loopback_round_trip_us".into(), quantiles(&floor.round_trip));
        self.lines.push(String::new());
        self.lines.push(format!(
            "{:10} {:>9} {:>10} {:>10} {:>10} {:>10} {:>12}",
            "sends", "in flight", "messages/s", "p50", "p99", "p99.9", "CPU s/1,000"
        ));
    }

    /// One load.
    pub fn sends(&mut self, sends: &Sends) {
        let rate = sends.messages as f64 / sends.time.as_secs_f64();
        let cost = sends.processor.as_secs_f64() * 1_000.0 / sends.messages.max(1) as f64;
        let mode = if sends.mode == Mode::Unary { "unary" } else { "streaming" };
        self.lines.push(format!(
            "{mode:10} {:>9} {rate:>10.0} {:>10} {:>10} {:>10} {cost:>12.2}",
            sends.in_flight,
            ms(sends.latency.value_at_quantile(0.5)),
            ms(sends.latency.value_at_quantile(0.99)),
            ms(sends.latency.value_at_quantile(0.999)),
        ));
        self.sends.push(json!({
            "mode": mode,
            "in_flight": sends.in_flight,
            "messages": sends.messages,
            "messages_per_second": rate,
            "latency_us": quantiles(&sends.latency),
            "cpu_seconds_per_1000_messages": cost,
        }));
    }

    /// From author to reader.
    pub fn delivery(&mut self, latency: &Histogram<u64>, per_second: u32) {
        self.lines.push(format!(
            "delivery to a subscriber on another node at {per_second} messages/s: p50 {} p99 {} p99.9 {}",
            ms(latency.value_at_quantile(0.5)),
            ms(latency.value_at_quantile(0.99)),
            ms(latency.value_at_quantile(0.999)),
        ));
        self.values.insert("delivery_us".into(), quantiles(latency));
        self.values.insert("delivery_offered_per_second".into(), per_second.into());
    }

    /// Bytes on the disks of all nodes for so many messages.
    pub fn disk(&mut self, bytes: u64, messages: u64) {
        let each = bytes as f64 / messages.max(1) as f64;
        self.lines.push(String::new());
        self.lines.push(format!("disk: {each:.0} bytes a message, the three nodes together, log included"));
        self.values.insert("disk_bytes_per_message".into(), each.into());
    }

    /// Resident memory of each node, in bytes.
    pub fn memory(&mut self, resident: Vec<u64>) {
        let each: Vec<String> = resident.iter().map(|bytes| format!("{} MiB", bytes >> 20)).collect();
        self.lines.push(format!("memory: {} resident", each.join(", ")));
        self.values.insert("resident_bytes".into(), resident.into());
    }

    /// As a table, to stdout.
    #[expect(clippy::print_stdout, reason = "the result is the output")]
    pub fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
    }

    /// As JSON.
    pub fn json(mut self) -> String {
        self.values.insert("sends".into(), self.sends.into());
        format!("{:#}\n", Value::Object(self.values))
    }
}

fn ms(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1_000.0)
}

fn quantiles(times: &Histogram<u64>) -> Value {
    json!({
        "p50": times.value_at_quantile(0.5),
        "p99": times.value_at_quantile(0.99),
        "p99_9": times.value_at_quantile(0.999),
        "max": times.max(),
        "count": times.len(),
    })
}
