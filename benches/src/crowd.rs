//! A whole house on one node: what an idle stream costs when there are ten thousand, and how soon all sessions are live again
//! elsewhere when that node dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, Options, Person, Result, Streams, enrol_all};
use tokio::time::sleep;

use crate::report::Report;
use crate::usage;

/// The node they are all on. Another leads, as far as that can be had.
const NODE: usize = 1;
/// How long opening them may take.
const OPEN_MAX: Duration = Duration::from_secs(300);
/// How long it may take until all are live again.
const STORM_MAX: Duration = Duration::from_secs(60);

/// Founds three nodes of their own; each of `sessions` has two streams at one of them, and nobody does anything for `idle`.
pub async fn measure(sessions: usize, idle: Duration, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people: Vec<Person> =
        (0..sessions).map(|index| Person::new(&format!("n{index}"), &format!("N {index}"))).collect();
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    clients.iter().for_each(|client| client.move_to(NODE));
    sleep(Duration::from_secs(2)).await;

    let memory = || Ok::<_, cluster::Failure>(usage::resident(&cluster)?[NODE]);
    let before = memory()?;
    let (mut streams, mut second) = (Streams::default(), Streams::default());
    for client in &clients {
        streams.open(Arc::clone(client), true);
        second.open(Arc::clone(client), true);
    }
    streams.wait(sessions, OPEN_MAX).await?;
    second.wait(sessions, OPEN_MAX).await?;
    sleep(Duration::from_secs(2)).await;
    let there = streams.on(NODE) + second.on(NODE);
    if there < 2 * sessions {
        return Err(format!("{there} of {} streams are on one node", 2 * sessions).into());
    }
    let each = memory()?.saturating_sub(before) as f64 / (2 * sessions) as f64;
    let (used, since) = (usage::processor_of(cluster.pids()[NODE])?, Instant::now());
    sleep(idle).await;
    let used = usage::processor_of(cluster.pids()[NODE])?.saturating_sub(used).div_duration_f64(since.elapsed());
    eprintln!("{there} idle streams on one node: {:.1} KiB each, {:.1} % of a core", each / 1024.0, used * 100.0);
    report.row("crowd-idle-stream-kib", each / 1024.0)?;
    report.row("crowd-idle-cpu-percent", used * 100.0)?;

    drop(second);
    let began = Instant::now();
    cluster.node(NODE).kill()?;
    while streams.on(NODE) > 0 && began.elapsed() < STORM_MAX {
        sleep(Duration::from_millis(2)).await; // Until they have found out.
    }
    streams.wait(sessions, STORM_MAX).await?;
    report.row("crowd-reconnect-s", began.elapsed().as_secs_f64())?;
    drop(streams);
    cluster.check_logs(&[])
}
