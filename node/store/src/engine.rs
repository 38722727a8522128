//! The seam below all our storage code: an ordered map in families, with atomic batches. RocksDB implements it, and so
//! does a disk in memory whose power can be cut.

mod batch;
mod family;
#[cfg(any(test, feature = "sim"))]
mod mem;
mod options;
mod rocks;
pub(crate) mod wal_scan;

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

pub use batch::{Batch, Op};
pub use family::{Family, Kind};
#[cfg(any(test, feature = "sim"))]
pub use mem::{MemDisk, MemEngine};
pub use rocks::{RocksDisk, RocksEngine};

use crate::Fault;

/// What a visitor of [`Reader::range`] says after each pair: go on, or stop.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Fault>;

/// Keys from one bound to the other, in bytewise order.
pub type Keys<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Reads of one moment, or of now.
pub trait Reader: Send + Sync {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Shows the pairs within `keys` to `visit`, ascending, or descending with `reverse`, until it breaks. The pairs
    /// are of one moment.
    fn range(&self, family: Family, keys: Keys<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault>;
}

/// One ordered map in families.
pub trait Engine: Reader + Sized + 'static {
    /// Writes all of the batch or nothing; with `sync` it is on stable storage at return, and so is all written
    /// before. The state's engine keeps no log of its own: there `sync` has no meaning and [`Engine::flush`] is what
    /// makes writes durable.
    ///
    /// Errors: nothing can be said about what was written. The caller stops the node and never tries again.
    fn write(&self, batch: Batch, sync: bool) -> Result<(), Fault>;

    /// The value a power cut now would leave.
    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Makes everything written durable, all families as of one moment.
    fn flush(&self) -> Result<(), Fault>;

    /// Reads as of now, which later writes do not change.
    fn view(&self) -> Arc<dyn Reader>;

    /// Puts everything written into a new directory as files that [`Disk::open`] opens. The parent must exist and be
    /// of the same file system.
    fn checkpoint(&self, dir: &Path) -> Result<(), Fault>;

    /// Whether background work is well. It runs where no caller waits, so someone has to ask.
    fn healthy(&self) -> Result<(), Fault>;

    /// Sizes, for metrics.
    fn sizes(&self) -> Sizes;

    /// What it does in the background, for metrics.
    fn work(&self) -> Work;
}

/// Where engines are opened.
pub trait Disk<E: Engine>: Send + Sync + 'static {
    /// Opens the engine in this directory, an empty one if there is none.
    fn open(&self, dir: &Path, kind: Kind) -> Result<E, Fault>;

    /// Opens what a checkpoint put there, without changing a byte of it.
    fn open_checkpoint(&self, dir: &Path, kind: Kind) -> Result<Box<dyn Reader>, Fault>;
}

/// Bytes an engine takes, about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// In memory, not yet in tables.
    pub memtable_bytes: u64,
    /// In tables on disk.
    pub table_bytes: u64,
    /// In write-ahead logs on disk.
    pub wal_bytes: u64,
    /// Waiting to be compacted.
    pub pending_compaction_bytes: u64,
}

/// What an engine does in the background, and whether writers wait for it. Counts are since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Writes are stopped until flushes or compactions have caught up.
    pub write_stopped: bool,
    /// Bytes a second to which writes are slowed; 0: they are not.
    pub delayed_write_rate: u64,
    /// Microseconds that writers have waited for flushes or compactions.
    pub stall_us: u64,
    /// Under way now.
    pub compactions: u64,
    /// Under way now.
    pub flushes: u64,
    /// Blocks that were found in the cache.
    pub cache_hits: u64,
    /// Blocks that were not.
    pub cache_misses: u64,
    /// Bytes of the cache, which engines of a process share.
    pub cache_bytes: u64,
    /// Bytes it may have.
    pub cache_bytes_max: u64,
}
