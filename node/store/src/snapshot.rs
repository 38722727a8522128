//! Snapshots: the whole state as files, with a manifest that says what they are and proves that they are it.

mod manifest;
mod receive;
mod snapshots;

pub use manifest::{Manifest, SnapshotFile};
pub(crate) use receive::incoming_dir;
pub use receive::{Incoming, Position, ReceiveError, Receiver};
pub use snapshots::Snapshot;
pub(crate) use snapshots::Snapshots;

/// The directory with the engine's files, beside the manifest.
const DATABASE: &str = "database";
/// The manifest's file.
const MANIFEST: &str = "manifest";

#[cfg(test)]
mod tests;
