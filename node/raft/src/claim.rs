//! Whether something that waits is carried out or withdrawn: one of the two, whoever comes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WAITS: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Shared by who waits and who carries out.
#[derive(Clone, Default, Debug)]
pub(crate) struct Claim(Arc<AtomicU8>);

impl Claim {
    /// Whether it is to be carried out: it was not withdrawn, and cannot be any more.
    pub(crate) fn take(&self) -> bool {
        self.decide(TAKEN)
    }

    /// Whether it will never be carried out: it was not taken.
    pub(crate) fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    fn decide(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Withdraws when it is dropped: a caller that goes away takes what still waits with it.
pub(crate) struct WithdrawOnDrop(pub(crate) Claim);

impl Drop for WithdrawOnDrop {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_withdrawn_is_not_taken_and_what_was_taken_is_not_withdrawn() {
        let claim = Claim::default();
        assert!(claim.withdraw());
        assert!(!claim.clone().take());
        let claim = Claim::default();
        assert!(claim.take());
        drop(WithdrawOnDrop(claim.clone()));
        assert!(!claim.withdraw() && !claim.take());
    }
}
