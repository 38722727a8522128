//! What reads bytes that another node sent, as functions for `tests/fuzz`: none may panic, and what is taken must mean the
//! same when it is sent on.

use prost::Message;
use proto::peer;

use crate::peer::tls::certified;
use crate::wire;

/// Messages between nodes: the first byte says which, the rest is its body.
pub fn message(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    match kind % KINDS {
        0 => both_ways::<peer::AppendRequest, _>(body, wire::append_of, wire::append),
        1 => both_ways::<peer::AppendResponse, _>(body, wire::append_result_of, wire::append_result),
        2 => {
            both_ways::<peer::VoteRequest, _>(body, wire::vote_request_of, |(vote, pre)| wire::vote_request(&vote, pre))
        }
        3 => both_ways::<peer::VoteResponse, _>(body, wire::vote_response_of, |vote| wire::vote_response(&vote)),
        4 => both_ways::<peer::TransferLeaderRequest, _>(body, wire::transfer_of, |one| wire::transfer(&one)),
        5 => both_ways::<peer::SnapshotHead, _>(
            body,
            |head| wire::snapshot_head_of(Some(head)),
            |(meta, manifest)| wire::snapshot_head(&meta, manifest),
        ),
        6 => forwarded(body),
        7 => told(body),
        _ => drop(peer::GetPlacesResponse::decode(body)),
    }
}

const KINDS: u8 = 9;

/// What is taken means the same when it is sent on.
fn both_ways<M: Message + Default + PartialEq + Clone, V>(
    body: &[u8],
    take: impl Fn(M) -> Result<V, wire::Malformed>,
    send: impl Fn(V) -> M,
) {
    let Ok(Ok(value)) = M::decode(body).map(&take) else { return };
    let sent = send(value);
    let again = take(sent.clone()).map(send);
    assert!(again.is_ok_and(|again| again == sent), "a message changes when it is sent on");
}

fn forwarded(body: &[u8]) {
    if let Ok(request) = peer::ForwardRequest::decode(body) {
        request.commands.iter().for_each(|one| drop(codec::decode_envelope(&one.envelope)));
    }
    for one in peer::ForwardResponse::decode(body).map(|response| response.answers).unwrap_or_default() {
        if let Some(peer::forwarded_answer::Result::Answer(answer)) = one.result {
            drop(codec::decode_answer(&answer));
        }
    }
}

/// What a peer tells of itself is cut to size before it is kept.
fn told(body: &[u8]) {
    let Ok(peer::GossipResponse { report: Some(mut report), .. }) = peer::GossipResponse::decode(body) else { return };
    crate::gossip::bound(&mut report);
    let texts = [&report.version, &report.client_address, &report.key_protection];
    assert!(texts.iter().all(|text| text.len() <= types::limits::NODE_REPORT_TEXT_BYTES_MAX), "a long report is kept");
}

/// One of most kinds.
#[must_use]
pub fn message_samples() -> Vec<Vec<u8>> {
    let ballot = Some(peer::Ballot { term: 7, node: 5, committed: true });
    let id = peer::LogId { term: 6, node: 9, index: 3 };
    let member = |id: u64| peer::Member {
        id,
        node: id,
        peer_address: format!("n{id}:7"),
        client_address: format!("n{id}:8"),
        disk: vec![7; 16].into(),
    };
    let membership = peer::Membership {
        configs: vec![peer::VoterSet { nodes: vec![1, 2, 3] }, peer::VoterSet { nodes: vec![1, 3, 6] }],
        members: [1, 2, 3, 6].into_iter().map(member).collect(),
    };
    let membership = bytes::Bytes::from(membership.encode_to_vec());
    let entry = |payload| peer::LogEntry { id: Some(id), payload };
    let append = peer::AppendRequest {
        ballot,
        previous: Some(id),
        entries: vec![
            entry(None),
            entry(Some(peer::log_entry::Payload::Commands(vec![1; 9].into()))),
            entry(Some(peer::log_entry::Payload::Membership(membership.clone()))),
        ],
        committed: Some(id),
    };
    let matched = peer::append_response::Result::Matched(peer::Matched { last: Some(id) });
    let newer = ballot.map(peer::append_response::Result::Newer);
    let head = peer::SnapshotHead { last: Some(id), membership_at: Some(id), membership, manifest: vec![1; 40].into() };
    let command = peer::ForwardedCommand { envelope: vec![1; 30].into(), ..Default::default() };
    let report = peer::NodeReport { version: "0.1.0".into(), public_key: vec![3; 32].into(), ..Default::default() };
    [
        (0, append.encode_to_vec()),
        (1, peer::AppendResponse { result: Some(matched) }.encode_to_vec()),
        (1, peer::AppendResponse { result: newer }.encode_to_vec()),
        (2, peer::VoteRequest { ballot, last: Some(id), pre_vote: true, leadership_transfer: true }.encode_to_vec()),
        (3, peer::VoteResponse { ballot, granted: true, last: Some(id) }.encode_to_vec()),
        (4, peer::TransferLeaderRequest { from: ballot, to: 2, last: Some(id) }.encode_to_vec()),
        (5, head.encode_to_vec()),
        (6, peer::ForwardRequest { commands: vec![command] }.encode_to_vec()),
        (7, peer::GossipResponse { report: Some(report), ..Default::default() }.encode_to_vec()),
        (8, peer::GetPlacesResponse::default().encode_to_vec()),
    ]
    .into_iter()
    .map(|(kind, body)| [vec![kind], body].concat())
    .collect()
}

/// The certificate that a peer shows, as DER.
pub fn certificate(bytes: &[u8]) {
    let _ = certified(&bytes.to_vec().into());
}
