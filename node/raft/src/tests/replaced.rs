//! A new node takes the place of one whose disk is lost.

use std::time::Duration;

use raft::refound::{Dirs, refound, survey};
use raft::{Handle, Identity, NodeInfo, ProposeError};
use types::seat::{AdmitNode, Refound};
use types::{Author, Command, Incarnation, Lineage, NodeId, Reply, Slot, Timestamp};

use super::support::{CLUSTER, Cluster, LINEAGE, PATIENCE, has_user, until};

fn next(slot: Slot, incarnation: u32) -> NodeId {
    NodeId::new(slot, Incarnation(incarnation))
}

fn identity(node: NodeId) -> Identity {
    Identity { cluster: CLUSTER, lineage: LINEAGE, node, disk: [node.0 as u8 + 100; 16] }
}

async fn admit(cluster: &Cluster, via: Slot, node: NodeId) {
    let slot = node.slot().expect("it has one");
    let admit = AdmitNode {
        node,
        disk: identity(node).disk,
        public: [7; 32],
        peer_address: cluster.info(slot).peer_address,
        client_address: cluster.info(slot).client_address,
        envelopes: Vec::new(),
    };
    let answer = cluster.propose(via, Author::Node, Command::AdmitNode(admit), PATIENCE).await.expect("an answer");
    assert_eq!(answer.result, Ok(Reply::Done));
}

fn is_seated(cluster: &Cluster, via: Slot, node: NodeId) -> bool {
    let seats = cluster.node(via).seats().expect("readable");
    let seated = seats.iter().any(|(other, seat)| *other == node && seat.seated.is_some());
    seated && cluster.node(via).members().contains(&node)
}

fn others(slot: Slot) -> [Slot; 2] {
    let mut others = Slot::ALL.into_iter().filter(|other| *other != slot);
    [others.next().expect("three"), others.next().expect("three")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_takes_a_lost_ones_place_and_the_old_one_stays_out() {
    let mut cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    let [lost, other] = others(leader);
    let before = cluster.create_user(leader).await;
    cluster.kill(lost).await;
    let node = next(lost, 2);
    admit(&cluster, other, node).await;
    // The leader ends before the new node is even there: whoever leads next goes on.
    cluster.kill(leader).await;
    let new = tempfile::tempdir().expect("a directory");
    let tls = cluster.pki.tls(CLUSTER, lost);
    cluster.start_as(lost, identity(node), tls, new.path().to_path_buf()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!is_seated(&cluster, other, node), "without a majority of those that counted");
    cluster.start(leader).await;
    until("it is one of three", || is_seated(&cluster, other, node)).await;
    until("it has what was there", || cluster.has_user(lost, before)).await;

    // It counts: with it and one other alone the cluster goes on.
    cluster.kill(leader).await;
    let more = cluster.create_user(other).await;
    until("it has that too", || cluster.has_user(lost, more)).await;

    // The old disk is put back.
    cluster.kill(lost).await;
    cluster.start(leader).await;
    cluster.start(lost).await;
    until("it is told", || {
        let said = cluster.fatal.lock().expect("not poisoned");
        said.iter().any(|(who, why)| *who == next(lost, 1) && why.contains("was replaced"))
    })
    .await;
    assert!(!has_user(cluster.node(lost), more), "it took part");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_whose_disk_is_lost_on_its_way_gives_way_to_the_next() {
    let mut cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    let [lost, other] = others(leader);
    cluster.kill(lost).await;
    admit(&cluster, other, next(lost, 2)).await;
    until("it is a learner", || cluster.node(other).members().contains(&next(lost, 2))).await;
    admit(&cluster, other, next(lost, 3)).await;
    until("it is forgotten", || !cluster.node(other).members().contains(&next(lost, 2))).await;
    let new = tempfile::tempdir().expect("a directory");
    let tls = cluster.pki.tls(CLUSTER, lost);
    cluster.start_as(lost, identity(next(lost, 3)), tls, new.path().to_path_buf()).await;
    until("it is one of three", || is_seated(&cluster, other, next(lost, 3))).await;
    assert_eq!(cluster.node(other).members().len(), 3);
    assert!(Handle::status(cluster.node(other)).nodes.iter().all(|one| one.node != next(lost, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_history_from_one_node_has_all_it_had_waits_with_writes_and_is_three_again() {
    let mut cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    let [survivor, lost] = others(leader);
    let mut users = Vec::new();
    for _ in 0..5 {
        users.push(cluster.create_user(leader).await);
    }
    until("the survivor has them", || cluster.has_user(survivor, users[4])).await;
    for slot in Slot::ALL {
        cluster.kill(slot).await;
    }
    let dir = cluster.dir(survivor);
    let dirs = Dirs { log: dir.join("log"), state: dir.join("state") };
    let own = Identity { cluster: CLUSTER, lineage: LINEAGE, node: next(survivor, 1), disk: [survivor.number(); 16] };
    let info = NodeInfo { node: own.node, disk: own.disk, ..cluster.info(survivor) };
    let lineage = Lineage([0x22; 16]);
    let new = Refound { lineage, node: own.node, at: Timestamp(1), single_copy: false };
    let (before, begun) = tokio::task::block_in_place(|| {
        let before = survey(&dirs).expect("readable");
        let begun = refound(&dirs, &info, new).expect("begun");
        let again = refound(&dirs, &info, new).expect("the same after an interruption");
        assert_eq!(begun, again);
        (before, begun)
    });
    assert_eq!((before.lineage, begun.before), (LINEAGE, LINEAGE));

    let tls = cluster.pki.tls(CLUSTER, survivor);
    cluster.start_as(survivor, Identity { lineage, ..own }, tls, dir).await;
    until("it leads alone", || super::support::leads(cluster.node(survivor))).await;
    assert!(users.iter().all(|user| cluster.has_user(survivor, *user)), "something is missing");
    let alone = cluster.try_create_user(survivor, Duration::from_secs(2)).await;
    assert_eq!(alone, Err(ProposeError::SingleCopy));
    // There is no other disk that could make up for its own.
    for (free, refusal) in [(1 << 20, ProposeError::DiskFull), (1 << 39, ProposeError::SingleCopy)] {
        cluster.node(survivor).set_disk(store::Space { free, total: 1 << 40 });
        let refused = cluster.try_create_user(survivor, Duration::from_secs(2)).await;
        assert_eq!(refused, Err(refusal), "with {free} bytes free");
    }

    // A disk of the history that ended is told so.
    cluster.start(leader).await;
    until("it is told", || {
        let said = cluster.fatal.lock().expect("not poisoned");
        said.iter().any(|(who, why)| *who == next(leader, 1) && why.contains("founded anew"))
    })
    .await;
    cluster.kill(leader).await;

    let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for (slot, dir) in [(lost, &one), (leader, &other)] {
        let node = next(slot, 2);
        admit(&cluster, survivor, node).await;
        let tls = cluster.pki.tls(CLUSTER, slot);
        cluster.start_as(slot, Identity { lineage, ..identity(node) }, tls, dir.path().to_path_buf()).await;
        until("it counts", || is_seated(&cluster, survivor, node)).await;
    }
    until("writes are taken", || !Handle::single_copy(cluster.node(survivor))).await;
    let user = cluster.create_user(lost).await;
    cluster.kill(survivor).await;
    until("the new ones have all of it", || {
        cluster.all(|node| users.iter().chain([&user]).all(|user| has_user(node, *user)))
    })
    .await;
    cluster.create_user(leader).await;
}
