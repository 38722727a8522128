//! What the nodes use: processor, memory, disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, Result};

/// Processor time of all nodes since each was started.
pub fn processor(cluster: &Cluster) -> Result<Duration> {
    processor_of(cluster.pids().into_iter().flatten())
}

/// Processor time of these processes since each was started.
pub fn processor_of(pids: impl IntoIterator<Item = u32>) -> Result<Duration> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let mut ticks = 0;
    for pid in pids {
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

/// Bytes that the nodes have had written to their disks since each was started.
pub fn written(cluster: &Cluster) -> Result<u64> {
    let mut bytes = 0;
    for pid in cluster.pids().into_iter().flatten() {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or("no write_bytes")?;
        bytes += written.trim().parse::<u64>()?;
    }
    Ok(bytes)
}

/// What the threads of one name used, on all nodes: nanoseconds of processor, switches away by themselves and by force.
pub type Threads = BTreeMap<(usize, String), [u64; 3]>;

/// What the nodes' threads have used so far.
pub fn threads(cluster: &Cluster) -> Result<Threads> {
    let mut threads = Threads::new();
    for (node, pid) in cluster.pids().into_iter().flatten().enumerate() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = task?.path();
            let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
            let (name, status) = (read("comm").trim().to_owned(), read("status"));
            let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let field = |name: &str| number(status.lines().find_map(|line| line.strip_prefix(name)));
            let used = number(read("schedstat").split_whitespace().next());
            let sum = threads.entry((node, name)).or_default();
            let more = [used, field("voluntary_ctxt_switches:"), field("nonvoluntary_ctxt_switches:")];
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    Ok(threads)
}

/// Prints the difference, per message.
pub fn print_threads(before: &Threads, after: &Threads, messages: u64) {
    for ((node, name), after) in after {
        let before = before.get(&(*node, name.clone())).copied().unwrap_or_default();
        let [used, own, forced] = [0, 1, 2].map(|at| after[at].saturating_sub(before[at]) as f64 / messages as f64);
        if used > 1_000.0 {
            eprintln!("  {node} {name:<18} {:>8.1} µs {own:>7.2} waits {forced:>7.2} preempted", used / 1_000.0);
        }
    }
}
