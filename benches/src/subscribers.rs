//! Many users, each with a sync stream of their own: what an idle one costs, how soon a message reaches all of a group, and
//! how soon all are live again after they were cut off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Observer, Person, Result, Sink, create_group, enrol_all, reason};
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use proto::v1::SendMessageRequest;
use proto::v1::message_service_client::MessageServiceClient;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::floor::micros;
use crate::send::message;
use crate::usage;

/// Streams opened at a time.
const OPENING: usize = 64;
/// Messages to the group each second.
const PER_SECOND: u32 = 4;
/// How long is looked at what the nodes use while nobody writes.
const IDLE: Duration = Duration::from_secs(3);

/// What was measured.
pub struct Subscribers {
    /// Bytes of node memory for each idle stream.
    pub idle_bytes: f64,
    /// From sending to the last delivery, in microseconds.
    pub last_delivery: Histogram<u64>,
    /// Processor time of all nodes for each delivery, in microseconds, without what they use while nobody writes.
    pub cpu_us_per_delivery: f64,
    /// From the first opening of a stream to the last one that was live, all opened at once.
    pub storm: Duration,
}

/// When each message reached whom: the last so far, and how many.
type Arrivals = Arc<Mutex<Vec<(Instant, usize)>>>;

/// So many users in one group, and so many messages to it.
pub async fn measure(cluster: &Cluster, count: usize, messages: usize) -> Result<Subscribers> {
    let people: Vec<Person> =
        (0..count).map(|index| Person::new(&format!("member-{index}"), &format!("Member {index}"))).collect();
    let members = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let others: Vec<String> = members[1..].iter().map(|member| member.user().to_owned()).collect();
    let group = create_group(&members[0], "Everybody", &others).await?;
    sleep(Duration::from_secs(1)).await;

    let before: u64 = usage::resident(cluster)?.iter().sum();
    let arrivals = Arrivals::default();
    let began = Instant::now();
    let streams = open(&members, &arrivals).await?;
    let storm = began.elapsed();
    sleep(Duration::from_secs(1)).await;
    let after: u64 = usage::resident(cluster)?.iter().sum();

    let (idle, idled) = (usage::processor(cluster)?, Instant::now());
    sleep(IDLE).await;
    let (processor, began) = (usage::processor(cluster)?, Instant::now());
    let idle = (processor - idle).div_duration_f64(began - idled);
    let sent = post(&members[0], &group, messages).await?;
    for stream in &mut { streams } {
        stream.wait_for(messages, Duration::from_secs(30)).await?;
    }
    let processor = usage::processor(cluster)?.saturating_sub(processor + began.elapsed().mul_f64(idle));
    let mut last_delivery = Histogram::new(3)?;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    for (sent, (arrived, _)) in sent.iter().zip(arrivals.iter()) {
        last_delivery.record(micros(arrived.saturating_duration_since(*sent)))?;
    }
    Ok(Subscribers {
        idle_bytes: after.saturating_sub(before) as f64 / count as f64,
        last_delivery,
        cpu_us_per_delivery: processor.as_secs_f64() * 1e6 / (count * messages) as f64,
        storm,
    })
}

async fn open(members: &[Arc<Client>], arrivals: &Arrivals) -> Result<Vec<Observer>> {
    let open = members.iter().enumerate().map(|(place, member)| {
        let (member, arrivals) = (Arc::clone(member), Arc::clone(arrivals));
        let sink: Sink = Arc::new(move |posted| {
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let place = usize::try_from(posted.seq)?.saturating_sub(1);
            if arrivals.len() <= place {
                arrivals.resize(place + 1, (Instant::now(), 0));
            }
            arrivals[place] = (Instant::now(), arrivals[place].1 + 1);
            Ok(())
        });
        async move { Observer::with_sink(member, place % 3, sink).await }
    });
    stream::iter(open).buffer_unordered(OPENING).try_collect().await
}

/// When each was sent.
async fn post(author: &Client, group: &str, messages: usize) -> Result<Vec<Instant>> {
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = Vec::new();
    for index in 0..messages {
        let message = message(group, format!("{index} "));
        sent.push(ticks.tick().await.into_std());
        let posted = author.write(|wire, id| {
            let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
            async move { MessageServiceClient::new(wire).send_message(request).await }
        });
        posted.await.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?;
    }
    Ok(sent)
}
