//! `ops/bench`: how fast three nodes on this machine keep messages, beside what the machine itself can do.

mod delivery;
mod failover;
mod floor;
mod reading;
mod report;
mod rows;
mod send;
mod subscribers;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cluster::{Cluster, Options, Result};

use failover::Death;
use report::{Report, ms};
use send::{Mode, Senders};

/// Loads: from one doctor to a whole hospital at once.
const LOADS: [(Mode, usize); 5] =
    [(Mode::Unary, 1), (Mode::Unary, 16), (Mode::Unary, 64), (Mode::Streaming, 256), (Mode::Streaming, 1_024)];
/// Users who send: each has a session of its own, as the rates of a session are bounded.
const SENDERS: usize = 64;
/// Messages offered each second when delivery is measured.
const OFFERED_PER_SECOND: u32 = 200;

/// Measures acknowledgement, delivery, failover and cost, with the machine's own floor measured in the same run.
#[derive(Parser)]
#[command(name = "ops/bench")]
struct Arguments {
    /// Seconds for each load.
    #[arg(long, value_name = "T", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Under five minutes: 3 seconds each, fewer users, fewer deaths.
    #[arg(long)]
    quick: bool,
    /// Only rows whose names begin with one of these: unary-64, stream, kill-leader …
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Also print what each of the nodes' threads used, per message.
    #[arg(long)]
    threads: bool,
    /// Also write the results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| row.starts_with(only.as_str()) || only.starts_with(row))
    }

    fn wants_any(&self, rows: &[&str]) -> bool {
        rows.iter().any(|row| self.wants(row))
    }

    fn time(&self) -> Duration {
        Duration::from_secs(if self.quick { self.seconds.min(3) } else { self.seconds })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(arguments: &Arguments) -> Result<()> {
    // Before the cluster runs, and on the file system that it will use.
    let mut report = Report::new(floor::measure(arguments.time().min(Duration::from_secs(3)))?);
    one_cluster(arguments, &mut report).await?;
    if arguments.wants("vanish-leader-gap") {
        match Cluster::found(Options { hosts: true, ..Options::default() }).await {
            Ok(mut cluster) => gaps(arguments, &mut report, &mut cluster, Death::Vanish).await?,
            Err(error) => eprintln!("vanish-leader-gap is left out: this machine gives nodes no hosts: {error}"),
        }
    }
    report.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}

/// Everything that is measured on three processes of this machine, from the smallest load to the end of the leader.
async fn one_cluster(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let senders = Senders::sign_in(&cluster, SENDERS).await?;
    senders.run(&cluster, Mode::Unary, 16, Duration::from_secs(1)).await?; // Warms connections and caches.
    loads(arguments, report, &mut cluster, &senders).await?;
    if arguments.wants("deliver-other-node") {
        let times = delivery::measure(&cluster, &senders, OFFERED_PER_SECOND, arguments.time()).await?;
        report.row("deliver-other-node-p50-ms", ms(&times, 0.5))?;
        report.row("deliver-other-node-p99-ms", ms(&times, 0.99))?;
    }
    if arguments.wants_any(&["history-front", "history-middle", "history-end"]) {
        let (client, conversation) = senders.one(0);
        let (times, length) = reading::history(client, conversation).await?;
        eprintln!("a conversation of {length} messages");
        for (place, times) in ["front", "middle", "end"].into_iter().zip(&times) {
            report.row(&format!("history-{place}-p99-ms"), ms(times, 0.99))?;
        }
    }
    if arguments.wants("resume-5000-missed") {
        let times = reading::resume(&cluster, senders.one(1).0, 200, 5_000).await?;
        report.row("resume-5000-missed-ms", times[times.len() / 2].as_secs_f64() * 1e3)?;
    }
    if arguments.wants_any(&["group-500", "idle-stream", "reconnect-storm"]) {
        let seen = subscribers::measure(&cluster, 500, if arguments.quick { 20 } else { 100 }).await?;
        report.row("idle-stream-kib", seen.idle_bytes / 1024.0)?;
        report.row("reconnect-storm-s", seen.storm.as_secs_f64())?;
        report.row("group-500-last-delivery-p99-ms", ms(&seen.last_delivery, 0.99))?;
        report.row("group-500-cpu-us-per-delivery", seen.cpu_us_per_delivery)?;
    }
    if arguments.wants("restart-s") {
        cluster.node(2).stop(Duration::from_secs(30))?;
        let began = Instant::now();
        cluster.node(2).start()?;
        cluster.wait_until_well().await?;
        report.row("restart-s", began.elapsed().as_secs_f64())?;
    }
    if arguments.wants("kill-leader-gap") {
        gaps_with(arguments, report, &mut cluster, &senders, Death::Kill).await?;
    }
    cluster.check_logs(&[])
}

async fn loads(arguments: &Arguments, report: &mut Report, cluster: &mut Cluster, senders: &Senders) -> Result<()> {
    let disk = usage::disk(cluster.dir())?;
    let mut sent = 0;
    for (mode, in_flight) in LOADS {
        if !arguments.wants(&format!("{}-{in_flight}-", mode.id())) {
            continue;
        }
        let before = usage::threads(cluster)?;
        let measured = senders.run(cluster, mode, in_flight, arguments.time()).await?;
        if arguments.threads {
            usage::print_threads(&before, &usage::threads(cluster)?, measured.messages);
        }
        sent += measured.messages;
        report.sends(&measured)?;
    }
    if sent > 0 && arguments.only.is_empty() {
        let each = |bytes: u64| bytes as f64 / sent as f64 / 3.0;
        let largest = usage::resident(cluster)?.into_iter().max().unwrap_or(0);
        report.row("memory-mib-per-node", (largest >> 20) as f64)?;
        // A node that stops in order has its state in tables; before, part of it is in memory and its bytes in the log alone.
        for node in 0..3 {
            cluster.node(node).stop(Duration::from_secs(30))?;
        }
        report.row("disk-bytes-per-message-and-node", each(usage::disk(cluster.dir())?.saturating_sub(disk)))?;
        for node in 0..3 {
            cluster.node(node).start()?;
        }
        cluster.wait_until_well().await?;
    }
    Ok(())
}

async fn gaps(arguments: &Arguments, report: &mut Report, cluster: &mut Cluster, death: Death) -> Result<()> {
    let senders = Senders::sign_in(cluster, SENDERS).await?;
    gaps_with(arguments, report, cluster, &senders, death).await
}

async fn gaps_with(
    arguments: &Arguments,
    report: &mut Report,
    cluster: &mut Cluster,
    senders: &Senders,
    death: Death,
) -> Result<()> {
    let gaps = failover::measure(cluster, senders, death, if arguments.quick { 5 } else { 20 }).await?;
    let name = if death == Death::Kill { "kill" } else { "vanish" };
    eprintln!("{name}: {gaps:?}");
    report.row(&format!("{name}-leader-gap-median-ms"), gaps[gaps.len() / 2].as_secs_f64() * 1e3)?;
    report.row(&format!("{name}-leader-gap-max-ms"), gaps[gaps.len() - 1].as_secs_f64() * 1e3)
}
