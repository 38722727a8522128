//! How much memory the nodes take.

use crate::Cluster;

/// Resident memory of the nodes, as last looked at, and the most there ever was of any.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    now: Vec<u64>,
    most: u64,
}

impl Memory {
    /// A first look.
    pub(crate) fn watch(cluster: &Cluster) -> Self {
        let mut memory = Self::default();
        memory.look(cluster);
        memory
    }

    /// Looks again: at what they have, and at the most they had since they were started.
    pub(crate) fn look(&mut self, cluster: &Cluster) {
        let of = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
            };
            (field("VmRSS:"), field("VmHWM:"))
        };
        let (now, most): (Vec<u64>, Vec<u64>) = cluster.pids().into_iter().flatten().map(of).unzip();
        self.now = now;
        self.most = most.into_iter().fold(self.most, u64::max);
    }

    /// The most of any node, in bytes.
    pub(crate) const fn most(&self) -> u64 {
        self.most
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now: Vec<String> = self.now.iter().map(|bytes| (bytes >> 20).to_string()).collect();
        write!(f, "{} MiB (at most {})", now.join(", "), self.most >> 20)
    }
}
