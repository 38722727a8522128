//! Opening the log.

use std::path::{Path, PathBuf};

use super::{LogStore, LogWriter};
use crate::Fault;
use crate::engine::{Disk, Kind, RocksDisk, RocksEngine};

/// Why the log of this node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What this node acknowledged is damaged. It must not vote with what is left.
    #[error(
        "the log in {path} is damaged at byte {at}, before data that was acknowledged; replace this node, it will fetch \
         everything from the others"
    )]
    DamagedLog {
        /// The file.
        path: PathBuf,
        /// Where the bad record begins.
        at: u64,
    },
    /// Anything else.
    #[error(transparent)]
    Fault(Fault),
}

impl OpenError {
    /// See [`Fault::is_damage`].
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::DamagedLog { .. } => true,
            Self::Fault(fault) => fault.is_damage(),
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::DamagedLog { path, at } => Self::DamagedLog { path, at },
            other => Self::Fault(other),
        }
    }
}

impl LogStore<RocksEngine> {
    /// Opens the log in this directory, a new one if there is none. What a power cut left half written is cut off.
    pub fn open_dir(disk: &RocksDisk, dir: &Path) -> Result<(Self, LogWriter<RocksEngine>), OpenError> {
        let engine = disk.open(dir, Kind::Log)?;
        let torn = engine.torn_bytes();
        let (store, writer) = Self::open(engine)?;
        store.metrics().torn_bytes.set(i64::try_from(torn).unwrap_or(i64::MAX));
        Ok((store, writer))
    }
}
