//! Who the peers are: how each is reached, and whether a caller is who it says.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::peer;
use store::LogId;
use tonic::{Request, Status};
use types::limits::PEER_CONNECT_MS_MAX;
use types::{ClusterId, Lineage, NodeId, Slot};

use super::connect::{self, Client};
use super::tls::Certified;
use super::transport::Dial;
use crate::kinds::{NodeInfo, RaftMembership, is_known};
use crate::memory::{Held, Memory};
use crate::wire::sixteen;

/// Who this node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its history.
    pub lineage: Lineage,
    /// This node.
    pub node: NodeId,
    /// Its disk: new whenever a data directory is made.
    pub disk: [u8; 16],
}

/// Kinds of traffic, each on its own connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Lane {
    /// Log entries, and commands for the leader.
    Data,
    /// What must not wait: heartbeats, votes, read index, gossip.
    Control,
    /// Snapshots.
    Bulk,
}

/// A caller that may call.
pub(crate) struct Introduced {
    pub(crate) caller: NodeInfo,
    /// What it remembers of this node.
    pub(crate) remembered: Option<peer::Remembered>,
    /// Where its log ends.
    pub(crate) end: Option<LogId>,
    /// It has started since it last called.
    pub(crate) started: bool,
}

/// The peers as this node knows them.
pub(crate) struct Directory {
    pub(crate) identity: Identity,
    dial: Arc<dyn Dial>,
    pub(crate) memory: Arc<Memory>,
    members: Mutex<Members>,
    clients: Mutex<HashMap<(NodeId, Lane), (NodeInfo, Client)>>,
    warned: Mutex<Option<Instant>>,
    /// The history before this one, if there was one.
    ended: Mutex<Option<Lineage>>,
}

#[derive(Default)]
struct Members {
    nodes: BTreeMap<NodeId, NodeInfo>,
    /// They come from the log, not from the configuration.
    logged: bool,
}

impl Directory {
    pub(crate) fn new(identity: Identity, dial: Arc<dyn Dial>, memory: Arc<Memory>, configured: &[NodeInfo]) -> Self {
        let nodes = configured.iter().map(|info| (info.node, info.clone())).collect();
        Self {
            identity,
            dial,
            memory,
            members: Mutex::new(Members { nodes, logged: false }),
            clients: Mutex::new(HashMap::new()),
            warned: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Takes over what the log says, as soon as it says anything.
    pub(crate) fn update(&self, membership: &RaftMembership) {
        let nodes: BTreeMap<_, _> = membership.nodes().map(|(id, info)| (NodeId(*id), info.clone())).collect();
        if nodes.is_empty() {
            return;
        }
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        *members = Members { nodes, logged: true };
    }

    /// Says which history ended when this one began: whoever still is of it is told so.
    pub(crate) fn set_ended(&self, lineage: Lineage) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(lineage);
    }

    /// Whether the log's membership has this node; true while there is none.
    pub(crate) fn is_member(&self, node: NodeId) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        !members.logged || members.nodes.contains_key(&node)
    }

    /// All other nodes.
    pub(crate) fn peers(&self) -> Vec<NodeInfo> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.nodes.values().filter(|info| info.node != self.identity.node).cloned().collect()
    }

    /// The node of each slot, as far as known; in a slot being refilled, the newest.
    pub(crate) fn by_slot(&self, slot: Slot) -> Option<NodeInfo> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.nodes.values().rfind(|info| info.slot() == Some(slot)).cloned()
    }

    pub(crate) fn get(&self, node: NodeId) -> Option<NodeInfo> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).nodes.get(&node).cloned()
    }

    /// A client of this peer; connections are shared by all that use the same lane.
    pub(crate) fn client(&self, info: &NodeInfo, lane: Lane) -> Option<Client> {
        let slot = info.slot()?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = clients.get(&(info.node, lane))
            && known == info
        {
            return Some(client.clone());
        }
        let expected = Certified { cluster: self.identity.cluster, slot };
        let (address, memory) = (info.peer_address.clone(), self.memory.clone());
        let client = connect::client(self.dial.clone(), address, expected, self.caller(info), memory);
        // One for each node and lane there ever was: nodes are replaced by hand, so they stay few.
        clients.insert((info.node, lane), (info.clone(), client.clone()));
        Some(client)
    }

    /// Whether the machine of a node is there, and says that nobody listens at its peer port.
    pub(crate) async fn refuses(&self, node: NodeId) -> bool {
        let Some((info, slot)) = self.get(node).and_then(|info| info.slot().map(|slot| (info, slot))) else {
            return false;
        };
        let dialled = self.dial.dial(info.peer_address, Certified { cluster: self.identity.cluster, slot });
        match tokio::time::timeout(Duration::from_millis(PEER_CONNECT_MS_MAX), dialled).await {
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// This node introducing itself to a peer.
    pub(crate) fn caller(&self, to: &NodeInfo) -> peer::Caller {
        let target_disk = if is_known(to.disk) { Bytes::copy_from_slice(&to.disk) } else { Bytes::new() };
        let mut caller = peer::Caller {
            cluster: Bytes::copy_from_slice(&self.identity.cluster.0),
            lineage: Bytes::copy_from_slice(&self.identity.lineage.0),
            node: self.identity.node.0,
            disk: Bytes::copy_from_slice(&self.identity.disk),
            target: to.node.0,
            target_disk,
            ..peer::Caller::default()
        };
        self.memory.introduce(&mut caller, to.node);
        caller
    }

    /// Who makes this call, if it may, what it remembers of this node, and whether it has started since it last called.
    ///
    /// Errors: `FAILED_PRECONDITION` with a stable reason when certificate, claim, membership and this node do not fit.
    pub(crate) fn authorize<T>(&self, request: &Request<T>) -> Result<Introduced, Status> {
        let certified =
            request.extensions().get::<Certified>().copied().ok_or_else(|| refuse("CERTIFICATE_MISMATCH"))?;
        let caller = connect::introduced(request.metadata());
        let caller = caller.ok_or_else(|| Status::invalid_argument("the call does not say who makes it"))?;
        let checked = self.check(certified, &caller).and_then(|info| {
            let start = self.memory.saw_start(info.node, caller.boot_seq, caller.boot_nonce);
            start.map(|new| (info, new)).map_err(Held::reason)
        });
        match checked {
            Ok((info, started)) => {
                let end = caller.end.map(|log| LogId { term: log.term, node: NodeId(log.node), index: log.index });
                Ok(Introduced { caller: info, remembered: caller.remembered, end, started })
            }
            Err(reason) => {
                if self.is_time_to_warn() {
                    let node = NodeId(caller.node);
                    tracing::warn!(%node, slot = %certified.slot, reason, "a peer's calls are refused");
                }
                Err(refuse(reason))
            }
        }
    }

    /// A refused peer goes on calling ten times a second: one line in ten seconds says it.
    fn is_time_to_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = warned.is_none_or(|last| last.elapsed() > Duration::from_secs(10));
        if due {
            *warned = Some(Instant::now());
        }
        due
    }

    fn check(&self, certified: Certified, caller: &peer::Caller) -> Result<NodeInfo, &'static str> {
        let node = NodeId(caller.node);
        let own = &self.identity;
        if caller.cluster != own.cluster.0.as_slice() {
            return Err("CLUSTER_MISMATCH");
        }
        if certified.cluster != own.cluster || Some(certified.slot) != node.slot() || node == own.node {
            return Err("CERTIFICATE_MISMATCH");
        }
        if caller.lineage != own.lineage.0.as_slice() {
            let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(match ended {
                Some(ended) if caller.lineage == ended.0.as_slice() => "LINEAGE_ENDED",
                Some(_) | None => "LINEAGE_MISMATCH",
            });
        }
        if caller.target != own.node.0 {
            return Err("TARGET_MISMATCH");
        }
        if !caller.target_disk.is_empty() && caller.target_disk != own.disk.as_slice() {
            return Err("DISK_MISMATCH"); // We are not who filled this slot before.
        }
        let disk = sixteen(&caller.disk).filter(|disk| is_known(*disk)).ok_or("DISK_MISMATCH")?;
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        match members.nodes.get(&node) {
            Some(info) if is_known(info.disk) && info.disk != disk => Err("DISK_MISMATCH"),
            Some(info) => Ok(NodeInfo { disk, ..info.clone() }),
            // A node we have not heard of yet may know more than we do: we would block it by refusing it.
            None => {
                let newer = members.nodes.keys().any(|known| known.slot() == node.slot() && *known > node);
                if members.logged && newer {
                    return Err("NODE_REPLACED");
                }
                Ok(NodeInfo { node, disk, ..NodeInfo::default() })
            }
        }
    }
}

fn refuse(reason: &'static str) -> Status {
    Status::failed_precondition(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Incarnation;

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    fn node(slot: Slot, incarnation: u32) -> NodeInfo {
        let node = NodeId::new(slot, Incarnation(incarnation));
        NodeInfo { node, peer_address: String::from("x:1"), client_address: String::new(), disk: [node.0 as u8; 16] }
    }

    fn directory() -> (Directory, peer::Caller) {
        let own = node(Slot::A, 1);
        let identity = Identity { cluster: CLUSTER, lineage: Lineage([8; 16]), node: own.node, disk: own.disk };
        let tls = crate::peer::tls::tests_support::Authority::new().tls(CLUSTER, Slot::A);
        let peers = [own.clone(), node(Slot::B, 2), node(Slot::C, 1)];
        let directory = Directory::new(identity, Arc::new(tls), Memory::detached(own.node), &peers);
        let caller = peer::Caller {
            cluster: Bytes::copy_from_slice(&CLUSTER.0),
            lineage: Bytes::copy_from_slice(&[8; 16]),
            node: peers[1].node.0,
            disk: Bytes::copy_from_slice(&peers[1].disk),
            target: own.node.0,
            target_disk: Bytes::copy_from_slice(&own.disk),
            ..peer::Caller::default()
        };
        (directory, caller)
    }

    const B: Certified = Certified { cluster: CLUSTER, slot: Slot::B };

    #[test]
    fn a_caller_that_fits_is_let_in() {
        let (directory, caller) = directory();
        assert_eq!(directory.check(B, &caller).map(|info| info.node), Ok(NodeId(caller.node)));
    }

    #[tokio::test]
    async fn only_a_port_that_refuses_is_nobodys() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (own, mut leader) = (node(Slot::A, 1), node(Slot::B, 2));
        leader.peer_address = listener.local_addr().expect("bound").to_string();
        let identity = Identity { cluster: CLUSTER, lineage: Lineage([8; 16]), node: own.node, disk: own.disk };
        let tls = crate::peer::tls::tests_support::Authority::new().tls(CLUSTER, Slot::A);
        let peers = [own.clone(), leader.clone()];
        let directory = Directory::new(identity, Arc::new(tls), Memory::detached(own.node), &peers);
        assert!(!directory.refuses(leader.node).await, "it says nothing, as one that hangs: that is not gone");
        drop(listener);
        assert!(directory.refuses(leader.node).await);
        assert!(!directory.refuses(node(Slot::C, 9).node).await, "nobody knows where that is");
    }

    #[test]
    fn each_thing_that_does_not_fit_has_its_reason() {
        let (directory, good) = directory();
        let other = Bytes::from_static(&[9; 16]);
        let check = |change: &dyn Fn(&mut peer::Caller)| {
            let mut caller = good.clone();
            change(&mut caller);
            directory.check(B, &caller).map(|info| info.node)
        };
        assert_eq!(check(&|c| c.cluster = other.clone()), Err("CLUSTER_MISMATCH"));
        assert_eq!(check(&|c| c.lineage = other.clone()), Err("LINEAGE_MISMATCH"));
        assert_eq!(check(&|c| c.disk = other.clone()), Err("DISK_MISMATCH"));
        assert_eq!(check(&|c| c.disk = Bytes::new()), Err("DISK_MISMATCH"));
        assert_eq!(check(&|c| c.target_disk = other.clone()), Err("DISK_MISMATCH"));
        assert_eq!(check(&|c| c.target = c.node), Err("TARGET_MISMATCH"));
        assert_eq!(check(&|c| c.node = node(Slot::C, 1).node.0), Err("CERTIFICATE_MISMATCH"));
        let wrong = Certified { cluster: ClusterId([9; 16]), slot: Slot::B };
        assert_eq!(directory.check(wrong, &good), Err("CERTIFICATE_MISMATCH"));
    }

    #[test]
    fn a_node_that_was_replaced_is_refused_and_a_newer_one_is_not() {
        let (directory, mut caller) = directory();
        let nodes: BTreeMap<u64, NodeInfo> =
            [node(Slot::A, 1), node(Slot::B, 2), node(Slot::C, 1)].into_iter().map(|n| (n.node.0, n)).collect();
        let voters = nodes.keys().copied().collect();
        directory.update(&RaftMembership::new(vec![voters], nodes).expect("valid"));
        caller.node = node(Slot::B, 1).node.0;
        assert_eq!(directory.check(B, &caller), Err("NODE_REPLACED"));
        caller.node = node(Slot::B, 3).node.0;
        assert!(directory.check(B, &caller).is_ok());
    }
}
