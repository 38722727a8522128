//! `ops/bench`: how fast three nodes on this machine keep messages, beside what the machine itself can do.

mod delivery;
mod floor;
mod report;
mod send;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster::{Cluster, Options, Result};

use report::Report;
use send::{Mode, Senders};

/// Sends in flight, from one doctor to a whole hospital at once.
const IN_FLIGHT: [usize; 5] = [1, 16, 64, 256, 1_024];
/// Users who send: each has a session of its own, as the rates of a session are bounded.
const SENDERS: usize = 64;
/// Messages offered each second when delivery is measured.
const OFFERED_PER_SECOND: u32 = 200;

/// Measures acknowledgement, delivery and cost, with the machine's own floor measured in the same run.
#[derive(Parser)]
#[command(name = "ops/bench")]
struct Arguments {
    /// Seconds for each measurement.
    #[arg(long, value_name = "T", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// 2 seconds each, and only 1, 64 and 1024 in flight.
    #[arg(long)]
    quick: bool,
    /// Also write the results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
    let time = Duration::from_secs(if arguments.quick { 2 } else { arguments.seconds });
    let levels: Vec<usize> =
        IN_FLIGHT.into_iter().filter(|level| !arguments.quick || matches!(level, 1 | 64 | 1_024)).collect();
    let mut report = Report::new(time, SENDERS);

    eprintln!("the machine's floor");
    // Before the cluster runs, and on the file system that it will use.
    let floor = floor::measure(time.min(Duration::from_secs(5)))?;
    report.floor(&floor);

    let mut cluster = Cluster::found(Options::default()).await?;
    let senders = Senders::sign_in(&cluster, SENDERS).await?;
    senders.run(&cluster, Mode::Unary, 16, Duration::from_secs(1)).await?; // Warms connections and caches.
    let disk_before = usage::disk(cluster.dir())?;
    let mut sent = 0;
    for mode in [Mode::Unary, Mode::Streaming] {
        for &in_flight in &levels {
            eprintln!("{mode:?}, {in_flight} in flight");
            let measured = senders.run(&cluster, mode, in_flight, time).await?;
            sent += measured.messages;
            report.sends(&measured);
        }
    }
    eprintln!("delivery at {OFFERED_PER_SECOND} messages/s");
    report.delivery(&delivery::measure(&cluster, &senders, OFFERED_PER_SECOND, time).await?, OFFERED_PER_SECOND);
    sent += u64::from(OFFERED_PER_SECOND) * time.as_secs();
    report.memory(usage::resident(&cluster)?);
    cluster.check_logs(&[])?;
    // A node that stops in order has its state in tables; before, part of it is in memory and its bytes in the log alone.
    for node in 0..3 {
        cluster.node(node).stop(Duration::from_secs(30))?;
    }
    report.disk(usage::disk(cluster.dir())?.saturating_sub(disk_before), sent);

    report.print();
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    Ok(())
}
