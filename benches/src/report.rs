//! The results, for people and for programs.

use std::path::Path;

use cluster::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::floor::Floor;
use crate::peers::{Load, Peer};
use crate::rows::{ROWS, Row};
use crate::send::{Mode, Sends};

/// Collects what was measured, and prints each row as it comes.
pub struct Report {
    machine: String,
    floor: Floor,
    rows: Vec<Row>,
    loads: Vec<Ours>,
}

/// A load of ours, to compare with.
#[derive(Clone)]
struct Ours {
    mode: Mode,
    in_flight: usize,
    per_second: f64,
    p99_ms: f64,
}

impl Report {
    /// Begins one.
    pub fn new(floor: Floor) -> Self {
        let report = Self { machine: machine(), floor, rows: Vec::new(), loads: Vec::new() };
        let Floor { fdatasync, round_trip } = &report.floor;
        print(&format!("three nodes and their clients on one machine: {}", report.machine));
        print("every message is authenticated, authorised, sealed, recorded, and synced on two of three nodes first");
        print(&format!(
            "floor: fdatasync of 4 KiB p50 {:.2} ms p99 {:.2} ms; loopback round trip p50 {:.3} ms p99 {:.3} ms\n",
            ms(fdatasync, 0.5),
            ms(fdatasync, 0.99),
            ms(round_trip, 0.5),
            ms(round_trip, 0.99)
        ));
        report
    }

    /// A value of one row.
    pub fn row(&mut self, id: &str, value: f64) -> Result<()> {
        let row = Row::new(id, value)?;
        print(&row.line(self.floor_ms()));
        self.rows.push(row);
        Ok(())
    }

    /// A load: the rows of it that are asked about.
    pub fn sends(&mut self, sends: &Sends) -> Result<()> {
        let rate = sends.messages as f64 / sends.time.as_secs_f64();
        let cost = sends.processor.as_secs_f64() * 1e3 / sends.messages.max(1) as f64;
        let name = format!("{}-{}", sends.mode.id(), sends.in_flight);
        let (p50, p99, p999) = (ms(&sends.latency, 0.5), ms(&sends.latency, 0.99), ms(&sends.latency, 0.999));
        print(&format!(
            "{name}: {rate:.0} messages/s; p50 {p50:.2} p99 {p99:.2} p99.9 {p999:.2} ms; {cost:.3} ms of processor a message"
        ));
        self.loads.push(Ours { mode: sends.mode, in_flight: sends.in_flight, per_second: rate, p99_ms: p99 });
        for (what, value) in [("per-s", rate), ("p50-ms", p50), ("p99-ms", p99), ("cpu-ms-per-message", cost)] {
            if let Ok(row) = Row::new(&format!("{name}-{what}"), value) {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// A load of a peer, and what ours is as a multiple of it.
    pub fn peer(&mut self, peer: Peer, load: &Load) -> Result<()> {
        let (p50, p99) = (ms(&load.latency, 0.5), ms(&load.latency, 0.99));
        let Load { in_flight, per_second, cpu_ms, .. } = load;
        print(&format!(
            "{}, {in_flight} in flight: {per_second:.0} messages/s; p50 {p50:.2} p99 {p99:.2} ms; {cpu_ms:.3} ms of \
             processor a message",
            peer.id()
        ));
        let loads = self.loads.iter().filter(|ours| ours.in_flight == *in_flight);
        for ours in loads.cloned().collect::<Vec<_>>() {
            let name = format!("{}-{in_flight}", ours.mode.id());
            self.row(&format!("{name}-rate-to-{}", peer.id()), ours.per_second / per_second)?;
            self.row(&format!("{name}-p99-to-{}", peer.id()), ours.p99_ms / p99)?;
        }
        Ok(())
    }

    /// The rows of a plain run that have no value.
    pub fn missing(&self) -> Vec<&'static str> {
        let known = ROWS.iter().map(|(id, ..)| *id);
        known.filter(|id| !self.rows.iter().any(|row| row.id == *id)).collect()
    }

    /// As a table, to stdout.
    pub fn print(&self) {
        print("");
        self.rows.iter().for_each(|row| print(&row.line(self.floor_ms())));
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let Floor { fdatasync, round_trip } = &self.floor;
        let rows: Vec<Value> = self.rows.iter().map(|row| row.json(self.floor_ms())).collect();
        let all = json!({
            "commit": commit(),
            "machine": self.machine,
            "floor": {
                "fdatasync_p50_ms": ms(fdatasync, 0.5), "fdatasync_p99_ms": ms(fdatasync, 0.99),
                "round_trip_p50_ms": ms(round_trip, 0.5), "round_trip_p99_ms": ms(round_trip, 0.99),
            },
            "rows": rows,
        });
        format!("{all:#}\n")
    }

    /// The least a message could take: one synced write, and two round trips: to the node, and between nodes.
    fn floor_ms(&self) -> f64 {
        ms(&self.floor.fdatasync, 0.5) + 2.0 * ms(&self.floor.round_trip, 0.5)
    }
}

/// A quantile of times in microseconds, in milliseconds.
pub fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

#[expect(clippy::print_stdout, reason = "the result is the output")]
fn print(line: &str) {
    println!("{line}");
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: u64 = field(&memory, "MemTotal").trim_end_matches(" kB").trim().parse().unwrap_or(0);
    format!(
        "{count} x {}, {} GiB, Linux {}",
        field(&processors, "model name"),
        kib >> 20,
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// The commit this was built from, as far as the source beside the program tells.
fn commit() -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new("git").args(["rev-parse", "HEAD"]).current_dir(source).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
