//! Reads that see everything acknowledged before them: ReadIndex, one round for all who wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ReadPolicy;
use proto::peer;
use store::Engine;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};
use types::limits::{PEER_CONNECT_MS_MAX, READERS_WAITING_MAX};

use crate::handle::BarrierError;
use crate::leadership::{jitter, replaced};
use crate::peer::directory::Lane;
use crate::shared::Shared;

/// Where readers wait. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Barrier {
    readers: mpsc::Sender<Reader>,
    applied: watch::Receiver<Option<u64>>,
}

/// Gets the index up to which must be applied; none: no leader confirmed one.
type Reader = oneshot::Sender<Option<u64>>;

/// The other end of [`Barrier`].
pub(crate) type Readers = mpsc::Receiver<Reader>;

pub(crate) fn channel(applied: watch::Receiver<Option<u64>>) -> (Barrier, Readers) {
    let (readers, waiting) = mpsc::channel(READERS_WAITING_MAX);
    (Barrier { readers, applied }, waiting)
}

impl Barrier {
    /// Waits until everything acknowledged before this call is applied here.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<(), BarrierError> {
        let index = self.index(deadline).await.ok_or(BarrierError::NoMajority)?;
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| applied.is_some_and(|applied| applied >= index));
        match timeout_at(deadline.into(), reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(BarrierError::Behind),
        }
    }

    /// Asks again until a leader confirms.
    async fn index(&self, deadline: Instant) -> Option<u64> {
        loop {
            let (reader, told) = oneshot::channel();
            self.readers.try_send(reader).ok()?;
            if let Some(index) = timeout_at(deadline.into(), told).await.ok()?.ok()? {
                return Some(index);
            }
            timeout_at(deadline.into(), tokio::time::sleep(jitter())).await.ok()?;
        }
    }
}

/// Runs one round after the other. Who comes while one is under way waits for the next: only that begins after them.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, mut waiting: Readers) {
    let mut readers = Vec::new();
    while waiting.recv_many(&mut readers, READERS_WAITING_MAX).await > 0 {
        readers.retain(|reader: &Reader| !reader.is_closed());
        if readers.is_empty() {
            continue;
        }
        let index = round(&shared).await;
        readers.drain(..).for_each(|reader| _ = reader.send(index));
    }
}

async fn round<E: Engine>(shared: &Shared<E>) -> Option<u64> {
    let leader = shared.leadership.borrow().leader?;
    let limit = Duration::from_millis(2 * PEER_CONNECT_MS_MAX);
    if leader == shared.directory.identity.node {
        let linearizer = timeout(limit, shared.raft.get_read_linearizer(ReadPolicy::ReadIndex)).await.ok()?.ok()?;
        return Some(linearizer.read_log_id().index());
    }
    let mut client = shared.directory.client(&shared.directory.get(leader)?, Lane::Control)?;
    let response = tokio::select! {
        biased;
        response = timeout(limit, client.read_index(peer::ReadIndexRequest {})) => response.ok()?.ok()?,
        () = replaced(shared.leadership.clone(), leader) => return None,
    };
    response.into_inner().read.map(|id| id.index)
}
