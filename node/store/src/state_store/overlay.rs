//! A view with changes on top that are not written yet: each command of an apply call sees those before it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use state::View;
use types::{Key, Row};

use super::cache::Cache;
use crate::Fault;

/// Changes over a view. Not shared between threads; it lives for one apply call.
///
/// The commands of a batch ask for the same sessions and conversations again and again, so what was read once is kept
/// beside what was changed, in one table. Few commands scan: the order that takes is made when the first one does.
pub(super) struct Overlay<'a, V> {
    base: &'a V,
    cache: &'a Cache,
    rows: RefCell<HashMap<Key, Known, RandomState>>,
    /// The keys of all changes; none as long as nobody has asked for their order.
    order: RefCell<Option<BTreeSet<Key>>>,
}

/// Rows with their keys; none: there is no such row.
pub(super) type Rows = Vec<(Key, Option<Arc<Row>>)>;

/// What is known of a row.
struct Known {
    row: Option<Arc<Row>>,
    changed: bool,
}

impl<'a, V: View<Fault = Fault>> Overlay<'a, V> {
    pub fn new(base: &'a V, cache: &'a Cache) -> Self {
        Self { base, cache, rows: RefCell::default(), order: RefCell::default() }
    }

    /// Puts changes on top.
    pub fn extend(&mut self, changes: BTreeMap<Key, Option<Arc<Row>>>) {
        let rows = self.rows.get_mut();
        if let Some(order) = self.order.get_mut() {
            order.extend(changes.keys().cloned());
        }
        rows.extend(changes.into_iter().map(|(key, row)| (key, Known { row, changed: true })));
    }

    /// All changes, by key, and then what was only read.
    pub fn into_rows(self) -> (Rows, Rows) {
        let (mut changed, mut read) = (Rows::new(), Rows::new());
        for (key, known) in self.rows.into_inner() {
            if known.changed {
                changed.push((key, known.row));
            } else if Cache::keeps(key.table()) {
                read.push((key, known.row));
            }
        }
        changed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        (changed, read)
    }
}

impl<V: View<Fault = Fault>> View for Overlay<'_, V> {
    type Fault = Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, Fault> {
        if let Some(known) = self.rows.borrow().get(key) {
            return Ok(known.row.as_deref().cloned());
        }
        let row = match self.cache.get(key) {
            Some(row) => row.clone(),
            None => self.base.get(key)?.map(Arc::new),
        };
        let own = row.as_deref().cloned();
        self.rows.borrow_mut().insert(key.clone(), Known { row, changed: false });
        Ok(own)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Fault> {
        if from > to {
            return Ok(Vec::new());
        }
        let known = self.rows.borrow();
        let mut order = self.order.borrow_mut();
        let order = order.get_or_insert_with(|| {
            known.iter().filter(|(_, known)| known.changed).map(|(key, _)| key.clone()).collect()
        });
        // Each change takes away at most one row of the base, so with that many more there are enough left.
        let changed = order.range(from..=to).count();
        let mut rows: BTreeMap<Key, Row> =
            self.base.scan(from, to, reverse, limit.saturating_add(changed))?.into_iter().collect();
        for key in order.range(from..=to) {
            match known.get(key).and_then(|known| known.row.as_deref()) {
                Some(row) => rows.insert(key.clone(), row.clone()),
                None => rows.remove(key),
            };
        }
        Ok(if reverse { rows.into_iter().rev().take(limit).collect() } else { rows.into_iter().take(limit).collect() })
    }
}
