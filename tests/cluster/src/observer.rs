//! Follows everything one user can see over one sync stream after another, and notices gaps and repeats.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{MessagePosted, SyncRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::{ATTEMPT, Client, Node, Result, reason, retryable};

/// Longest silence on a stream: nodes send a progress mark every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// One message as a stream brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its place.
    pub seq: u64,
    /// Who wrote it.
    pub sender: String,
    /// What it says.
    pub text: String,
    /// When it came.
    pub at: Instant,
}

/// What is done with each message that comes; an error ends the subscriber.
pub type Sink = Arc<dyn Fn(MessagePosted) -> Result<()> + Send + Sync>;

/// A subscriber. Ends when dropped.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<Mutex<BTreeMap<String, Vec<Seen>>>>,
    count: watch::Receiver<usize>,
    task: Following,
}

impl Observer {
    /// Follows as `client` from now on, at `home` as long as that node answers, else at the next. Returns once it is live.
    pub async fn start(client: Arc<Client>, home: Node) -> Result<Self> {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let kept = Arc::clone(&seen);
        let own = Self::with_sink(client, home, Arc::new(move |posted| take(&kept, posted))).await?;
        Ok(Self { seen, ..own })
    }

    /// Likewise, and gives each message to `sink`, which judges for itself whether it is the next; nothing is kept.
    pub async fn with_sink(client: Arc<Client>, home: Node, sink: Sink) -> Result<Self> {
        let (told, count) = watch::channel(0);
        let (live, mut is_live) = watch::channel(false);
        let task = Following(tokio::spawn(follow(client, home, sink, told, live)));
        timeout(SILENCE, is_live.wait_for(|live| *live)).await.map_err(|_| "the stream did not become live")??;
        Ok(Self { seen: Arc::default(), count, task })
    }

    /// Waits until so many messages have come in all.
    pub async fn wait_for(&mut self, count: usize, patience: Duration) -> Result<()> {
        let answer = timeout(patience, self.count.wait_for(|seen| *seen >= count)).await.map(|answer| answer.is_ok());
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.verdict().await.err().unwrap_or_else(|| "the subscriber ended".into())),
            Err(_) => Err(format!("{} of {count} messages came over the stream", *self.count.borrow()).into()),
        }
    }

    /// How many messages have come.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// What has come of one conversation, in the order in which it came.
    #[must_use]
    pub fn seen(&self, conversation: &str) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(conversation).cloned().unwrap_or_default()
    }

    async fn verdict(&mut self) -> Result<()> {
        (&mut self.task.0).await?
    }
}

/// The task, which ends when this is dropped.
#[derive(Debug)]
struct Following(JoinHandle<Result<()>>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(
    client: Arc<Client>,
    home: Node,
    sink: Sink,
    count: watch::Sender<usize>,
    live: watch::Sender<bool>,
) -> Result<()> {
    // From the sign-in on, so that nothing between it and the first stream is missed.
    let mut cursor = client.credentials.cursor.clone();
    let mut tries = 0;
    loop {
        let node = home + tries;
        tries += 1;
        let wire = client.own_wire_to(node % 3)?;
        let mut service = SyncServiceClient::new(wire).max_decoding_message_size(8 << 20);
        let request = SyncRequest { cursor: cursor.clone(), with_messages: true, watch_presence: Vec::new() };
        let mut stream = match timeout(ATTEMPT * 2, service.sync(request)).await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) if !retryable(&status) => {
                return Err(format!("open the stream: {} {}", reason(&status), status.message()).into());
            }
            _ => {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        loop {
            match timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(item))) => {
                    match item.item {
                        Some(Item::MessagePosted(posted)) => {
                            sink(posted)?;
                            count.send_modify(|count| *count += 1);
                        }
                        Some(Item::Progress(progress)) if progress.live => drop(live.send(true)),
                        _ => {}
                    }
                    if !item.cursor.is_empty() {
                        cursor = item.cursor;
                    }
                    tries = 0;
                }
                Ok(Err(status)) if !retryable(&status) && reason(&status) != "SLOW_READER" => {
                    return Err(format!("follow the stream: {} {}", reason(&status), status.message()).into());
                }
                _ => break,
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Keeps a message; an error if it is not the next of its conversation.
fn take(seen: &Mutex<BTreeMap<String, Vec<Seen>>>, posted: MessagePosted) -> Result<()> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let row = seen.entry(posted.conversation).or_default();
    let next = row.last().map(|last| last.seq + 1);
    if next.is_some_and(|next| next != posted.seq) {
        return Err(format!("the stream went on with seq {} instead of {next:?}", posted.seq).into());
    }
    let message = posted.message.ok_or("a posted message without its content")?;
    row.push(Seen { seq: posted.seq, sender: message.sender, text: message.text, at: Instant::now() });
    Ok(())
}
