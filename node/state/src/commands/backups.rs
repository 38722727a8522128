//! What nodes say of backups: kept for the status, recorded by `records`.

use types::backup::{BackupDeed, NoteBackup};
use types::features::BACKUP_NOTES;
use types::limits::BACKUP_REASON_BYTES_MAX;
use types::reply::Field;
use types::{Key, Reject, Reply, Row};

use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Takes a node's word on a backup of its own.
pub(crate) fn note<V: View>(tx: &mut Tx<'_, V>, note: &NoteBackup) -> Step<Reply, V> {
    if note.reason.as_ref().is_some_and(|reason| reason.len() > BACKUP_REASON_BYTES_MAX) {
        return Err(Reject::Invalid(Field::Backup).into());
    }
    if tx.cluster()?.is_none_or(|cluster| cluster.feature_level < BACKUP_NOTES) {
        return Err(Reject::WrongPhase.into()); // A node of the release before could not read the record of it.
    }
    let (node, now) = (tx.origin, Some(tx.now));
    let mut backup = tx.backup(node)?.unwrap_or_default();
    match note.deed {
        BackupDeed::Create => {
            (backup.made, backup.records, backup.bytes) = (now, note.records, note.bytes);
            (backup.failed, backup.reason) = (None, None);
        }
        BackupDeed::Verify => {
            backup.verified = now;
            (backup.failed, backup.reason) = (None, None);
        }
        BackupDeed::Fail | BackupDeed::Refute => {
            (backup.failed, backup.reason) = (now, note.reason.clone());
        }
        BackupDeed::Restore => {}
    }
    tx.put(Key::Backup(node), Row::Backup(backup));
    Ok(Reply::Done)
}
