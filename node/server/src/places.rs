//! The local socket's part in replacing a node.

use std::fs;
use std::path::{Path, PathBuf};

use proto::local::place_service_server::PlaceService;
use proto::local::{
    AdmitNodeRequest, AdmitNodeResponse, GetPlaceRequest, GetPlaceResponse, PlaceState, PlanReplacementRequest,
    PlanReplacementResponse,
};
use raft::{Handle, Role};
use seal::PublicKey;
use services::{Newcomer, Services};
use state::Rows;
use tonic::{Request, Response, Status};
use types::seat::Seat;
use types::{ClusterId, Incarnation, NodeId, Slot};

use crate::run::Consensus;

/// Answers for one node.
pub struct Places {
    /// The node.
    pub node: Consensus,
    /// Its services, which hold the cluster key.
    pub services: Services<Consensus>,
    /// Where the data is.
    pub data: PathBuf,
}

fn slot_of(text: &str) -> Result<Slot, Status> {
    text.parse().map_err(|_| Status::invalid_argument("a place is a, b or c"))
}

fn unreadable(_: raft::Fault) -> Status {
    Status::internal("the node cannot read its state")
}

impl Places {
    fn seats(&self, slot: Slot) -> Result<Vec<(NodeId, Seat)>, Status> {
        let mut seats = self.node.seats().map_err(unreadable)?;
        seats.retain(|(node, _)| node.slot() == Some(slot));
        Ok(seats)
    }

    /// The highest id that the slot ever had, as far as is known here.
    fn highest(&self, slot: Slot) -> Result<NodeId, Status> {
        let members = self.node.members().into_iter().filter(|node| node.slot() == Some(slot));
        let seats = self.seats(slot)?.into_iter().map(|(node, _)| node);
        Ok(members.chain(seats).max().unwrap_or(NodeId::new(slot, Incarnation(1))))
    }
}

#[tonic::async_trait]
impl PlaceService for Places {
    async fn plan_replacement(
        &self,
        request: Request<PlanReplacementRequest>,
    ) -> Result<Response<PlanReplacementResponse>, Status> {
        let slot = slot_of(&request.into_inner().slot)?;
        if self.node.node().slot() == Some(slot) {
            return Err(Status::failed_precondition(format!("this machine has place {slot} itself; ask another node")));
        }
        if self.node.stale_age().is_some() {
            return Err(Status::failed_precondition(
                "there is no majority now, so nobody can be let in. First try to start another node; if all others are \
                 lost for good, see the runbook 'two nodes lost'",
            ));
        }
        let cluster = self.node.view().cluster().map_err(unreadable)?;
        let cluster = cluster.ok_or_else(|| Status::failed_precondition("the cluster is not founded yet"))?;
        let highest = self.highest(slot)?;
        let pending = self.seats(slot)?.into_iter().rfind(|(_, seat)| seat.is_pending());
        let next = NodeId::new(slot, Incarnation(u32::try_from((highest.0 >> 2) + 1).unwrap_or(u32::MAX)));
        let status = self.node.status();
        let here = &status.nodes[usize::from(slot.number()) - 1];
        let old = self.node.members().into_iter().filter(|node| node.slot() == Some(slot)).min().unwrap_or(highest);
        let serving =
            status.nodes.iter().filter(|node| node.slot != slot && node.reachable && node.role != Role::Unknown);
        Ok(Response::new(PlanReplacementResponse {
            node: next.0,
            node_name: next.to_string(),
            old_node_name: old.to_string(),
            old_answers: here.reachable && here.node == old,
            old_last_seen_ms: here.last_seen.map_or(0, |at| at.0),
            cluster: cluster.id.to_string(),
            lineage: cluster.lineage.to_string(),
            display_name: cluster.name,
            bytes: bytes_below(&self.data.join("state")) + bytes_below(&self.data.join("log")),
            serving: serving.map(|node| node.slot.to_string()).collect(),
            pending: pending.as_ref().map_or(0, |(node, _)| node.0),
            pending_disk: pending.map(|(_, seat)| ClusterId(seat.disk).to_string()).unwrap_or_default(),
        }))
    }

    async fn admit_node(&self, request: Request<AdmitNodeRequest>) -> Result<Response<AdmitNodeResponse>, Status> {
        let body = request.into_inner();
        let disk: ClusterId = body.disk.parse().map_err(|_| Status::invalid_argument("disk: 32 hexadecimal digits"))?;
        let public: PublicKey = body.public_key.parse().map_err(|_| Status::invalid_argument("not a public key"))?;
        let newcomer = Newcomer {
            node: NodeId(body.node),
            disk: disk.0,
            public,
            peer_address: body.peer_address,
            client_address: body.client_address,
        };
        self.services.admit_node(newcomer).await?;
        Ok(Response::new(AdmitNodeResponse {}))
    }

    async fn get_place(&self, request: Request<GetPlaceRequest>) -> Result<Response<GetPlaceResponse>, Status> {
        let slot = slot_of(&request.into_inner().slot)?;
        let status = self.node.status();
        let here = &status.nodes[usize::from(slot.number()) - 1];
        let seat = self.seats(slot)?.into_iter().rfind(|(_, seat)| seat.replaced.is_none());
        let own = self.node.node();
        // The node itself has no state yet while the first snapshot arrives.
        let node = seat.as_ref().map_or(if own.slot() == Some(slot) { own } else { here.node }, |(node, _)| *node);
        let head = status.nodes.iter().map(|node| node.last_log).max().unwrap_or(0);
        let (snapshot_bytes, snapshot_bytes_all) = here.snapshot.unwrap_or((0, 0));
        let state = match &seat {
            Some((_, seat)) if seat.seated.is_some() => PlaceState::Seated,
            Some((node, _)) if here.node != *node || !here.reachable => PlaceState::Waiting,
            _ if snapshot_bytes_all > 0 => PlaceState::Snapshot,
            Some(_) => PlaceState::CatchingUp,
            None if own == node && self.node.members().is_empty() => PlaceState::Waiting,
            None if own == node && own.0 >> 2 > 1 => PlaceState::CatchingUp,
            None => PlaceState::None,
        };
        Ok(Response::new(GetPlaceResponse {
            node_name: node.to_string(),
            state: state.into(),
            snapshot_bytes,
            snapshot_bytes_all,
            behind: head.saturating_sub(here.last_log),
        }))
    }
}

/// Bytes of the files below a directory; what cannot be read counts as nothing.
fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
