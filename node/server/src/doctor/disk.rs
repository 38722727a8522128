//! Whether the disk has room, is one that keeps what it says it keeps, and is fast enough: a message waits for it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use store::Space;

use super::{Report, Severity};

const AREA: &str = "disk";
/// Writes that are timed, unless that takes longer than [`PROBE_MAX`].
const PROBES: usize = 200;
/// The longest the disk is kept busy.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// Bytes of one write: about what a batch of messages has.
const PROBE_BYTES: usize = 4_096;
/// A disk that takes longer for one write in a hundred is slow: as in the alarm.
const SLOW: Duration = Duration::from_millis(50);
/// One faster than this is what is asked for; between the two messages feel slower than they need be.
const GOOD: Duration = Duration::from_millis(10);
/// Below this much of the disk it is time to plan.
const FREE_SHARE_WARN: u64 = 5;

/// File systems that do not keep what was synced, or may stop answering: magic numbers of statfs(2).
const UNSAFE: [(i64, &str); 5] =
    [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x0102_1994, "tmpfs"), (0x6573_5546, "FUSE"), (0x794c_7630, "overlayfs")];

pub(super) fn examine(report: &mut Report, data: &Path) {
    // Before the founding the directory is not there: then the one it will be in.
    let Some(dir) = data.ancestors().find(|dir| dir.is_dir()) else { return };
    if let Ok(stat) = rustix::fs::statfs(dir)
        && let Some((_, name)) = UNSAFE.iter().find(|(magic, _)| *magic == stat.f_type)
    {
        let what = format!("{} is on {name}: it does not keep what was synced, or may hang", dir.display());
        report.add(Severity::Warn, AREA, what, "use a local disk with ext4 or XFS").runbook = "install";
    }
    match Space::at(dir) {
        Ok(space) => room(report, dir, space),
        Err(fault) => {
            report.add(Severity::Bad, AREA, fault.to_string(), "look at the disk").runbook = "disk-full";
        }
    }
    match probe(dir) {
        Ok(times) => latency(report, &times),
        Err(error) => {
            let what = format!("nothing can be written to {}: {error}", dir.display());
            let next = "make room, give the daemon's user the directory, or look in 'dmesg' for the disk's errors";
            report.add(Severity::Bad, AREA, what, next).runbook = "disk-full";
        }
    }
}

fn room(report: &mut Report, dir: &Path, space: Space) {
    let percent = space.free.saturating_mul(100) / space.total.max(1);
    let what = format!("{} has {:.1} GiB free, {percent} %", dir.display(), space.free as f64 / (1u64 << 30) as f64);
    if space.is_low() {
        let next = "make room now: with two such nodes sending is refused";
        report.add(Severity::Bad, AREA, format!("{what}: too little"), next).runbook = "disk-full";
    } else if space.free < space.total / FREE_SHARE_WARN {
        report.add(Severity::Warn, AREA, what, "plan a larger disk").runbook = "disk-full";
    } else {
        report.ok(AREA, what);
    }
}

/// Removes the file however the probe ends.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// How long each of some small writes takes to be safe, the shortest first.
fn probe(dir: &Path) -> io::Result<Vec<Duration>> {
    let path = Probe(dir.join(format!(".doctor-{}", std::process::id())));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path.0)?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < PROBES && began.elapsed() < PROBE_MAX {
        let start = Instant::now();
        file.write_all(&[0x5a; PROBE_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn latency(report: &mut Report, times: &[Duration]) {
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let what = format!(
        "{} writes of 4 KiB made safe: half within {:.1} ms, 99 of 100 within {:.1} ms (needed: {:.0} ms; good: {:.0} ms)",
        times.len(),
        millis(at(50)),
        millis(at(99)),
        millis(SLOW),
        millis(GOOD)
    );
    let next = "look for what else uses this disk; an SSD with power-loss protection takes below a millisecond";
    if at(99) > SLOW {
        report.add(Severity::Warn, AREA, what, next).runbook = "disk-slow";
    } else if at(99) > GOOD {
        report.add(Severity::Note, AREA, what, next).runbook = "disk-slow";
    } else {
        report.ok(AREA, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(report: &Report) -> (Severity, &str) {
        let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
        (finding.severity, finding.runbook)
    }

    #[test]
    fn a_disk_is_judged_by_its_room_and_by_its_slowest_writes() {
        let judged = |free, total| {
            let mut report = Report::default();
            room(&mut report, Path::new("/data"), Space { free, total });
            report
        };
        assert_eq!(only(&judged(500 << 30, 1_000 << 30)), (Severity::Ok, ""));
        assert_eq!(only(&judged(100 << 30, 1_000 << 30)), (Severity::Warn, "disk-full"));
        assert_eq!(only(&judged(1 << 29, 1_000 << 30)), (Severity::Bad, "disk-full"));
        let timed = |slowest: u64| {
            let mut times = vec![Duration::from_micros(300); 190];
            times.extend([Duration::from_millis(slowest); 10]);
            let mut report = Report::default();
            latency(&mut report, &times);
            report
        };
        assert_eq!(only(&timed(1)).0, Severity::Ok);
        assert_eq!(only(&timed(20)).0, Severity::Note);
        assert_eq!(only(&timed(80)), (Severity::Warn, "disk-slow"));
    }

    #[test]
    fn the_probe_leaves_nothing_behind_and_says_when_nothing_can_be_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let times = probe(dir.path()).expect("probed");
        assert!(!times.is_empty() && times.is_sorted());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
        assert!(probe(Path::new("/proc/self")).is_err(), "nobody writes there");
    }
}
