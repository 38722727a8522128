//! Request numbers of one device.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::v1::RequestId;

/// Hands out a device's request numbers and knows which are unanswered.
#[derive(Debug)]
pub struct Numbers(Mutex<State>);

#[derive(Debug)]
struct State {
    next: u64,
    open: BTreeSet<u64>,
}

impl Numbers {
    /// Goes on from `next`, the lowest number that was never used.
    #[must_use]
    pub fn new(next: u64) -> Self {
        Self(Mutex::new(State { next: next.max(1), open: BTreeSet::new() }))
    }

    /// The next number; it counts as unanswered until [`Self::done`].
    pub fn take(&self) -> u64 {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number);
        number
    }

    /// The identity of a call with this number, as of now.
    pub fn request_id(&self, number: u64) -> RequestId {
        let settled = self.lock().open.first().copied().unwrap_or(number);
        RequestId { number, settled: settled.min(number) }
    }

    /// The answer is there, and the number will not be used again.
    pub fn done(&self, number: u64) {
        self.lock().open.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_stays_at_the_oldest_unanswered_number() {
        let numbers = Numbers::new(7);
        let (first, second) = (numbers.take(), numbers.take());
        assert_eq!(numbers.request_id(second), RequestId { number: 8, settled: 7 });
        numbers.done(first);
        assert_eq!(numbers.request_id(second), RequestId { number: 8, settled: 8 });
    }
}
