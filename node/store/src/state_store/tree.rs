//! The audit tree of this node: grown with the records, in their batch; read for roots and proofs.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use record::tree::{Hash, Nodes, append};
use state::{Rows, View};
use types::Key;

use super::view::StateView;
use crate::Fault;

/// The tree of a view, to be asked for roots and proofs of any size up to that of the view.
#[derive(Clone, Copy)]
pub struct TreeNodes<'a, V>(pub &'a V);

impl<V: View<Fault = Fault>> Nodes for TreeNodes<'_, V> {
    type Error = Fault;

    fn node(&self, level: u8, place: u64) -> Result<Hash, Fault> {
        self.0.tree_node(level, place)?.ok_or_else(|| Fault::damaged("the audit tree"))
    }
}

/// What an apply call adds to the tree.
pub(super) struct Growth<'a> {
    base: &'a StateView,
    added: HashMap<(u8, u64), Hash, RandomState>,
    size: u64,
}

impl<'a> Growth<'a> {
    /// Goes on where the tree of this view ends.
    pub fn new(base: &'a StateView) -> Self {
        Self { base, added: HashMap::default(), size: base.heads().records }
    }

    /// Takes in the record under this key.
    ///
    /// Errors: [`Fault::Misuse`] for a record that is not the next one: a tree never has a hole.
    pub fn push(&mut self, key: &Key, stored: &[u8]) -> Result<(), Fault> {
        if *key != Key::Record(self.size) {
            return Err(Fault::Misuse("a record is not the next one of the audit log"));
        }
        let complete = append(self, self.size, record::leaf_hash(stored))?;
        self.added.extend(complete.into_iter().map(|(level, place, hash)| ((level, place), hash)));
        self.size += 1;
        Ok(())
    }

    /// The nodes that became complete, in the order of their keys: neighbours are cheap to insert one after the other.
    pub fn into_nodes(self) -> Vec<((u8, u64), Hash)> {
        let mut nodes: Vec<_> = self.added.into_iter().collect();
        nodes.sort_unstable_by_key(|(place, _)| *place);
        nodes
    }
}

impl Nodes for Growth<'_> {
    type Error = Fault;

    fn node(&self, level: u8, place: u64) -> Result<Hash, Fault> {
        match self.added.get(&(level, place)) {
            Some(hash) => Ok(*hash),
            None => TreeNodes(self.base).node(level, place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, MemDisk};
    use crate::state_store::StateStore;
    use crate::state_store::tests::{log, memory, rocks};
    use types::Row;

    /// The root follows from the records as they are stored, at every size there ever was.
    fn check<E: Engine>(store: &StateStore<E>) -> u64 {
        let view = store.view();
        let mut expected = record::tree::Memory::default();
        let size = view.heads().records;
        for index in 0..size {
            let record = view.record(index).expect("readable").expect("there");
            expected.push(record::leaf_hash(&codec::encode_row(&Row::Record(record))));
        }
        for size in 0..=size {
            let root = record::tree::root(&TreeNodes(&view), size).expect("whole");
            assert_eq!(Ok(root), record::tree::root(&expected, size), "at size {size}");
        }
        for level in 0..u8::BITS as u8 {
            for (place, hash) in (0..).zip(expected.level(level)) {
                assert_eq!(view.tree_node(level, place).expect("readable"), Some(*hash), "level {level}, {place}");
            }
        }
        assert_eq!(view.tree_node(0, size).expect("readable"), None, "no leaf without its record");
        size
    }

    #[test]
    fn tree_and_records_grow_in_one_step_however_the_log_is_cut() {
        for part in [1, 2, 7, 40] {
            let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
            let store = memory(&disk, dir.path());
            for entries in log(40).chunks(part) {
                store.apply(entries.to_vec()).expect("apply");
                check(&store);
            }
            assert!(check(&store) > 30);
        }
    }

    #[test]
    fn a_power_cut_leaves_tree_and_records_of_one_moment_and_replay_completes_both() {
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let log = log(40);
        let store = memory(&disk, dir.path());
        store.apply(log[..11].to_vec()).expect("apply");
        store.flush().expect("flush");
        store.apply(log[11..].to_vec()).expect("apply");
        let whole = check(&store);
        disk.cut_power(3);
        drop(store);
        let store = memory(&disk, dir.path());
        assert!(check(&store) < whole);
        let from = store.applied().expect("applied").0.expect("flushed").index + 1;
        store.apply(log[usize::try_from(from).expect("small")..].to_vec()).expect("apply");
        assert_eq!(check(&store), whole);
    }

    #[test]
    fn a_snapshot_carries_the_tree_with_its_records() {
        let dir = tempfile::tempdir().expect("dir");
        let store = rocks(&dir.path().join("one"));
        store.apply(log(23)).expect("apply");
        let snapshot = store.build_snapshot().expect("built");
        let copy = dir.path().join("two").join("state-0000000000000001");
        crate::state_store::tests::copy_tree(&snapshot.dir(), &copy);
        let other = rocks(&dir.path().join("two"));
        assert_eq!(check(&other), check(&store));
        assert_eq!(other.digest().expect("digest"), store.digest().expect("digest"));
    }
}
