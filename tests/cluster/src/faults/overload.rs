//! Too much of everything: readers that never read, a storm of sessions after a failover, ten times the clients. Memory must
//! stay bounded, those who are admitted must not wait long, and nobody may be held up by somebody else.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{OutgoingMessage, SendMessageRequest, SyncRequest};
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic_types::StatusExt;

use super::memory::Memory;
use crate::{
    ATTEMPT, Client, Cluster, Observer, Options, Person, Result, Samples, Streams, create_group, enrol_all, reason,
};

/// How much of each.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Sessions with an open stream.
    pub sessions: usize,
    /// Streams that nobody reads.
    pub deaf: usize,
    /// Clients that write in quiet times, each four times a second; ten times as many in the rush, without any pause.
    pub writers: usize,
    /// How long each measurement of writes takes.
    pub measured: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowded {
    /// From the leader's end until every stream was live again.
    pub storm: Duration,
    /// The most resident memory of any node, in bytes.
    pub memory: u64,
    /// The bound it has to stay below, for so many sessions and readers.
    pub memory_max: u64,
    /// Streams that were cut off for not being read.
    pub cut: usize,
    /// From the last message to the time all readers beside the deaf ones had it.
    pub heard: Duration,
    /// 99 of 100 sends took the nodes no longer, in the quiet.
    pub quiet_p99: Duration,
    /// Likewise of those admitted in the rush.
    pub rush_p99: Duration,
    /// In the rush: acknowledged, and refused.
    pub rush: (usize, usize),
    /// 99 of 100 entries in the rush: so long its oldest call had waited for it.
    pub waited_p99: Duration,
}

/// A node with nobody connected, its caches full, in bytes.
const MEMORY_IDLE: u64 = 512 << 20;
/// What each stream may take: its connection's buffers, and what waits for it.
const MEMORY_PER_STREAM: u64 = 192 << 10;
/// What each stream nobody reads may take until it is cut off, and a little after.
const MEMORY_PER_DEAF: u64 = 2 << 20;
/// Longest that the storm may take until every stream is live again.
const STORM_MAX: Duration = Duration::from_secs(120);
/// Longest that cutting off, or hearing of what was written, may take.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// In quiet times each client writes this often.
const PACE: Duration = Duration::from_millis(250);
/// What nobody reads: so many messages of so many bytes fill the connection, and so many more the queue.
const UNREAD: [(usize, usize); 2] = [(96, 8 * 1024), (1_120, 1)];
/// What its reader's machine takes of a stream that nobody reads, in bytes.
const WINDOW: u32 = 64 * 1024;
/// So many write what nobody reads, together: more than a few, and less than is refused.
const FLOODING: usize = 16;
/// Readers beside them, one on each node.
const BESIDE: usize = 3;
/// Everybody is in one conversation of this many at most, and hears of each message.
const WARD_MAX: usize = 512;

/// The bound of a node's memory when one third of all streams are its own, or half while one node is away.
pub const fn memory_max(crowd: &Crowd) -> u64 {
    let (streams, deaf) = (crowd.sessions as u64, crowd.deaf as u64);
    MEMORY_IDLE + streams.div_ceil(2) * MEMORY_PER_STREAM + deaf.div_ceil(2) * MEMORY_PER_DEAF
}

/// Makes it all; `tell` is told what was measured.
pub async fn overload(crowd: Crowd, tell: impl Fn(&str) + Sync) -> Result<Crowded> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let mut seen = Crowded { memory_max: memory_max(&crowd), ..Crowded::default() };
    let people: Vec<Person> =
        (0..crowd.sessions).map(|index| Person::new(&format!("n{index}"), &format!("N {index}"))).collect();
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let inside = (crowd.deaf.max(crowd.writers * 10) + BESIDE).min(WARD_MAX).min(clients.len());
    let ward: Vec<String> = clients[1..inside].iter().map(|client| client.user().to_owned()).collect();
    let conversation = create_group(&clients[0], "Everyone", &ward).await?;
    let mut memory = Memory::watch(&cluster);
    tell(&format!("{} sessions; memory {memory}", crowd.sessions));

    let quiet = &clients[..crowd.writers.min(inside)];
    let told = writing(&cluster, quiet, Some(PACE), crowd.measured, &conversation).await?;
    seen.quiet_p99 = told.p99;
    tell(&format!("quiet, {} clients: {told}", quiet.len()));

    // The storm: every session follows a stream, and the leader dies.
    let mut streams = Streams::default();
    clients.iter().for_each(|client| streams.open(Arc::clone(client), false));
    streams.wait(clients.len(), STORM_MAX).await?;
    memory.look(&cluster);
    tell(&format!("{} streams; memory {memory}", clients.len()));
    let leader = cluster.leader().await?;
    let began = Instant::now();
    cluster.node(leader).kill()?;
    while streams.on(leader) > 0 && began.elapsed() < STORM_MAX {
        sleep(Duration::from_millis(5)).await; // Until those of the leader have found out.
    }
    streams.wait(clients.len(), STORM_MAX).await?;
    seen.storm = began.elapsed();
    memory.look(&cluster);
    cluster.node(leader).start()?;
    cluster.wait_until_well().await?;
    memory.look(&cluster);
    tell(&format!("the leader died: all streams live again after {:.1} s; memory {memory}", seen.storm.as_secs_f64()));

    deaf(&cluster, &clients[..inside], (&conversation, crowd.deaf.min(inside - BESIDE)), &mut seen).await?;
    memory.look(&cluster);
    tell(&format!(
        "{} of {} readers that never read were cut off; beside them all was heard after {:.1} s; memory {memory}",
        seen.cut,
        crowd.deaf,
        seen.heard.as_secs_f64()
    ));

    let many = &clients[..(crowd.writers * 10).min(inside)];
    let told = writing(&cluster, many, None, crowd.measured, &conversation).await?;
    memory.look(&cluster);
    (seen.rush_p99, seen.rush, seen.waited_p99) = (told.p99, (told.done, told.refused), told.waited);
    tell(&format!("rush, {} clients: {told}; memory {memory}", many.len()));
    drop(streams);
    cluster.wait_until_well().await?;
    seen.memory = memory.most();
    cluster.check_logs(&[])?;
    Ok(seen)
}

/// Readers that never read, beside one that does; until they are cut off.
async fn deaf(
    cluster: &Cluster,
    clients: &[Arc<Client>],
    (conversation, count): (&str, usize),
    seen: &mut Crowded,
) -> Result<()> {
    let before = cluster.samples().await?;
    let mut deaf = Vec::new();
    for (index, client) in clients.iter().take(count).enumerate() {
        let request = SyncRequest { with_messages: true, ..SyncRequest::default() };
        let mut service = SyncServiceClient::new(client.narrow_wire_to(index % 3, WINDOW)?);
        deaf.push(timeout(ATTEMPT * 20, service.sync(request)).await??.into_inner());
    }
    let mut readers = Vec::new();
    for (node, client) in clients.iter().rev().take(BESIDE).enumerate() {
        readers.push(Observer::with_sink(Arc::clone(client), node, Arc::new(|_| Ok(()))).await?);
    }
    let mut sent = 0;
    for (times, bytes) in UNREAD {
        let text = "x".repeat(bytes);
        let each = times.div_ceil(FLOODING);
        let flood = clients.iter().take(FLOODING).map(|client| async {
            for _ in 0..each {
                client.write(|wire, id| send(wire, conversation, &text, id)).await.map_err(|status| told(&status))?;
            }
            Ok::<_, crate::Failure>(each)
        });
        for done in join_all(flood).await {
            sent += done?;
        }
    }
    let began = Instant::now();
    for reader in &mut readers {
        reader.wait_for(sent, SETTLE_MAX).await?;
    }
    seen.heard = began.elapsed();
    while began.elapsed() < SETTLE_MAX && seen.cut < count {
        sleep(Duration::from_millis(200)).await;
        seen.cut = cluster.samples().await?.since(&before).sum("tricord_client_slow_readers_total", &[]) as usize;
    }
    Ok(())
}

/// What came of writing.
struct Told {
    done: usize,
    refused: usize,
    p99: Duration,
    waited: Duration,
    clients_p99: Duration,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { done, refused, p99, waited, clients_p99 } = self;
        write!(
            f,
            "{done} acknowledged, {refused} refused; p99 of what was admitted {p99:.1?} in the nodes, {clients_p99:.1?} at the \
             clients; p99 of waiting for an entry {waited:.1?}"
        )
    }
}

/// All of them write, each attempt once; whoever is refused waits as long as they are told to.
async fn writing(
    cluster: &Cluster,
    clients: &[Arc<Client>],
    pace: Option<Duration>,
    time: Duration,
    conversation: &str,
) -> Result<Told> {
    let before = cluster.samples().await?;
    let until = Instant::now() + time;
    let each = join_all(clients.iter().enumerate().map(|(index, client)| async move {
        let (mut times, mut refused) = (Vec::new(), 0_usize);
        if let Some(pace) = pace {
            sleep(pace.mul_f64(index as f64 / clients.len() as f64)).await;
        }
        while Instant::now() < until {
            let began = Instant::now();
            let number = client.numbers.take();
            let attempt =
                client.once(ATTEMPT * 20, |wire| send(wire, conversation, "hello", client.numbers.request_id(number)));
            let answer = attempt.await;
            client.numbers.done(number);
            match answer {
                Ok(_) => times.push(began.elapsed()),
                Err(status) => {
                    refused += 1;
                    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or(ATTEMPT);
                    sleep(wait.mul_f64(0.5 + fastrand::f64())).await; // Not all at once again.
                }
            }
            if let Some(pace) = pace {
                sleep(pace.saturating_sub(began.elapsed())).await;
            }
        }
        (times, refused)
    }))
    .await;
    let counted = cluster.samples().await?.since(&before);
    let refused: usize = each.iter().map(|(_, refused)| refused).sum();
    let mut times: Vec<Duration> = each.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    Ok(Told {
        done: times.len(),
        refused,
        p99: p99(&counted, "tricord_client_call_seconds", &["method=\"SendMessage\""]),
        waited: p99(&counted, "tricord_raft_proposal_wait_seconds", &[]),
        clients_p99: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
    })
}

fn p99(counted: &Samples, name: &str, labels: &[&str]) -> Duration {
    Duration::from_secs_f64(counted.quantile(0.99, name, labels).unwrap_or_default())
}

async fn send(
    wire: crate::Wire,
    conversation: &str,
    text: &str,
    id: proto::v1::RequestId,
) -> std::result::Result<tonic::Response<proto::v1::SendMessageResponse>, Status> {
    let message = Some(OutgoingMessage { conversation: conversation.into(), text: text.into(), ..Default::default() });
    MessageServiceClient::new(wire).send_message(SendMessageRequest { message, request_id: Some(id) }).await
}

fn told(status: &Status) -> crate::Failure {
    format!("write: {} {}", reason(status), status.message()).into()
}
