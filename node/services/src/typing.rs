//! Who is typing: at most one notice a second for each user and conversation, never stored.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use types::{ConversationId, UserId};

use crate::limiter::lock;

/// Notices of one user in one conversation come at most this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most users and conversations kept in mind.
const KEPT_MAX: usize = 16_384;

/// When each was last told.
#[derive(Default)]
pub(crate) struct Pace {
    last: Mutex<HashMap<(UserId, ConversationId), Instant>>,
}

impl Pace {
    /// Whether a notice may go out now.
    pub(crate) fn admit(&self, user: UserId, conversation: ConversationId, now: Instant) -> bool {
        let mut last = lock(&self.last);
        if last.get(&(user, conversation)).is_some_and(|&at| now.duration_since(at) < INTERVAL) {
            return false;
        }
        if last.len() >= KEPT_MAX {
            last.retain(|_, &mut at| now.duration_since(at) < INTERVAL);
            if last.len() >= KEPT_MAX {
                return false; // Worth less than the memory it would take.
            }
        }
        last.insert((user, conversation), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_notice_a_second() {
        let (pace, now) = (Pace::default(), Instant::now());
        let (user, ward) = (UserId([1; 16]), ConversationId([2; 16]));
        assert!(pace.admit(user, ward, now));
        assert!(!pace.admit(user, ward, now + Duration::from_millis(900)));
        assert!(pace.admit(UserId([3; 16]), ward, now));
        assert!(pace.admit(user, ward, now + INTERVAL));
    }
}
