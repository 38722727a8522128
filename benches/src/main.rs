//! `ops/bench`: how fast three nodes on this machine keep messages, beside what the machine itself can do.

mod cost;
mod crowd;
mod delivery;
mod failover;
mod floor;
mod growth;
mod peers;
mod proofs;
mod reading;
mod report;
mod rows;
mod scale;
mod send;
mod subscribers;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cluster::{Cluster, Options, Result};

use failover::Death;
use peers::Peer;
use report::{Report, ms};
use scale::Scale;
use send::{Mode, Senders};

/// Loads: from one doctor to a whole hospital at once.
const LOADS: [(Mode, usize); 5] =
    [(Mode::Unary, 1), (Mode::Unary, 16), (Mode::Unary, 64), (Mode::Streaming, 256), (Mode::Streaming, 1_024)];
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
    /// Each workload for a moment, and an error unless all of them work; the figures mean nothing.
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    smoke: bool,
    /// Also a peer, after ours and under the same loads: the ratios.
    #[arg(long, value_enum, value_name = "PEER", value_delimiter = ',')]
    peer: Vec<Peer>,
    /// Also three nodes that are filled with so many messages: what that changes. 5000000 take some ten minutes.
    #[arg(long, value_name = "MESSAGES")]
    stored: Option<u64>,
    /// Also so many sessions on one node, with two streams each: what an idle one costs, and how soon all are live again when
    /// that node dies. 5000 take some five minutes.
    #[arg(long, value_name = "SESSIONS", value_parser = clap::value_parser!(u32).range(1..=9_000))]
    crowd: Option<u32>,
    /// Also the loads unary-64 and stream-256 with the daemon and, in turns, with `tricordd-bare` beside it, which is built
    /// without sealing and audit: what these cost. `ops/bench --bare` builds it.
    #[arg(long)]
    bare: bool,
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

    fn scale(&self) -> Scale {
        match (self.smoke, self.quick) {
            (true, _) => Scale::smoke(),
            (_, true) => Scale::quick(self.seconds),
            _ => Scale::full(self.seconds),
        }
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
    let scale = arguments.scale();
    // Before the cluster runs, and on the file system that it will use.
    let mut report = Report::new(floor::measure(scale.time.min(Duration::from_secs(3)))?);
    one_cluster(arguments, &scale, &mut report).await?;
    if arguments.wants("vanish-leader-gap") {
        match Cluster::found(Options { hosts: true, ..Options::default() }).await {
            Ok(mut cluster) => gaps(&scale, &mut report, &mut cluster, Death::Vanish).await?,
            Err(error) => eprintln!("vanish-leader-gap is left out: this machine gives nodes no hosts: {error}"),
        }
    }
    for peer in &arguments.peer {
        let wanted = |(mode, in_flight): &(Mode, usize)| arguments.wants(&format!("{}-{in_flight}-", mode.id()));
        let loads: Vec<usize> = LOADS.iter().filter(|load| wanted(load)).map(|(_, in_flight)| *in_flight).collect();
        for load in peers::measure(*peer, &loads, scale.time).await? {
            report.peer(*peer, &load)?;
        }
    }
    if let Some(stored) = arguments.stored.or(arguments.smoke.then_some(2_000)) {
        growth::measure(stored, &scale, &mut report).await?;
    }
    if let Some(sessions) = arguments.crowd.or(arguments.smoke.then_some(20)) {
        crowd::measure(usize::try_from(sessions)?, scale.idle, &mut report).await?;
    }
    if arguments.bare {
        cost::measure(&scale, &mut report).await?;
    }
    report.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    let missing = report.missing();
    if arguments.smoke && !missing.iter().all(|row| row.starts_with("vanish-leader-gap")) {
        return Err(format!("no value for {}", missing.join(", ")).into());
    }
    Ok(())
}

/// Everything that is measured on three processes of this machine, from the smallest load to the end of the leader.
async fn one_cluster(arguments: &Arguments, scale: &Scale, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let senders = Senders::sign_in(&cluster, scale.senders).await?;
    senders.run(&cluster, Mode::Unary, 16, scale.time.min(Duration::from_secs(1))).await?; // Warms connections and caches.
    loads(arguments, scale, report, &mut cluster, &senders).await?;
    if arguments.wants("deliver-other-node") {
        let times = delivery::measure(&cluster, &senders, OFFERED_PER_SECOND, scale.time).await?;
        report.row("deliver-other-node-p50-ms", ms(&times, 0.5))?;
        report.row("deliver-other-node-p99-ms", ms(&times, 0.99))?;
    }
    if arguments.wants_any(&["history-front", "history-middle", "history-end"]) {
        let (client, conversation) = senders.one(0);
        let (times, length) = reading::history(client, conversation, scale.pages).await?;
        eprintln!("a conversation of {length} messages");
        for (place, times) in ["front", "middle", "end"].into_iter().zip(&times) {
            report.row(&format!("history-{place}-p99-ms"), ms(times, 0.99))?;
        }
    }
    if arguments.wants_any(&["proof-p99", "verify-million"]) {
        let (client, conversation) = senders.one(0);
        let (_, length) = reading::history(client, conversation, 1).await?;
        let seen = proofs::measure(&cluster, conversation, length, scale.pages).await?;
        let (records, took) = seen.verified;
        eprintln!("{records} records were verified in {took:.2?}");
        report.row("proof-p99-ms", ms(&seen.prove, 0.99))?;
        report.row("verify-million-records-s", took.as_secs_f64() * 1e6 / records.max(1) as f64)?;
    }
    if arguments.wants("resume-5000-missed") {
        let times = reading::resume(&cluster, senders.one(1).0, "once", scale.cases, scale.missed).await?;
        report.row("resume-5000-missed-ms", times[times.len() / 2].as_secs_f64() * 1e3)?;
    }
    if arguments.wants_any(&["group-500", "idle-stream", "reconnect-storm"]) {
        let seen = subscribers::measure(&cluster, scale.subscribers, scale.group_messages).await?;
        report.row("idle-stream-kib", seen.idle_bytes / 1024.0)?;
        report.row("reconnect-storm-s", seen.storm.as_secs_f64())?;
        report.row("group-500-last-delivery-p99-ms", ms(&seen.last_delivery, 0.99))?;
        report.row("group-500-cpu-us-per-delivery", seen.cpu_us_per_delivery)?;
    }
    if arguments.wants("restart-s") {
        report.row("restart-s", restart(&mut cluster).await?.as_secs_f64())?;
    }
    if arguments.wants("rolling-restart-gap") {
        gaps_with(scale, report, &mut cluster, &senders, Death::Rolling).await?;
    }
    if arguments.wants("kill-leader-gap") {
        gaps_with(scale, report, &mut cluster, &senders, Death::Kill).await?;
    }
    cluster.check_logs(&[])
}

/// How long a node that was stopped in order takes until all three are well again.
async fn restart(cluster: &mut Cluster) -> Result<Duration> {
    cluster.node(2).stop(Duration::from_secs(30))?;
    let began = Instant::now();
    cluster.node(2).start()?;
    cluster.wait_until_well().await?;
    Ok(began.elapsed())
}

async fn loads(
    arguments: &Arguments,
    scale: &Scale,
    report: &mut Report,
    cluster: &mut Cluster,
    senders: &Senders,
) -> Result<()> {
    let (disk, written, stored) = (usage::disk(cluster.dir())?, usage::written(cluster)?, senders.stored().await?);
    let mut sent = 0;
    for (mode, in_flight) in LOADS {
        if !arguments.wants(&format!("{}-{in_flight}-", mode.id())) {
            continue;
        }
        let before = usage::threads(cluster)?;
        let measured = senders.run(cluster, mode, in_flight, scale.time).await?;
        if arguments.threads {
            usage::print_threads(&before, &usage::threads(cluster)?, measured.messages);
        }
        sent += measured.messages;
        report.sends(&measured)?;
    }
    let more = senders.stored().await? - stored;
    if more != sent {
        return Err(format!("{sent} messages were acknowledged and {more} are stored").into());
    }
    if sent > 0 && arguments.only.is_empty() {
        let written = usage::written(cluster)?.saturating_sub(written);
        let each = |bytes: u64| bytes as f64 / sent as f64 / 3.0;
        let largest = usage::resident(cluster)?.into_iter().max().unwrap_or(0);
        report.row("memory-mib-per-node", (largest >> 20) as f64)?;
        // A node that stops in order has its state in tables; before, part of it is in memory and its bytes in the log alone.
        for node in 0..3 {
            cluster.node(node).stop(Duration::from_secs(30))?;
        }
        let grown = usage::disk(cluster.dir())?.saturating_sub(disk);
        report.row("disk-bytes-per-message-and-node", each(grown))?;
        report.row("disk-written-to-grown", written as f64 / grown.max(1) as f64)?;
        for node in 0..3 {
            cluster.node(node).start()?;
        }
        cluster.wait_until_well().await?;
    }
    Ok(())
}

async fn gaps(scale: &Scale, report: &mut Report, cluster: &mut Cluster, death: Death) -> Result<()> {
    let senders = Senders::sign_in(cluster, scale.senders).await?;
    gaps_with(scale, report, cluster, &senders, death).await
}

async fn gaps_with(
    scale: &Scale,
    report: &mut Report,
    cluster: &mut Cluster,
    senders: &Senders,
    death: Death,
) -> Result<()> {
    // All three are restarted, however few deaths there are.
    let times = if death == Death::Rolling { scale.deaths.next_multiple_of(3) } else { scale.deaths };
    let gaps = failover::measure(cluster, senders, death, times).await?;
    let name = death.id();
    eprintln!("{name}: {gaps:?}");
    report.row(&format!("{name}-gap-median-ms"), gaps[gaps.len() / 2].as_secs_f64() * 1e3)?;
    report.row(&format!("{name}-gap-max-ms"), gaps[gaps.len() - 1].as_secs_f64() * 1e3)
}
