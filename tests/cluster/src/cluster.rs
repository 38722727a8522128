//! Founds, starts and breaks a cluster of three real processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use proto::v1::cluster_service_client::ClusterServiceClient;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::{
    ClusterHealth, GetClusterStatusRequest, GetClusterStatusResponse, NodeRole, Settings, UpdateSettingsRequest,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::binaries::binary;
use crate::faults::{Clock, Delays, Disk, Hosts};
use crate::ports::free_ports;
use crate::{Client, Links, Node, NodeProcess, Result, Samples, run_daemon};

/// The names of the three places.
pub const SLOTS: [&str; 3] = ["a", "b", "c"];
/// The first operator and the password that the harness gives them.
const ADMIN: &str = "admin";
/// The password that the harness gives the first operator.
pub const ADMIN_PASSWORD: &str = "harness admin password";
/// How long a cluster or a node may take to serve. A busy machine is slow; what matters is measured elsewhere.
const READY: Duration = Duration::from_secs(60);

/// How to found one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to keep everything; none: a temporary directory that goes away with the cluster.
    pub dir: Option<PathBuf>,
    /// Hash passwords as a hospital would. Otherwise cheaply, for runs with thousands of users.
    pub full_password_hash: bool,
    /// Give each node a host of its own ([`Hosts`]); needs root.
    pub hosts: bool,
    /// With `hosts`: put proxies between them that can hold back what passes ([`Delays`]). Nodes then see a peer's port that
    /// takes every connection, and closes it when there is nobody.
    pub delays: bool,
    /// Give each node a disk of its own of so many MiB ([`Disk`]); needs root.
    pub disk_mib: Option<u64>,
    /// Found and start it with another release's daemon, and at this feature level.
    pub release: Option<(&'static str, u32)>,
    /// Give each node a clock of its own ([`Clock`]); needs libfaketime.
    pub clocks: bool,
}

/// Three running nodes and their first operator.
#[derive(Debug)]
pub struct Cluster {
    nodes: [NodeProcess; 3],
    links: Links,
    ops: [String; 3],
    admin: Client,
    dir: PathBuf,
    shares: Vec<String>,
    // Dropped in this order: the processes above first, then what they use, then the files.
    disks: Vec<Disk>,
    clocks: Vec<Clock>,
    delays: Option<Delays>,
    hosts: Option<Hosts>,
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Founds a cluster on free ports, starts it, waits until it serves and signs its first operator in.
    pub async fn found(options: Options) -> Result<Self> {
        let temporary =
            options.dir.is_none().then(|| tempfile::Builder::new().prefix("tricord-").tempdir()).transpose()?;
        let dir = match (&options.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => return Err("no directory".into()),
        };
        let hosts = if options.hosts { Some(Hosts::new()?) } else { None };
        let ports: [u16; 9] = free_ports()?;
        let at = |kind: usize, node: Node| {
            let host = hosts.as_ref().map_or("127.0.0.1".to_owned(), |hosts| hosts.address(node));
            format!("{host}:{}", ports[node + 3 * kind])
        };
        let (code, shares) = init(&dir, &at)?;
        let disk = |slot: &str, mib| {
            let image = dir.join(Disk::image_name(slot));
            Disk::new(image, &dir.join(slot).join("data"), mib)
        };
        let disks = match options.disk_mib {
            Some(mib) => SLOTS.iter().map(|slot| disk(slot, mib)).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let config = |slot: &str| dir.join(slot).join("tricordd.toml");
        for slot in SLOTS {
            if !options.full_password_hash {
                append(&config(slot), "\n[password]\nmemory_kib = 64\niterations = 1\n")?;
            }
            if let Some((_, level)) = options.release {
                set_level(&dir.join(slot).join("founding.toml"), level)?;
            }
            let path = config(slot);
            let output = run_daemon(&["found", "--config", &path.to_string_lossy()], READY)?;
            if !output.status.success() {
                return Err(format!("found node {slot}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
        }
        let mut nodes = SLOTS.map(|slot| NodeProcess::new(config(slot), dir.join(format!("{slot}.log"))));
        let delays = match &hosts {
            Some(hosts) if options.delays => Some(Delays::between(hosts, [ports[3], ports[4], ports[5]])?),
            _ => None,
        };
        let clock = |slot: &&str| Clock::new(dir.join(format!("{slot}.clock")));
        let clocks: Vec<Clock> =
            if options.clocks { SLOTS.iter().map(clock).collect::<Result<_>>()? } else { Vec::new() };
        for (place, node) in nodes.iter_mut().enumerate() {
            node.prefix = hosts.as_ref().map(|hosts| hosts.prefix(place)).unwrap_or_default();
            node.program = options.release.map_or("tricordd", |(program, _)| program);
            node.environment = clocks.get(place).map(Clock::environment).unwrap_or_default();
            node.start()?;
        }
        let authority = std::fs::read(dir.join("ca.crt"))?;
        let links = Links::new([0, 1, 2].map(|node| at(0, node)), &authority);
        let admin = match Client::enrol(&links, 0, ADMIN, &code, ADMIN_PASSWORD).await {
            Ok(admin) => admin,
            Err(error) => return Err(format!("{error}; node a said:\n{}", tail(&nodes[0].log())).into()),
        };
        let ops = [0, 1, 2].map(|node| at(2, node));
        let cluster =
            Self { nodes, links, ops, admin, dir, shares, disks, clocks, delays, hosts, _temporary: temporary };
        cluster.wait_until_well().await?;
        cluster.never_lock().await?;
        Ok(cluster)
    }

    /// The shares of the recovery kit.
    #[must_use]
    pub fn recovery_shares(&self) -> &[String] {
        &self.shares
    }

    /// Clients of a harness read for hours and nobody stands before them: their sessions do not lock.
    async fn never_lock(&self) -> Result<()> {
        let settings = Settings { lock_after: Some(prost_types::Duration::default()), ..Settings::default() };
        let told = self
            .admin
            .write(|wire, id| {
                let request = UpdateSettingsRequest { settings: Some(settings.clone()), request_id: Some(id) };
                async move { SecurityServiceClient::new(wire).update_settings(request).await }
            })
            .await;
        told.map(drop).map_err(|status| format!("set what locks: {}", status.message()).into())
    }

    /// Connections to the nodes.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The first operator.
    #[must_use]
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Where everything is kept: `a/`, `b/`, `c/`, the authority's certificate, the logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A node's process.
    pub fn node(&mut self, node: Node) -> &mut NodeProcess {
        &mut self.nodes[node]
    }

    /// The hosts the nodes were given.
    pub fn hosts(&self) -> Result<&Hosts> {
        self.hosts.as_ref().ok_or_else(|| "the nodes have no hosts of their own".into())
    }

    /// The disk a node was given.
    pub fn disk(&self, node: Node) -> Result<&Disk> {
        self.disks.get(node).ok_or_else(|| "the nodes have no disks of their own".into())
    }

    /// The clock a node was given.
    pub fn clock(&self, node: Node) -> Result<&Clock> {
        self.clocks.get(node).ok_or_else(|| "the nodes have no clocks of their own".into())
    }

    /// The proxies between the nodes' hosts.
    pub fn delays(&self) -> Result<&Delays> {
        self.delays.as_ref().ok_or_else(|| "there are no proxies between the nodes".into())
    }

    /// Takes the power from these nodes. They fall silent first: while XFS is shut down it tells some that wait for an `fdatasync`
    /// that it has been done, though it has not (one in sixty times), and a machine without power tells nobody. Then their
    /// disks, so that nothing more is written, then their processes.
    pub fn cut_power(&mut self, nodes: &[Node]) -> Result<()> {
        nodes.iter().try_for_each(|&node| self.nodes[node].silence())?;
        for &node in nodes {
            self.disk(node)?.cut_power()?;
        }
        nodes.iter().try_for_each(|&node| self.nodes[node].kill())
    }

    /// The power is back: these nodes start with what their disks kept.
    pub fn restore_power(&mut self, nodes: &[Node]) -> Result<()> {
        for &node in nodes {
            self.disk(node)?.restore_power()?;
        }
        nodes.iter().try_for_each(|&node| self.nodes[node].start())
    }

    /// The process ids of the nodes that run.
    #[must_use]
    pub fn pids(&self) -> [Option<u32>; 3] {
        [0, 1, 2].map(|node| self.nodes[node].pid())
    }

    /// What a node says of the cluster.
    pub async fn status(&self, node: Node) -> Result<GetClusterStatusResponse> {
        let mut client = ClusterServiceClient::new(self.admin.wire_to(node)?);
        let call = client.get_cluster_status(GetClusterStatusRequest {});
        Ok(tokio::time::timeout(Duration::from_secs(2), call).await??.into_inner())
    }

    /// What the nodes that run count, added up.
    pub async fn samples(&self) -> Result<Samples> {
        let mut all = Samples::default();
        for node in (0..3).filter(|&node| self.nodes[node].pid().is_some()) {
            all.add(&self.samples_of(node).await?);
        }
        Ok(all)
    }

    /// What a node counts.
    pub async fn samples_of(&self, node: Node) -> Result<Samples> {
        Samples::of(&self.dir.join(SLOTS[node]), &self.dir.join("ca.crt"), &self.ops[node]).await
    }

    /// The node that leads now.
    pub async fn leader(&self) -> Result<Node> {
        let began = Instant::now();
        while began.elapsed() < READY {
            for node in (0..3).filter(|&node| self.nodes[node].pid().is_some()) {
                let Ok(status) = self.status(node).await else { continue };
                let leads =
                    |slot: &str| status.nodes.iter().any(|node| node.slot == slot && node.role() == NodeRole::Leader);
                if let Some(leader) = SLOTS.iter().position(|slot| leads(slot)) {
                    return Ok(leader);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err("no node leads".into())
    }

    /// Waits until every node itself says that all three are well.
    pub async fn wait_until_well(&self) -> Result<()> {
        self.well_within(READY).await
    }

    /// Likewise, for a cluster that may take longer.
    pub async fn well_within(&self, patience: Duration) -> Result<()> {
        let began = Instant::now();
        let mut last = String::from("no node answers");
        while began.elapsed() < patience {
            let mut well = 0;
            for (node, slot) in SLOTS.iter().enumerate() {
                match self.status(node).await {
                    Ok(status) if status.health() == ClusterHealth::Ok => well += 1,
                    Ok(status) => last = format!("{slot} says: {}", status.summary),
                    Err(error) => last = format!("{slot} does not answer: {error}"),
                }
            }
            if well == 3 {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("the cluster was not well within {patience:?}: {last}").into())
    }

    /// Fails when a node has said something at level error, but for lines that contain one of these.
    pub fn check_logs(&self, expected: &[&str]) -> Result<()> {
        for (slot, node) in SLOTS.iter().zip(&self.nodes) {
            let log = node.log();
            let wrong = log.lines().find(|line| {
                let bad =
                    line.contains(" ERROR ") || line.contains("\"level\":\"ERROR\"") || line.contains("panicked at");
                bad && !expected.iter().any(|known| line.contains(known))
            });
            if let Some(line) = wrong {
                return Err(format!("node {slot} logged: {line}").into());
            }
        }
        Ok(())
    }

    /// Copies the nodes' logs to a directory that stays, and says where it is.
    pub fn keep_logs(&self) -> Result<PathBuf> {
        let kept = tempfile::Builder::new().prefix("tricord-logs-").tempdir()?.keep();
        for slot in SLOTS {
            let name = format!("{slot}.log");
            std::fs::copy(self.dir.join(&name), kept.join(&name))?;
        }
        Ok(kept)
    }

    /// Keeps the directory when the cluster goes away, and says where it is: to look into after a failure.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(temporary) = self._temporary.take() {
            return temporary.keep();
        }
        self.dir.clone()
    }
}

/// Makes configurations, certificates and the founding document; answers the first operator's enrolment code.
/// The founding bundle; the administrator's code and the shares of the recovery kit.
fn init(dir: &Path, at: &dyn Fn(usize, Node) -> String) -> Result<(String, Vec<String>)> {
    let mut command = Command::new(binary("tricord")?);
    command.args([
        "cluster",
        "init",
        "--name",
        "Test hospital",
        "--admin",
        ADMIN,
        "--data",
        "data",
        "--output",
        "json",
        "--recovery-unconfirmed",
    ]);
    for (node, slot) in SLOTS.iter().enumerate() {
        command.arg("--node").arg(format!("{slot}={},{},{}", at(1, node), at(0, node), at(2, node)));
    }
    let output = command.arg("--out").arg(dir).output()?;
    if !output.status.success() {
        return Err(format!("tricord cluster init: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let code = answer.get("enrolment_code").and_then(serde_json::Value::as_str);
    let shares = answer.get("recovery_shares").and_then(serde_json::Value::as_array).ok_or("no shares of the kit")?;
    let shares = shares.iter().filter_map(serde_json::Value::as_str).map(str::to_owned).collect();
    Ok((code.ok_or("cluster init gave no enrolment code")?.to_owned(), shares))
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut whole = std::fs::read_to_string(path)?;
    whole.push_str(text);
    Ok(std::fs::write(path, whole)?)
}

/// Founds at this feature level, as a release before this one did.
fn set_level(founding: &Path, level: u32) -> Result<()> {
    let text = std::fs::read_to_string(founding)?;
    let line = text.lines().find(|line| line.starts_with("feature_level = ")).ok_or("no feature level")?;
    Ok(std::fs::write(founding, text.replace(line, &format!("feature_level = {level}")))?)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
