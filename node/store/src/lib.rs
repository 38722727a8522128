//! Engines, the Raft log, the replicated state, snapshots. RocksDB is this crate's secret.

/// This node failing to read or write its own state. Whoever meets one stops the node: it must not disagree with the others.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Placeholder until the engine is here.
    #[error("engine")]
    Engine,
}
