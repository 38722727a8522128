//! The Merkle tree of RFC 6962 over the records: what is stored of it, its roots, proofs, and their verification.
//!
//! A node is complete when all leaves below it are there: level 0 the leaves, a node of level n over 2^n of them, by place
//! from the left. Complete nodes never change, so that the root of any size there ever was, and any proof, follows from
//! them. Stored are those from [`STORED_LEVEL_MIN`] on; the others follow from a few records. Level 8 n holds the hashes
//! of C2SP tiles of height 8.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The lowest level that is stored: rows for the levels below would be fifteen of sixteen, and each of their nodes takes no
/// more than eight records to make again.
pub const STORED_LEVEL_MIN: u8 = 4;

/// What a leaf begins with, so that it is never taken for an inner node (RFC 6962, 2.1).
const LEAF: [u8; 1] = [0];
/// What an inner node begins with.
const INNER: [u8; 1] = [1];

/// The hash of a leaf: SHA-256(0x00 ‖ the record's stored bytes).
#[must_use]
pub fn leaf_hash(stored: &[u8]) -> Hash {
    Sha256::new().chain_update(LEAF).chain_update(stored).finalize().into()
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(INNER).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::new().finalize().into()
}

/// Where complete nodes are to be had.
pub trait Nodes {
    /// A node could not be read, or is not there.
    type Error;

    /// The node over leaves `place << level` to `((place + 1) << level) - 1`.
    fn node(&self, level: u8, place: u64) -> Result<Hash, Self::Error>;
}

/// The right edge of a tree: all that it takes to add leaves.
///
/// Invariant: a root for each bit set in `size`, the largest subtree first.
#[derive(Clone, Default, Debug)]
pub struct Edge {
    size: u64,
    roots: Vec<Hash>,
}

impl Edge {
    /// The edge of the tree over the first `size` leaves.
    pub fn of<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let levels = (0..64_u8).rev().filter(|level| size >> level & 1 == 1);
        // The subtree of a bit ends where that bit and those above say, so it begins one place before.
        let roots = levels.map(|level| nodes.node(level, (size >> level) - 1));
        Ok(Self { size, roots: roots.collect::<Result<_, _>>()? })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and shows the nodes that become complete with it, itself first: level, place, hash.
    pub fn push(&mut self, leaf: Hash, mut complete: impl FnMut(u8, u64, Hash)) {
        let (mut level, mut place, mut hash) = (0, self.size, leaf);
        complete(level, place, hash);
        while place % 2 == 1
            && let Some(left) = self.roots.pop()
        {
            hash = node_hash(&left, &hash);
            level += 1;
            place /= 2;
            complete(level, place, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.roots.iter().rev();
        let Some(last) = smallest_first.next() else { return empty_root() };
        smallest_first.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The root of the tree over the first `size` leaves.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { subtree(nodes, 0, size) }
}

/// The path that proves the leaf at `index` to be in the tree over the first `size` leaves (RFC 6962, 2.1.1): none if it
/// is not.
pub fn prove_inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + left_part(to - from);
        if index < middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The hashes that prove the tree of size `old` to be the beginning of that of size `new` (RFC 6962, 2.1.2): none if
/// `old` is 0 or above `new`.
pub fn prove_consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if old == 0 || old > new {
        return Ok(None);
    }
    let (mut from, mut to) = (0, new);
    let mut whole = true; // The part in hand is all of the old tree: its root is known to who asks.
    let mut proof = Vec::new();
    while old < to {
        let middle = from + left_part(to - from);
        if old <= middle {
            proof.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(subtree(nodes, from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(subtree(nodes, from, to)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether a path proves that this leaf is at `index` of the tree of this size and root (RFC 9162, 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place % 2 == 0 && place != 0 {
                place /= 2;
                last /= 2;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place /= 2;
        last /= 2;
    }
    last == 0 && hash == *root
}

/// Whether a proof shows the tree `old` (size, root) to be the beginning of `new` (RFC 9162, 2.1.4.2).
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let whole = old.is_power_of_two().then_some(old_root);
    let mut hashes = whole.into_iter().chain(proof);
    let Some(first) = hashes.next() else { return false };
    let (mut place, mut last) = (old - 1, new - 1);
    while place % 2 == 1 {
        place /= 2;
        last /= 2;
    }
    let (mut before, mut after) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            before = node_hash(hash, &before);
            after = node_hash(hash, &after);
            while place % 2 == 0 && place != 0 {
                place /= 2;
                last /= 2;
            }
        } else {
            after = node_hash(&after, hash);
        }
        place /= 2;
        last /= 2;
    }
    last == 0 && before == *old_root && after == *new_root
}

/// The greatest power of two below `count`, which is 2 or more.
const fn left_part(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// The root over leaves `from` to `to - 1`; `from` is where a part begins that RFC 6962 cuts a tree into.
fn subtree<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let count = to - from;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return nodes.node(level as u8, from >> level);
    }
    let middle = from + left_part(count);
    Ok(node_hash(&subtree(nodes, from, middle)?, &subtree(nodes, middle, to)?))
}

/// A tree in memory, for verification, tools and tests.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    edge: Edge,
    levels: Vec<Vec<Hash>>,
}

impl Memory {
    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.edge.push(leaf, |level, _, hash| {
            let level = usize::from(level);
            if levels.len() == level {
                levels.push(Vec::new());
            }
            levels[level].push(hash);
        });
    }

    /// The nodes of a level that are complete.
    #[must_use]
    pub fn level(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }
}

impl Nodes for Memory {
    type Error = Missing;

    fn node(&self, level: u8, place: u64) -> Result<Hash, Missing> {
        let place = usize::try_from(place).map_err(|_| Missing)?;
        self.level(level).get(place).copied().ok_or(Missing)
    }
}

/// A node that is not stored was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node of the audit tree is missing")]
pub struct Missing;

#[cfg(test)]
mod tests;
