//! Why a backup was not made, or is not good. Each names the file.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not there, or not one for backups.
    #[error("{path} is no target for backups: {why}")]
    NoTarget {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The file system refuses.
    #[error("{doing} {path}")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The target is full.
    #[error("{path} has no room: {needed} bytes are needed, {free} are free; keep fewer backups or use a larger disk")]
    NoRoom {
        /// The target.
        path: PathBuf,
        /// Bytes of what is still to be written.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// There is no backup of that name.
    #[error("there is no backup {name} in {path}")]
    NoBackup {
        /// The target.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The file is not there.
    #[error("MISSING FILE: {path} belongs to this backup and is not there")]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// The file is shorter or longer than it was.
    #[error("CHANGED FILE: {path} has {found} bytes, it had {expected}")]
    Length {
        /// Which.
        path: PathBuf,
        /// Bytes it has.
        found: u64,
        /// Bytes it had.
        expected: u64,
    },
    /// The file has other bytes than it had.
    #[error("CHANGED FILE: {path} is not as it was written ({why})")]
    Changed {
        /// Which.
        path: PathBuf,
        /// How that shows.
        why: &'static str,
    },
    /// A newer release wrote it.
    #[error("{path} was written by a newer release (format {found}); use that release")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// It is a backup of something else.
    #[error("FOREIGN BACKUP: {path} is of {what} {found}, not of {expected}")]
    Foreign {
        /// Its manifest.
        path: PathBuf,
        /// Cluster, lineage, recovery kit or series.
        what: &'static str,
        /// Which it is of.
        found: String,
        /// Which was expected.
        expected: String,
    },
    /// What it holds is not what its manifest says.
    #[error("WRONG CONTENTS: {path} says {what}, and what it holds says otherwise")]
    Contents {
        /// Its manifest.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// The audit log in it is not one that nodes have signed.
    #[error("the audit log in {path}: {problem}")]
    Audit {
        /// Its manifest.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The founding keys do not reach up to the backup.
    #[error(
        "the audit log in {path} cannot be held to the founding keys. UNKNOWN SIGNER: record {record} names a signer that no two \
         signers from before it vouch for. That says nothing against the backup: if the cluster was restored then, from a \
         backup or from one node, give its new keys (--signers), or leave --founding out"
    )]
    Unvouched {
        /// Its manifest.
        path: PathBuf,
        /// The record.
        record: u64,
    },
    /// The recovery kit does not open what is in it.
    #[error("{path}: the recovery kit does not open {what}")]
    Kit {
        /// Its manifest.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// The series of backups this node goes on with cannot be read.
    #[error("{path} is damaged; remove it, and the next backup is a whole one")]
    Series {
        /// The file.
        path: PathBuf,
    },
    /// The cluster has no recovery kit.
    #[error("this cluster was founded without a recovery kit, so nothing could open a backup of it")]
    NoKit,
    /// It was stopped.
    #[error("the node is stopping; nothing was left half done")]
    Stopped,
    /// Something cannot be sealed.
    #[error("seal a backup")]
    Seal(#[from] seal::Error),
    /// The node's own state, or that of a backup, cannot be read.
    #[error(transparent)]
    State(#[from] store::Fault),
}

impl Error {
    /// Whether it speaks against the backup: that is not what was written, or cannot be read. All else is of who looked,
    /// with what, and where.
    #[must_use]
    pub fn refutes(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Length { .. }
            | Self::Changed { .. }
            | Self::Contents { .. }
            | Self::Audit { .. }
            | Self::Kit { .. } => true,
            Self::State(fault) => !matches!(fault, store::Fault::Io { .. } | store::Fault::Newer { .. }),
            // The disk does not give back what is on it.
            Self::Io { doing, source, .. } => {
                matches!(*doing, "open" | "read") && source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
            }
            Self::NoTarget { .. }
            | Self::NoRoom { .. }
            | Self::NoBackup { .. }
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Unvouched { .. }
            | Self::Series { .. }
            | Self::NoKit
            | Self::Stopped
            | Self::Seal(_) => false,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    /// Whether the target is full.
    pub(crate) fn is_no_room(source: &io::Error) -> bool {
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}
