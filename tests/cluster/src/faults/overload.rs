//! Too much of everything: a storm of sessions after a failover, readers that never read, ten times the clients. Memory must stay
//! bounded, and those who are admitted must not wait long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{OutgoingMessage, SendMessageRequest, SyncRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::{ATTEMPT, Client, Cluster, Options, Person, Result, create_group, enrol_all, reason};

/// How much of each.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Sessions with an open stream.
    pub sessions: usize,
    /// Streams that nobody reads.
    pub deaf: usize,
    /// Clients that write in quiet times; ten times as many in the rush.
    pub writers: usize,
}

/// Longest that the storm may take until every stream is live again.
const STORM_MAX: Duration = Duration::from_secs(120);
/// How long each measurement of writes takes.
const MEASURED: Duration = Duration::from_secs(8);
/// What the readers that never read would have to read: so many messages of so many bytes.
const UNREAD: (usize, usize) = (400, 8 * 1024);

/// Makes it all; `tell` is told what was measured.
pub async fn overload(crowd: Crowd, tell: impl Fn(&str) + Sync) -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people: Vec<Person> =
        (0..crowd.sessions).map(|index| Person::new(&format!("n{index}"), &format!("N {index}"))).collect();
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let ward: Vec<String> = clients[1..crowd.deaf.max(2)].iter().map(|client| client.user().to_owned()).collect();
    let conversation = create_group(&clients[0], "Everyone", &ward).await?;
    tell(&format!("{} sessions; memory {}", crowd.sessions, memory(&cluster)));

    // A quiet time, and the storm: every session follows a stream, and the leader dies.
    let writers = &clients[..crowd.writers];
    tell(&format!("quiet, {} clients: {}", crowd.writers, rush(writers, &conversation).await?));
    let live = Arc::new(AtomicUsize::new(0));
    let mut streams = JoinSet::new();
    for client in &clients {
        streams.spawn(follow(Arc::clone(client), Arc::clone(&live)));
    }
    wait_live(&live, clients.len()).await?;
    tell(&format!("{} streams; memory {}", clients.len(), memory(&cluster)));
    let leader = cluster.leader().await?;
    let began = Instant::now();
    cluster.node(leader).kill()?;
    sleep(Duration::from_millis(200)).await;
    wait_live(&live, clients.len()).await?;
    let took = began.elapsed();
    cluster.node(leader).start()?;
    cluster.wait_until_well().await?;
    tell(&format!(
        "the leader died: all streams live again after {:.1} s; memory {}",
        took.as_secs_f64(),
        memory(&cluster)
    ));

    // Readers that never read.
    let mut deaf = Vec::new();
    for (index, client) in clients[..crowd.deaf.min(clients.len())].iter().enumerate() {
        let request = SyncRequest { with_messages: true, ..SyncRequest::default() };
        let mut service = SyncServiceClient::new(client.own_wire_to(index % 3)?);
        deaf.push(timeout(ATTEMPT * 20, service.sync(request)).await??.into_inner());
    }
    for _ in 0..UNREAD.0 {
        write(&clients[0], &conversation, &"x".repeat(UNREAD.1)).await?;
    }
    sleep(Duration::from_secs(2)).await;
    tell(&format!(
        "{} readers that never read, {} MiB each: memory {}",
        deaf.len(),
        (UNREAD.0 * UNREAD.1) >> 20,
        memory(&cluster)
    ));
    tell(&format!("beside them, {} clients: {}", crowd.writers, rush(writers, &conversation).await?));
    drop(deaf);

    let many = &clients[..(crowd.writers * 10).min(crowd.deaf)];
    tell(&format!("rush, {} clients: {}; memory {}", many.len(), rush(many, &conversation).await?, memory(&cluster)));
    streams.abort_all();
    cluster.wait_until_well().await?;
    cluster.check_logs(&[])
}

/// Resident memory of the nodes, now and at most, in MiB.
fn memory(cluster: &Cluster) -> String {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
        };
        format!("{} (at most {})", field("VmRSS:"), field("VmHWM:"))
    };
    let each: Vec<String> = cluster.pids().into_iter().flatten().map(of).collect();
    format!("{} MiB", each.join(", "))
}

/// All of them write as fast as they are answered, each attempt once.
async fn rush(clients: &[Arc<Client>], conversation: &str) -> Result<String> {
    let until = Instant::now() + MEASURED;
    let each = join_all(clients.iter().map(|client| async move {
        let (mut times, mut refused) = (Vec::new(), 0_usize);
        while Instant::now() < until {
            let began = Instant::now();
            match write(client, conversation, "hello").await {
                Ok(()) => times.push(began.elapsed()),
                Err(_) => refused += 1,
            }
        }
        (times, refused)
    }))
    .await;
    let refused: usize = each.iter().map(|(_, refused)| refused).sum();
    let mut times: Vec<Duration> = each.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    Ok(format!("{} acknowledged, {refused} refused, p50 {:.1?}, p99 {:.1?}", times.len(), at(50), at(99)))
}

async fn write(client: &Client, conversation: &str, text: &str) -> Result<()> {
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let number = client.numbers.take();
    let answer = client
        .once(ATTEMPT * 20, |wire| {
            let request = SendMessageRequest {
                message: Some(message.clone()),
                request_id: Some(client.numbers.request_id(number)),
            };
            async move { MessageServiceClient::new(wire).send_message(request).await }
        })
        .await;
    client.numbers.done(number);
    answer.map(drop).map_err(|status| format!("write: {} {}", reason(&status), status.message()).into())
}

async fn wait_live(live: &AtomicUsize, count: usize) -> Result<()> {
    let began = Instant::now();
    while live.load(Ordering::Relaxed) < count {
        if began.elapsed() > STORM_MAX {
            return Err(format!("{} of {count} streams are live", live.load(Ordering::Relaxed)).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Follows a stream, and another when it ends; `live` counts those that are.
async fn follow(client: Arc<Client>, live: Arc<AtomicUsize>) {
    let mut cursor = client.credentials.cursor.clone();
    for tries in 0.. {
        let Ok(wire) = client.wire_to((client.node() + tries) % 3) else { return };
        let request = SyncRequest { cursor: cursor.clone(), ..SyncRequest::default() };
        if let Ok(Ok(answer)) = timeout(ATTEMPT * 10, SyncServiceClient::new(wire).sync(request)).await {
            let (mut stream, mut counted) = (answer.into_inner(), false);
            while let Ok(Some(item)) = stream.message().await {
                if !item.cursor.is_empty() {
                    cursor = item.cursor;
                }
                if matches!(item.item, Some(Item::Progress(_))) && !counted {
                    counted = true;
                    live.fetch_add(1, Ordering::Relaxed);
                }
            }
            if counted {
                live.fetch_sub(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
