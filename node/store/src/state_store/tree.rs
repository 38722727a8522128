//! The audit tree of this node: grown with the records, in their batch; read for roots and proofs.

use record::tree::{Edge, Hash, Nodes, STORED_LEVEL_MIN};
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
        let damaged = || Fault::damaged("the audit tree");
        if level >= STORED_LEVEL_MIN {
            return self.0.tree_node(level, place)?.ok_or_else(damaged);
        }
        let count = 1 << level;
        let (first, last) = (place * count, place * count + (count - 1));
        let mut below = Edge::default();
        for (_, row) in self.0.scan(&Key::Record(first), &Key::Record(last), false, 1 << level)? {
            // `codec` reads nothing but what it would write again, byte for byte, so these are the bytes that are stored.
            below.push(record::leaf_hash(&codec::encode_row(&row)), |_, _, _| ());
        }
        if below.size() == count { Ok(below.root()) } else { Err(damaged()) }
    }
}

/// A node of the tree with its level and place.
type Placed = ((u8, u64), Hash);

/// What an apply call adds to the tree.
pub(super) struct Growth {
    edge: Edge,
    added: Vec<Placed>,
}

impl Growth {
    /// Goes on at this edge, which is that of the tree of `base`; none: it is found out.
    pub fn new(edge: Option<&Edge>, base: &StateView) -> Result<Self, Fault> {
        let size = base.heads().records;
        let edge = match edge {
            Some(edge) => edge.clone(),
            None => Edge::of(&TreeNodes(base), size)?,
        };
        if edge.size() != size {
            return Err(Fault::Misuse("the edge of the audit tree is of another state"));
        }
        Ok(Self { edge, added: Vec::new() })
    }

    /// Takes in the record under this key.
    ///
    /// Errors: [`Fault::Misuse`] for a record that is not the next one: a tree never has a hole.
    pub fn push(&mut self, key: &Key, stored: &[u8]) -> Result<(), Fault> {
        if *key != Key::Record(self.edge.size()) {
            return Err(Fault::Misuse("a record is not the next one of the audit log"));
        }
        let added = &mut self.added;
        self.edge.push(record::leaf_hash(stored), |level, place, hash| {
            if level >= STORED_LEVEL_MIN {
                added.push(((level, place), hash));
            }
        });
        Ok(())
    }

    /// The nodes that became complete and are stored, in the order of their keys: neighbours are cheap to insert one after
    /// the other. And where the next call goes on.
    pub fn finish(mut self) -> (Vec<Placed>, Edge) {
        self.added.sort_unstable_by_key(|(place, _)| *place);
        (self.added, self.edge)
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
                assert_eq!(TreeNodes(&view).node(level, place).expect("there"), *hash, "level {level}, {place}");
                let stored = (level >= STORED_LEVEL_MIN).then_some(*hash);
                assert_eq!(view.tree_node(level, place).expect("readable"), stored, "level {level}, {place}");
            }
        }
        for level in 0..6 {
            let next = expected.level(level).len() as u64;
            assert!(TreeNodes(&view).node(level, next).is_err(), "no node before all its records are there");
        }
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
