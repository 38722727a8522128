//! What nodes say of backups.

use proptest::prelude::*;
use types::backup::{Backup, BackupDeed, NoteBackup};

use super::primitive::*;

structs!(pub(super) note: NoteBackup {
    deed: deed(), records: number(), root: bytes32(), bytes: number(), scheduled: any::<bool>(), reason: maybe(text()),
});
structs!(pub(super) backup: Backup {
    made: maybe(timestamp()), records: number(), bytes: number(), verified: maybe(timestamp()),
    failed: maybe(timestamp()), reason: maybe(text()),
});
one_of!(deed: BackupDeed { Create, Fail, Verify, Refute, Restore });
