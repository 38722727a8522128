//! Snapshots on their way: files in chunks, gone on with where the last attempt ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::blocking;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use openraft::errors::{RPCError, Unreachable};
use proto::peer;
use store::{Engine, Fault, Incoming, Manifest, Position, ReceiveError, Receiver, StateStore};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tonic::{Code, Status};
use types::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_STALL_MS_MAX};

use super::append::unreachable;
use super::connect::Client;
use crate::kinds::{RaftVote, SnapshotMeta, TypeConfig};
use crate::machine::{RaftSnapshot, SnapshotData};
use crate::stored::from_id;
use crate::wire;

/// Called with a snapshot of ours that could not be read, or did not arrive as it should: where it has rotted a fresh one
/// takes its place, for the next attempt to send.
pub(crate) type Mend = Arc<dyn Fn(&store::Snapshot) + Send + Sync>;

/// Sends a snapshot until the peer has installed it and returns the peer's newest vote.
///
/// Errors: `Unreachable` for whatever went wrong on the way; the next attempt goes on from there.
pub(crate) async fn send(
    mut client: Client,
    vote: RaftVote,
    snapshot: RaftSnapshot,
    offer_within: Duration,
    mend: Mend,
) -> Result<RaftVote, RPCError<TypeConfig>> {
    let SnapshotData::Own(files) = snapshot.snapshot else {
        return Err(RPCError::Unreachable(Unreachable::from_string("the snapshot is a peer's")));
    };
    let head = wire::snapshot_head(&snapshot.meta, files.manifest().encode().into());
    let offer = peer::OfferSnapshotRequest { ballot: Some(wire::ballot(&vote)), head: Some(head) };
    let begin = match timeout(offer_within, client.offer_snapshot(offer)).await {
        Ok(answer) => answer.map_err(|status| unreachable(&status))?.into_inner(),
        Err(_) => return Err(RPCError::Unreachable(Unreachable::from_string("the peer did not take the offer"))),
    };
    let from = Position { file: begin.file as usize, offset: begin.offset };
    let first = peer::SendSnapshotRequest {
        transfer: begin.transfer,
        ballot: Some(wire::ballot(&vote)),
        file: begin.file,
        offset: begin.offset,
        data: Bytes::new(),
    };
    // A chunk that cannot be read ends the stream: the peer finds it incomplete, and the next attempt goes on.
    let unread = Arc::new(AtomicBool::new(false));
    let chunks = stream::once(async { first }).chain(chunks(files.clone(), from, unread.clone()));
    let response = match client.send_snapshot(chunks).await {
        Err(status) if status.code() == Code::DataLoss || unread.load(Ordering::Relaxed) => {
            // One that panics leaves things as they were: the next attempt fails alike.
            drop(blocking::run(move || mend(&files)).await);
            return Err(unreachable(&status));
        }
        other => other.map_err(|status| unreachable(&status))?,
    };
    let malformed = |error| RPCError::Unreachable(Unreachable::new(&error));
    wire::vote_of(response.into_inner().ballot).map_err(malformed)
}

fn chunks(
    snapshot: store::Snapshot,
    from: Position,
    unread: Arc<AtomicBool>,
) -> impl Stream<Item = peer::SendSnapshotRequest> + Send {
    stream::unfold((snapshot, from, unread), |(snapshot, mut at, unread)| async move {
        while snapshot.manifest().files.get(at.file)?.bytes <= at.offset {
            at = Position { file: at.file + 1, offset: 0 };
        }
        let files = snapshot.clone();
        let read = blocking::run(move || files.read(at.file, at.offset, SNAPSHOT_CHUNK_BYTES)).await.ok()?;
        let failed = |fault: &Fault| {
            tracing::warn!(%fault, "a snapshot cannot be read");
            unread.store(true, Ordering::Relaxed);
        };
        let data = read.inspect_err(failed).ok()?;
        store::failing::end_at("snapshot-sending");
        let file = u32::try_from(at.file).ok()?;
        let next = Position { file: at.file, offset: at.offset + data.len() as u64 };
        let message = peer::SendSnapshotRequest { transfer: 0, ballot: None, file, offset: at.offset, data };
        Some((message, (snapshot, next, unread)))
    })
}

/// Where snapshots arrive: one at a time.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// Held by whoever writes to the directory. A call may break off at any moment, and what it began goes on: so whatever
    /// does something there takes this along, and puts it back when it has ended.
    arriving: Arc<Mutex<Option<Arriving>>>,
    transfers: AtomicU64,
    /// Bytes that have arrived of the snapshot that does now, and its bytes in all; 0: none arrives.
    arrived: AtomicU64,
    all: Arc<AtomicU64>,
}

/// The snapshot that arrives, as far as it has.
struct Arriving {
    /// Of the newest offer: what comes on an older one is refused.
    transfer: u64,
    meta: SnapshotMeta,
    receiver: Receiver,
}

/// The way to the directory, and what arrives there.
type Held = OwnedMutexGuard<Option<Arriving>>;

impl Arrivals {
    /// Bytes that have arrived, and bytes in all; 0: none arrives.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.arrived.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }

    /// Takes an offer and says from where to send. It waits for what goes on in the directory; where that, or a call that
    /// broke off, has come so far with the same snapshot, nothing is looked through again.
    pub(crate) async fn offer<E: Engine>(
        &self,
        state: &StateStore<E>,
        request: peer::OfferSnapshotRequest,
    ) -> Result<peer::OfferSnapshotResponse, Status> {
        let (meta, manifest) = wire::snapshot_head_of(request.head)?;
        let manifest = Manifest::decode(&manifest).map_err(|_| wire::Malformed("a snapshot's manifest"))?;
        if manifest.applied.map(from_id) != meta.last_log_id {
            return Err(wire::Malformed("a snapshot's head").into());
        }
        let all = manifest.bytes();
        let sizes: Vec<u64> = manifest.files.iter().map(|file| file.bytes).collect();
        let mut held = self.arriving.clone().lock_owned().await;
        let transfer = self.transfers.fetch_add(1, Ordering::Relaxed) + 1;
        let dir = state.incoming_dir();
        let (_held, from) = blocking(move || {
            let goes_on = held.take().map(|arriving| arriving.receiver).filter(|old| *old.manifest() == manifest);
            let receiver = goes_on.map_or_else(|| Receiver::begin(&dir, manifest), Ok)?;
            let from = receiver.resume_point();
            *held = Some(Arriving { transfer, meta, receiver });
            Ok((held, from))
        })
        .await?;
        self.arrived.store(sizes.iter().take(from.file).sum::<u64>() + from.offset, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
        let file = u32::try_from(from.file).map_err(|_| wire::Malformed("a snapshot's manifest"))?;
        Ok(peer::OfferSnapshotResponse { file, offset: from.offset, transfer })
    }

    /// Takes the bytes of a snapshot that was offered, has it installed, and returns what `install` says. Once all have
    /// arrived it is installed, whether anybody waits for the answer or not.
    pub(crate) async fn receive<F, R>(
        &self,
        first: &peer::SendSnapshotRequest,
        mut chunks: impl Stream<Item = Result<peer::SendSnapshotRequest, Status>> + Unpin + Send,
        install: impl FnOnce(SnapshotMeta, Incoming) -> F + Send + 'static,
    ) -> Result<R, Status>
    where
        F: Future<Output = Result<R, Status>> + Send + 'static,
        R: Send + 'static,
    {
        // Whoever offers meanwhile gets in before: then this transfer is over.
        let mut held =
            self.arriving.clone().try_lock_owned().map_err(|_| Status::aborted("another snapshot arrives"))?;
        if held.as_ref().is_none_or(|arriving| arriving.transfer != first.transfer) {
            return Err(Status::aborted("no such transfer"));
        }
        let patience = Duration::from_millis(SNAPSHOT_STALL_MS_MAX);
        let stalled = |_| Status::deadline_exceeded("the snapshot does not go on");
        while let Some(chunk) = timeout(patience, chunks.next()).await.map_err(stalled)?.transpose()? {
            self.arrived.fetch_add(chunk.data.len() as u64, Ordering::Relaxed);
            held = blocking(move || write(held, &chunk)).await?;
            store::failing::end_at("snapshot-receiving");
        }
        let Some(Arriving { meta, receiver, .. }) = held.take_if(|arriving| arriving.receiver.is_complete()) else {
            return Err(Status::aborted(ReceiveError::Incomplete.to_string()));
        };
        let all = self.all.clone();
        // On its own: a snapshot waits in consensus until it is installed, also when whoever sent it has gone. Until then
        // nobody else may write where it lies.
        let installing = tokio::spawn(async move {
            let _held = held;
            let incoming = blocking(move || receiver.finish()).await?;
            let installed = install(meta, incoming).await;
            all.store(0, Ordering::Relaxed);
            installed
        });
        installing.await.map_err(|_| Status::internal("the receiver panicked"))?
    }
}

/// Writes the next bytes. What this node could not write is given up, and looked through when it is offered again.
fn write(mut held: Held, chunk: &peer::SendSnapshotRequest) -> Result<Held, ReceiveError> {
    let at = Position { file: chunk.file as usize, offset: chunk.offset };
    let written =
        held.as_mut().map_or(Err(ReceiveError::Incomplete), |arriving| arriving.receiver.write(at, &chunk.data));
    if matches!(written, Err(ReceiveError::Fault(_))) {
        *held = None;
    }
    written.map(|()| held)
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, ReceiveError> + Send + 'static,
) -> Result<T, Status> {
    let done = blocking::run(job).await.map_err(|_| Status::internal("the receiver panicked"))?;
    done.map_err(|error| match error {
        ReceiveError::Fault(fault) => {
            tracing::error!(%fault, "receive a snapshot");
            Status::internal("the snapshot cannot be written")
        }
        damaged @ ReceiveError::Damaged { .. } => Status::data_loss(damaged.to_string()),
        other => Status::aborted(other.to_string()),
    })
}

/// This node's own snapshot as if a peer had sent it. Blocks.
pub(crate) fn copy<E: Engine>(state: &StateStore<E>, snapshot: &store::Snapshot) -> Result<Incoming, Fault> {
    let fault = |error| match error {
        ReceiveError::Fault(fault) => fault,
        other => {
            Fault::Io { doing: "copy the snapshot to", path: state.incoming_dir(), source: io::Error::other(other) }
        }
    };
    let mut receiver = Receiver::begin(&state.incoming_dir(), snapshot.manifest().clone()).map_err(fault)?;
    while receiver.resume_point().file < snapshot.manifest().files.len() {
        let at = receiver.resume_point();
        let chunk = snapshot.read(at.file, at.offset, SNAPSHOT_CHUNK_BYTES)?;
        receiver.write(at, &chunk).map_err(fault)?;
    }
    receiver.finish().map_err(fault)
}

#[cfg(test)]
mod tests;
