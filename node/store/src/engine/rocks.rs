//! RocksDB behind [`Engine`].

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::statistics::Ticker;
use rocksdb::{
    ColumnFamily, DB, DBRawIterator, FlushOptions, Options, ReadOptions, ReadTier, Snapshot, WriteBatch, WriteOptions,
};
use self_cell::self_cell;

use super::options::Shared;
use super::wal_scan;
use super::{Batch, Disk, Engine, Family, Keys, Kind, Op, Reader, Sizes, Visit, Work};
use crate::Fault;
use crate::files::make_dir;

/// Real files. One for each process: engines share the block cache.
pub struct RocksDisk {
    shared: Shared,
}

impl Default for RocksDisk {
    fn default() -> Self {
        Self { shared: Shared::new() }
    }
}

impl Disk<RocksEngine> for RocksDisk {
    fn open(&self, dir: &Path, kind: Kind) -> Result<RocksEngine, Fault> {
        make_dir(dir)?; // RocksDB would make it, and not tell the directory above to remember.
        let torn_bytes = match kind {
            Kind::Log => wal_scan::cut_torn_tail(dir)?,
            Kind::State => 0,
        };
        let families = self.shared.families(kind).map_err(engine("set the database up"))?;
        let options = self.shared.database(kind);
        let db = DB::open_cf_descriptors(&options, dir, families).map_err(engine("open the database"))?;
        Ok(RocksEngine { db: Arc::new(db), options, kind, torn_bytes })
    }

    fn open_checkpoint(&self, dir: &Path, kind: Kind) -> Result<Box<dyn Reader>, Fault> {
        let families = self.shared.families(kind).map_err(engine("set the checkpoint up"))?;
        let options = self.shared.checkpoint(kind);
        let db = DB::open_cf_descriptors_read_only(&options, dir, families, false);
        let db = Arc::new(db.map_err(engine("open the checkpoint"))?);
        Ok(Box::new(RocksEngine { db, options, kind, torn_bytes: 0 }))
    }
}

/// A RocksDB. The only way to write goes through [`Engine::write`], which knows for each kind what durable means.
pub struct RocksEngine {
    db: Arc<DB>,
    /// What it was opened with; RocksDB counts there.
    options: Options,
    kind: Kind,
    torn_bytes: u64,
}

impl RocksEngine {
    /// Bytes that a power cut had left half written in the log, cut off when it was opened.
    #[must_use]
    pub const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }
}

impl Reader for RocksEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.db.get_cf(handle(&self.db, family)?, key).map_err(engine("read a key"))
    }

    fn range(&self, family: Family, keys: Keys<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
        let iterator = self.db.raw_iterator_cf_opt(handle(&self.db, family)?, read_options(keys));
        walk(iterator, reverse, visit)
    }
}

impl Engine for RocksEngine {
    fn write(&self, batch: Batch, sync: bool) -> Result<(), Fault> {
        let mut native = WriteBatch::with_capacity_bytes(batch.bytes() + batch.bytes() / 8);
        let mut last = None;
        for (family, op) in batch.into_ops() {
            // By name, so not for each of a dozen rows of one message.
            let handle = match last {
                Some((known, handle)) if known == family => handle,
                _ => handle(&self.db, family)?,
            };
            last = Some((family, handle));
            match op {
                Op::Put(key, value) => native.put_cf(handle, key, value),
                Op::Delete(key) => native.delete_cf(handle, key),
                Op::DeleteRange(from, to) => native.delete_range_cf(handle, from, to),
            }
        }
        let mut options = WriteOptions::default();
        match self.kind {
            Kind::Log => options.set_sync(sync),
            Kind::State => options.disable_wal(true),
        }
        self.db.write_opt(native, &options).map_err(engine("write a batch"))
    }

    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted); // Skips memtables once something was written without a log.
        self.db.get_cf_opt(handle(&self.db, family)?, key, &options).map_err(engine("read a durable key"))
    }

    fn flush(&self) -> Result<(), Fault> {
        let handles = self.kind.families().iter().map(|family| handle(&self.db, *family));
        let handles: Vec<&ColumnFamily> = handles.collect::<Result<_, _>>()?;
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&handles.iter().collect::<Vec<_>>(), &options).map_err(engine("flush"))
    }

    fn view(&self) -> Arc<dyn Reader> {
        Arc::new(RocksView { cell: SnapshotCell::new(self.db.clone(), |db| db.snapshot()) })
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), Fault> {
        // A log size of 0: memtables are flushed first. Without a log of our own they would be missing otherwise.
        let checkpoint = Checkpoint::new(&self.db).map_err(engine("begin a checkpoint"))?;
        checkpoint.create_checkpoint(dir).map_err(engine("make a checkpoint"))
    }

    fn healthy(&self) -> Result<(), Fault> {
        // RocksDB resumes by itself after some errors and offers no callback here, so any error ever seen counts.
        let errors = self.db.property_int_value("rocksdb.background-errors").map_err(engine("ask for errors"))?;
        match errors {
            Some(0) | None => Ok(()),
            Some(count) => Err(Fault::Engine {
                doing: "flush or compact in the background",
                source: format!("{count} background errors; see LOG in {}", self.db.path().display()).into(),
            }),
        }
    }

    fn sizes(&self) -> Sizes {
        let sum = |property: &str| {
            let values = self.kind.families().iter().filter_map(|family| {
                let handle = self.db.cf_handle(family.name())?;
                self.db.property_int_value_cf(handle, property).ok().flatten()
            });
            values.sum()
        };
        Sizes {
            memtable_bytes: sum("rocksdb.size-all-mem-tables"),
            table_bytes: sum("rocksdb.total-sst-files-size") + sum("rocksdb.total-blob-file-size"),
            wal_bytes: wal_bytes(self.db.path()),
            pending_compaction_bytes: sum("rocksdb.estimate-pending-compaction-bytes"),
        }
    }

    fn work(&self) -> Work {
        let of_all = |property: &str| self.db.property_int_value(property).ok().flatten().unwrap_or_default();
        // The families share one cache; each tells of all of it.
        let family = self.kind.families().first().and_then(|family| self.db.cf_handle(family.name()));
        let of_cache = |property: &str| {
            family.and_then(|handle| self.db.property_int_value_cf(handle, property).ok().flatten()).unwrap_or_default()
        };
        Work {
            write_stopped: of_all("rocksdb.is-write-stopped") > 0,
            delayed_write_rate: of_all("rocksdb.actual-delayed-write-rate"),
            stall_us: self.options.get_ticker_count(Ticker::StallMicros),
            compactions: of_all("rocksdb.num-running-compactions"),
            flushes: of_all("rocksdb.num-running-flushes"),
            cache_hits: self.options.get_ticker_count(Ticker::BlockCacheHit),
            cache_misses: self.options.get_ticker_count(Ticker::BlockCacheMiss),
            cache_bytes: of_cache("rocksdb.block-cache-usage"),
            cache_bytes_max: of_cache("rocksdb.block-cache-capacity"),
        }
    }
}

self_cell!(
    struct SnapshotCell {
        owner: Arc<DB>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// A snapshot that keeps its database open.
struct RocksView {
    cell: SnapshotCell,
}

impl Reader for RocksView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let handle = handle(self.cell.borrow_owner(), family)?;
        self.cell.borrow_dependent().get_cf(handle, key).map_err(engine("read a key"))
    }

    fn range(&self, family: Family, keys: Keys<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
        let handle = handle(self.cell.borrow_owner(), family)?;
        walk(self.cell.borrow_dependent().raw_iterator_cf_opt(handle, read_options(keys)), reverse, visit)
    }
}

fn handle(db: &DB, family: Family) -> Result<&ColumnFamily, Fault> {
    db.cf_handle(family.name()).ok_or(Fault::Misuse("a family is not of this engine"))
}

fn read_options((from, to): Keys<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    match from {
        Bound::Included(key) => options.set_iterate_lower_bound(key),
        Bound::Excluded(key) => options.set_iterate_lower_bound(successor(key)),
        Bound::Unbounded => {}
    }
    match to {
        Bound::Included(key) => options.set_iterate_upper_bound(successor(key)),
        Bound::Excluded(key) => options.set_iterate_upper_bound(key),
        Bound::Unbounded => {}
    }
    options
}

/// The smallest key above `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn walk(mut iterator: DBRawIterator<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
    if reverse {
        iterator.seek_to_last()
    } else {
        iterator.seek_to_first()
    }
    while let Some((key, value)) = iterator.item() {
        if visit(key, value)?.is_break() {
            return Ok(());
        }
        if reverse { iterator.prev() } else { iterator.next() }
    }
    iterator.status().map_err(engine("read a range"))
}

fn wal_bytes(dir: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(dir) else { return 0 };
    let logs = files.flatten().filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn engine(doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Fault {
    move |source| Fault::Engine { doing, source: Box::new(source) }
}
