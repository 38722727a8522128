//! What the nodes use: processor, memory, disk.

use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, Result};

/// Processor time of all nodes since each was started.
pub fn processor(cluster: &Cluster) -> Result<Duration> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let mut ticks = 0;
    for pid in cluster.pids().into_iter().flatten() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, the name, may hold spaces; utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).ok_or("no process state")?;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}

/// Resident memory of each node, in bytes.
pub fn resident(cluster: &Cluster) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for pid in cluster.pids().into_iter().flatten() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        sizes.push(kibibytes * 1_024);
    }
    Ok(sizes)
}

/// Bytes in the files below a directory. Not the blocks: RocksDB reserves those of its logs ahead.
pub fn disk(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A file may go away while one looks: RocksDB replaces its own.
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { disk(&entry.path()).unwrap_or(0) } else { about.len() };
    }
    Ok(bytes)
}
