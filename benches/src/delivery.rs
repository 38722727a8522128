//! How long a message takes from its author on one node to a subscriber on another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, Observer, Person, Result, create_group, enrol_all, reason};
use hdrhistogram::Histogram;
use proto::v1::SendMessageRequest;
use proto::v1::message_service_client::MessageServiceClient;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::floor::micros;
use crate::send::{Senders, message};

/// Offers so many messages a second at node a for so long; times from the author's call to the arrival at node b, in
/// microseconds.
pub async fn measure(cluster: &Cluster, senders: &Senders, per_second: u32, time: Duration) -> Result<Histogram<u64>> {
    let reader = [Person::new("reader", "Reader")];
    let reader = enrol_all(cluster.links(), cluster.admin(), &reader, || {}).await?.remove(0);
    let (author, _) = senders.one(0);
    let conversation = create_group(author, "Delivery", &[reader.user().to_owned()]).await?;
    author.move_to(0);
    let mut observer = Observer::start(reader, 1).await?;

    let count = usize::try_from(u64::from(per_second) * time.as_secs().max(1))?;
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = JoinSet::new();
    for index in 0..count {
        ticks.tick().await;
        let (author, message) = (Arc::clone(author), message(&conversation, format!("{index} ")));
        tasks.spawn(async move {
            let began = Instant::now();
            let answer = author
                .write(|wire, id| {
                    let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
                    async move { MessageServiceClient::new(wire).send_message(request).await }
                })
                .await;
            answer.map(|answer| (answer.seq, began))
        });
    }
    let mut sent = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        sent.push(ended?.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?);
    }
    observer.wait_for(count, Duration::from_secs(30)).await?;
    sent.sort_by_key(|(seq, _)| *seq);
    let mut latency = Histogram::new(3)?;
    for ((_, began), seen) in sent.iter().zip(observer.seen(&conversation)) {
        latency.record(micros(seen.at.into_std().saturating_duration_since(*began)))?;
    }
    Ok(latency)
}
