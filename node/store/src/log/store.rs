//! The log as the rest of the node sees it.

use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use prometheus::Registry;
use types::limits::{LOG_KEPT_BYTES_MAX, LOG_KEPT_ENTRIES_MAX};

use super::entry::{self, LogEntry, LogId, Placed, Vote};
use super::marks::{self, read_mark, read_vote};
use super::shared::{Bounds, Inner, Job, Shared};
use super::{LogWriter, OpenError};
use crate::Fault;
use crate::engine::{Engine, Family};
use crate::metrics::LogMetrics;

/// Called once: when the thing is durable, or when the log has stopped. On the writer's thread, so it must not block.
pub type Callback = Box<dyn FnOnce(Result<(), Arc<Fault>>) + Send>;

/// The Raft log of this node. Cheap to clone; when the last clone is gone the writer finishes its queue and ends.
///
/// What a method was told is seen by every later call at once, and written by [`LogWriter`] in the order it was told.
pub struct LogStore<E: Engine> {
    handle: Arc<Handle<E>>,
}

impl<E: Engine> Clone for LogStore<E> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

struct Handle<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Drop for Handle<E> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.bell.notify_one();
    }
}

impl<E: Engine> LogStore<E> {
    /// The log in an engine, and what writes it. The writer must run, or nothing becomes durable.
    pub fn open(engine: E) -> Result<(Self, LogWriter<E>), OpenError> {
        let purged = read_mark(&engine, marks::PURGED, "the purge mark")?;
        let first = edge(&engine, false)?;
        let last = edge(&engine, true)?;
        if let (Some(purged), Some(first)) = (purged, &first)
            && first.entry.id.index != purged.index + 1
        {
            return Err(Fault::Hole { index: purged.index + 1 }.into());
        }
        let inner = Inner {
            vote: read_vote(&engine)?,
            committed: read_mark(&engine, marks::COMMITTED, "the committed mark")?,
            purged,
            first: first.map(|placed| placed.entry.id.index),
            last: last.as_ref().map(|placed| placed.entry.id).or(purged),
            log_bytes: last.as_ref().map_or(0, |placed| placed.log_bytes),
            ..Inner::default()
        };
        let shared = Arc::new(Shared::new(engine, inner));
        let writer = LogWriter::new(shared.clone());
        Ok((Self { handle: Arc::new(Handle { shared }) }, writer))
    }

    /// Drops `held` when nobody has the log any more, its writer neither, and it is closed. Only the first call counts.
    pub fn hold_until_closed(&self, held: Box<dyn Send + Sync>) {
        let _ = self.shared().until_closed.set(held);
    }

    /// The newest entry ever purged, and the last entry; the last is the purged one while there is none.
    #[must_use]
    pub fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let inner = self.shared().lock();
        (inner.purged, inner.last)
    }

    /// The last entry that is on stable storage, as far as it is in memory; none also when it is not.
    #[must_use]
    pub fn durable_last(&self) -> Option<LogId> {
        let inner = self.shared().lock();
        if inner.accepted == inner.written { inner.last } else { inner.tail.last_written(inner.written) }
    }

    /// Adds entries, which can be read at return; `done` follows when they are durable.
    ///
    /// Errors: [`Fault::Misuse`] if they do not follow the last entry; nothing was added and `done` is not called.
    pub fn append(&self, entries: Vec<LogEntry>, done: Callback) -> Result<(), Fault> {
        let mut inner = self.shared().lock();
        let mut next = inner.last.map(|last| last.index + 1);
        for entry in &entries {
            if next.is_some_and(|next| next != entry.id.index) {
                return Err(Fault::Misuse("appended entries do not follow the last one"));
            }
            next = Some(entry.id.index + 1);
        }
        let log_bytes_before = inner.log_bytes;
        let job = inner.accepted + 1;
        for entry in &entries {
            inner.log_bytes += entry.size() as u64;
            inner.first.get_or_insert(entry.id.index);
            inner.last = Some(entry.id);
            let log_bytes = inner.log_bytes;
            inner.tail.push(Placed { entry: entry.clone(), log_bytes, job });
        }
        self.shared().submit(inner, Job::Append { entries, log_bytes_before, done });
        Ok(())
    }

    /// Calls `room` once the queue is below `LOG_QUEUE_BYTES_MAX`, at once if it is. Whoever appends waits for it first,
    /// so the queue holds at most that and one append of each who waited.
    pub fn when_room(&self, room: Box<dyn FnOnce() + Send>) {
        let mut inner = self.shared().lock();
        if inner.has_room() {
            drop(inner);
            room();
        } else {
            inner.waiting_for_room.push(room);
        }
    }

    /// Keeps a vote; `done` follows when it is durable, and only then it may be answered.
    pub fn save_vote(&self, vote: Vote, done: Callback) {
        let mut inner = self.shared().lock();
        inner.vote = Some(vote);
        self.shared().submit(inner, Job::Vote { vote, done });
    }

    /// The newest vote.
    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.shared().lock().vote
    }

    /// Removes everything after this entry, or everything. Written before any later append; one caller at a time, as
    /// for everything that changes the log.
    ///
    /// Errors: reading the entry that is the last one then.
    pub fn truncate_after(&self, after: Option<LogId>) -> Result<(), Fault> {
        let Some((first, last)) = self.shared().lock().bounds().entries else { return Ok(()) };
        let from = after.map_or(first, |after| after.index + 1).max(first);
        if from > last.index {
            return Ok(());
        }
        let kept = if from > first { Some(self.placed(from - 1)?) } else { None };
        let mut inner = self.shared().lock();
        match kept {
            Some(kept) => {
                inner.last = Some(kept.entry.id);
                inner.log_bytes = kept.log_bytes;
            }
            None => {
                inner.first = None;
                inner.last = inner.purged;
            }
        }
        inner.removals += 1;
        inner.tail.truncate_from(from);
        self.shared().submit(inner, Job::Truncate { from, to: last.index + 1 });
        Ok(())
    }

    /// Removes everything up to and with this entry, which may be beyond the last.
    pub fn purge(&self, to: LogId) {
        let mut inner = self.shared().lock();
        if inner.purged.is_some_and(|purged| purged.index >= to.index) {
            return;
        }
        let from = inner.first.unwrap_or(to.index).min(to.index);
        inner.purged = Some(to);
        if inner.last.is_none_or(|last| last.index <= to.index) {
            inner.first = None;
            inner.last = Some(to);
        } else {
            inner.first = Some(to.index + 1);
        }
        inner.removals += 1;
        inner.tail.drop_to(to.index);
        self.shared().submit(inner, Job::Purge { from, to });
    }

    /// Keeps the committed mark. It is written with the next batch, and causes none.
    pub fn save_committed(&self, committed: Option<LogId>) {
        let mut inner = self.shared().lock();
        inner.committed = committed;
        inner.committed_waits = true;
    }

    /// The committed mark.
    #[must_use]
    pub fn committed(&self) -> Option<LogId> {
        self.shared().lock().committed
    }

    /// Entries with `from ≤ index < to` that are here (what is purged or not yet there is left out): all of them, or a
    /// beginning of at most `bytes_max` bytes that has at least one.
    ///
    /// Errors: [`Fault::Hole`] if one between two others is missing; [`Fault::Damaged`].
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, Fault> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut removals = self.shared().lock().removals;
        loop {
            let inner = self.shared().lock();
            if inner.removals != removals {
                removals = inner.removals; // What was found may be gone: the question has another answer now.
                bytes = 0;
                found.clear();
            }
            let (Some(first), Some(last)) = (inner.first, inner.last) else { return Ok(Vec::new()) };
            let next = found.last().map_or(range.start.max(first), |entry: &LogEntry| entry.id.index + 1);
            let to = range.end.min(last.index + 1);
            if next >= to {
                return Ok(found);
            }
            let tail_first = inner.tail.first().unwrap_or(u64::MAX);
            if tail_first <= next {
                inner.tail.read(next, to, bytes_max, &mut bytes, &mut found);
                return Ok(found);
            }
            drop(inner);
            match read_engine(&self.shared().engine, next..to.min(tail_first), bytes_max, &mut bytes, &mut found) {
                Ok(true) => {}
                Ok(false) if self.shared().lock().removals == removals => return Ok(found),
                Err(fault) if self.shared().lock().removals == removals => return Err(fault),
                Ok(false) | Err(_) => {}
            }
        }
    }

    /// The place with this index; none if there is no such entry here.
    pub fn id_at(&self, index: u64) -> Result<Option<LogId>, Fault> {
        self.steady(|bounds| {
            if bounds.purged.is_some_and(|purged| purged.index == index) {
                return Ok(bounds.purged);
            }
            match bounds.entries {
                Some((first, last)) if (first..=last.index).contains(&index) => {
                    self.placed(index).map(|it| Some(it.entry.id))
                }
                _ => Ok(None),
            }
        })
    }

    /// Bytes of the entries after `index`.
    pub fn bytes_since(&self, index: u64) -> Result<u64, Fault> {
        self.steady(|bounds| self.bytes_after(bounds, index))
    }

    /// How far the log may be purged when everything up to `covered` is in a snapshot and in durable state: behind it
    /// stay `LOG_KEPT_ENTRIES_MAX` entries or `LOG_KEPT_BYTES_MAX` bytes, whichever is less. None: nothing to purge.
    pub fn purge_point(&self, covered: u64) -> Result<Option<LogId>, Fault> {
        self.steady(|bounds| {
            let Some((first, last)) = bounds.entries else { return Ok(None) };
            let mut low = last.index.saturating_sub(LOG_KEPT_ENTRIES_MAX).max(first);
            let mut high = last.index; // The lowest index with few enough bytes after it lies in low..=high.
            while low < high {
                let middle = low + (high - low) / 2;
                let fits = self.bytes_after(bounds, middle)? <= LOG_KEPT_BYTES_MAX;
                if fits { high = middle } else { low = middle + 1 }
            }
            let point = low.min(covered);
            if point <= first { Ok(None) } else { self.placed(point).map(|placed| Some(placed.entry.id)) }
        })
    }

    /// Bytes accepted and not yet written.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.shared().lock().waiting_bytes
    }

    /// Whether the engine's background work is well; asked every second or so. A fault stops the node.
    pub fn healthy(&self) -> Result<(), Fault> {
        self.shared().engine.healthy()
    }

    /// Registers the log's metrics; the sizes are as of the last [`LogStore::measure`].
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.metrics().register(registry)
    }

    /// Brings the sizes among the metrics up to date.
    pub fn measure(&self) {
        let engine = &self.shared().engine;
        self.metrics().engine.set(engine.sizes(), engine.work());
    }

    pub(super) fn metrics(&self) -> &LogMetrics {
        &self.shared().metrics
    }

    #[cfg(test)]
    pub(super) fn tail_bytes(&self) -> usize {
        self.shared().lock().tail.bytes()
    }

    #[cfg(test)]
    pub(super) fn forget_tail(&self) {
        self.shared().lock().tail = Default::default();
    }

    fn shared(&self) -> &Shared<E> {
        &self.handle.shared
    }

    /// Asks without holding up the writer, and again if a truncation or purge came between.
    fn steady<T>(&self, ask: impl Fn(&Bounds) -> Result<T, Fault>) -> Result<T, Fault> {
        loop {
            let bounds = self.shared().lock().bounds();
            let answer = ask(&bounds);
            if self.shared().lock().removals == bounds.removals {
                return answer;
            }
        }
    }

    fn bytes_after(&self, bounds: &Bounds, index: u64) -> Result<u64, Fault> {
        let Some((first, last)) = bounds.entries else { return Ok(0) };
        if index >= last.index {
            return Ok(0);
        }
        let before = if index < first {
            let placed = self.placed(first)?;
            placed.log_bytes.saturating_sub(placed.entry.size() as u64)
        } else {
            self.placed(index)?.log_bytes
        };
        Ok(bounds.log_bytes.saturating_sub(before))
    }

    /// The entry with this index, which is within the bounds: what is not in the tail has been written.
    fn placed(&self, index: u64) -> Result<Placed, Fault> {
        if let Some(placed) = self.shared().lock().tail.get(index) {
            return Ok(placed.clone());
        }
        let value = self.shared().engine.get(Family::Entries, &entry::key(index))?;
        entry::decode(index, &value.ok_or(Fault::Hole { index })?)
    }
}

fn edge<E: Engine>(engine: &E, last: bool) -> Result<Option<Placed>, Fault> {
    let mut found = None;
    engine.range(Family::Entries, (Bound::Unbounded, Bound::Unbounded), last, &mut |key, value| {
        found = Some(entry::decode(entry::index_of(key)?, value)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Adds entries to `found`; false: the bytes were used up.
fn read_engine<E: Engine>(
    engine: &E,
    range: Range<u64>,
    bytes_max: usize,
    bytes: &mut usize,
    found: &mut Vec<LogEntry>,
) -> Result<bool, Fault> {
    let (from, to) = (entry::key(range.start), entry::key(range.end));
    let (mut next, mut full) = (range.start, false);
    engine.range(Family::Entries, (Bound::Included(&from), Bound::Excluded(&to)), false, &mut |key, value| {
        let placed = entry::decode(entry::index_of(key)?, value)?;
        if placed.entry.id.index != next {
            return Err(Fault::Hole { index: next });
        }
        *bytes += placed.entry.size();
        full = *bytes > bytes_max && !found.is_empty();
        if full {
            return Ok(ControlFlow::Break(()));
        }
        found.push(placed.entry);
        next += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    if full || next == range.end { Ok(!full) } else { Err(Fault::Hole { index: next }) }
}
