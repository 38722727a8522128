//! What nearly every command asks for, kept from one apply call to the next: rows, decoded, and the edge of the audit tree.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use record::tree::Edge;
use types::limits::CACHED_ROWS_MAX;
use types::{Key, Row, Table};

type Rows = HashMap<Key, Option<Arc<Row>>, RandomState>;

/// Rows as the last apply call left them, those asked for lately; none where there is no such row.
///
/// Only whoever applies reads and writes it, and it is emptied when the state is replaced: it never differs from what the
/// engine holds. Two halves: when the newer one is full it becomes the older one, and what nobody has asked for since is
/// forgotten with the one before.
#[derive(Default)]
pub(super) struct Cache {
    newer: Rows,
    older: Rows,
    edge: Option<Edge>,
}

impl Cache {
    /// The row, if it is known.
    pub fn get(&self, key: &Key) -> Option<&Option<Arc<Row>>> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Whether rows of this table are worth keeping: few, small, and asked for again and again.
    pub const fn keeps(table: Table) -> bool {
        matches!(
            table,
            Table::Cluster
                | Table::Heads
                | Table::User
                | Table::Device
                | Table::Session
                | Table::Conversation
                | Table::Participant
                | Table::DataKey
                | Table::Settings
                | Table::Divergence
        )
    }

    /// The edge of the audit tree, if it is known.
    pub const fn edge(&self) -> Option<&Edge> {
        self.edge.as_ref()
    }

    /// Takes in the edge of the audit tree.
    pub fn put_edge(&mut self, edge: Edge) {
        self.edge = Some(edge);
    }

    /// Takes in a row that was read or written, if its table is kept.
    pub fn put(&mut self, key: Key, row: Option<Arc<Row>>) {
        if !Self::keeps(key.table()) {
            return;
        }
        if self.newer.len() >= CACHED_ROWS_MAX / 2 && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let mut cache = Cache::default();
        let key = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            Key::User(types::UserId(id))
        };
        for number in 0..3 * CACHED_ROWS_MAX {
            cache.put(key(number), None);
            cache.put(key(0), None); // As each that is used in an apply call is put again.
        }
        assert!(cache.newer.len() + cache.older.len() <= CACHED_ROWS_MAX);
        assert!(cache.get(&key(0)).is_some());
        assert!(cache.get(&key(1)).is_none());
        cache.put(Key::Record(1), None);
        assert!(cache.get(&Key::Record(1)).is_none(), "there is no end of records");
    }
}
