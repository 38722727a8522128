//! A node's peer port, called by those it should and should not answer.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use openraft::network::{NetStreamAppend, NetVote, RPCOption, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use prometheus::Registry;
use proto::peer::{GossipRequest, HelloRequest};
use store::engine::{Kind, MemDisk, MemEngine};
use store::{Disk, LogEntry, LogId, LogStore, Payload, StateStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::Code;
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot};

use super::directory::{Directory, Identity, Lane};
use super::network::{Network, Peer};
use super::tls::PeerTls;
use super::tls::tests_support::Authority;
use super::transport::TlsListener;
use crate::clock::SystemClock;
use crate::kinds::{NodeInfo, RaftVote, log_id};
use crate::memory::Memory;
use crate::node::{Config, Node, OnFatal, StartError};

const CLUSTER: ClusterId = ClusterId([7; 16]);
const LINEAGE: Lineage = Lineage([8; 16]);

fn info(slot: Slot, address: &str) -> NodeInfo {
    let node = NodeId::new(slot, Incarnation(1));
    NodeInfo { node, peer_address: address.to_owned(), client_address: String::new(), disk: [slot.number(); 16] }
}

fn identity(slot: Slot) -> Identity {
    let info = info(slot, "");
    Identity { cluster: CLUSTER, lineage: LINEAGE, node: info.node, disk: info.disk }
}

/// Slot a, not founded, that knows b and c by their disks; and where it listens.
async fn node(tls: PeerTls) -> (TempDir, Result<Node<MemEngine>, StartError>, String) {
    node_on(Arc::new(MemDisk::default()), tls, Arc::new(|why| panic!("{why}"))).await
}

async fn node_on(
    disk: Arc<MemDisk>,
    tls: PeerTls,
    on_fatal: OnFatal,
) -> (TempDir, Result<Node<MemEngine>, StartError>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, address) = node_in(&dir, disk, tls, on_fatal).await;
    (dir, node, address)
}

async fn node_in(
    dir: &TempDir,
    disk: Arc<MemDisk>,
    tls: PeerTls,
    on_fatal: OnFatal,
) -> (Result<Node<MemEngine>, StartError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let log = LogStore::open(disk.open(&dir.path().join("log"), Kind::Log).expect("opens")).expect("is empty");
    let config = Config {
        identity: identity(Slot::A),
        boot_seq: 1,
        boot_nonce: 1,
        remembered: None,
        peers: Slot::ALL.map(|slot| info(slot, &address)).to_vec(),
        listen: Box::new(TlsListener::new(listener, &tls)),
        dial: Arc::new(tls),
        founding: None,
        log,
        pace: None,
        state: StateStore::open(disk, &dir.path().join("state")).expect("opens"),
        hub: mpsc::channel(1).0,
        typing: mpsc::channel(1).0,
        time: Arc::new(SystemClock::default()),
        on_fatal,
        registry: Registry::new(),
        version: String::new(),
        client_address: String::new(),
        snapshots: crate::SnapshotLimits::default(),
        key: None,
    };
    (Node::start(config).await, address)
}

/// What slot a says to a caller of this identity with these certificates, who takes it for `target`.
async fn hello(from: Identity, tls: PeerTls, target: &NodeInfo) -> Result<(), (Code, String)> {
    let directory = Directory::new(from, Arc::new(tls), Memory::detached(from.node), &[]);
    let mut client = directory.client(target, Lane::Control).expect("it has a slot");
    let answer = client.hello(HelloRequest {}).await;
    answer.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}

#[tokio::test]
async fn only_who_fits_certificate_cluster_lineage_disk_and_target_is_answered() {
    let authority = Authority::new();
    let (_dir, node, address) = node(authority.tls(CLUSTER, Slot::A)).await;
    let _node = node.expect("it starts");
    let a = info(Slot::A, &address);
    let b = identity(Slot::B);
    let b_tls = || authority.tls(CLUSTER, Slot::B);
    let refused = |reason: &str| Err((Code::FailedPrecondition, reason.to_owned()));

    assert_eq!(hello(b, b_tls(), &a).await, Ok(()));
    let wiped = Identity { disk: [9; 16], ..b };
    assert_eq!(hello(wiped, b_tls(), &a).await, refused("DISK_MISMATCH"));
    let refounded = Identity { lineage: Lineage([9; 16]), ..b };
    assert_eq!(hello(refounded, b_tls(), &a).await, refused("LINEAGE_MISMATCH"));
    assert_eq!(hello(b, authority.tls(CLUSTER, Slot::C), &a).await, refused("CERTIFICATE_MISMATCH"));
    let before = NodeInfo { disk: [9; 16], ..a.clone() };
    assert_eq!(hello(b, b_tls(), &before).await, refused("DISK_MISMATCH"));
    let replaced = NodeInfo { node: NodeId::new(Slot::A, Incarnation(2)), ..a.clone() };
    assert_eq!(hello(b, b_tls(), &replaced).await, refused("TARGET_MISMATCH"));
    // One that would have the server be another slot, or has another authority, does not even connect.
    let elsewhere = NodeInfo { node: NodeId::new(Slot::C, Incarnation(1)), ..a.clone() };
    assert_eq!(hello(b, b_tls(), &elsewhere).await.map_err(|(code, _)| code), Err(Code::Unavailable));
    let stranger = Authority::new().tls(CLUSTER, Slot::B);
    assert_eq!(hello(b, stranger, &a).await.map_err(|(code, _)| code), Err(Code::Unavailable));
    // Another cluster under the same authority has a certificate that says so.
    let other = Identity { cluster: ClusterId([9; 16]), ..b };
    let other_tls = authority.tls(other.cluster, Slot::B);
    assert_eq!(hello(other, other_tls, &a).await.map_err(|(code, _)| code), Err(Code::Unavailable));
}

#[tokio::test]
async fn a_node_that_was_dropped_does_not_answer_any_more() {
    let authority = Authority::new();
    let (_dir, node, address) = node(authority.tls(CLUSTER, Slot::A)).await;
    let node = node.expect("it starts");
    let a = info(Slot::A, &address);
    let directory = Directory::new(
        identity(Slot::B),
        Arc::new(authority.tls(CLUSTER, Slot::B)),
        Memory::detached(identity(Slot::B).node),
        &[],
    );
    let mut client = directory.client(&a, Lane::Control).expect("it has a slot");
    assert!(client.gossip(GossipRequest { report: None }).await.is_ok());
    drop(node); // The last one: the port closes, and connections with it.
    let mut refused = false;
    for _ in 0..200 {
        refused = client.gossip(GossipRequest { report: None }).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(refused, "a node that was dropped still answers");
}

#[tokio::test]
async fn a_node_does_not_start_under_the_certificate_of_another() {
    let tls = Authority::new().tls(CLUSTER, Slot::B);
    let (_dir, node, _) = node(tls).await;
    assert!(matches!(node.err(), Some(StartError::Certificate { .. })));
}

/// Slot a as openraft on another slot calls it.
async fn peer(authority: &Authority, from: Slot, to: &NodeInfo) -> Peer {
    let directory = Arc::new(Directory::new(
        identity(from),
        Arc::new(authority.tls(CLUSTER, from)),
        Memory::detached(info(from, "").node),
        &[],
    ));
    let mut network: Network<MemEngine> =
        Network { directory, reversion: Arc::default(), mend: Arc::new(|_| {}), engine: PhantomData };
    network.new_client(to.node.0, to).await
}

fn option() -> RPCOption {
    RPCOption::new(Duration::from_secs(10))
}

#[tokio::test]
async fn a_pre_vote_arrives_as_one_and_leaves_no_trace() {
    let authority = Authority::new();
    let (_dir, node, address) = node(authority.tls(CLUSTER, Slot::A)).await;
    let node = node.expect("it starts");
    let mut b = peer(&authority, Slot::B, &info(Slot::A, &address)).await;
    let ask = VoteRequest::new(RaftVote::new(5, identity(Slot::B).node.0), Some(log_id(4, 1, 9)));
    assert!(b.pre_vote(ask.clone(), option()).await.expect("an answer").vote_granted);
    assert_eq!(node.voted_in_term().await, 0, "a pre-vote was taken for a vote");
    assert!(b.vote(ask, option()).await.expect("an answer").vote_granted);
    assert_eq!(node.voted_in_term().await, 5);
}

#[tokio::test]
async fn a_vote_for_a_leader_that_hands_over_passes_a_lease_and_no_other_does() {
    let authority = Authority::new();
    let (_dir, node, address) = node(authority.tls(CLUSTER, Slot::A)).await;
    let _node = node.expect("it starts");
    let a = info(Slot::A, &address);
    let (mut b, mut c) = (peer(&authority, Slot::B, &a).await, peer(&authority, Slot::C, &a).await);
    // Under load the lease may run out between heartbeat and vote: then it proves nothing, and is tried again.
    for term in 2.. {
        let began = std::time::Instant::now();
        let leader = RaftVote::new_committed(2 * term, identity(Slot::B).node.0);
        let heartbeat = AppendEntriesRequest { vote: leader, prev_log_id: None, entries: vec![], leader_commit: None };
        let input = futures::stream::iter([heartbeat]);
        let mut responses = b.stream_append(input, option()).await.expect("a stream");
        assert!(matches!(responses.next().await, Some(Ok(Ok(_)))));
        let mut ask = VoteRequest::new(RaftVote::new(2 * term + 1, identity(Slot::C).node.0), Some(log_id(4, 1, 9)));
        let plain = c.vote(ask.clone(), option()).await.expect("an answer").vote_granted;
        ask.leadership_transfer = true;
        let handed_over = c.vote(ask, option()).await.expect("an answer").vote_granted;
        if began.elapsed() < Duration::from_millis(350) {
            assert!(!plain, "a leader's lease does not hold");
            assert!(handed_over, "the word that it is a transfer was lost");
            return;
        }
        assert!(term < 50, "this machine is too slow to tell");
    }
}

#[tokio::test]
async fn a_peer_that_refuses_connections_is_tried_at_the_pace_of_openraft() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("bound").to_string();
    drop(closed);
    let mut a = peer(&Authority::new(), Slot::B, &info(Slot::A, &address)).await;
    let leader = RaftVote::new_committed(2, identity(Slot::B).node.0);
    let heartbeat = AppendEntriesRequest { vote: leader, prev_log_id: None, entries: vec![], leader_commit: None };
    // openraft waits where it makes a request: whoever never asks for one fails thousands of times a second.
    let wait = Duration::from_millis(200);
    let input = Box::pin(futures::stream::once(async move {
        tokio::time::sleep(wait).await;
        heartbeat
    }));
    let began = std::time::Instant::now();
    assert!(a.stream_append(input, option()).await.is_err());
    assert!(began.elapsed() >= wait, "it failed before a request was asked for");
}

#[tokio::test]
async fn nobody_votes_or_appends_in_the_name_of_another() {
    let authority = Authority::new();
    let (_dir, node, address) = node(authority.tls(CLUSTER, Slot::A)).await;
    let node = node.expect("it starts");
    let mut b = peer(&authority, Slot::B, &info(Slot::A, &address)).await;
    let c = identity(Slot::C).node.0;
    assert!(b.vote(VoteRequest::new(RaftVote::new(5, c), None), option()).await.is_err());
    let vote = RaftVote::new_committed(6, c);
    let heartbeat = AppendEntriesRequest { vote, prev_log_id: None, entries: vec![], leader_commit: None };
    let mut responses = b.stream_append(futures::stream::iter([heartbeat]), option()).await.expect("a stream");
    assert!(!matches!(responses.next().await, Some(Ok(_))));
    assert_eq!(node.voted_in_term().await, 0);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_node() {
    let authority = Authority::new();
    let disk = Arc::new(MemDisk::default());
    let (told, mut fatal) = mpsc::unbounded_channel();
    let on_fatal: OnFatal = Arc::new(move |why: &str| drop(told.send(why.to_owned())));
    let (_dir, node, address) = node_on(disk.clone(), authority.tls(CLUSTER, Slot::A), on_fatal).await;
    let _node = node.expect("it starts");
    let mut b = peer(&authority, Slot::B, &info(Slot::A, &address)).await;
    disk.fail_next_write(Kind::Log);
    let ask = VoteRequest::new(RaftVote::new(5, identity(Slot::B).node.0), Some(log_id(4, 1, 9)));
    let answer = tokio::time::timeout(Duration::from_secs(10), b.vote(ask, option())).await;
    assert!(!matches!(answer, Ok(Ok(_))), "a vote that is not on disk was answered");
    let why = tokio::time::timeout(Duration::from_secs(10), fatal.recv()).await;
    assert!(matches!(why, Ok(Some(_))), "nobody was told");
}

/// Where the snapshot ends after the start of a node that has applied entries up to 19, with a snapshot of those up to
/// `snapshot`, and a log that was purged up to `purged`; none: that lost all it had.
async fn snapshot_after_a_start(snapshot: u64, purged: Option<u64>) -> u64 {
    let (disk, dir) = (Arc::new(MemDisk::default()), tempfile::tempdir().expect("a directory"));
    let id = |index| LogId { term: 1, node: identity(Slot::B).node, index };
    let state = StateStore::open(disk.clone(), &dir.path().join("state")).expect("opens");
    let blank = |index| (id(index), Payload::Blank);
    state.apply((0..=snapshot).map(blank).collect()).expect("applied");
    state.build_snapshot().expect("built");
    state.apply((snapshot + 1..=19).map(blank).collect()).expect("applied");
    state.flush().expect("flushed");
    drop(state);
    if let Some(purged) = purged {
        let engine = disk.open(&dir.path().join("log"), Kind::Log).expect("opens");
        let (log, writer) = LogStore::open(engine).expect("is empty");
        let entries = (0..=19).map(|index| LogEntry { id: id(index), payload: Payload::Blank });
        log.save_vote(store::Vote { term: 1, node: identity(Slot::B).node, committed: true }, Box::new(drop));
        log.append(entries.collect(), Box::new(drop)).expect("they follow");
        log.purge(id(purged));
        drop(log);
        writer.run().expect("written");
    }
    let tls = Authority::new().tls(CLUSTER, Slot::A);
    let (node, _) = node_in(&dir, disk, tls, Arc::new(|why| panic!("{why}"))).await;
    let state = node.expect("it starts").state();
    state.current_snapshot().and_then(|snapshot| snapshot.manifest().applied).expect("there is one").index
}

#[tokio::test]
async fn a_node_whose_snapshot_ends_below_its_log_makes_a_fresh_one_when_it_starts() {
    assert_eq!(snapshot_after_a_start(12, Some(10)).await, 12, "all that follows on it is in the log");
    assert_eq!(snapshot_after_a_start(4, Some(10)).await, 19);
    assert_eq!(snapshot_after_a_start(4, None).await, 19, "the log goes on behind what is applied");
}
