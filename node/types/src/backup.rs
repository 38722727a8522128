//! Backups, as far as the cluster knows of them: what a node says it has made, verified or failed to make.

use alloc::string::String;

use crate::id::Timestamp;

/// What was done with a backup. The numbers are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum BackupDeed {
    /// One was made, complete and synced in its target.
    Create = 1,
    /// One was to be made, and was not.
    Fail = 2,
    /// One was restored in isolation, and holds what it says.
    Verify = 3,
    /// One was to be verified, and does not hold what it says.
    Refute = 4,
    /// This cluster goes on from one.
    Restore = 5,
}

/// A node's word on a backup: it becomes a record, and what the status of the cluster says of backups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteBackup {
    /// What was done.
    pub deed: BackupDeed,
    /// Records of the audit log in it; 0 where none was made.
    pub records: u64,
    /// The root of the audit tree over them.
    pub root: [u8; 32],
    /// Bytes in its target in all; those an earlier backup had put there among them.
    pub bytes: u64,
    /// By the schedule; otherwise somebody at the machine asked for it.
    pub scheduled: bool,
    /// Why not, in words; at most `BACKUP_REASON_BYTES_MAX`.
    pub reason: Option<String>,
}

/// The backups of one node, as the cluster knows them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backup {
    /// When the newest was made.
    pub made: Option<Timestamp>,
    /// Records in it.
    pub records: u64,
    /// Bytes in its target.
    pub bytes: u64,
    /// When one was last found good by restoring it in isolation.
    pub verified: Option<Timestamp>,
    /// When one last failed, or was found bad; none once a later one of that kind went well.
    pub failed: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}
