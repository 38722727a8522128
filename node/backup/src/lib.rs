//! Backups of the replicated state: made while the node serves, sealed as a whole to the recovery kit, verified by restoring
//! them.
//!
//! A backup is a snapshot (`store`), its audit tree's root with a head that two nodes sealed, and nothing of this node's
//! own: no private key, no log. In its target it is a manifest, readable and signed, that names sealed files; a file that an
//! earlier backup of the same series has put there is not written again (ADR 2026-11-22-backup).
//!
//! ```text
//! TARGET/tricord-backup                    says that this is a target
//! TARGET/manifests/20261122T101500Z-a1     one for each backup, written last
//! TARGET/files/SERIES/NAME                 sealed files
//! ```
//!
//! A backup gives new nodes their state ([`revive()`]), with a new lineage; they are then founded as any three are.
//!
//! All here blocks on disks; whoever serves calls it on a thread of its own.

mod age;
mod contents;
mod create;
mod error;
mod evidence;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hex;
mod kit;
mod manifest;
mod pace;
mod prune;
mod restore;
mod revive;
mod room;
mod series;
mod target;
mod verify;

pub use age::sort_by_age;
pub use create::{Made, Order, create};
pub use error::Error;
pub use evidence::Evidence;
pub use kit::KitProof;
pub use manifest::{Item, Manifest};
pub use pace::Pace;
pub use prune::{Pruned, prune};
pub use revive::{Beginning, Revival, Revived, revive};
pub use series::Series;
pub use target::Target;
pub use verify::{Expected, Opener, Restored, Verified, restore_into, verify};

/// Told while files are written or read: bytes done, and bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

#[cfg(test)]
mod tests;
