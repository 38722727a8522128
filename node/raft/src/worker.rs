//! An OS thread for work that may block: a stall of the disk must not hold up heartbeats.

use std::io;

use tokio::sync::{mpsc, oneshot};

use crate::blocking;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs one job after the other, and ends when this is dropped. None in a simulation.
pub(crate) struct Worker(Option<mpsc::Sender<Job>>);

impl Worker {
    /// Starts it.
    ///
    /// Errors: the system has no thread to give.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        if blocking::is_inline() {
            return Ok(Self(None));
        }
        let (sender, mut jobs) = mpsc::channel::<Job>(1);
        let run = move || {
            while let Some(job) = jobs.blocking_recv() {
                job();
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self(Some(sender)))
    }

    /// Runs the job there and waits for it.
    ///
    /// Errors: the thread is gone, because a job panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let Some(jobs) = &self.0 else {
            tokio::task::yield_now().await; // Others get their turn, as they would beside a thread.
            return Ok(job());
        };
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        jobs.send(job).await.map_err(|_| io::Error::other("the worker has ended"))?;
        result.await.map_err(|_| io::Error::other("the worker panicked"))
    }
}
