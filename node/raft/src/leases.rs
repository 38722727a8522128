//! Leases of nodes, judged by the leader's monotonic clock: from the later of the last renewal it applied and its own
//! election, so that no lease runs out because of a failover.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use types::NodeId;
use types::limits::NODE_LEASE_MS;

use crate::clock::ClusterClock;

/// When each node's lease was last renewed under this leader.
pub(crate) struct Leases {
    clock: Arc<ClusterClock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    elected: Duration,
    renewed: BTreeMap<NodeId, Duration>,
}

impl Leases {
    pub(crate) fn new(clock: Arc<ClusterClock>) -> Self {
        Self { clock, inner: Mutex::new(Inner::default()) }
    }

    /// This node leads from now on.
    pub(crate) fn elected(&self) {
        let now = self.clock.monotonic();
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Inner { elected: now, renewed: BTreeMap::new() };
    }

    /// A renewal of this node was applied.
    pub(crate) fn renewed(&self, node: NodeId) {
        let now = self.clock.monotonic();
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).renewed.insert(node, now);
    }

    /// Whether the node has had its time.
    pub(crate) fn is_over(&self, node: NodeId) -> bool {
        let now = self.clock.monotonic();
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let since = inner.renewed.get(&node).copied().unwrap_or_default().max(inner.elected);
        now.saturating_sub(since) > Duration::from_millis(NODE_LEASE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests_support::Hand;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_lease_starts_anew_with_each_leader_and_each_renewal() {
        let hand = Hand::default();
        let leases = Leases::new(Arc::new(ClusterClock::new(Arc::new(hand.clone()))));
        hand.0.store(100_000, Ordering::Relaxed);
        leases.elected();
        assert!(!leases.is_over(NodeId(5)), "nothing runs out at an election");
        hand.0.fetch_add(NODE_LEASE_MS, Ordering::Relaxed);
        assert!(!leases.is_over(NodeId(5)));
        leases.renewed(NodeId(5));
        hand.0.fetch_add(1, Ordering::Relaxed);
        assert!(leases.is_over(NodeId(6)));
        assert!(!leases.is_over(NodeId(5)));
        leases.elected();
        assert!(!leases.is_over(NodeId(6)));
    }
}
