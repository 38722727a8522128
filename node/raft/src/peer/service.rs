//! What the peers ask of this node. Every call is checked before anything else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use openraft::ReadPolicy;
use openraft::storage::Snapshot;
use prost::bytes::Bytes;
use proto::peer::peer_service_server::PeerService;
use proto::peer::{self, ForwardFailure};
use store::Engine;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::{Request, Response, Status, Streaming};
use types::limits::{CALL_MS_MAX, FORWARD_ANSWERS_MAX, FORWARDS_IN_FLIGHT_MAX, TYPING_WAITING_MAX};
use types::{ConversationId, NodeId, UserId};

use crate::early;
use crate::handle::Typing;
use crate::kinds::{NodeInfo, RaftVote};
use crate::machine::SnapshotData;
use crate::memory::Held;
use crate::propose::{Refusal, Wait};
use crate::shared::Shared;
use crate::stored::to_vote;
use crate::wire;

use super::connect::{self, CALLER};
use super::directory::Introduced;

/// The peer service of this node.
pub(crate) struct Service<E: Engine>(pub(crate) Arc<Shared<E>>);

type Reply<T> = Result<Response<T>, Status>;

impl<E: Engine> Service<E> {
    /// Who calls, and what holds up the end of consensus until the call has ended. The request itself is looked at before the
    /// first wait: a stream cannot be looked at from elsewhere.
    fn authorize<T>(
        &self,
        request: &Request<T>,
    ) -> impl Future<Output = Result<(NodeInfo, TaskTrackerToken), Status>> + Send + use<E, T> {
        let call = self.0.calls.token(); // Before asking: who stops asks in the other order.
        let stopping = self.0.stop.is_cancelled();
        let authorized = (!stopping).then(|| self.0.directory.authorize(request));
        let shared = self.0.clone();
        async move {
            let Introduced { caller, remembered, end, started } =
                authorized.ok_or_else(|| Status::unavailable("the node stops"))??;
            if started {
                crate::forgotten::seen(&shared, caller.node, end).await;
            }
            shared.told(caller.node, remembered.as_ref());
            if shared.memory.is_barred() {
                return Err(held(Held::Restored)); // What is left of this disk is nobody's to count on.
            }
            Ok((caller, call))
        }
    }
}

/// Errors: `PERMISSION_DENIED` when a node speaks with another's vote.
fn own_vote(caller: &NodeInfo, vote: &RaftVote) -> Result<(), Status> {
    if vote.leader_id.node_id == caller.node.0 { Ok(()) } else { Err(Status::permission_denied("VOTE_OF_ANOTHER")) }
}

fn held(held: Held) -> Status {
    Status::failed_precondition(held.reason())
}

fn core_ended(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the node stops: {error}"))
}

#[tonic::async_trait]
impl<E: Engine> PeerService for Service<E> {
    async fn hello(&self, request: Request<peer::HelloRequest>) -> Reply<peer::HelloResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        // On its own: openraft takes it for a fault when whoever asked is gone before the answer, as a caller may be.
        let shared = self.0.clone();
        let asked = tokio::spawn(async move { shared.raft.is_initialized().await });
        let founded = asked.await.map_err(core_ended)?.map_err(core_ended)?;
        Ok(Response::new(peer::HelloResponse { node: Some(self.0.directory.caller(&caller)), founded }))
    }

    type AppendStream = BoxStream<'static, Result<peer::AppendResponse, Status>>;

    async fn append(&self, request: Request<Streaming<peer::AppendRequest>>) -> Reply<Self::AppendStream> {
        let (caller, call) = self.authorize(&request).await?;
        // A request that is not the caller's to make ends the stream.
        let caller_bytes = connect::introduction(&self.0.directory.caller(&caller));
        let stopped = self.0.stop.clone().cancelled_owned();
        let reading = (call.clone(), self.0.leaders.opened(caller.node));
        let requests = request.into_inner().take_until(stopped).scan(caller, move |caller, message| {
            let _reading = &reading;
            let append = message.ok().and_then(|message| wire::append_of(message).ok());
            ready(append.filter(|append| own_vote(caller, &append.vote).is_ok()))
        });
        let shared = self.0.clone();
        let results = self.0.raft.stream_append(requests).map(move |result| {
            let _answering = &call;
            let result = result.map_err(core_ended)?;
            if !matches!(result, Err(openraft::raft::StreamAppendError::HigherVote(_))) {
                shared.contact.heard();
            }
            Ok(wire::append_result(result))
        });
        let mut response: Response<Self::AppendStream> = Response::new(results.boxed());
        response.metadata_mut().insert_bin(CALLER, caller_bytes);
        Ok(response)
    }

    async fn vote(&self, request: Request<peer::VoteRequest>) -> Reply<peer::VoteResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        let (vote, pre_vote) = wire::vote_request_of(request.into_inner())?;
        own_vote(&caller, &vote.vote)?;
        if !pre_vote {
            self.0.memory.saw_vote(caller.node, to_vote(&vote.vote));
        }
        self.0.memory.may_vote().map_err(held)?;
        let response = if pre_vote { self.0.raft.pre_vote(vote).await } else { self.0.raft.vote(vote).await };
        Ok(Response::new(wire::vote_response(&response.map_err(core_ended)?)))
    }

    async fn confirm_gone(&self, request: Request<peer::ConfirmGoneRequest>) -> Reply<peer::ConfirmGoneResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        let peer::ConfirmGoneRequest { leader, last } = request.into_inner();
        let last = early::confirm(&self.0, caller.node, &wire::vote_of(leader)?, last.map(wire::id_of)).await;
        let gone = last.is_some();
        Ok(Response::new(peer::ConfirmGoneResponse { gone, last: last.flatten().as_ref().map(wire::wire_id) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Reply<peer::TransferLeaderResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        let transfer = wire::transfer_of(request.into_inner())?;
        own_vote(&caller, transfer.from_leader())?;
        self.0.memory.may_vote().map_err(held)?;
        let response = self.0.raft.handle_transfer_leader(transfer).await.map_err(core_ended)?;
        Ok(Response::new(wire::transfer_response(response)))
    }

    async fn offer_snapshot(&self, request: Request<peer::OfferSnapshotRequest>) -> Reply<peer::OfferSnapshotResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        let request = request.into_inner();
        own_vote(&caller, &wire::vote_of(request.ballot)?)?;
        self.0.arrivals.offer(&self.0.state, request).await.map(Response::new)
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<peer::SendSnapshotRequest>>,
    ) -> Reply<peer::SendSnapshotResponse> {
        let (caller, call) = self.authorize(&request).await?;
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.ok_or(wire::Malformed("a snapshot's first message"))?;
        let vote = wire::vote_of(first.ballot)?;
        own_vote(&caller, &vote)?;
        let raft = self.0.raft.clone();
        let install = move |meta, incoming| async move {
            let _installing = call; // Consensus ends after it, also when the caller is gone.
            let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(incoming) };
            raft.install_full_snapshot(vote, snapshot).await.map_err(core_ended)
        };
        let response = self.0.arrivals.receive(&first, chunks, install).await;
        self.0.metrics.snapshot_received(response.is_ok());
        Ok(Response::new(peer::SendSnapshotResponse { ballot: Some(wire::ballot(&response?.vote)) }))
    }

    type ForwardStream = BoxStream<'static, Result<peer::ForwardResponse, Status>>;

    async fn forward(&self, request: Request<Streaming<peer::ForwardRequest>>) -> Reply<Self::ForwardStream> {
        let (caller, call) = self.authorize(&request).await?;
        if !self.0.directory.is_member(caller.node) {
            return Err(Status::failed_precondition("NOT_A_MEMBER")); // It may know more than we do, but nobody let it in yet.
        }
        let shared = self.0.clone();
        let requests = request.into_inner().scan((), |(), message| ready(message.ok()));
        let answers = requests
            .flat_map(|message| stream::iter(message.commands))
            .map(move |command| answer(shared.clone(), caller.node, command))
            .buffer_unordered(FORWARDS_IN_FLIGHT_MAX)
            .ready_chunks(FORWARD_ANSWERS_MAX) // The answers to one entry are ready together, and go together.
            .map(move |answers| {
                let _answering = &call;
                Ok(peer::ForwardResponse { answers })
            });
        Ok(Response::new(answers.boxed()))
    }

    async fn read_index(&self, request: Request<peer::ReadIndexRequest>) -> Reply<peer::ReadIndexResponse> {
        let (_, _call) = self.authorize(&request).await?;
        let linearizer = self.0.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        // Whoever asked tries again, perhaps elsewhere.
        let read = linearizer.ok().map(|linearizer| wire::wire_id(linearizer.read_log_id().log_id()));
        Ok(Response::new(peer::ReadIndexResponse { read }))
    }

    async fn gossip(&self, request: Request<peer::GossipRequest>) -> Reply<peer::GossipResponse> {
        let (caller, _call) = self.authorize(&request).await?;
        if let Some(report) = request.into_inner().report {
            self.0.reports.heard(caller.node, report, self.0.clock.read().now);
            self.0.judge_disks(); // Now, not in a round's time: whoever asks how we are is told of this report already.
        }
        let report = Some(self.0.own_report());
        let remembered = Some(self.0.memory.of(caller.node));
        Ok(Response::new(peer::GossipResponse { report, clock_ms: self.0.clock.wall_ms(), remembered }))
    }

    async fn tell_typing(&self, request: Request<peer::TellTypingRequest>) -> Reply<peer::TellTypingResponse> {
        let (_, _call) = self.authorize(&request).await?;
        for notice in request.into_inner().notices.iter().take(TYPING_WAITING_MAX) {
            let sixteen = |bytes: &Bytes| wire::sixteen(bytes).ok_or(wire::Malformed("a typing notice"));
            let conversation = ConversationId(sixteen(&notice.conversation)?);
            let user = UserId(sixteen(&notice.user)?);
            if self.0.typing.try_send(Typing { conversation, user }).is_err() {
                self.0.metrics.typing_dropped.inc();
            }
        }
        Ok(Response::new(peer::TellTypingResponse {}))
    }
}

/// Puts a forwarded command to this node as leader: one hop, never two.
async fn answer<E: Engine>(
    shared: Arc<Shared<E>>,
    from: NodeId,
    request: peer::ForwardedCommand,
) -> peer::ForwardedAnswer {
    use peer::forwarded_answer::Result as Wire;
    let patience = Duration::from_millis(u64::from(request.patience_ms).min(CALL_MS_MAX));
    let deadline = Instant::now() + patience;
    let wait = if request.short_wait { Wait::Short } else { Wait::Patient };
    let result = match codec::decode_envelope(&request.envelope) {
        Ok(envelope) if envelope.origin == from => shared.proposer.put(envelope, wait, deadline).await,
        Ok(_) | Err(_) => Err(Refusal::Refused),
    };
    let result = match result {
        Ok(answer) => Wire::Answer(codec::encode_answer(&answer).into()),
        Err(refusal) => Wire::Failure(failure(refusal).into()),
    };
    peer::ForwardedAnswer { id: request.id, result: Some(result) }
}

const fn failure(refusal: Refusal) -> ForwardFailure {
    match refusal {
        Refusal::NotLeader => ForwardFailure::NotLeader,
        Refusal::Overloaded => ForwardFailure::Overloaded,
        Refusal::DiskFull => ForwardFailure::DiskFull,
        Refusal::SingleCopy => ForwardFailure::SingleCopy,
        Refusal::OutcomeUnknown => ForwardFailure::OutcomeUnknown,
        Refusal::Refused => ForwardFailure::Refused,
    }
}
