//! Why this node cannot go on.

use std::io;
use std::path::{Path, PathBuf};

/// This node failing to read or write its own state. Whoever meets one stops the node: it must not disagree with the
/// others, and an fsync that failed once says nothing when it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The engine refused.
    #[error("{doing} in the storage engine")]
    Engine {
        /// What we were doing.
        doing: &'static str,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system refused.
    #[error("{doing} {path}")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A stored row or a committed entry is not what `codec` writes.
    #[error("decode what is stored")]
    Decode(#[from] codec::Error),
    /// Stored bytes of this crate are not what it writes.
    #[error("{what} is damaged; replace this node, it will fetch everything from the others")]
    Damaged {
        /// Which bytes.
        what: String,
    },
    /// A write-ahead log has a bad record and good ones after it: what was acknowledged is damaged, not torn.
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
    /// The cluster does what this release does not know.
    #[error(
        "the cluster was finalized to feature level {found}, and this release knows levels up to {known}: start the newer \
         release again; there is no way back behind 'tricord cluster finalize'"
    )]
    Newer {
        /// The cluster's level.
        found: u32,
        /// The highest this release knows.
        known: u32,
    },
    /// An entry that must be there is not.
    #[error("the log has no entry {index}; replace this node, it will fetch everything from the others")]
    Hole {
        /// Its index.
        index: u64,
    },
    /// The log goes on from a state that this node never had.
    #[error(
        "this node was sent a log that goes on from a restored backup, without what the backup holds: stop it, put its data directory \
         aside and replace it again"
    )]
    Unfounded,
    /// A caller broke the contract of this crate: going on would write what cannot be read.
    #[error("{0}")]
    Misuse(&'static str),
    /// An earlier fault stopped the log, or its writer has ended: nothing is accepted any more.
    #[error("the log has stopped")]
    Stopped,
}

impl Fault {
    /// For `map_err` on file operations.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    /// Whether what is stored is not what was written: no other disk, room or right would mend it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Decode(_) | Self::Damaged { .. } | Self::DamagedLog { .. } | Self::Hole { .. } => true,
            Self::Engine { source, .. } => {
                let error = source.downcast_ref::<rocksdb::Error>();
                error.is_some_and(|error| error.kind() == rocksdb::ErrorKind::Corruption)
            }
            Self::Io { .. } | Self::Newer { .. } | Self::Unfounded | Self::Misuse(_) | Self::Stopped => false,
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
