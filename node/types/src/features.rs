//! Feature levels: what a cluster may do while two releases run in it.
//!
//! A release knows levels up to [`KNOWN`]. A cluster has one, in its state; what came with a higher one is not put, and not
//! done, until an operator or 72 healthy hours raise it (`RaiseFeatureLevel`). Until then every node can go back to the release
//! before; afterwards that release refuses the data.

/// The highest level this release knows. A new cluster begins with it.
///
/// 1, 2026-11-22: what the first cluster could do. 2, 2026-11-22: [`BACKUP_NOTES`], [`CERTIFICATE_NOTES`],
/// [`CONFIGURATION_NOTES`].
pub const KNOWN: u32 = 2;

/// From this level on nodes tell the cluster what became of backups (`NoteBackup`).
pub const BACKUP_NOTES: u32 = 2;

/// From this level on nodes tell the cluster which certificates they show (`NoteCertificates`).
pub const CERTIFICATE_NOTES: u32 = 2;

/// From this level on nodes record that they took up their configuration while they ran.
pub const CONFIGURATION_NOTES: u32 = 2;
