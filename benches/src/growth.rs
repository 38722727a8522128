//! What changes when the nodes hold many messages: the same questions with few and with many.

use std::time::{Duration, Instant};

use cluster::ports::free_ports;
use cluster::replacing::{approve, replace, said};
use cluster::{Cluster, Options, Result, SLOTS};
use proto::v1::ClusterHealth;
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
    told(&cluster, "caught up").await?;
    lose_disk(&mut cluster, &senders, report).await?;
    told(&cluster, "replaced").await?;
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

/// How long the node that was away takes until it counts again.
async fn catch_up(cluster: &mut Cluster, senders: &Senders, report: &mut Report) -> Result<()> {
    cluster.node(AWAY).start()?;
    until_well(cluster, senders, Instant::now(), "stored-catch-up-s", report).await
}

/// Its disk is lost, and a new node takes its place: how long until that counts, and how much travels to it.
async fn lose_disk(cluster: &mut Cluster, senders: &Senders, report: &mut Report) -> Result<()> {
    cluster.node(AWAY).kill()?;
    let data = cluster.dir().join(SLOTS[AWAY]).join("data");
    std::fs::remove_dir_all(&data)?;
    let began = Instant::now();
    // It is lost only once the others have noticed; until then approving asks for its name.
    while cluster.status(0).await.is_ok_and(|status| status.health() == ClusterHealth::Ok) {
        if began.elapsed() > STOP {
            return Err("nobody noticed that a node is gone".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (config, [port]) = (cluster.node(AWAY).config().to_owned(), free_ports::<1>()?);
    let began = Instant::now();
    tokio::task::block_in_place(|| {
        let (showing, code) = approve(cluster, port, &[])?;
        let replaced = replace(&config, port, &code)?;
        let approved = showing.wait_with_output()?;
        let all = replaced.status.success() && approved.status.success();
        if all { Ok(()) } else { Err(cluster::Failure::from(said(&replaced) + &said(&approved))) }
    })?;
    cluster.node(AWAY).start()?;
    until_well(cluster, senders, began, "stored-replace-s", report).await?;
    let state = std::fs::read_to_string(data.join("state").join("CURRENT"))?;
    // Its own first one was empty: another number is that of a snapshot that was put in its place.
    let by_snapshot = !state.trim_end().ends_with("-0000000000000001");
    let mib = usage::disk(&data.join("state"))? as f64 / f64::from(1 << 20);
    let way = if by_snapshot { "by a snapshot" } else { "by the log" };
    eprintln!("the new node has its state {way}");
    report.row("stored-replace-mib", mib)?;
    report.row("stored-replace-by-snapshot", f64::from(u8::from(by_snapshot)))
}

/// How long since `began` until all three count, and what is acknowledged meanwhile.
async fn until_well(
    cluster: &Cluster,
    senders: &Senders,
    began: Instant,
    row: &str,
    report: &mut Report,
) -> Result<()> {
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
            report.row(row, took)?;
            break;
        }
    }
    eprintln!("{:.0} messages/s were acknowledged meanwhile", messages as f64 / f64::max(seconds, 1e-9));
    Ok(())
}

/// What the nodes have on their disks and in memory, and which part of that is RocksDB's.
async fn told(cluster: &Cluster, when: &str) -> Result<()> {
    let resident = usage::resident(cluster)?;
    for (node, slot) in SLOTS.iter().enumerate() {
        let samples = cluster.samples_of(node).await?;
        let mib = |name: &str| samples.sum(name, &[]) / f64::from(1 << 20);
        eprintln!(
            "{when}: {slot} has {} MiB on its disk, {} MiB in memory; of these {:.0} and {:.0} in memtables of log and state, \
             {:.0} in the block cache",
            usage::disk(&cluster.dir().join(slot))? >> 20,
            resident.get(node).copied().unwrap_or_default() >> 20,
            mib("tricord_log_memtable_bytes"),
            mib("tricord_state_memtable_bytes"),
            mib("tricord_store_block_cache_bytes"),
        );
    }
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
