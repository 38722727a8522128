//! The log for openraft, over `store`'s.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::{Stream, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use store::{Engine, Fault, LogStore};
use tokio::sync::oneshot;
use types::limits::APPEND_BYTES_MAX;

use crate::kinds::{RaftEntry, RaftLogId, RaftVote, TypeConfig};
use crate::stored::{from_entry, from_id, from_vote, to_entry, to_id, to_vote};

/// So many of the last entries are taken to be in memory; reading further back goes to a thread that may block.
const RECENT_ENTRIES: u64 = 4_096;

/// The log of this node, as openraft writes and reads it. Cheap to clone.
pub(crate) struct Log<E: Engine> {
    store: LogStore<E>,
}

impl<E: Engine> Log<E> {
    pub(crate) const fn new(store: LogStore<E>) -> Self {
        Self { store }
    }

    async fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<RaftEntry>> {
        let last = self.store.bounds().1.map_or(0, |last| last.index);
        let entries = if from.saturating_add(RECENT_ENTRIES) > last {
            self.store.read(from..to, bytes_max)
        } else {
            let store = self.store.clone();
            let read = crate::blocking::run(move || store.read(from..to, bytes_max));
            read.await.map_err(io::Error::other)?
        };
        entries.map_err(io::Error::other)?.into_iter().map(|e| from_entry(e).map_err(io::Error::other)).collect()
    }
}

impl<E: Engine> Clone for Log<E> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone() }
    }
}

impl<E: Engine> RaftLogReader<TypeConfig> for Log<E> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<RaftEntry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = ends(&range);
        self.read(from, to, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        self.read(start, end, APPEND_BYTES_MAX).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<RaftEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // A part at a time: after a restart the range may be as long as the log.
        let (from, to) = ends(&range);
        let parts = stream::try_unfold((self.clone(), from), move |(log, from)| async move {
            if from >= to {
                return io::Result::Ok(None);
            }
            let part = log.read(from, to, APPEND_BYTES_MAX).await?;
            let Some(last) = part.last() else { return Ok(None) };
            let next = last.log_id.index() + 1;
            Ok(Some((stream::iter(part.into_iter().map(io::Result::Ok)), (log, next))))
        });
        Box::pin(futures::TryStreamExt::try_flatten(parts))
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        Ok(self.store.vote().map(from_vote))
    }
}

impl<E: Engine> RaftLogStorage<TypeConfig> for Log<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (purged, last) = self.store.bounds();
        Ok(LogState { last_purged_log_id: purged.map(from_id), last_log_id: last.map(from_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        self.store.save_vote(to_vote(vote), Box::new(move |result| _ = done.send(result)));
        durable.await.map_err(io::Error::other)?.map_err(stopped)
    }

    async fn save_committed(&mut self, committed: Option<RaftLogId>) -> io::Result<()> {
        self.store.save_committed(committed.as_ref().map(to_id));
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<RaftLogId>> {
        Ok(self.store.committed().map(from_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(to_entry).collect();
        let (room, has_room) = oneshot::channel();
        self.store.when_room(Box::new(move || _ = room.send(())));
        has_room.await.map_err(io::Error::other)?;
        let done = Box::new(move |result: Result<(), Arc<Fault>>| callback.io_completed(result.map_err(stopped)));
        self.store.append(entries, done).map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<RaftLogId>) -> io::Result<()> {
        self.store.truncate_after(last.as_ref().map(to_id)).map_err(io::Error::other)
    }

    async fn purge(&mut self, to: RaftLogId) -> io::Result<()> {
        self.store.purge(to_id(&to));
        Ok(())
    }
}

fn stopped(fault: Arc<Fault>) -> io::Error {
    io::Error::other(fault)
}

fn ends(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}
