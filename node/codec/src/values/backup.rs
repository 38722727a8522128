//! What nodes say of backups.

use types::backup::{Backup, BackupDeed, NoteBackup};

use crate::declare::{messages, numbers};

messages! {
    NoteBackup { 1: deed, 2: records, 3: root, 4: bytes, 5: scheduled, 6: reason }
    Backup { 1: made, 2: records, 3: bytes, 4: verified, 5: failed, 6: reason }
}

numbers! {
    BackupDeed { 1: Create, 2: Fail, 3: Verify, 4: Refute, 5: Restore }
}
