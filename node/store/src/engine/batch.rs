//! What is written at once.

use super::Family;

/// Changes that happen together or not at all, in their order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    ops: Vec<(Family, Op)>,
    bytes: usize,
}

/// One change.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// The key has this value.
    Put(Vec<u8>, Vec<u8>),
    /// The key is gone.
    Delete(Vec<u8>),
    /// All keys from the first, up to and without the second, are gone.
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "put {} + {} bytes", key.len(), value.len()),
            Self::Delete(key) => write!(f, "delete {} bytes", key.len()),
            Self::DeleteRange(..) => f.write_str("delete a range"),
        }
    }
}

impl Batch {
    /// Adds a value.
    pub fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.push(family, key.len() + value.len(), Op::Put(key, value));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.push(family, key.len(), Op::Delete(key));
    }

    /// Removes all keys from `from`, up to and without `to`.
    pub fn delete_range(&mut self, family: Family, from: Vec<u8>, to: Vec<u8>) {
        self.push(family, from.len() + to.len(), Op::DeleteRange(from, to));
    }

    /// Bytes of keys and values.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The changes, in order, to look at.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn ops(&self) -> &[(Family, Op)] {
        &self.ops
    }

    /// The changes, in order.
    pub fn into_ops(self) -> impl Iterator<Item = (Family, Op)> {
        self.ops.into_iter()
    }

    fn push(&mut self, family: Family, bytes: usize, op: Op) {
        self.bytes += bytes;
        self.ops.push((family, op));
    }
}
