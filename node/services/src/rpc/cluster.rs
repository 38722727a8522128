//! How the three nodes are.

use proto::v1::cluster_service_server::ClusterService;
use proto::v1::*;
use raft::{Handle, NodeStatus as Seen, Vitals};
use state::Rows;
use state::policy::Action;
use state::view::heads;
use state::{View, keys};
use tonic::{Request, Response, Status};
use types::limits::NODE_LEASES_WATCHED_MAX;
use types::{Key, NodeId, Row, Slot, Timestamp};

use crate::alarms::{self, Alone, Replicated};
use crate::audit::log::sealed_head;
use crate::call::Call;
use crate::errors::Error;
use crate::{Services, convert, health};

#[tonic::async_trait]
impl<H: Handle> ClusterService for Services<H> {
    async fn get_cluster_status(
        &self,
        request: Request<GetClusterStatusRequest>,
    ) -> Result<Response<GetClusterStatusResponse>, Status> {
        self.call("GetClusterStatus", request, |call, _| status(self, call)).await
    }
}

async fn status<H: Handle>(services: &Services<H>, call: Call) -> Result<GetClusterStatusResponse, Error> {
    let fresh = ReadOptions { allow_stale: true, ..ReadOptions::default() };
    let read = services.read(&call, Some(fresh)).await?;
    read.check(Action::SeeClusterStatus)?;
    snapshot(services, &read.view)
}

impl<H: Handle> Services<H> {
    /// The cluster as this node sees it, for whoever may ask anything on its machine; none before it is founded.
    ///
    /// Errors: this node cannot read its own state.
    pub fn cluster_status(&self) -> Result<Option<GetClusterStatusResponse>, Status> {
        match snapshot(self, &self.inner.handle.view()) {
            Err(Error::NotFounded) => Ok(None),
            told => told.map(Some).map_err(|error| self.status(&error)),
        }
    }
}

impl<H: Handle> Services<H> {
    /// Brings up to date those metrics that are read from the state rather than counted.
    pub fn measure(&self) {
        let view = self.inner.handle.view();
        match replicated(self, &view) {
            Ok(audit) => self.inner.metrics.audit(audit),
            Err(_) => tracing::warn!("the audit log's numbers could not be read"),
        }
        self.measure_queues();
    }
}

fn snapshot<H: Handle>(services: &Services<H>, view: &H::View) -> Result<GetClusterStatusResponse, Error> {
    let (cluster, handle) = (services.cluster()?, &services.inner.handle);
    let (status, stale) = (handle.status(), handle.stale_age());
    let heads = heads(view)?;
    let clock = heads.clock;
    // From the state itself: the copy that is kept was made when the node started, and the level is raised later.
    let feature_level = view.cluster()?.map_or(0, |cluster| cluster.feature_level);
    let here = handle.node().slot().unwrap_or(Slot::A);
    let state = replicated(services, view)?;
    let health = health::whole(&status, here, stale, clock, state);
    let alarms = alarms::alarms(&status, state, clock);
    let head = status.nodes.iter().map(|node| node.last_log).max().unwrap_or(0);
    let leader = status.leader.filter(|_| stale.is_none());
    let since = stale.map(|_| Timestamp(clock.0)).filter(|at| at.0 > 0);
    Ok(GetClusterStatusResponse {
        health: health.health.into(),
        summary: health.summary,
        display_name: cluster.name,
        cluster: cluster.id.to_string(),
        nodes: status.nodes.iter().map(|node| seen(node, head, leader)).collect(),
        answered_by: here.to_string(),
        term: status.term,
        stale_since_time: since.map(convert::time),
        stale_age: stale.map(convert::duration),
        cluster_time: Some(convert::time(clock)),
        feature_level,
        backup: Some(backups(view)?),
        alarms,
        clock_step: heads.hold.map(|hold| ClockStep {
            step_time: Some(convert::time(hold.after)),
            before_time: Some(convert::time(hold.before)),
            until_time: Some(convert::time(hold.until)),
        }),
    })
}

fn replicated<H: Handle>(services: &Services<H>, view: &H::View) -> Result<Replicated, Error> {
    let sealed = sealed_head(view)?.and_then(|(size, head)| Some((size, head.sealed?)));
    let heads = heads(view)?;
    let kit_waits = view.kit_proposal()?.is_some_and(|kit| heads.clock < kit.until);
    let alone = if services.inner.handle.single_copy() {
        let accepted = view.refounding()?.is_some_and(|last| last.single_copy);
        Some(if accepted { Alone::Accepted } else { Alone::Waits })
    } else {
        None
    };
    Ok(Replicated { records: heads.records, sealed, diverged: view.divergence()?.is_some(), kit_waits, alone })
}

fn vitals(vitals: &Vitals) -> NodeVitals {
    NodeVitals {
        start_time: Some(convert::time(vitals.started)),
        memory_bytes: vitals.memory,
        disk_size_bytes: vitals.disk_size,
        clock_offset: Some(prost_types::Duration {
            seconds: vitals.clock_offset_ms / 1_000,
            nanos: i32::try_from(vitals.clock_offset_ms % 1_000).unwrap_or_default() * 1_000_000,
        }),
        sends_per_second: vitals.sends,
        deliveries_per_second: vitals.deliveries,
        send_p99: vitals.send_p99.map(convert::duration),
        delivery_p99: vitals.delivery_p99.map(convert::duration),
        fsync_p99: vitals.fsync_p99.map(convert::duration),
        sessions: vitals.sessions,
    }
}

/// What nodes have said of backups.
fn backups<V: View<Fault = raft::Fault>>(view: &V) -> Result<BackupStatus, Error> {
    let (from, to) = keys::backups();
    let mut status = BackupStatus::default();
    let (mut made, mut verified, mut failed) = (None, None, None);
    for (key, row) in view.scan(&from, &to, false, NODE_LEASES_WATCHED_MAX)? {
        let (Key::Backup(node), Row::Backup(backup)) = (key, row) else { continue };
        if backup.made > made {
            (made, status.node, status.bytes) = (backup.made, node.to_string(), backup.bytes);
        }
        verified = verified.max(backup.verified);
        if backup.failed > failed {
            (failed, status.failure) = (backup.failed, backup.reason.unwrap_or_default());
        }
    }
    status.last_time = made.map(convert::time);
    status.verify_time = verified.map(convert::time);
    status.fail_time = failed.map(convert::time);
    Ok(status)
}

fn seen(node: &Seen, head: u64, leader: Option<NodeId>) -> NodeStatus {
    NodeStatus {
        slot: node.slot.to_string(),
        node: node.node.to_string(),
        reachable: node.reachable,
        role: health::role(node, leader).into(),
        applied_index: node.applied,
        lag: health::lag(node, head),
        version: node.version.clone(),
        client_address: node.client_address.clone(),
        last_seen_time: node.last_seen.map(convert::time),
        streams: node.streams,
        disk_free_bytes: node.disk_free.unwrap_or_default(),
        disk_low: node.disk_low,
        certificates_expire_time: node.certificates_expire.map(convert::time),
        vitals: node.vitals.as_ref().map(vitals),
    }
}
