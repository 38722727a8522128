//! The peers as openraft calls them.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::OptionalSend;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use tokio::time::timeout;
use tonic::{Response, Status};
use types::NodeId;
use types::limits::PEER_CONNECT_MS_MAX;

use super::append::{self, unreachable};
use super::connect::Client;
use super::directory::{Directory, Lane};
use super::reversion::{self, Reversion};
use super::transfer::{self, Mend};
use crate::kinds::{NodeInfo, RaftVote, TypeConfig};
use crate::machine::{RaftSnapshot, SnapshotData};
use crate::stored::to_vote;
use crate::wire;

type RpcError = RPCError<TypeConfig>;

/// Makes a [`Peer`] for each that openraft wants to call.
pub(crate) struct Network<E> {
    pub(crate) directory: Arc<Directory>,
    pub(crate) reversion: Arc<OnceLock<Reversion>>,
    pub(crate) mend: Mend,
    pub(crate) engine: PhantomData<fn() -> E>,
}

/// One peer, on one lane.
pub(crate) struct Peer {
    directory: Arc<Directory>,
    reversion: Arc<OnceLock<Reversion>>,
    mend: Mend,
    info: NodeInfo,
    lane: Lane,
}

impl<E: 'static> Network<E> {
    fn peer(&self, target: u64, node: &NodeInfo, lane: Lane) -> Peer {
        let info = NodeInfo { node: NodeId(target), ..node.clone() };
        let (directory, reversion, mend) = (self.directory.clone(), self.reversion.clone(), self.mend.clone());
        Peer { directory, reversion, mend, info, lane }
    }
}

impl<E: Send + Sync + 'static> RaftNetworkFactory<TypeConfig> for Network<E> {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &NodeInfo) -> Peer {
        self.peer(target, node, Lane::Data)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeInfo) -> Peer {
        self.peer(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeInfo) -> Peer {
        self.peer(target, node, Lane::Bulk)
    }
}

impl Peer {
    fn client(&self, lane: Lane) -> Result<Client, RpcError> {
        let none = || RPCError::Unreachable(Unreachable::from_string("the node has no slot"));
        self.directory.client(&self.info, lane).ok_or_else(none)
    }

    async fn ask_for_vote(
        &self,
        rpc: &VoteRequest<TypeConfig>,
        pre_vote: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let memory = &self.directory.memory;
        memory.may_vote().map_err(|held| RPCError::Unreachable(Unreachable::from_string(held.reason())))?;
        let mut client = self.client(Lane::Control)?;
        let response = within(option, client.vote(wire::vote_request(rpc, pre_vote))).await?;
        let response = wire::vote_response_of(response).map_err(malformed)?;
        if response.vote_granted && !pre_vote {
            memory.saw_vote(self.info.node, to_vote(&response.vote)); // It was durable before it was answered.
        }
        Ok(response)
    }
}

/// The response within the time openraft gives.
async fn within<T>(option: &RPCOption, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, RpcError> {
    match timeout(option.soft_ttl(), call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(unreachable(&status)),
        Err(_) => Err(RPCError::Unreachable(Unreachable::from_string("the peer took too long"))),
    }
}

fn malformed(error: wire::Malformed) -> RpcError {
    RPCError::Unreachable(Unreachable::new(&error))
}

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        // A heartbeat has to be in time. A stream of entries may take as long as connecting does.
        let connect = Duration::from_millis(PEER_CONNECT_MS_MAX);
        let setup = if self.lane == Lane::Control { option.soft_ttl() } else { option.soft_ttl().max(connect) };
        let reversion = self.reversion.get().cloned();
        Box::pin(async move {
            let (follower, responses) = append::stream(self.client(self.lane)?, input, setup).await?;
            if let Some(follower) = follower.filter(|follower| follower.node == self.info.node.0) {
                reversion::meet(&self.directory.memory, &follower, reversion.as_ref()).await?;
            }
            Ok(reversion::allow(responses, self.info.node, reversion))
        })
    }
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_for_vote(&rpc, false, &option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_for_vote(&rpc, true, &option).await
    }
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let mut client = self.client(Lane::Control)?;
        let response = within(&option, client.transfer_leader(wire::transfer(&req))).await?;
        wire::transfer_response_of(&req, response).map_err(malformed)
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let client = self.client(Lane::Bulk)?;
        let sending = transfer::send(client, vote, snapshot, option.soft_ttl(), self.mend.clone());
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => Ok(SnapshotResponse::new(sent?)),
        }
    }
}

impl NetBackoff<TypeConfig> for Peer {
    fn backoff(&self) -> Option<Backoff> {
        let growing = [20, 40, 80, 160].into_iter().chain(std::iter::repeat(250));
        Some(Backoff::new(growing.map(Duration::from_millis)))
    }
}
