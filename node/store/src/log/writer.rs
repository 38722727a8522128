//! The one writer of the log.

use std::sync::Arc;
use std::time::Instant;

use types::limits::LOG_BATCH_BYTES_MAX;

use super::entry::{self, LogId, Placed};
use super::marks::{self, encode_log_id, encode_vote};
use super::shared::{Inner, Job, Shared};
use super::store::Callback;
use crate::engine::{Batch, Engine, Family};
use crate::{Fault, failing};

/// Writes what [`super::LogStore`] was told: all that waits, up to `LOG_BATCH_BYTES_MAX`, in one batch with one fsync.
///
/// Every batch is synced before the next begins, so that a power cut tears at most one: what the scan of the
/// write-ahead log relies on.
pub struct LogWriter<E: Engine> {
    shared: Arc<Shared<E>>,
}

impl<E: Engine> LogWriter<E> {
    pub(super) const fn new(shared: Arc<Shared<E>>) -> Self {
        Self { shared }
    }

    /// Writes until every [`super::LogStore`] is gone and the queue is empty. Blocks: it wants a thread of its own.
    ///
    /// Errors: the fault that stopped the log. Nothing is accepted any more, all who waited have heard of it, and the
    /// process should abort: an fsync that failed is never tried again.
    pub fn run(self) -> Result<(), Arc<Fault>> {
        loop {
            let mut inner = self.shared.lock();
            while inner.jobs.is_empty() && !inner.closed {
                inner = self.shared.wait(inner);
            }
            let last = inner.jobs.is_empty();
            drop(inner);
            self.step()?;
            if last {
                return Ok(());
            }
        }
    }

    /// Writes one batch of what waits now and returns whether anything did. For a simulation that has no threads.
    ///
    /// Errors: as [`LogWriter::run`].
    pub fn step(&self) -> Result<bool, Arc<Fault>> {
        let mut inner = self.shared.lock();
        if let Some(fault) = inner.fault.clone() {
            return Err(fault);
        }
        let (jobs, bytes) = take_jobs(&mut inner);
        let committed = std::mem::take(&mut inner.committed_waits).then_some(inner.committed);
        drop(inner);
        if jobs.is_empty() && committed.is_none() {
            return Ok(false);
        }
        self.write(jobs, bytes, committed)?;
        Ok(true)
    }

    /// Whether every [`super::LogStore`] is gone and the queue is empty.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let inner = self.shared.lock();
        inner.closed && inner.jobs.is_empty()
    }

    fn write(&self, jobs: Vec<Job>, bytes: usize, committed: Option<Option<LogId>>) -> Result<(), Arc<Fault>> {
        let count = jobs.len() as u64;
        let mut batch = Batch::default();
        let mut callbacks = Vec::new();
        let mut entries = 0;
        for job in jobs {
            entries += add(&mut batch, &job);
            callbacks.extend(job.into_callback());
        }
        if let Some(committed) = committed {
            batch.put(Family::LogMarks, marks::COMMITTED.to_vec(), encode_log_id(committed));
        }
        let metrics = &self.shared.metrics;
        metrics.batch_entries.observe(entries as f64);
        metrics.batch_bytes.observe(batch.bytes() as f64);
        let began = Instant::now();
        let sync = !failing::is_set("log-before-fsync");
        if let Err(fault) = self.shared.engine.write(batch, sync) {
            let fault = Arc::new(fault);
            self.shared.stop(fault.clone(), callbacks);
            return Err(fault);
        }
        if !sync {
            failing::end("log-before-fsync");
        }
        failing::end_at("log-after-fsync");
        metrics.write_seconds.observe(began.elapsed().as_secs_f64());
        self.finish(count, bytes, callbacks);
        Ok(())
    }

    fn finish(&self, jobs: u64, bytes: usize, callbacks: Vec<Callback>) {
        let mut inner = self.shared.lock();
        inner.written += jobs;
        inner.waiting_bytes -= bytes;
        let written = inner.written;
        inner.tail.trim(written);
        let waiting_for_room = inner.take_waiting_for_room();
        self.shared.metrics.queue_bytes.set(inner.waiting_bytes as i64);
        drop(inner);
        callbacks.into_iter().for_each(|done| done(Ok(())));
        waiting_for_room.into_iter().for_each(|room| room());
    }
}

impl<E: Engine> Drop for LogWriter<E> {
    fn drop(&mut self) {
        self.shared.stop(Arc::new(Fault::Stopped), Vec::new()); // After `run` nobody waits; after a panic some may.
    }
}

/// Jobs for one batch, at least one if there is any, and their bytes.
fn take_jobs(inner: &mut Inner) -> (Vec<Job>, usize) {
    let mut jobs = Vec::new();
    let mut bytes = 0;
    while let Some(job) = inner.jobs.front() {
        if !jobs.is_empty() && bytes + job.bytes() > LOG_BATCH_BYTES_MAX {
            break;
        }
        bytes += job.bytes();
        jobs.extend(inner.jobs.pop_front());
    }
    (jobs, bytes)
}

/// Adds a job to the batch and returns how many entries it appends.
fn add(batch: &mut Batch, job: &Job) -> usize {
    match job {
        Job::Append { entries, log_bytes_before, .. } => {
            let mut log_bytes = *log_bytes_before;
            for entry in entries {
                log_bytes += entry.size() as u64;
                let placed = Placed { entry: entry.clone(), log_bytes, job: 0 };
                batch.put(Family::Entries, entry::key(entry.id.index).to_vec(), entry::encode(&placed));
            }
            return entries.len();
        }
        Job::Vote { vote, .. } => batch.put(Family::LogMarks, marks::VOTE.to_vec(), encode_vote(*vote)),
        Job::Truncate { from, to } => {
            batch.delete_range(Family::Entries, entry::key(*from).to_vec(), entry::key(*to).to_vec());
        }
        Job::Purge { from, to } => {
            batch.put(Family::LogMarks, marks::PURGED.to_vec(), encode_log_id(Some(*to)));
            batch.delete_range(Family::Entries, entry::key(*from).to_vec(), entry::key(to.index + 1).to_vec());
        }
    }
    0
}
