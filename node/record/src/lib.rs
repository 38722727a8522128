//! Audit records: their bytes, the Merkle tree over them, signed heads, proofs, and what each action is called.
//!
//! A record's canonical bytes are the ones `codec` stored, never encoded anew. Nothing here asks the cluster anything: all
//! of it works on a machine that has only an export and the founding keys.

mod action;
pub mod checkpoint;
pub mod cosignature;
pub mod founding;
pub mod note;
pub mod read;
pub mod tree;
pub mod verify;

pub use action::{code, sentence};
pub use checkpoint::Checkpoint;
pub use cosignature::Witness;
pub use founding::FoundingKeys;
pub use tree::{Hash, leaf_hash};
