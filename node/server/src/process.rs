//! What the process itself is: its build, its processor time, memory and files, under the names every Prometheus client
//! uses. Read from `/proc` when asked.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, Gauge, IntGauge, IntGaugeVec, Opts, Registry};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::Failure;

/// Numbers of this process. Clones are the same numbers.
#[derive(Clone)]
pub struct Process {
    cpu: Counter,
    resident: IntGauge,
    threads: IntGauge,
    open_files: IntGauge,
    files_max: IntGauge,
    ready: IntGauge,
}

impl Process {
    /// Registers them, and `tricord_build_info`.
    pub fn register(registry: &Registry) -> Result<Self, Failure> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, Failure> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let build =
            IntGaugeVec::new(Opts::new("tricord_build_info", "1, with what runs here as labels"), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let start = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970")?;
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register(Box::new(start))?;
        let cpu = Counter::new("process_cpu_seconds_total", "Processor time used, by user and system")?;
        registry.register(Box::new(cpu.clone()))?;
        Ok(Self {
            cpu,
            resident: gauge("process_resident_memory_bytes", "Memory in use")?,
            threads: gauge("process_threads", "Threads")?,
            open_files: gauge("process_open_fds", "File descriptors open")?,
            files_max: gauge("process_max_fds", "File descriptors that may be open")?,
            ready: gauge("tricord_server_ready_flag", "1: this node takes messages")?,
        })
    }

    /// Says whether this node takes messages.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Reads them anew. What cannot be read stays as it was.
    pub fn measure(&self) {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            let used = stat.ticks as f64 / clock_ticks_per_second() as f64;
            self.cpu.inc_by((used - self.cpu.get()).max(0.0));
            self.threads.set(number(stat.threads));
            self.resident.set(number(stat.pages.saturating_mul(page_size() as u64)));
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(number(files.count() as u64));
        }
        self.files_max.set(getrlimit(Resource::Nofile).current.map_or(i64::MAX, number));
    }
}

/// What `/proc/PID/stat` says, see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in brackets, and may hold anything, brackets and spaces too.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { ticks: field(14)? + field(15)?, threads: field(20)?, pages: field(24)? })
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_program_is_called() {
        let text =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 500 0 0 0 30 12 0 0 20 0 9 0 100 1000000 777 18446744073709551615";
        assert_eq!(Stat::parse(text), Some(Stat { ticks: 42, threads: 9, pages: 777 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let registry = Registry::new();
        let process = Process::register(&registry).expect("names of their own");
        process.measure();
        assert!(process.resident.get() > 1 << 20, "{}", process.resident.get());
        assert!(process.threads.get() >= 1 && process.open_files.get() >= 3);
        assert!(process.files_max.get() >= process.open_files.get());
        let before = process.cpu.get();
        process.measure();
        assert!(process.cpu.get() >= before);
    }
}
