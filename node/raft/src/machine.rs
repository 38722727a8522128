//! The replicated state for openraft, over `store`'s: commit, then answer, then tell.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use store::{Engine, Outputs, StateStore};
use tokio::sync::{mpsc, watch};
use types::limits::{APPLY_BYTES_MAX, APPLY_ENTRIES_MAX};
use types::row::Heads;

use crate::handle::Applied;
use crate::kinds::{Answers, RaftLogId, RaftStoredMembership, SnapshotMeta, TypeConfig};
use crate::stored::{from_id, to_id, to_payload};
use crate::wire::membership_from_bytes;
use crate::worker::Worker;

/// openraft as this crate runs it.
pub(crate) type Core<E> = openraft::Raft<TypeConfig, Machine<E>>;

/// What a snapshot is made of, on either side of its way.
pub(crate) enum SnapshotData {
    /// Ours, to be sent.
    Own(store::Snapshot),
    /// A peer's, whole and checked.
    Received(store::Incoming),
}

/// The state of this node, as openraft drives it.
pub(crate) struct Machine<E: Engine> {
    state: Arc<StateStore<E>>,
    worker: Worker,
    tell: Tell,
}

/// Who is told what was applied.
pub(crate) struct Tell {
    /// The services' hub. It is waited for: it must keep up or close.
    hub: mpsc::Sender<Applied>,
    heads: watch::Sender<Heads>,
    /// The last index applied.
    applied: watch::Sender<Option<u64>>,
    /// Bytes of entries applied since the start.
    bytes: Arc<AtomicU64>,
    /// Whether the hub is told. Not while the log is replayed at the start: nobody reads there yet.
    live: Arc<AtomicBool>,
}

impl Tell {
    /// Also what makes it live.
    pub(crate) fn new(
        hub: mpsc::Sender<Applied>,
        heads: watch::Sender<Heads>,
        applied: watch::Sender<Option<u64>>,
        bytes: Arc<AtomicU64>,
    ) -> (Self, Arc<AtomicBool>) {
        let live = Arc::new(AtomicBool::new(false));
        (Self { hub, heads, applied, bytes, live: live.clone() }, live)
    }
}

impl<E: Engine> Machine<E> {
    /// A machine over this state; what changes it runs on the worker's thread.
    pub(crate) const fn new(state: Arc<StateStore<E>>, worker: Worker, tell: Tell) -> Self {
        Self { state, worker, tell }
    }

    async fn apply_batch(&self, batch: Batch) -> io::Result<()> {
        let Some(last) = batch.entries.last().map(|(id, _)| id.index) else { return Ok(()) };
        let state = self.state.clone();
        let entries = batch.entries;
        let outputs = self.worker.run(move || state.apply(entries)).await?.map_err(io::Error::other)?;
        let heads = self.state.heads();
        self.tell.bytes.fetch_add(batch.bytes as u64, Ordering::Relaxed);
        self.tell.heads.send_replace(heads);
        self.tell.applied.send_replace(Some(last));
        let mut events = Vec::new();
        let mut presence = Vec::new();
        for (responder, output) in batch.responders.into_iter().zip(outputs) {
            let Outputs { answers, events: more_events, presence: more_presence } = output;
            if let Some(responder) = responder {
                responder.send(Answers(answers));
            }
            events.extend(more_events);
            presence.extend(more_presence);
        }
        presence.sort_unstable();
        presence.dedup();
        self.tell_hub(Applied { heads, events: events.into(), presence: presence.into(), replaced: false }).await;
        Ok(())
    }

    async fn tell_hub(&self, applied: Applied) {
        if !self.tell.live.load(Ordering::Acquire) {
            return;
        }
        // A hub that has closed is a node that stops: the state is whole without it.
        drop(self.tell.hub.send(applied).await);
    }
}

/// Entries for one apply call.
#[derive(Default)]
struct Batch {
    entries: Vec<(store::LogId, store::Payload)>,
    responders: Vec<Option<ApplyResponder<TypeConfig>>>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, (entry, responder): EntryResponder<TypeConfig>) {
        let payload = to_payload(entry.payload);
        self.bytes += payload.len();
        self.entries.push((to_id(&entry.log_id), payload));
        self.responders.push(responder);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= APPLY_ENTRIES_MAX || self.bytes >= APPLY_BYTES_MAX
    }
}

impl<E: Engine> RaftStateMachine<TypeConfig> for Machine<E> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder<E>;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, RaftStoredMembership)> {
        let (applied, membership) = self.state.applied().map_err(io::Error::other)?;
        self.tell.applied.send_replace(applied.map(|id| id.index));
        Ok((applied.map(from_id), stored_membership(membership)?))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
            let mut batch = Batch::default();
            batch.push(first?);
            while !batch.is_full() {
                // Only what is ready: an entry never waits for the next one.
                let Some(Some(next)) = entries.next().now_or_never() else { break };
                batch.push(next?);
            }
            self.apply_batch(batch).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<E> {
        Builder { state: self.state.clone() }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let state = self.state.clone();
        let install = move || {
            let incoming = match snapshot {
                SnapshotData::Received(incoming) => incoming,
                SnapshotData::Own(snapshot) => crate::peer::transfer::copy(&state, &snapshot)?,
            };
            let received = state.install(incoming)?;
            state.build_snapshot_of(&received) // openraft counts on having what it installed, to send it on.
        };
        self.worker.run(install).await?.map_err(io::Error::other)?;
        let heads = self.state.heads();
        let applied = self.state.applied().map_err(io::Error::other)?.0.map(|id| id.index);
        self.tell.heads.send_replace(heads);
        self.tell.applied.send_replace(applied);
        self.tell_hub(Applied { heads, events: [].into(), presence: [].into(), replaced: true }).await;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        self.state.current_snapshot().map(own).transpose()
    }
}

pub(crate) type RaftSnapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Makes a snapshot of what is applied when it runs.
pub(crate) struct Builder<E: Engine> {
    state: Arc<StateStore<E>>,
}

impl<E: Engine> RaftSnapshotBuilder<TypeConfig> for Builder<E> {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let state = self.state.clone();
        let built = crate::blocking::run(move || state.build_snapshot());
        own(built.await.map_err(io::Error::other)?.map_err(io::Error::other)?)
    }
}

fn own(snapshot: store::Snapshot) -> io::Result<RaftSnapshot> {
    let manifest = snapshot.manifest();
    let meta = SnapshotMeta {
        last_log_id: manifest.applied.map(from_id),
        last_membership: stored_membership(manifest.membership.clone())?,
    };
    Ok(Snapshot { meta, snapshot: SnapshotData::Own(snapshot) })
}

pub(crate) fn stored_membership(
    stored: Option<(Option<store::LogId>, bytes::Bytes)>,
) -> io::Result<RaftStoredMembership> {
    let Some((at, bytes)) = stored else { return Ok(RaftStoredMembership::default()) };
    let membership = membership_from_bytes(&bytes).map_err(io::Error::other)?;
    Ok(RaftStoredMembership::new(at.map(from_id), membership))
}
