//! What changes when the nodes hold many messages: the same questions with few and with many.

use std::time::{Duration, Instant};

use cluster::{Cluster, Options, Result};
use tokio::time::sleep;

use crate::report::{Report, ms};
use crate::scale::Scale;
use crate::send::{Mode, Senders};
use crate::{reading, restart, usage};

/// Sends unanswered while the nodes are filled.
const FILLING: usize = 256;
/// The node that is away while they are filled.
const AWAY: usize = 2;
/// How long it may take to stop in order.
const STOP: Duration = Duration::from_secs(30);
/// How long it may take to have all of it.
const CATCH_UP_MAX: Duration = Duration::from_secs(900);
/// The nodes rest when nothing was compacted for so long.
const RESTED: Duration = Duration::from_secs(2);
/// Longest that is waited for that.
const REST_MAX: Duration = Duration::from_secs(240);
/// Messages are counted this often meanwhile.
const SLICE: Duration = Duration::from_secs(5);

/// The answers at one size, in milliseconds; the rate in messages a second.
struct Look {
    unary_64_per_s: f64,
    history_p99: f64,
    resume: f64,
    restart: f64,
}

/// Fills three nodes of their own with `stored` messages, and compares with few.
pub async fn measure(stored: u64, scale: &Scale, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let senders = Senders::sign_in(&cluster, scale.senders).await?;
    fill(&cluster, &senders, scale.few).await?;
    let few = look(&mut cluster, &senders, scale, "few").await?;
    // One node is away meanwhile, and has to have all of it from the others afterwards.
    let moved = senders.leave(AWAY);
    tokio::task::block_in_place(|| cluster.node(AWAY).stop(STOP))?;
    fill(&cluster, &senders, stored).await?;
    catch_up(&mut cluster, &senders, report).await?;
    moved.iter().for_each(|client| client.move_to(AWAY));
    let largest = usage::resident(&cluster)?.into_iter().max().unwrap_or(0);
    report.row("stored-memory-mib-per-node", (largest >> 20) as f64)?;
    let many = look(&mut cluster, &senders, scale, "many").await?;
    report.row("stored-restart-s", many.restart / 1e3)?;
    report.row("growth-unary-64-ratio", few.unary_64_per_s / many.unary_64_per_s)?;
    report.row("growth-history-ratio", many.history_p99 / few.history_p99)?;
    report.row("growth-resume-ratio", many.resume / few.resume)?;
    report.row("growth-restart-ratio", many.restart / few.restart)?;
    rest(&cluster).await?;
    let rested = look(&mut cluster, &senders, scale, "rested").await?;
    report.row("growth-rested-unary-64-ratio", few.unary_64_per_s / rested.unary_64_per_s)?;
    report.row("growth-rested-history-ratio", rested.history_p99 / few.history_p99)?;
    report.row("growth-rested-resume-ratio", rested.resume / few.resume)?;
    cluster.check_logs(&[])
}

/// How long the node that was away takes until it counts again, and what the others acknowledge meanwhile.
async fn catch_up(cluster: &mut Cluster, senders: &Senders, report: &mut Report) -> Result<()> {
    let began = Instant::now();
    cluster.node(AWAY).start()?;
    let (mut messages, mut seconds) = (0, 0.0);
    let well = cluster.well_within(CATCH_UP_MAX);
    tokio::pin!(well);
    loop {
        let load = senders.run(cluster, Mode::Unary, 64, Duration::from_secs(1));
        tokio::pin!(load);
        let caught_up = tokio::select! {
            well = &mut well => Some(well?),
            sends = &mut load => {
                let sends = sends?;
                messages += sends.messages;
                seconds += sends.time.as_secs_f64();
                None
            }
        };
        if caught_up.is_some() {
            let took = began.elapsed().as_secs_f64();
            load.await?;
            report.row("stored-catch-up-s", took)?;
            break;
        }
    }
    let each: Vec<u64> = ["a", "b", "c"]
        .iter()
        .map(|slot| usage::disk(&cluster.dir().join(slot)).map(|bytes| bytes >> 20))
        .collect::<Result<_>>()?;
    eprintln!(
        "MiB on the nodes' disks: {each:?}; {:.0} messages/s were acknowledged meanwhile",
        messages as f64 / f64::max(seconds, 1e-9)
    );
    Ok(())
}

/// Waits until no node compacts or flushes any more: whether what is slow is slow for the size, or for the work still to do.
async fn rest(cluster: &Cluster) -> Result<()> {
    let (began, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < RESTED && began.elapsed() < REST_MAX {
        let samples = cluster.samples().await?;
        let running = ["log_compactions", "state_compactions", "log_flushes", "state_flushes"]
            .map(|what| samples.sum(&format!("tricord_{what}_running"), &[]));
        if running.iter().sum::<f64>() > 0.0 {
            since = Instant::now();
        }
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("rested after {:.0?}", began.elapsed());
    Ok(())
}

async fn fill(cluster: &Cluster, senders: &Senders, target: u64) -> Result<()> {
    loop {
        let stored = senders.stored().await?;
        eprintln!("{stored} of {target} messages are stored");
        if stored >= target {
            return Ok(());
        }
        senders.run(cluster, Mode::Streaming, FILLING, SLICE.min(slice(target - stored))).await?;
    }
}

/// Not longer than what is missing takes at some ten thousand a second.
fn slice(missing: u64) -> Duration {
    Duration::from_micros(missing.saturating_mul(100)).max(Duration::from_millis(50))
}

async fn look(cluster: &mut Cluster, senders: &Senders, scale: &Scale, name: &str) -> Result<Look> {
    let began = Instant::now();
    let sends = senders.run(cluster, Mode::Unary, 64, scale.time).await?;
    let unary_64_per_s = sends.messages as f64 / sends.time.as_secs_f64();
    let (client, conversation) = senders.one(0);
    let (pages, _) = reading::history(client, conversation, scale.pages).await?;
    let history_p99 = pages.iter().map(|times| ms(times, 0.99)).fold(0.0, f64::max);
    let times = reading::resume(cluster, senders.one(1).0, name, scale.cases, scale.missed).await?;
    let resume = times[times.len() / 2].as_secs_f64() * 1e3;
    let restart = restart(cluster).await?.as_secs_f64() * 1e3;
    eprintln!(
        "{name}: unary 64 {unary_64_per_s:.0}/s, history p99 {history_p99:.2} ms, resume {resume:.1} ms, restart \
         {restart:.0} ms; took {:.0?}",
        began.elapsed()
    );
    Ok(Look { unary_64_per_s, history_p99, resume, restart })
}
