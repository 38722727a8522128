//! Audit records: the hash of a leaf, and what each action is called. The tree over the leaves, signed heads and proofs
//! come with the audit tree; a record's canonical bytes are the ones `codec` stored, never encoded anew.

mod action;

use sha2::{Digest, Sha256};

pub use action::{code, sentence};

/// What a leaf begins with, so that it is never taken for an inner node (RFC 6962, 2.1).
const LEAF: [u8; 1] = [0];

/// The hash of a leaf of the Merkle tree: SHA-256(0x00 ‖ the record's stored bytes).
#[must_use]
pub fn leaf_hash(stored: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(LEAF).chain_update(stored).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_leaf_hashes_as_in_rfc_6962() {
        let expected: String = leaf_hash(b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(expected, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
