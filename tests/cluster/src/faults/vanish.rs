//! The leader's host goes away without a word, again and again: how long is nothing acknowledged?

use std::time::Duration;

use checker::Report;
use tokio::time::sleep;

use super::{Load, Size, settle};
use crate::{Cluster, Options, Result, SLOTS};

/// How long the host stays away.
const AWAY: Duration = Duration::from_secs(4);
/// How long all three are there before the next.
const BACK: Duration = Duration::from_secs(1);

/// Does it so many times under the load of so many clients; answers the longest time without an acknowledgement, each time, and
/// what the checker says of the whole. Packets to and from the leader are dropped, so that nothing tells anyone that it is gone.
pub async fn vanish(times: usize, clients: usize, tell: impl Fn(&str) + Sync) -> Result<(Vec<Duration>, Report)> {
    let mut cluster = Cluster::found(Options { hosts: true, ..Options::default() }).await?;
    let size = Size { writers: clients, ..Size::default() };
    let mut load = Load::start(&cluster, size).await?;
    let mut gaps = Vec::new();
    for _ in 0..times {
        sleep(BACK).await;
        let leader = cluster.leader().await?;
        let quiet = load.take_gap();
        cluster.hosts()?.vanish(leader)?;
        sleep(AWAY).await;
        let gap = load.take_gap();
        cluster.hosts()?.heal()?;
        cluster.wait_until_well().await?;
        tell(&format!("{} vanished: {:.3} s (before: {:.3} s)", SLOTS[leader], gap.as_secs_f64(), quiet.as_secs_f64()));
        gaps.push(gap);
    }
    let report = settle(&mut cluster, &mut load).await?;
    cluster.check_logs(&[])?;
    Ok((gaps, report))
}
