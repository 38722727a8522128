//! Engines, the Raft log, the replicated state, snapshots, the data directory. RocksDB is this crate's secret, and
//! openraft is not known here.
//!
//! Two engines to a node: the log syncs every batch, the state never does, for the log is its write-ahead log
//! (ADR 2026-11-22-storage). Invariant: `purged ≤ durable applied ≤ applied ≤ committed`; the caller purges.

// A benchmark's log, which names this crate from outside, is a test's as well.
#[cfg(test)]
extern crate self as store;

pub mod engine;
pub mod failing;
mod fault;
mod files;
#[cfg(feature = "sim")]
pub mod fuzz;
mod identity;
mod log;
mod metrics;
mod remembered;
mod snapshot;
mod state_store;

pub use engine::{Disk, Engine, RocksDisk, RocksEngine};
pub use fault::Fault;
pub use files::Space;
pub use identity::{DataDir, DataDirError, Identity};
pub use log::{Callback, LogEntry, LogId, LogStore, LogWriter, OpenError, Payload, Vote};
pub use remembered::{Promises, Remembered};
pub use snapshot::{Incoming, Manifest, Position, ReceiveError, Receiver, Snapshot, SnapshotFile};
pub use state_store::{Applied, Outputs, StateStore, StateView, TreeNodes, adopt};
