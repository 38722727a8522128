//! What one node takes of clients, as far as an operator may change it while it runs: less to shelter the others from one of
//! them, more where many people share an address. What the cluster agrees on stands in `types::limits` and is the same on
//! every node: `state` decides by it, so it is no setting.

use std::ops::RangeInclusive;

use types::limits::{CALLS_BURST_MAX, CALLS_PER_SECOND_MAX, STREAMS_PER_NODE_MAX};

/// The limits of one node that can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientLimits {
    /// Calls a session may make a second; in one burst as many times more as by default.
    pub calls_per_second: u32,
    /// Sync streams open on this node; no stream that is open is closed when this is lowered.
    pub streams: u32,
    /// Failed sign-ins from one address before it has to wait six seconds for each.
    pub failures_per_address: u32,
    /// Sign-ins of one login before it has to wait six seconds for each.
    pub sign_ins_per_login: u32,
}

impl Default for ClientLimits {
    fn default() -> Self {
        let streams = u32::try_from(STREAMS_PER_NODE_MAX).unwrap_or(u32::MAX);
        Self { calls_per_second: CALLS_PER_SECOND_MAX, streams, failures_per_address: 100, sign_ins_per_login: 100 }
    }
}

impl ClientLimits {
    /// What each may be, by its name in the configuration: nothing that was measured is exceeded, and nobody is shut out.
    #[must_use]
    pub fn bounds(&self) -> [(&'static str, u32, RangeInclusive<u32>); 4] {
        let most = Self::default();
        [
            ("limits.calls_per_second", self.calls_per_second, 10..=most.calls_per_second),
            ("limits.streams", self.streams, 10..=most.streams),
            ("limits.failures_per_address", self.failures_per_address, 5..=10_000),
            ("limits.sign_ins_per_login", self.sign_ins_per_login, 5..=10_000),
        ]
    }

    /// Calls in one burst.
    pub(crate) fn burst(&self) -> u32 {
        self.calls_per_second.saturating_mul(CALLS_BURST_MAX / CALLS_PER_SECOND_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_unless_something_is_set_is_within_the_bounds() {
        let limits = ClientLimits::default();
        for (name, value, bounds) in limits.bounds() {
            assert!(bounds.contains(&value), "{name} = {value}: {bounds:?}");
        }
        assert_eq!(limits.burst(), CALLS_BURST_MAX);
    }
}
