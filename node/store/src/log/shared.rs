//! What the log and its writer share: the queue, and what is true once the queue is written.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use types::limits::LOG_QUEUE_BYTES_MAX;

use super::entry::{LogEntry, LogId, Vote};
use super::store::Callback;
use super::tail::Tail;
use crate::Fault;
use crate::metrics::LogMetrics;

pub(super) struct Shared<E> {
    pub engine: E,
    pub metrics: LogMetrics,
    /// Rung when there is a job, or when no more will come.
    pub bell: Condvar,
    inner: Mutex<Inner>,
    /// Dropped when the engine is closed: after it.
    pub until_closed: OnceLock<Box<dyn Send + Sync>>,
}

/// One thing for the writer to do; jobs are done in the order they came.
pub(super) enum Job {
    Append {
        entries: Vec<LogEntry>,
        log_bytes_before: u64,
        done: Callback,
    },
    Vote {
        vote: Vote,
        done: Callback,
    },
    /// Removes from the first index up to and without the second.
    Truncate {
        from: u64,
        to: u64,
    },
    /// Removes from `from` up to and with `to`.
    Purge {
        from: u64,
        to: LogId,
    },
}

impl Job {
    pub fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(LogEntry::size).sum(),
            Self::Vote { .. } | Self::Truncate { .. } | Self::Purge { .. } => 64,
        }
    }

    /// Who waits for it.
    pub fn into_callback(self) -> Option<Callback> {
        match self {
            Self::Append { done, .. } | Self::Vote { done, .. } => Some(done),
            Self::Truncate { .. } | Self::Purge { .. } => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Inner {
    pub jobs: VecDeque<Job>,
    /// Bytes of the jobs here and of those being written.
    pub waiting_bytes: usize,
    /// Jobs ever accepted, and ever written.
    pub accepted: u64,
    pub written: u64,
    /// Truncations and purges so far: an entry that was read stays what it was while this does.
    pub removals: u64,
    pub tail: Tail,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    /// The index of the oldest entry, if there is any.
    pub first: Option<u64>,
    /// Bytes of the log up to and with the last entry.
    pub log_bytes: u64,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    /// The committed mark, if the next batch shall take it along.
    pub committed_waits: bool,
    /// Who waits for the queue to become shorter.
    pub waiting_for_room: Vec<Box<dyn FnOnce() + Send>>,
    /// No job will come any more.
    pub closed: bool,
    pub fault: Option<Arc<Fault>>,
}

/// What the log holds at one moment.
pub(super) struct Bounds {
    pub purged: Option<LogId>,
    /// The index of the first entry, and the last entry.
    pub entries: Option<(u64, LogId)>,
    pub log_bytes: u64,
    pub removals: u64,
}

impl Inner {
    pub fn bounds(&self) -> Bounds {
        let Self { purged, log_bytes, removals, .. } = *self;
        Bounds { purged, entries: self.first.zip(self.last), log_bytes, removals }
    }

    pub fn has_room(&self) -> bool {
        self.waiting_bytes < LOG_QUEUE_BYTES_MAX || self.fault.is_some()
    }

    /// Those to be told that there is room now.
    pub fn take_waiting_for_room(&mut self) -> Vec<Box<dyn FnOnce() + Send>> {
        if self.has_room() { std::mem::take(&mut self.waiting_for_room) } else { Vec::new() }
    }
}

impl<E> Shared<E> {
    pub fn new(engine: E, inner: Inner) -> Self {
        Self {
            engine,
            metrics: LogMetrics::default(),
            bell: Condvar::new(),
            inner: Mutex::new(inner),
            until_closed: OnceLock::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end of the queue; after a fault whoever waits for it hears of the fault at once.
    pub fn submit(&self, mut inner: MutexGuard<'_, Inner>, job: Job) {
        if let Some(fault) = inner.fault.clone() {
            drop(inner);
            if let Some(done) = job.into_callback() {
                done(Err(fault));
            }
            return;
        }
        inner.waiting_bytes += job.bytes();
        inner.accepted += 1;
        inner.jobs.push_back(job);
        self.metrics.queue_bytes.set(inner.waiting_bytes as i64);
        drop(inner);
        self.bell.notify_one();
    }

    /// Stops the log for good: nothing is accepted from now on, and all who wait hear why.
    pub fn stop(&self, fault: Arc<Fault>, being_written: Vec<Callback>) {
        let mut inner = self.lock();
        inner.fault.get_or_insert_with(|| fault.clone());
        let jobs = std::mem::take(&mut inner.jobs);
        let waiting_for_room = inner.take_waiting_for_room();
        drop(inner);
        let waiting = being_written.into_iter().chain(jobs.into_iter().filter_map(Job::into_callback));
        waiting.for_each(|done| done(Err(fault.clone())));
        waiting_for_room.into_iter().for_each(|room| room());
    }

    pub fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.bell.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }
}
