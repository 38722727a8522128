//! The state as one sorted map: the plainest view there is, for tests of this crate and of those above.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;

use types::{Envelope, Key, Row, Timestamp};

use crate::outcome::Outcome;
use crate::view::View;

/// Everything that is replicated, in memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    /// All rows.
    pub rows: BTreeMap<Key, Row>,
}

impl Model {
    /// Applies one envelope and keeps its changes.
    pub fn apply(&mut self, at: Timestamp, envelope: &Envelope) -> Outcome {
        let Ok(outcome) = crate::apply(self, at, envelope);
        self.keep(&outcome);
        outcome
    }

    /// Keeps the changes of an outcome.
    pub fn keep(&mut self, outcome: &Outcome) {
        for (key, change) in &outcome.changes {
            match change {
                Some(row) => self.rows.insert(key.clone(), Row::clone(row)),
                None => self.rows.remove(key),
            };
        }
    }
}

impl View for Model {
    type Fault = Infallible;

    fn get(&self, key: &Key) -> Result<Option<Row>, Infallible> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Infallible> {
        if from > to {
            return Ok(Vec::new());
        }
        let range = self.rows.range(from..=to).map(|(key, row)| (key.clone(), row.clone()));
        Ok(if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() })
    }
}
