//! Chooses faults by a seed, and makes them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{Cluster, Node, Result, SLOTS};

/// Longest graceful stop.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Seconds from now to a day in 2099, roughly.
const YEAR_2099: i64 = 73 * 365 * 86_400;
/// A slow disk is there for so long, and away four times as long.
const SLOW_TURN: Duration = Duration::from_millis(10);

/// See [`Fault::Delay`].
const DELAY: Duration = Duration::from_millis(200);

/// What this machine allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abilities {
    /// Hosts of their own for nodes.
    pub hosts: bool,
    /// Delay between these hosts.
    pub delays: bool,
    /// Disks of their own.
    pub disks: bool,
    /// Clocks of their own.
    pub clocks: bool,
    /// A daemon with fail points.
    pub points: bool,
}

/// One fault, from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; started again after a time.
    Kill(Node, Duration),
    /// SIGKILL of all three; started again at once.
    KillAll,
    /// SIGSTOP for a time.
    Pause(Node, Duration),
    /// Cut off from the two others for a time, in both directions; clients still reach it.
    Isolate(Node, Duration),
    /// What the first sends to the second is lost for a time.
    OneWay(Node, Node, Duration),
    /// Neither hears the other, and the third hears both.
    Bridge(Node, Node, Duration),
    /// What nodes send each other arrives 200 ms later for a time, and 5 of 100 packets are lost.
    Delay(Duration),
    /// So many of 100 packets are lost for a time.
    Loss(u32, Duration),
    /// Power cut of one: what it had not synced is gone.
    PowerCut(Node, Duration),
    /// Power cut of all three at once.
    PowerCutAll,
    /// A disk that stops for a time.
    Stall(Node, Duration),
    /// A disk that is there a fifth of the time, in short turns.
    SlowDisk(Node, Duration),
    /// A clock that is so many seconds wrong for a time.
    Clock(Node, i64, Duration),
    /// SIGTERM, and started again.
    Restart(Node),
    /// Killed, and started again until it ends at a fail point, when it has come there so many times.
    EndAt(Node, &'static str, u32),
}

/// Where a node may end under load, in what every write goes through.
const POINTS: [&str; 3] = ["log-before-fsync", "log-after-fsync", "state-applied"];
/// Longest until it does.
const POINT_MAX: Duration = Duration::from_secs(10);

impl Fault {
    /// What the table calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill(..) => "kill -9 of one",
            Self::KillAll => "kill -9 of all",
            Self::Pause(..) => "SIGSTOP",
            Self::Isolate(..) => "partition, full",
            Self::OneWay(..) => "partition, one-way",
            Self::Bridge(..) => "partition, bridge",
            Self::Delay(..) => "200 ms delay and 5 % loss",
            Self::Loss(..) => "packet loss",
            Self::PowerCut(..) => "power cut of one",
            Self::PowerCutAll => "power cut of all",
            Self::Stall(..) => "disk stalls",
            Self::SlowDisk(..) => "slow disk",
            Self::Clock(..) => "clock step",
            Self::Restart(..) => "graceful restart",
            Self::EndAt(_, "log-before-fsync", _) => "ends before an fsync",
            Self::EndAt(_, "log-after-fsync", _) => "ends after an fsync",
            Self::EndAt(..) => "ends after applying",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match *self {
            Self::Kill(node, time)
            | Self::Pause(node, time)
            | Self::Isolate(node, time)
            | Self::Stall(node, time)
            | Self::SlowDisk(node, time)
            | Self::PowerCut(node, time) => write!(f, "{name}: {} for {time:?}", SLOTS[node]),
            Self::OneWay(from, to, time) | Self::Bridge(from, to, time) => {
                write!(f, "{name}: {} to {} for {time:?}", SLOTS[from], SLOTS[to])
            }
            Self::Delay(time) => write!(f, "{name} for {time:?}"),
            Self::Loss(percent, time) => write!(f, "{name}: {percent} % for {time:?}"),
            Self::Clock(node, seconds, time) => write!(f, "{name}: {} by {seconds} s for {time:?}", SLOTS[node]),
            Self::Restart(node) => write!(f, "{name}: {}", SLOTS[node]),
            Self::EndAt(node, point, times) => write!(f, "{name}: {} at {point}, time {times}", SLOTS[node]),
            Self::KillAll | Self::PowerCutAll => f.write_str(name),
        }
    }
}

/// Chooses and makes faults, and counts them.
#[derive(Debug)]
pub struct Nemesis {
    random: fastrand::Rng,
    longest: Duration,
    only: Option<String>,
    done: BTreeMap<&'static str, usize>,
    made: usize,
}

impl Nemesis {
    /// With faults of at most so long; only those with this in their name.
    #[must_use]
    pub fn new(seed: u64, longest: Duration, only: Option<String>) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), longest, only, done: BTreeMap::new(), made: 0 }
    }

    /// How often each was made.
    #[must_use]
    pub fn tally(&self) -> &BTreeMap<&'static str, usize> {
        &self.done
    }

    /// The next fault. Every kind this cluster's machine allows comes once before any comes again; the leader is the victim
    /// every other time.
    ///
    /// Errors: this machine allows none of those that are wanted.
    pub fn choose(&mut self, leader: Node, with: Abilities) -> Result<Fault> {
        let other = (leader + self.random.usize(1..3)) % 3;
        let victim = if self.random.bool() { leader } else { other };
        let peer = (victim + self.random.usize(1..3)) % 3;
        // Most are short: it is beginnings and ends that break things.
        let shortest = Duration::from_millis(100);
        let time = shortest + (self.longest - shortest).mul_f64(self.random.f64().powi(3));
        let mut kinds =
            vec![Fault::Kill(victim, time), Fault::Pause(victim, time), Fault::KillAll, Fault::Restart(victim)];
        if with.hosts {
            kinds.extend([
                Fault::Isolate(victim, time),
                Fault::OneWay(victim, peer, time),
                Fault::OneWay(peer, victim, time),
                Fault::Bridge(victim, peer, time),
                Fault::Loss(5, time),
            ]);
        }
        if with.delays {
            kinds.push(Fault::Delay(time));
        }
        if with.disks {
            kinds.extend([
                Fault::PowerCut(victim, time),
                Fault::PowerCutAll,
                Fault::Stall(victim, time),
                Fault::SlowDisk(victim, time),
            ]);
        }
        if with.clocks {
            let steps = [3_600, -3_600, YEAR_2099];
            // libfaketime looks at its file once a second.
            let time = time + Duration::from_millis(1_500);
            kinds.push(Fault::Clock(victim, steps[self.random.usize(..steps.len())], time));
        }
        if with.points {
            let times = self.random.u32(1..60);
            kinds.extend(POINTS.map(|point| Fault::EndAt(victim, point, times)));
        }
        if let Some(only) = &self.only {
            kinds.retain(|kind| kind.name().contains(only.as_str()));
        }
        let least = kinds.iter().map(|kind| self.times(kind.name())).min().unwrap_or(0);
        kinds.retain(|kind| self.times(kind.name()) == least);
        self.made += 1;
        Ok(*self.random.choice(&kinds).ok_or("this machine allows no fault of that name")?)
    }

    /// Makes a fault and ends it; the cluster may need a while to be well again.
    pub async fn make(&mut self, cluster: &mut Cluster, fault: Fault) -> Result<()> {
        *self.done.entry(fault.name()).or_default() += 1;
        match fault {
            Fault::Kill(node, time) => {
                cluster.node(node).kill()?;
                sleep(time).await;
                cluster.node(node).start()
            }
            Fault::KillAll => {
                (0..3).try_for_each(|node| cluster.node(node).kill())?;
                (0..3).try_for_each(|node| cluster.node(node).start())
            }
            Fault::Pause(node, time) => {
                cluster.node(node).pause()?;
                sleep(time).await;
                cluster.node(node).resume()
            }
            Fault::Isolate(node, time) => {
                cluster.hosts()?.isolate(node)?;
                heal(cluster, time).await
            }
            Fault::OneWay(from, to, time) => {
                cluster.hosts()?.cut(from, to)?;
                heal(cluster, time).await
            }
            Fault::Bridge(one, other, time) => {
                cluster.hosts()?.cut(one, other)?;
                cluster.hosts()?.cut(other, one)?;
                heal(cluster, time).await
            }
            Fault::Loss(percent, time) => {
                cluster.hosts()?.lose(percent)?;
                heal(cluster, time).await
            }
            Fault::Delay(time) => {
                cluster.delays()?.set(DELAY);
                cluster.hosts()?.lose(5)?;
                sleep(time).await;
                cluster.delays()?.set(Duration::ZERO);
                cluster.hosts()?.heal()
            }
            Fault::PowerCut(node, time) => {
                cluster.cut_power(&[node])?;
                sleep(time).await;
                cluster.restore_power(&[node])
            }
            Fault::PowerCutAll => {
                cluster.cut_power(&[0, 1, 2])?;
                cluster.restore_power(&[0, 1, 2])
            }
            Fault::Stall(node, time) => {
                cluster.disk(node)?.stall()?;
                sleep(time).await;
                cluster.disk(node)?.go_on()
            }
            Fault::SlowDisk(node, time) => {
                let until = Instant::now() + time;
                while Instant::now() < until {
                    cluster.disk(node)?.stall()?;
                    sleep(SLOW_TURN * 4).await;
                    cluster.disk(node)?.go_on()?;
                    sleep(SLOW_TURN).await;
                }
                Ok(())
            }
            Fault::Clock(node, seconds, time) => {
                cluster.clock(node)?.step(seconds)?;
                sleep(time).await;
                cluster.clock(node)?.step(0)?;
                sleep(Duration::from_millis(1_500)).await;
                Ok(())
            }
            Fault::EndAt(node, point, times) => {
                cluster.node(node).kill()?;
                cluster.node(node).start_until(&format!("{point}={times}*off->return"))?;
                if !tokio::task::block_in_place(|| cluster.node(node).has_ended_within(POINT_MAX))? {
                    cluster.node(node).kill()?;
                }
                cluster.node(node).start()
            }
            Fault::Restart(node) => {
                let status = tokio::task::block_in_place(|| cluster.node(node).stop(STOP_MAX))?;
                if !status.success() {
                    return Err(format!("node {} ended with {status} when asked to stop", SLOTS[node]).into());
                }
                cluster.node(node).start()
            }
        }
    }

    fn times(&self, name: &str) -> usize {
        self.done.get(name).copied().unwrap_or(0)
    }
}

async fn heal(cluster: &Cluster, time: Duration) -> Result<()> {
    sleep(time).await;
    cluster.hosts()?.heal()
}
