//! People who write and read without pause, streams that follow, and a record of every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checker::{Answer, Asked, Freshness, Recorder, Request, Row, StreamId};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{
    Direction, ListMessagesRequest, MessagePosted, OutgoingMessage, ReadOptions, SendMessageRequest, UserKind,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::bodies;
use crate::{
    ATTEMPT, Client, Cluster, Observer, PATIENCE, Person, Result, SLOTS, create_group, enrol_all, reason, retryable,
};

/// Newest messages that a read looks at.
const TAIL: i32 = 20;
/// A read may take so long.
const READ_MAX: Duration = Duration::from_secs(3);

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// People who write.
    pub writers: usize,
    /// Conversations; everyone is in all of them.
    pub conversations: usize,
    /// Each writer's pause between two things.
    pub pause: Duration,
    /// How long an attempt may take before the next node is tried.
    pub attempt: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self { writers: 8, conversations: 3, pause: Duration::from_millis(20), attempt: ATTEMPT }
    }
}

/// What all tasks share.
#[derive(Debug)]
pub struct Shared {
    /// What happened.
    pub recorder: Recorder,
    /// `conversations/{id}`; the checker knows them by their index.
    pub conversations: Vec<String>,
    /// Who writes.
    pub writers: Vec<Arc<Client>>,
    origin: Instant,
    attempt: Duration,
    bodies: AtomicU64,
    acknowledged: AtomicU64,
    last: AtomicU64,
    longest: AtomicU64,
    tries_max: AtomicU64,
    time_off: AtomicU64,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    /// What all tasks share.
    pub shared: Arc<Shared>,
    /// The streams, one with its home at each node.
    pub streams: Vec<(StreamId, Observer)>,
    /// Who follows them, and reads everything in the end.
    pub watchers: Vec<(Person, Arc<Client>)>,
    tasks: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Creates people and conversations, and begins.
    pub async fn start(cluster: &Cluster, size: Size) -> Result<Self> {
        let named = |kind, name: String| Person { kind, ..Person::new(&name, &name) };
        let watchers: Vec<Person> =
            SLOTS.iter().map(|slot| named(UserKind::Service, format!("watcher-{slot}"))).collect();
        let people: Vec<Person> =
            (0..size.writers).map(|writer| named(UserKind::Person, format!("writer-{writer}"))).collect();
        let watching = enrol_all(cluster.links(), cluster.admin(), &watchers, || {}).await?;
        let writers = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
        let users: Vec<String> = watching[1..].iter().chain(&writers).map(|client| client.user().to_owned()).collect();
        let mut conversations = Vec::new();
        for index in 0..size.conversations {
            conversations.push(create_group(&watching[0], &format!("Ward {index}"), &users).await?);
        }
        let shared = Arc::new(Shared {
            recorder: Recorder::default(),
            conversations,
            writers,
            origin: Instant::now(),
            attempt: size.attempt,
            bodies: AtomicU64::new(1),
            acknowledged: AtomicU64::new(0),
            last: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            tries_max: AtomicU64::new(0),
            time_off: AtomicU64::new(0),
        });
        let mut streams = Vec::new();
        for (node, client) in watching.iter().enumerate() {
            let stream = shared.recorder.follow(format!("at {}", SLOTS[node]));
            let to = Arc::clone(&shared);
            let sink = move |posted| to.received(stream, posted);
            streams.push((stream, Observer::with_sink(Arc::clone(client), node, Arc::new(sink)).await?));
        }
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for writer in 0..size.writers {
            tasks.spawn(work(Arc::clone(&shared), writer, size.pause, stopped.clone()));
        }
        shared.begin_gap();
        Ok(Self { shared, streams, watchers: watchers.into_iter().zip(watching).collect(), tasks, stop })
    }

    /// Writes acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// The longest time without any acknowledgement since this was last asked, the time until now included.
    #[must_use]
    pub fn take_gap(&self) -> Duration {
        let now = self.shared.now();
        let open = now.saturating_sub(self.shared.last.load(Ordering::Relaxed));
        let longest = self.shared.longest.swap(0, Ordering::Relaxed).max(open);
        self.shared.last.store(now, Ordering::Relaxed);
        Duration::from_micros(longest)
    }

    /// The most attempts a write has needed since this was last asked.
    #[must_use]
    pub fn take_tries(&self) -> u64 {
        self.shared.tries_max.swap(0, Ordering::Relaxed)
    }

    /// How far, in seconds, any message's time was from this machine's.
    #[must_use]
    pub fn time_off(&self) -> u64 {
        self.shared.time_off.load(Ordering::Relaxed)
    }

    /// Nothing new begins; returns when everyone has the answer they wait for.
    pub async fn stop(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Shared {
    /// Microseconds since the load began.
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn begin_gap(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    fn received(&self, stream: StreamId, posted: MessagePosted) -> Result<()> {
        let conversation = self.conversations.iter().position(|name| *name == posted.conversation);
        let conversation = conversation.ok_or("a message of a conversation that nobody made")? as u64;
        let message = posted.message.ok_or("a posted message without its content")?;
        self.recorder.received(stream, conversation, Row { seq: posted.seq, body: bodies::body(&message.text) });
        Ok(())
    }

    /// Notes how far the time a message was stamped with is from this machine's.
    fn compare_time(&self, stamped: Option<prost_types::Timestamp>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let stamped = stamped.and_then(|stamped| u64::try_from(stamped.seconds).ok()).unwrap_or(0);
        self.time_off.fetch_max(now.abs_diff(stamped), Ordering::Relaxed);
    }

    fn count(&self, tries: u64) {
        let now = self.now();
        let before = self.last.fetch_max(now, Ordering::Relaxed);
        self.longest.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.tries_max.fetch_max(tries, Ordering::Relaxed);
    }
}

/// One person: writes, and now and then looks.
async fn work(shared: Arc<Shared>, writer: usize, pause: Duration, stopped: watch::Receiver<bool>) -> Result<()> {
    let client = Arc::clone(&shared.writers[writer]);
    let mut cursor = client.credentials.cursor.clone();
    let mut random = fastrand::Rng::with_seed(writer as u64);
    while !*stopped.borrow() {
        let conversation = random.usize(..shared.conversations.len());
        match random.u32(..10) {
            0 => look(&shared, &client, writer, conversation, true, &mut cursor).await,
            1 => look(&shared, &client, writer, conversation, false, &mut cursor).await,
            _ => say(&shared, &client, writer, conversation, &mut cursor).await?,
        }
        sleep(pause.mul_f64(random.f64() * 2.0)).await;
    }
    Ok(())
}

/// Writes one message, over as many attempts as it takes.
async fn say(shared: &Shared, client: &Client, writer: usize, conversation: usize, cursor: &mut Vec<u8>) -> Result<()> {
    let body = shared.bodies.fetch_add(1, Ordering::Relaxed);
    let number = client.numbers.take();
    let request = Request { client: writer as u64, number };
    let asked = Asked::Post { request, conversation: conversation as u64, body };
    let message = OutgoingMessage {
        conversation: shared.conversations[conversation].clone(),
        text: bodies::text(body).into_bytes(),
        ..OutgoingMessage::default()
    };
    let began = Instant::now();
    for tries in 1.. {
        let node = client.node();
        let call = shared.recorder.begin(shared.now(), node, asked);
        let limit = if began.elapsed() > ATTEMPT * 6 { ATTEMPT * 6 } else { shared.attempt };
        let answer = client
            .once(limit, |wire| {
                let request = SendMessageRequest {
                    message: Some(message.clone()),
                    request_id: Some(client.numbers.request_id(number)),
                };
                async move { MessageServiceClient::new(wire).send_message(request).await }
            })
            .await;
        match answer {
            Ok(answer) => {
                shared.recorder.end(call, shared.now(), Answer::Posted(answer.seq));
                shared.count(tries);
                shared.compare_time(answer.create_time);
                *cursor = answer.cursor;
                break;
            }
            Err(status) if !retryable(&status) => {
                shared.recorder.end(call, shared.now(), Answer::Refused);
                return Err(format!("a write was refused: {}", told(&status)).into());
            }
            // It may have been done, and only the answer is lost.
            Err(_) => shared.recorder.end(call, shared.now(), Answer::Unknown),
        }
        if began.elapsed() > PATIENCE * 2 {
            break;
        }
        client.move_to(node + 1);
        sleep(Duration::from_millis(20)).await;
    }
    client.numbers.done(number);
    Ok(())
}

/// Looks at the newest messages, once; without an answer there is nothing to check.
async fn look(
    shared: &Shared,
    client: &Client,
    writer: usize,
    conversation: usize,
    linearizable: bool,
    cursor: &mut Vec<u8>,
) {
    let freshness = if linearizable { Freshness::Linearizable } else { Freshness::Own };
    let asked = Asked::Read { client: writer as u64, conversation: conversation as u64, freshness };
    let at_least = if linearizable { Vec::new() } else { cursor.clone() };
    let request = ListMessagesRequest {
        parent: shared.conversations[conversation].clone(),
        start_seq: 0,
        direction: Direction::Backward.into(),
        page_size: TAIL,
        read: Some(ReadOptions { at_least, linearizable, allow_stale: false }),
    };
    let call = shared.recorder.begin(shared.now(), client.node(), asked);
    let answer = client
        .once(READ_MAX, |wire| {
            let request = request.clone();
            async move { MessageServiceClient::new(wire).list_messages(request).await }
        })
        .await;
    match answer {
        Ok(page) => {
            let row = |message: &proto::v1::Message| Row { seq: message.seq, body: bodies::body(&message.text) };
            let rows: Vec<Row> = page.messages.iter().rev().map(row).collect();
            let first = rows.first().map_or(1, |row| row.seq);
            shared.recorder.end(call, shared.now(), Answer::Page { first, rows });
            if let Some(info) = page.info {
                *cursor = info.cursor;
            }
        }
        Err(_) => client.move_to(client.node() + 1),
    }
}

fn told(status: &Status) -> String {
    format!("{:?} {} {}", status.code(), reason(status), status.message())
}
