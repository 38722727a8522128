//! Sessions that do nothing but keep a stream open, and open another when it ends: how many are live, and where.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proto::v1::SyncRequest;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::{ATTEMPT, Client, Node, Result, Wire};

/// So many are opened at a time at first; when they end, all of them at once.
const OPENING: usize = 64;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Open streams. They end when dropped.
pub struct Streams {
    live: Arc<[AtomicUsize; 3]>,
    opening: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { live: Arc::default(), opening: Arc::new(Semaphore::new(OPENING)), tasks: JoinSet::new() }
    }
}

impl Streams {
    /// One more, at the node its client talks to; `own`: over a connection that nothing else uses.
    pub fn open(&mut self, client: Arc<Client>, own: bool) {
        let (live, opening) = (Arc::clone(&self.live), Arc::clone(&self.opening));
        self.tasks.spawn(async move {
            let first = opening.acquire_owned().await.ok();
            follow(client, own, live, first).await;
        });
    }

    /// How many are live on a node.
    #[must_use]
    pub fn on(&self, node: Node) -> usize {
        self.live[node].load(Ordering::Relaxed)
    }

    /// How many are live.
    #[must_use]
    pub fn live(&self) -> usize {
        (0..3).map(|node| self.on(node)).sum()
    }

    /// Waits until so many are live.
    ///
    /// Errors: they are not within that time.
    pub async fn wait(&self, count: usize, patience: Duration) -> Result<()> {
        let began = Instant::now();
        while self.live() < count {
            if began.elapsed() > patience {
                return Err(format!("{} of {count} streams are live", self.live()).into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Follows a stream, and another when it ends.
async fn follow(client: Arc<Client>, own: bool, live: Arc<[AtomicUsize; 3]>, mut first: Option<OwnedSemaphorePermit>) {
    let mut cursor = client.credentials.cursor.clone();
    for tries in 0.. {
        let node = (client.node() + tries) % 3;
        let wire = if own { client.own_wire_to(node) } else { client.wire_to(node) };
        let Ok(wire) = wire else { return };
        if let Some(()) = read(wire, &mut cursor, &live[node], &mut first).await {
            live[node].fetch_sub(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

/// Until the stream ends; none if it never was live.
async fn read(
    wire: Wire,
    cursor: &mut Vec<u8>,
    live: &AtomicUsize,
    first: &mut Option<OwnedSemaphorePermit>,
) -> Option<()> {
    let request = SyncRequest { cursor: cursor.clone(), ..SyncRequest::default() };
    let answer = timeout(ATTEMPT * 10, SyncServiceClient::new(wire).sync(request)).await;
    let (mut stream, mut counted) = (answer.ok()?.ok()?.into_inner(), None);
    while let Ok(Some(item)) = stream.message().await {
        if !item.cursor.is_empty() {
            *cursor = item.cursor;
        }
        if matches!(item.item, Some(Item::Progress(_))) && counted.is_none() {
            counted = Some(());
            drop(first.take());
            live.fetch_add(1, Ordering::Relaxed);
        }
    }
    counted
}
