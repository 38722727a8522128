//! The newest entries, in memory: what replication and apply read.

use std::collections::VecDeque;

use types::limits::LOG_TAIL_BYTES_MAX;

use super::entry::{LogEntry, LogId, Placed};

/// Entries without gaps up to the last; at least all that the writer has not written yet.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Placed>,
    bytes: usize,
}

impl Tail {
    pub fn push(&mut self, placed: Placed) {
        self.bytes += placed.entry.size();
        self.entries.push_back(placed);
    }

    /// The index of the oldest entry here.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|placed| placed.entry.id.index)
    }

    pub fn last(&self) -> Option<&Placed> {
        self.entries.back()
    }

    /// The newest entry here that came with the job `written` or an earlier one.
    pub fn last_written(&self, written: u64) -> Option<LogId> {
        self.entries.iter().rev().find(|placed| placed.job <= written).map(|placed| placed.entry.id)
    }

    pub fn get(&self, index: u64) -> Option<&Placed> {
        let place = usize::try_from(index.checked_sub(self.first()?)?).ok()?;
        self.entries.get(place)
    }

    /// Adds entries from `from`, which is here, up to and without `to`, until `bytes` would exceed `bytes_max`; at
    /// least one is found in all.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize, bytes: &mut usize, found: &mut Vec<LogEntry>) {
        for index in from..to {
            let Some(placed) = self.get(index) else { break };
            *bytes += placed.entry.size();
            if *bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(placed.entry.clone());
        }
    }

    /// Drops everything from `index` on.
    pub fn truncate_from(&mut self, index: u64) {
        while self.last().is_some_and(|placed| placed.entry.id.index >= index) {
            self.forget(VecDeque::pop_back);
        }
    }

    /// Drops everything up to and with `index`.
    pub fn drop_to(&mut self, index: u64) {
        while self.first().is_some_and(|first| first <= index) {
            self.forget(VecDeque::pop_front);
        }
    }

    /// Drops the oldest entries above the bound: never the last, and none that came after the job `written`.
    pub fn trim(&mut self, written: u64) {
        while self.bytes > LOG_TAIL_BYTES_MAX && self.entries.len() > 1 {
            if self.entries.front().is_some_and(|placed| placed.job > written) {
                break;
            }
            self.forget(VecDeque::pop_front);
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn forget(&mut self, pop: fn(&mut VecDeque<Placed>) -> Option<Placed>) {
        if let Some(placed) = pop(&mut self.entries) {
            self.bytes -= placed.entry.size();
        }
    }
}
