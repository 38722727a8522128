//! When the feature level is raised: by an operator, or by itself once all nodes have run the newer release, and been well,
//! for long enough that nobody will want to go back.

use std::time::Duration;

use types::Slot;
use types::limits::{FINALIZE_MS, SEAT_LAG_MAX};

use crate::handle::{ClusterStatus, NodeStatus};

/// Why the feature level is not raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// All nodes know this level, and the cluster has it.
    #[error("there is nothing to finalize: the cluster has feature level {0}, the newest that its nodes know")]
    Done(u32),
    /// It does not answer.
    #[error("{0} does not answer; all three nodes must run the newer release")]
    Silent(Slot),
    /// It is catching up.
    #[error("{0} is catching up; wait until it has")]
    Behind(Slot),
    /// It runs an older release than another.
    #[error("{slot} runs a release that knows feature levels up to {known}; upgrade it first")]
    Older {
        /// Which.
        slot: Slot,
        /// Up to where it knows them.
        known: u32,
    },
}

/// The level that the cluster can be raised to from `current` now.
pub fn next_level(status: &ClusterStatus, current: u32) -> Result<u32, NotYet> {
    let newest = status.nodes.iter().map(|node| node.applied).max().unwrap_or(0);
    let behind = |node: &&NodeStatus| newest.saturating_sub(node.applied) > SEAT_LAG_MAX;
    if let Some(node) = status.nodes.iter().find(|node| !node.reachable) {
        return Err(NotYet::Silent(node.slot));
    }
    let known = |node: &&NodeStatus| node.feature_level;
    let (Some(oldest), Some(most)) =
        (status.nodes.iter().min_by_key(known), status.nodes.iter().map(|n| n.feature_level).max())
    else {
        return Err(NotYet::Done(current));
    };
    if oldest.feature_level <= current {
        return Err(if most > current {
            NotYet::Older { slot: oldest.slot, known: oldest.feature_level }
        } else {
            NotYet::Done(current)
        });
    }
    match status.nodes.iter().find(behind) {
        Some(node) => Err(NotYet::Behind(node.slot)),
        None => Ok(oldest.feature_level),
    }
}

/// How long the cluster could have been raised, as the leader sees it. Anything else begins the time anew.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<(u32, Duration)>);

impl Patience {
    /// The level to raise to by itself now; `now` is monotonic.
    pub(crate) fn is_over(&mut self, next: Result<u32, NotYet>, now: Duration) -> Option<u32> {
        let Ok(level) = next else {
            self.0 = None;
            return None;
        };
        let since = match self.0 {
            Some((same, since)) if same == level => since,
            _ => now,
        };
        self.0 = Some((level, since));
        (now.saturating_sub(since) >= Duration::from_millis(FINALIZE_MS)).then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Role;
    use types::{Incarnation, NodeId};

    fn status(levels: [u32; 3]) -> ClusterStatus {
        let node = |at: usize| NodeStatus {
            slot: Slot::ALL[at],
            node: NodeId::new(Slot::ALL[at], Incarnation(1)),
            reachable: true,
            role: Role::Follower,
            applied: 9_000,
            last_log: 9_000,
            version: String::new(),
            client_address: String::new(),
            last_seen: None,
            streams: 0,
            disk_free: None,
            disk_low: false,
            disk_full: false,
            public_key: None,
            key_protection: String::new(),
            feature_level: levels[at],
            snapshot: None,
            vitals: None,
            certificates_expire: None,
        };
        ClusterStatus { term: 1, leader: None, nodes: [0, 1, 2].map(node) }
    }

    #[test]
    fn it_is_raised_to_what_all_three_know_and_no_further() {
        assert_eq!(next_level(&status([2, 2, 2]), 1), Ok(2));
        assert_eq!(next_level(&status([2, 3, 4]), 1), Ok(2));
        assert_eq!(next_level(&status([2, 2, 2]), 2), Err(NotYet::Done(2)));
        assert_eq!(next_level(&status([2, 1, 2]), 1), Err(NotYet::Older { slot: Slot::B, known: 1 }));
        assert_eq!(next_level(&status([0, 2, 2]), 1), Err(NotYet::Older { slot: Slot::A, known: 0 }));
        let mut silent = status([2, 2, 2]);
        silent.nodes[2].reachable = false;
        assert_eq!(next_level(&silent, 1), Err(NotYet::Silent(Slot::C)));
        let mut behind = status([2, 2, 2]);
        behind.nodes[0].applied = 10;
        assert_eq!(next_level(&behind, 1), Err(NotYet::Behind(Slot::A)));
    }

    #[test]
    fn by_itself_only_after_72_hours_without_a_doubt() {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let mut patience = Patience::default();
        assert_eq!(patience.is_over(Ok(2), hours(1)), None);
        assert_eq!(patience.is_over(Ok(2), hours(72)), None);
        assert_eq!(patience.is_over(Err(NotYet::Silent(Slot::B)), hours(72)), None);
        assert_eq!(patience.is_over(Ok(2), hours(73)), None, "it begins anew");
        assert_eq!(patience.is_over(Ok(2), hours(144)), None);
        assert_eq!(patience.is_over(Ok(2), hours(145)), Some(2));
    }
}
