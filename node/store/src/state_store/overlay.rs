//! A view with changes on top that are not written yet: each command of an apply call sees those before it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use state::View;
use types::{Key, Row};

use crate::Fault;

/// Changes over a view. Not shared between threads; it lives for one apply call.
pub(super) struct Overlay<'a, V> {
    base: &'a V,
    changes: BTreeMap<Key, Option<Row>>,
    /// Rows of the base that were read before: the commands of a batch ask for the same sessions and conversations.
    read: RefCell<HashMap<Key, Option<Row>>>,
}

impl<'a, V: View<Fault = Fault>> Overlay<'a, V> {
    pub fn new(base: &'a V) -> Self {
        Self { base, changes: BTreeMap::new(), read: RefCell::default() }
    }

    /// Puts changes on top.
    pub fn extend(&mut self, changes: BTreeMap<Key, Option<Row>>) {
        self.changes.extend(changes);
    }

    /// All changes, by key.
    pub fn into_changes(self) -> BTreeMap<Key, Option<Row>> {
        self.changes
    }
}

impl<V: View<Fault = Fault>> View for Overlay<'_, V> {
    type Fault = Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, Fault> {
        if let Some(row) = self.changes.get(key) {
            return Ok(row.clone());
        }
        if let Some(row) = self.read.borrow().get(key) {
            return Ok(row.clone());
        }
        let row = self.base.get(key)?;
        self.read.borrow_mut().insert(key.clone(), row.clone());
        Ok(row)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Fault> {
        if from > to {
            return Ok(Vec::new());
        }
        // Each change takes away at most one row of the base, so with that many more there are enough left.
        let changed = self.changes.range(from..=to).count();
        let mut rows: BTreeMap<Key, Row> =
            self.base.scan(from, to, reverse, limit.saturating_add(changed))?.into_iter().collect();
        for (key, row) in self.changes.range(from..=to) {
            match row {
                Some(row) => rows.insert(key.clone(), row.clone()),
                None => rows.remove(key),
            };
        }
        Ok(if reverse { rows.into_iter().rev().take(limit).collect() } else { rows.into_iter().take(limit).collect() })
    }
}
