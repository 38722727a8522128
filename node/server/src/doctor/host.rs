//! Limits of the kernel, memory, and whether something keeps the clock right.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use super::{Report, Severity};

const AREA: &str = "host";
/// Open files that a node with all its clients may need: connections, and the stores' files.
const FILES_MIN: u64 = 65_536;
/// Memory that should be left for the node and the file cache, in KiB.
const MEMORY_MIN_KIB: u64 = 1024 * 1024;
/// Connections the kernel should hold until they are taken: all clients come at once when a node was down.
const BACKLOG_MIN: u64 = 1_024;

pub(super) fn examine(report: &mut Report) {
    // The service brings a limit of its own; this is about a daemon started by hand.
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if files < FILES_MIN {
        let what = format!("a process may open {files} files at most here; {FILES_MIN} are needed with all clients");
        report.add(Severity::Note, AREA, what, "start it by its service, which raises this (LimitNOFILE)");
    }
    if let Some(backlog) = number("/proc/sys/net/core/somaxconn")
        && backlog < BACKLOG_MIN
    {
        let what = format!("net.core.somaxconn is {backlog}: connections are refused when all clients come at once");
        report.add(Severity::Warn, AREA, what, "sysctl -w net.core.somaxconn=4096, and in /etc/sysctl.d");
    }
    memory(report, &fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if let Some(swap) = swaps.lines().skip(1).find(|line| !line.contains("/dev/dm-") && !line.contains("zram")) {
        let name = swap.split_whitespace().next().unwrap_or("a disk");
        let what = format!("memory may be swapped to {name}, which seems not to be encrypted: keys and texts with it");
        report.add(Severity::Note, AREA, what, "swapoff -a, or encrypt it; the service forbids it (MemorySwapMax=0)");
    }
    time_service(report);
}

fn memory(report: &mut Report, meminfo: &str) {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let Some(available) = kib("MemAvailable") else { return };
    let what = format!("{:.1} GiB of memory can be used", available as f64 / (1 << 20) as f64);
    if available < MEMORY_MIN_KIB {
        report.add(Severity::Warn, AREA, what, "find what else uses the memory of this machine, or give it more");
    } else {
        report.ok(AREA, what);
    }
}

/// Asks systemd whether the clock is kept by a time service; where there is no systemd, that is not known.
fn time_service(report: &mut Report) {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    match asked.ok().filter(|output| output.status.success()).map(|output| output.stdout) {
        Some(said) if said.starts_with(b"yes") => report.ok("clock", "a time service keeps this machine's clock"),
        Some(_) => {
            let what = "no time service keeps this machine's clock";
            let next = "install and start chrony, with the hospital's time servers";
            report.add(Severity::Warn, "clock", what, next).runbook = "clock-off";
        }
        None => {
            let what = "whether a time service keeps this machine's clock is not known (no timedatectl here)";
            report.add(Severity::Note, "clock", what, "ask it yourself: chronyc tracking").runbook = "clock-off";
        }
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_found() {
        let mut report = Report::default();
        memory(&mut report, "MemTotal:       16000000 kB\nMemAvailable:     500000 kB\n");
        memory(&mut report, "MemAvailable:    8000000 kB\n");
        memory(&mut report, "nothing\n");
        let severities: Vec<Severity> = report.findings.iter().map(|one| one.severity).collect();
        assert_eq!(severities, [Severity::Warn, Severity::Ok]);
    }
}
