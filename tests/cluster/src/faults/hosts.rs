//! Three hosts on one machine: a network namespace for each node, joined by a bridge to which the clients are connected too.
//! nftables drops packets where a fault wants it. All goes away when dropped, or when the next harness starts.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::shell::{feed, is_gone, run};
use crate::{Node, Result, SLOTS};

/// What the names of namespaces begin with; then the process that made them, and a number.
const PREFIX: &str = "tricord";

static MADE: AtomicUsize = AtomicUsize::new(0);

/// The hosts of one cluster.
#[derive(Debug)]
pub struct Hosts {
    name: String,
    bridge: String,
    net: String,
}

impl Hosts {
    /// Makes them. An error says why this machine does not allow it: not root, no namespaces, no nftables.
    pub fn new() -> Result<Self> {
        sweep();
        let (pid, serial) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let place = pid.wrapping_mul(7).wrapping_add(u32::try_from(serial)?);
        let hosts = Self {
            name: format!("{PREFIX}-{pid}-{serial}"),
            bridge: format!("tb{pid}x{serial}"),
            net: format!("10.{}.{}", 64 + place / 256 % 64, place % 256),
        };
        hosts.build()?;
        Ok(hosts)
    }

    fn build(&self) -> Result<()> {
        let Self { bridge, net, .. } = self;
        run("ip", &["link", "add", bridge, "type", "bridge"])?;
        run("ip", &["addr", "add", &format!("{net}.254/24"), "dev", bridge])?;
        run("ip", &["link", "set", bridge, "up"])?;
        for node in 0..3 {
            let (space, cable) = (self.space(node), self.cable(node));
            run("ip", &["netns", "add", &space])?;
            run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            run("ip", &["link", "set", &cable, "master", bridge, "up"])?;
            let address = format!("{}/24", self.address(node));
            run("ip", &["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            run("ip", &["-n", &space, "link", "set", "eth0", "up"])?;
            run("ip", &["-n", &space, "link", "set", "lo", "up"])?;
            self.rules(
                node,
                "add table inet faults\n\
                 add chain inet faults in { type filter hook input priority 0; policy accept; }\n\
                 add chain inet faults out { type filter hook output priority 0; policy accept; }\n",
            )?;
        }
        Ok(())
    }

    /// A node's address.
    #[must_use]
    pub fn address(&self, node: Node) -> String {
        format!("{}.{}", self.net, node + 1)
    }

    /// What a command begins with to run on a node's host.
    #[must_use]
    pub fn prefix(&self, node: Node) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.space_path(node))]
    }

    /// What one node sends to another does not arrive any more.
    pub fn cut(&self, from: Node, to: Node) -> Result<()> {
        self.rules(to, &format!("add rule inet faults in ip saddr {} drop\n", self.address(from)))
    }

    /// What one node sends to another over TCP is answered with a reset: no connection is opened, and those there are break at
    /// the next byte.
    pub fn reject(&self, from: Node, to: Node) -> Result<()> {
        let rule = format!("add rule inet faults in ip saddr {} meta l4proto tcp", self.address(from));
        self.rules(to, &format!("{rule} reject with tcp reset\n"))
    }

    /// A node and the two others hear nothing of each other. Clients still reach all three.
    pub fn isolate(&self, node: Node) -> Result<()> {
        for other in (0..3).filter(|&other| other != node) {
            self.cut(node, other)?;
            self.cut(other, node)?;
        }
        Ok(())
    }

    /// A host is gone for everyone: no packet comes, none goes, none is refused.
    pub fn vanish(&self, node: Node) -> Result<()> {
        self.rules(node, "add rule inet faults in iifname eth0 drop\nadd rule inet faults out oifname eth0 drop\n")
    }

    /// So many of 100 packets to each node are lost.
    pub fn lose(&self, percent: u32) -> Result<()> {
        let rule = format!("add rule inet faults in iifname eth0 numgen random mod 100 < {percent} drop\n");
        (0..3).try_for_each(|node| self.rules(node, &rule))
    }

    /// Everything arrives again.
    pub fn heal(&self) -> Result<()> {
        (0..3).try_for_each(|node| self.rules(node, "flush chain inet faults in\nflush chain inet faults out\n"))
    }

    /// Puts rules in place, all or none.
    pub(super) fn rules(&self, node: Node, rules: &str) -> Result<()> {
        feed("ip", &["netns", "exec", &self.space(node), "nft", "-f", "-"], rules).map(drop)
    }

    /// A node's network namespace, as a file.
    pub(super) fn space_path(&self, node: Node) -> String {
        format!("/run/netns/{}", self.space(node))
    }

    fn space(&self, node: Node) -> String {
        format!("{}-{}", self.name, SLOTS[node])
    }

    /// The bridge's end of a node's cable; names of interfaces have 15 bytes.
    fn cable(&self, node: Node) -> String {
        let mut name = String::new();
        let _ = write!(name, "{}{}", self.bridge.replacen("tb", "t", 1), SLOTS[node]);
        name
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for node in 0..3 {
            let _ = run("ip", &["netns", "del", &self.space(node)]);
            // Goes with the namespace, but only when its last process has ended.
            let _ = run("ip", &["link", "del", &self.cable(node)]);
        }
        let _ = run("ip", &["link", "del", &self.bridge]);
    }
}

/// Removes what harnesses left that were killed.
fn sweep() {
    for line in run("ip", &["netns", "list"]).unwrap_or_default().lines() {
        let space = line.split_whitespace().next().unwrap_or_default();
        let Some(pid) = space.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1)) else { continue };
        if is_gone(pid) {
            let _ = run("ip", &["netns", "del", space]);
        }
    }
    for line in run("ip", &["-o", "link", "show", "type", "bridge"]).unwrap_or_default().lines() {
        let bridge = line.split(':').nth(1).unwrap_or_default().trim();
        let pid = bridge.strip_prefix("tb").and_then(|rest| rest.split('x').next());
        if pid.is_some_and(is_gone) {
            let _ = run("ip", &["link", "del", bridge]);
        }
    }
}
