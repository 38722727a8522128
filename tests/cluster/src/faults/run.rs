//! A run: faults under load for a while, then the judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use checker::Report;
use tokio::time::{Instant, sleep};

use super::{Abilities, Load, Nemesis, Size, abilities, settle};
use crate::{Cluster, Options, Result};

/// What nodes may say at level error while disks are taken from them, and openraft while its core ends.
const EXPECTED: &[&str] =
    &["stopping at once", "IOFlushed error", "StorageError", "in the storage engine", "HeartbeatWorker"];
/// Between two faults.
const BREATH: Duration = Duration::from_millis(300);
/// How far a message's time may be from the right one, in seconds, beside what the longest fault takes: two of three clocks are
/// always right. A write that a fault held up was stamped before.
const TIME_OFF_MAX_S: u64 = 60;
/// The smallest disks there are.
const DISK_MIB: u64 = 320;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chooses the faults. Machines are not repeatable: the same seed makes the same kinds of fault at other moments.
    pub seed: u64,
    /// Faults are made for so long.
    pub time: Duration,
    /// The longest fault.
    pub longest: Duration,
    /// Only faults with this in their name.
    pub only: Option<String>,
    /// The load.
    pub size: Size,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// What was checked and found.
    pub report: Report,
    /// How often each kind of fault was made.
    pub faults: BTreeMap<&'static str, usize>,
    /// Why this machine makes only some of them.
    pub skipped: Vec<String>,
    /// The longest time without an acknowledgement, by fault.
    pub gaps: BTreeMap<&'static str, Duration>,
    /// What a node said at level error that it should not have to.
    pub logged: Option<String>,
}

impl Ended {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.report.is_clean() && self.logged.is_none()
    }
}

/// Founds a cluster and runs; `tell` is told of each fault and of what came of it. When something is wrong the nodes' data and
/// logs are kept, and the error says where.
pub async fn run(settings: Settings, tell: impl Fn(&str) + Sync) -> Result<Ended> {
    let (mut with, skipped) = abilities();
    // The proxies that delay hide a port that is closed: only every other run has them.
    with.delays = with.hosts && settings.seed.is_multiple_of(2);
    let options = Options {
        hosts: with.hosts,
        delays: with.delays,
        disk_mib: with.disks.then_some(DISK_MIB),
        clocks: with.clocks,
        ..Options::default()
    };
    let mut cluster = Cluster::found(options).await?;
    let ended = play(&mut cluster, settings, with, &tell).await;
    let ended = ended.map(|(report, faults, gaps)| {
        tell(&report.to_string());
        let logged = cluster.check_logs(EXPECTED).err().map(|line| line.to_string());
        Ended { report, faults, skipped, gaps, logged }
    });
    match ended {
        Ok(ended) if ended.is_well() => Ok(ended),
        wrong => {
            let kept = cluster.keep_logs()?;
            tell(&format!("the nodes' logs are kept in {}", kept.display()));
            wrong
        }
    }
}

type Played = (Report, BTreeMap<&'static str, usize>, BTreeMap<&'static str, Duration>);

async fn play(
    cluster: &mut Cluster,
    settings: Settings,
    with: Abilities,
    tell: &(impl Fn(&str) + Sync),
) -> Result<Played> {
    let mut load = Load::start(cluster, settings.size).await?;
    let mut nemesis = Nemesis::new(settings.seed, settings.longest, settings.only.clone());
    let mut gaps: BTreeMap<&'static str, Duration> = BTreeMap::new();
    let until = Instant::now() + settings.time;
    while Instant::now() < until {
        let fault = nemesis.choose(cluster.leader().await?, with)?;
        let _ = load.take_gap();
        let began = Instant::now();
        nemesis.make(cluster, fault).await?;
        let made = began.elapsed().as_secs_f64();
        cluster.wait_until_well().await.map_err(|error| format!("after {fault}: {error}"))?;
        sleep(BREATH).await;
        let gap = load.take_gap();
        let longest = gaps.entry(fault.name()).or_default();
        *longest = gap.max(*longest);
        tell(&format!(
            "{fault}; made in {made:.2} s; longest time without an acknowledgement {:.2} s",
            gap.as_secs_f64()
        ));
    }
    let report = settle(cluster, &mut load).await?;
    if load.time_off() > TIME_OFF_MAX_S + settings.longest.as_secs() {
        return Err(format!("a message was stamped {} s away from the right time", load.time_off()).into());
    }
    Ok((report, nemesis.tally().clone(), gaps))
}
