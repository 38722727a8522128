//! openraft's values as messages of `tricord.peer.v1`, and back. The membership is logged and kept in the same form.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use prost::Message;
use proto::peer;
use types::NodeId;

use crate::kinds::{
    Commands, LeaderId, NodeInfo, RaftEntry, RaftLogId, RaftMembership, RaftStoredMembership, RaftVote, SnapshotMeta,
    TypeConfig, log_id,
};

/// A message between nodes, or a stored membership, that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {0} from its bytes")]
pub struct Malformed(pub(crate) &'static str);

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.to_string())
    }
}

pub(crate) fn ballot(vote: &RaftVote) -> peer::Ballot {
    peer::Ballot { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn vote_of(ballot: Option<peer::Ballot>) -> Result<RaftVote, Malformed> {
    let ballot = ballot.ok_or(Malformed("a ballot"))?;
    Ok(RaftVote { leader_id: LeaderId { term: ballot.term, node_id: ballot.node }, committed: ballot.committed })
}

pub(crate) fn wire_id(id: &RaftLogId) -> peer::LogId {
    let leader = id.committed_leader_id();
    peer::LogId { term: leader.term, node: leader.node_id, index: id.index() }
}

pub(crate) fn wire_id_option(id: &Option<RaftLogId>) -> Option<peer::LogId> {
    id.as_ref().map(wire_id)
}

pub(crate) fn id_of(id: peer::LogId) -> RaftLogId {
    log_id(id.term, id.node, id.index)
}

pub(crate) fn membership_bytes(membership: &RaftMembership) -> Bytes {
    let message = peer::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| peer::VoterSet { nodes: voters.iter().copied().collect() })
            .collect(),
        members: membership
            .nodes()
            .map(|(id, info)| peer::Member {
                id: *id,
                node: info.node.0,
                peer_address: info.peer_address.clone(),
                client_address: info.client_address.clone(),
                disk: Bytes::copy_from_slice(&info.disk),
            })
            .collect(),
    };
    message.encode_to_vec().into()
}

pub(crate) fn membership_from_bytes(bytes: &[u8]) -> Result<RaftMembership, Malformed> {
    const WHAT: Malformed = Malformed("a membership");
    let message = peer::Membership::decode(bytes).map_err(|_| WHAT)?;
    let configs: Vec<BTreeSet<u64>> =
        message.configs.into_iter().map(|voters| voters.nodes.into_iter().collect()).collect();
    let mut nodes = BTreeMap::new();
    for member in message.members {
        let info = NodeInfo {
            node: NodeId(member.node),
            peer_address: member.peer_address,
            client_address: member.client_address,
            disk: sixteen(&member.disk).ok_or(WHAT)?,
        };
        nodes.insert(member.id, info);
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(RaftMembership::default());
    }
    RaftMembership::new(configs, nodes).map_err(|_| WHAT)
}

pub(crate) fn sixteen(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

fn entry(entry: RaftEntry) -> peer::LogEntry {
    use peer::log_entry::Payload;
    let payload = match entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(commands) => Some(Payload::Commands(commands.0)),
        EntryPayload::Membership(membership) => Some(Payload::Membership(membership_bytes(&membership))),
    };
    peer::LogEntry { id: Some(wire_id(&entry.log_id)), payload }
}

fn entry_of(entry: peer::LogEntry) -> Result<RaftEntry, Malformed> {
    use peer::log_entry::Payload;
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(Payload::Commands(bytes)) => EntryPayload::Normal(Commands(bytes)),
        Some(Payload::Membership(bytes)) => EntryPayload::Membership(membership_from_bytes(&bytes)?),
    };
    Ok(RaftEntry { log_id: id_of(entry.id.ok_or(Malformed("a log entry"))?), payload })
}

pub(crate) fn append(request: AppendEntriesRequest<TypeConfig>) -> peer::AppendRequest {
    peer::AppendRequest {
        ballot: Some(ballot(&request.vote)),
        previous: wire_id_option(&request.prev_log_id),
        entries: request.entries.into_iter().map(entry).collect(),
        committed: wire_id_option(&request.leader_commit),
    }
}

pub(crate) fn append_of(request: peer::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: vote_of(request.ballot)?,
        prev_log_id: request.previous.map(id_of),
        entries: request.entries.into_iter().map(entry_of).collect::<Result<_, _>>()?,
        leader_commit: request.committed.map(id_of),
    })
}

pub(crate) fn append_result(result: StreamAppendResult<TypeConfig>) -> peer::AppendResponse {
    use peer::append_response::Result as Wire;
    let result = match result {
        Ok(last) => Wire::Matched(peer::Matched { last: wire_id_option(&last) }),
        Err(StreamAppendError::Conflict(at)) => Wire::Conflict(wire_id(&at)),
        Err(StreamAppendError::HigherVote(vote)) => Wire::Newer(ballot(&vote)),
    };
    peer::AppendResponse { result: Some(result) }
}

pub(crate) fn append_result_of(response: peer::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, Malformed> {
    use peer::append_response::Result as Wire;
    Ok(match response.result.ok_or(Malformed("an append's result"))? {
        Wire::Matched(matched) => Ok(matched.last.map(id_of)),
        Wire::Conflict(at) => Err(StreamAppendError::Conflict(id_of(at))),
        Wire::Newer(ballot) => Err(StreamAppendError::HigherVote(vote_of(Some(ballot))?)),
    })
}

pub(crate) fn vote_request(request: &VoteRequest<TypeConfig>, pre_vote: bool) -> peer::VoteRequest {
    peer::VoteRequest {
        ballot: Some(ballot(&request.vote)),
        last: wire_id_option(&request.last_log_id),
        pre_vote,
        leadership_transfer: request.leadership_transfer,
    }
}

/// The request, and whether it is a pre-vote.
pub(crate) fn vote_request_of(request: peer::VoteRequest) -> Result<(VoteRequest<TypeConfig>, bool), Malformed> {
    let mut vote = VoteRequest::new(vote_of(request.ballot)?, request.last.map(id_of));
    vote.leadership_transfer = request.leadership_transfer;
    Ok((vote, request.pre_vote))
}

pub(crate) fn vote_response(response: &VoteResponse<TypeConfig>) -> peer::VoteResponse {
    peer::VoteResponse {
        ballot: Some(ballot(&response.vote)),
        granted: response.vote_granted,
        last: wire_id_option(&response.last_log_id),
    }
}

pub(crate) fn vote_response_of(response: peer::VoteResponse) -> Result<VoteResponse<TypeConfig>, Malformed> {
    Ok(VoteResponse::new(vote_of(response.ballot)?, response.last.map(id_of), response.granted))
}

pub(crate) fn transfer(request: &TransferLeaderRequest<TypeConfig>) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from: Some(ballot(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(wire_id),
    }
}

pub(crate) fn transfer_of(
    request: peer::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    Ok(TransferLeaderRequest::new(vote_of(request.from)?, request.to, request.last.map(id_of)))
}

pub(crate) fn transfer_response(response: TransferLeaderResponse<TypeConfig>) -> peer::TransferLeaderResponse {
    use peer::transfer_leader_response::Refusal;
    let refusal = response.err().map(|error| match error {
        TransferLeaderError::VoteChanged { actual, .. } => Refusal::Newer(ballot(&actual)),
        TransferLeaderError::LogNotFlushed { actual, .. } => {
            Refusal::Behind(peer::Matched { last: wire_id_option(&actual) })
        }
    });
    peer::TransferLeaderResponse { refusal }
}

pub(crate) fn transfer_response_of(
    request: &TransferLeaderRequest<TypeConfig>,
    response: peer::TransferLeaderResponse,
) -> Result<TransferLeaderResponse<TypeConfig>, Malformed> {
    use peer::transfer_leader_response::Refusal;
    Ok(match response.refusal {
        None => Ok(()),
        Some(Refusal::Newer(ballot)) => {
            Err(TransferLeaderError::VoteChanged { expected: *request.from_leader(), actual: vote_of(Some(ballot))? })
        }
        Some(Refusal::Behind(matched)) => Err(TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: matched.last.map(id_of),
        }),
    })
}

pub(crate) fn snapshot_head(meta: &SnapshotMeta, manifest: Bytes) -> peer::SnapshotHead {
    peer::SnapshotHead {
        last: wire_id_option(&meta.last_log_id),
        membership_at: wire_id_option(meta.last_membership.log_id()),
        membership: membership_bytes(meta.last_membership.membership()),
        manifest,
    }
}

/// What the snapshot is of, and its manifest.
pub(crate) fn snapshot_head_of(head: Option<peer::SnapshotHead>) -> Result<(SnapshotMeta, Bytes), Malformed> {
    let head = head.ok_or(Malformed("a snapshot's head"))?;
    let membership = membership_from_bytes(&head.membership)?;
    let meta = SnapshotMeta {
        last_log_id: head.last.map(id_of),
        last_membership: RaftStoredMembership::new(head.membership_at.map(id_of), membership),
    };
    Ok((meta, head.manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote() -> RaftVote {
        RaftVote::new(7, 5)
    }

    #[test]
    fn a_vote_request_carries_pre_vote_and_leadership_transfer() {
        for (pre_vote, transfer) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut request = VoteRequest::new(vote(), Some(log_id(6, 9, 3)));
            request.leadership_transfer = transfer;
            let bytes = vote_request(&request, pre_vote).encode_to_vec();
            let read = peer::VoteRequest::decode(bytes.as_slice()).expect("just written");
            assert_eq!(vote_request_of(read), Ok((request, pre_vote)));
        }
    }

    #[test]
    fn a_vote_response_comes_back_as_it_was() {
        for granted in [true, false] {
            let response = VoteResponse::new(vote(), Some(log_id(1, 2, 3)), granted);
            assert_eq!(vote_response_of(vote_response(&response)), Ok(response));
        }
    }

    #[test]
    fn a_membership_comes_back_as_it_was() {
        let info = |slot: u64| NodeInfo {
            node: NodeId(slot),
            peer_address: format!("n{slot}:7"),
            client_address: format!("n{slot}:8"),
            disk: [slot as u8; 16],
        };
        let nodes: BTreeMap<u64, NodeInfo> = [1, 2, 3, 6].into_iter().map(|id| (id, info(id))).collect();
        let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 3, 6])];
        let membership = RaftMembership::new(configs, nodes).expect("valid");
        assert_eq!(membership_from_bytes(&membership_bytes(&membership)), Ok(membership));
        let none = RaftMembership::default();
        assert_eq!(membership_from_bytes(&membership_bytes(&none)), Ok(none));
        assert!(membership_from_bytes(b"\xff").is_err());
    }

    #[test]
    fn an_append_comes_back_as_it_was() {
        let request = AppendEntriesRequest {
            vote: RaftVote::new_committed(7, 5),
            prev_log_id: Some(log_id(6, 9, 3)),
            entries: vec![
                RaftEntry { log_id: log_id(7, 5, 4), payload: EntryPayload::Blank },
                RaftEntry {
                    log_id: log_id(7, 5, 5),
                    payload: EntryPayload::Normal(Commands(Bytes::from_static(b"x"))),
                },
            ],
            leader_commit: None,
        };
        let read = append_of(append(request.clone())).expect("whole");
        assert_eq!(read.vote, request.vote);
        assert_eq!(read.prev_log_id, request.prev_log_id);
        assert_eq!(read.entries, request.entries);
        assert_eq!(read.leader_commit, None);
    }

    #[test]
    fn each_result_of_an_append_comes_back_as_it_was() {
        for result in [
            Ok(None),
            Ok(Some(log_id(1, 2, 3))),
            Err(StreamAppendError::Conflict(log_id(1, 2, 3))),
            Err(StreamAppendError::HigherVote(vote())),
        ] {
            assert_eq!(append_result_of(append_result(result.clone())), Ok(result));
        }
    }
}
