//! What else one could run: three nodes of a peer on this machine, with texts of the same size, as many in flight, and as
//! much on the disks of two of three before the acknowledgement.

mod etcd;
mod nats;
mod process;

use std::future::Future;
use std::time::{Duration, Instant};

use cluster::Result;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::floor::micros;
use crate::usage;

/// Connections that clients share, as they would behind a load balancer.
const CONNECTIONS: usize = 16;
/// How long its nodes may take until they keep a first message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Peer {
    /// etcd as it comes: its log is synced before a member answers.
    Etcd,
    /// NATS `JetStream`, a file stream of three replicas, with `sync_interval: always`.
    Nats,
}

impl Peer {
    /// As rows are called.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Nats => "nats",
        }
    }
}

/// What one load came to.
pub struct Load {
    /// Unanswered at a time.
    pub in_flight: usize,
    /// Acknowledged each second.
    pub per_second: f64,
    /// In microseconds.
    pub latency: Histogram<u64>,
    /// Processor time of all its nodes for each, in milliseconds.
    pub cpu_ms: f64,
}

/// A connection on which many can wait at a time.
trait Line: Clone + Send + Sync + 'static {
    /// Keeps one message; returns when it is acknowledged.
    fn keep(&self, text: Vec<u8>) -> impl Future<Output = Result<()>> + Send;
}

/// Runs the peer, keeps so many unanswered for so long, and ends it.
pub async fn measure(peer: Peer, loads: &[usize], time: Duration) -> Result<Vec<Load>> {
    match peer {
        Peer::Etcd => {
            let (nodes, lines) = etcd::start().await?;
            run(&nodes, &lines, loads, time).await
        }
        Peer::Nats => {
            let (nodes, lines) = nats::start().await?;
            run(&nodes, &lines, loads, time).await
        }
    }
}

async fn run<L: Line>(nodes: &process::Nodes, lines: &[L], loads: &[usize], time: Duration) -> Result<Vec<Load>> {
    closed_loop(lines, 16, Duration::from_secs(1)).await?; // Warms connections and caches.
    let mut measured = Vec::new();
    for &in_flight in loads {
        let processor = usage::processor_of(nodes.pids())?;
        let began = Instant::now();
        let latency = closed_loop(lines, in_flight, time).await?;
        let (took, processor) = (began.elapsed(), usage::processor_of(nodes.pids())?.saturating_sub(processor));
        let kept = latency.len().max(1) as f64;
        measured.push(Load {
            in_flight,
            per_second: kept / took.as_secs_f64(),
            latency,
            cpu_ms: processor.as_secs_f64() * 1e3 / kept,
        });
    }
    Ok(measured)
}

async fn closed_loop<L: Line>(lines: &[L], in_flight: usize, time: Duration) -> Result<Histogram<u64>> {
    let until = Instant::now() + time;
    let mut tasks: JoinSet<Result<Histogram<u64>>> = JoinSet::new();
    for index in 0..in_flight {
        let line = lines[index % lines.len()].clone();
        tasks.spawn(async move {
            let mut latency = Histogram::new(3)?;
            while Instant::now() < until {
                let began = Instant::now();
                line.keep(vec![b'.'; crate::send::TEXT_BYTES]).await?;
                latency.record(micros(began.elapsed()))?;
            }
            Ok(latency)
        });
    }
    let mut latency = Histogram::new(3)?;
    while let Some(ended) = tasks.join_next().await {
        latency.add(ended??)?;
    }
    Ok(latency)
}

/// Tries until a first message is kept: nodes that have just started elect a leader first.
async fn first<L: Line>(line: &L) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let attempt = tokio::time::timeout(Duration::from_secs(5), line.keep(vec![b'.'])).await;
        match attempt {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if Instant::now() >= until => return Err(error),
            Err(_) if Instant::now() >= until => return Err("the peer keeps nothing".into()),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
