//! RocksDB's settings. Reasons are given where a default would be wrong.

use rocksdb::statistics::StatsLevel;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, InfoLogger, LogLevel, Options,
    WriteBufferManager,
};

use super::{Family, Kind};

const MIB: usize = 1024 * 1024;
/// Blocks of both engines.
const CACHE_BYTES: usize = 128 * MIB;
/// Memtables of the state; beyond it the largest family is flushed, and with it all.
const STATE_MEMTABLES_BYTES: usize = 128 * MIB;
/// RocksDB's own log in the directory of each engine: one file and how many of them.
const INFO_LOG_BYTES: usize = 16 * MIB;
/// See [`INFO_LOG_BYTES`].
const INFO_LOGS_KEPT: usize = 4;
const NEVER: usize = u64::MAX as usize >> 1;

/// What engines of one process share.
pub(super) struct Shared {
    cache: Cache,
    state_memtables: WriteBufferManager,
}

impl Shared {
    pub fn new() -> Self {
        Self {
            cache: Cache::new_lru_cache(CACHE_BYTES),
            state_memtables: WriteBufferManager::new_write_buffer_manager(STATE_MEMTABLES_BYTES, false),
        }
    }

    /// Settings of the whole engine.
    pub fn database(&self, kind: Kind) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_max_open_files(-1); // Tables stay open, so a view outlives the removal of its directory.
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(MIB as u64); // Spreads the write-back of compactions under the log's fsyncs.
        options.set_wal_bytes_per_sync(0); // Otherwise a power cut can leave holes across logs.
        options.set_recycle_log_file_num(0);
        options.set_stats_dump_period_sec(0);
        // Counts alone, which are one addition each: what RocksDB times is timed by us, around it.
        options.enable_statistics();
        options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        // What RocksDB tells of itself, its settings above all, goes to LOG beside its tables; faults reach us as errors.
        options.set_log_level(LogLevel::Info);
        options.set_max_log_file_size(INFO_LOG_BYTES);
        options.set_keep_log_file_num(INFO_LOGS_KEPT);
        match kind {
            Kind::Log => {
                // Every bad record has been judged before this (`wal_scan`): what is still bad was never acknowledged.
                options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
                options.set_track_and_verify_wals_in_manifest(true);
                options.set_atomic_flush(true); // Otherwise a family that seldom fills holds back every old log file.
            }
            Kind::State => {
                options.set_atomic_flush(true); // Without a log it is what keeps the families of one moment.
                options.set_write_buffer_manager(&self.state_memtables);
            }
        }
        options
    }

    /// Settings for looking at a checkpoint, which leave no trace in it.
    pub fn checkpoint(&self, kind: Kind) -> Options {
        let mut options = self.database(kind);
        options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
        options
    }

    /// Every family of a kind with its settings.
    ///
    /// Errors: RocksDB does not know a setting.
    pub fn families(&self, kind: Kind) -> Result<Vec<ColumnFamilyDescriptor>, rocksdb::Error> {
        let families = kind.families().iter();
        let descriptor = |family: &Family| {
            let options = with_hints(self.family(*family), *family)?;
            Ok(ColumnFamilyDescriptor::new(family.name(), options))
        };
        let mut families: Vec<_> = families.map(descriptor).collect::<Result<_, _>>()?;
        families.push(ColumnFamilyDescriptor::new("default", Options::default())); // RocksDB insists; it stays empty.
        Ok(families)
    }

    fn family(&self, family: Family) -> Options {
        let mut options = Options::default();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_format_version(6);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // A stalled write is a missed heartbeat or a late message. Backlogs raise an alarm instead (`Sizes`).
        options.set_level_zero_slowdown_writes_trigger(i32::MAX / 2);
        options.set_level_zero_stop_writes_trigger(i32::MAX / 2);
        options.set_soft_pending_compaction_bytes_limit(NEVER);
        options.set_hard_pending_compaction_bytes_limit(NEVER);
        options.set_max_write_buffer_number(4);
        match family {
            Family::Entries => {
                // Read back only by a node that was away: no filters, and values apart, so that compactions do not copy
                // payloads. Four memtables at most, which a node that catches up fills all.
                options.set_write_buffer_size(32 * MIB);
                options.set_compression_type(DBCompressionType::Lz4);
                options.set_enable_blob_files(true);
                options.set_min_blob_size(4096);
                options.set_enable_blob_gc(true);
                options.set_blob_gc_age_cutoff(0.25);
                options.set_blob_gc_force_threshold(0.5);
                options.set_blob_compression_type(DBCompressionType::Lz4);
            }
            // Small, and written with every batch: they should not be the reason why all families are flushed.
            Family::LogMarks | Family::StateMarks => options.set_write_buffer_size(32 * MIB),
            Family::Rows | Family::Answers | Family::Messages | Family::Events | Family::Records | Family::DataKeys => {
                options.set_write_buffer_size(64 * MIB);
                options.set_level_compaction_dynamic_level_bytes(true);
                options.set_compression_type(DBCompressionType::Lz4);
                options.set_bottommost_compression_type(DBCompressionType::Zstd);
                if !matches!(family, Family::Events | Family::Records) {
                    blocks.set_bloom_filter(10.0, false);
                    options.set_memtable_whole_key_filtering(true);
                    options.set_memtable_prefix_bloom_ratio(0.02);
                }
            }
            Family::Tree => {
                options.set_write_buffer_size(64 * MIB);
                options.set_level_compaction_dynamic_level_bytes(true);
                options.set_compression_type(DBCompressionType::None); // Hashes: nothing to be gained.
            }
        }
        options.set_block_based_table_factory(&blocks);
        options
    }
}

/// Keys that begin alike, such as the messages of one conversation, are written next to each other. RocksDB then remembers
/// for each beginning where the last one went, instead of looking for it from the top: that was a third of what a write
/// costs. Its interface for C sets it by name only.
fn with_hints(mut options: Options, family: Family) -> Result<Options, rocksdb::Error> {
    let beginning_bytes = match family {
        Family::LogMarks | Family::Entries | Family::StateMarks => return Ok(options), // One key, or one after the other.
        Family::Tree => 2,                                                             // The table and the level.
        // The table and the id of whatever the rows belong to.
        Family::Rows | Family::Answers | Family::Messages | Family::Events | Family::Records | Family::DataKeys => 17,
    };
    options.get_options_from_string(format!("{HINTED_BY}=rocksdb.FixedPrefix.{beginning_bytes}"))
}

const HINTED_BY: &str = "memtable_insert_with_hint_prefix_extractor";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, Disk, Engine, Reader, RocksDisk};

    #[test]
    fn rows_are_written_with_hints_and_keep_their_other_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let _engine = RocksDisk::default().open(dir.path(), Kind::State).expect("opens");
        let names = std::fs::read_dir(dir.path()).expect("there").map(|file| file.expect("a file").path());
        let settings =
            names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("OPTIONS")));
        let text = std::fs::read_to_string(settings.max().expect("RocksDB writes its settings down")).expect("text");
        let (_, rows) = text.split_once("[CFOptions \"rows\"]").expect("the family");
        let rows = rows.split("[CFOptions").next().expect("its part");
        for setting in [format!("{HINTED_BY}=rocksdb.FixedPrefix.17"), format!("write_buffer_size={}", 64 * MIB)] {
            assert!(rows.contains(&setting), "{setting}");
        }
        assert!(rows.contains("compression=kLZ4Compression") && rows.contains("level0_stop_writes_trigger=1073741823"));
    }

    #[test]
    fn blocks_read_again_are_counted_as_found_in_memory() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = RocksDisk::default().open(dir.path(), Kind::State).expect("opens");
        let mut batch = Batch::default();
        batch.put(Family::Rows, b"key".to_vec(), vec![7; 4096]);
        engine.write(batch, false).expect("written");
        engine.flush().expect("flushed");
        let before = engine.work();
        (0..3).for_each(|_| assert!(engine.get(Family::Rows, b"key").expect("read").is_some()));
        let work = engine.work();
        assert!(work.cache_misses > before.cache_misses && work.cache_hits > before.cache_hits, "{work:?}");
        assert!(work.cache_bytes > 0 && work.cache_bytes_max == CACHE_BYTES as u64, "{work:?}");
        assert!(!work.write_stopped && work.delayed_write_rate == 0 && work.stall_us == 0, "{work:?}");
    }
}
