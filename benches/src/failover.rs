//! For how long nobody is acknowledged when the leader goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Cluster, Result, reason};
use proto::v1::SendMessageRequest;
use proto::v1::message_service_client::MessageServiceClient;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::send::{Senders, message};

/// Sends in flight meanwhile.
const IN_FLIGHT: usize = 64;
/// How long the others may take before the leader that went comes back.
const WATCH: Duration = Duration::from_secs(3);

/// How long a node may take to stop in order.
const STOP: Duration = Duration::from_secs(30);

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its process: SIGKILL. The machine is still there and says so.
    Kill,
    /// Its host: no packet comes or goes. The cluster's nodes need hosts of their own.
    Vanish,
    /// No death at all: each of the three is stopped in order and started again, one after the other.
    Rolling,
}

impl Death {
    /// As rows are called.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Kill => "kill-leader",
            Self::Vanish => "vanish-leader",
            Self::Rolling => "rolling-restart",
        }
    }
}

/// The longest time between two acknowledgements, each time the leader goes, or a node is restarted.
pub async fn measure(cluster: &mut Cluster, senders: &Senders, death: Death, times: usize) -> Result<Vec<Duration>> {
    let acknowledged = Arc::new(Acknowledged::default());
    let over = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for index in 0..IN_FLIGHT {
        let (client, conversation) = senders.one(index);
        let (client, conversation) = (client.clone(), conversation.to_owned());
        let (acknowledged, over) = (acknowledged.clone(), over.clone());
        load.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let message = message(&conversation, String::new());
                let sent = client.write(|wire, id| {
                    let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
                    async move { MessageServiceClient::new(wire).send_message(request).await }
                });
                match sent.await {
                    Ok(_) => acknowledged.one(),
                    Err(status) => return Err(format!("send: {} {}", reason(&status), status.message())),
                }
            }
            Ok(())
        });
    }
    let mut gaps = Vec::new();
    for round in 0..times {
        cluster.wait_until_well().await?;
        sleep(Duration::from_secs(1)).await; // Everybody has found a node by then.
        let leader = cluster.leader().await?;
        acknowledged.longest();
        match death {
            Death::Kill => cluster.node(leader).kill()?,
            Death::Vanish => cluster.hosts()?.vanish(leader)?,
            Death::Rolling => {
                tokio::task::block_in_place(|| cluster.node(round % 3).stop(STOP))?;
                cluster.node(round % 3).start()?;
            }
        }
        sleep(WATCH).await;
        gaps.push(acknowledged.longest());
        match death {
            Death::Kill => cluster.node(leader).start()?,
            Death::Vanish => cluster.hosts()?.heal()?,
            Death::Rolling => {}
        }
        if let Some(ended) = load.try_join_next() {
            ended??;
        }
    }
    // To their ends: a number that is taken and never settled holds up its session later.
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    cluster.wait_until_well().await?;
    gaps.sort_unstable();
    Ok(gaps)
}

/// When somebody was acknowledged last, and the longest time in between.
#[derive(Default)]
struct Acknowledged(Mutex<Option<(Instant, Duration)>>);

impl Acknowledged {
    fn one(&self) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = seen.map_or(Duration::ZERO, |(last, longest)| longest.max(now - last));
        *seen = Some((now, longest));
    }

    /// The longest time since this was asked last, up to now.
    fn longest(&self) -> Duration {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = seen.map_or(Duration::ZERO, |(last, longest)| longest.max(now - last));
        *seen = seen.map(|(last, _)| (last, Duration::ZERO));
        longest
    }
}
