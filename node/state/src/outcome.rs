//! All that follows from one command.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use types::record::Record;
use types::reply::{Answer, Reply};
use types::{Event, Key, Row, UserId};

/// What one envelope does to the state, and what is told to whom.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Rows to write (or, with none, to remove), for one atomic batch. Each is made once, and shared by all who keep it on the way.
    pub changes: BTreeMap<Key, Option<Arc<Row>>>,
    /// For the caller.
    pub answer: Answer,
    /// For subscribers, ascending and dense.
    pub events: Vec<Event>,
    /// For the audit log, already among `changes`.
    pub records: Vec<Record>,
    /// Users whose presence may look different now, sorted; volatile, not events.
    pub presence: Vec<UserId>,
}

impl Outcome {
    /// Whether the command was carried out rather than refused.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match &self.answer.result {
            Ok(reply) => Some(reply),
            Err(_) => None,
        }
    }
}
