//! How fast a backup reads and writes: slow enough that nobody who is served notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Error;

/// Longest sleep at a time, so that a stop is soon seen.
const NAP: Duration = Duration::from_millis(100);

/// Bytes a second, and whether to go on at all.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_second: u64,
    stop: Arc<AtomicBool>,
    began: Instant,
    done: u64,
}

impl Pace {
    /// At most so many bytes a second (0: as fast as it goes), until `stop` is set.
    #[must_use]
    pub fn new(bytes_per_second: u64, stop: Arc<AtomicBool>) -> Self {
        Self { bytes_per_second, stop, began: Instant::now(), done: 0 }
    }

    /// As fast as it goes, to the end.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::new(0, Arc::default())
    }

    /// So many bytes were read or written: sleeps until more may be.
    pub(crate) fn took(&mut self, bytes: u64) -> Result<(), Error> {
        self.done = self.done.saturating_add(bytes);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            let millis = self.done.saturating_mul(1_000).checked_div(self.bytes_per_second).unwrap_or(0);
            let ahead = Duration::from_millis(millis).saturating_sub(self.began.elapsed());
            if ahead.is_zero() {
                return Ok(());
            }
            std::thread::sleep(ahead.min(NAP));
        }
    }
}
