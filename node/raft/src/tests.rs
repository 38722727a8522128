//! Three nodes over real sockets, certificates and disks.

mod log_lines;
mod promises;
mod replaced;
mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft::{Handle, Identity, ProposeError, SnapshotLimits, Typing};
use support::{CLUSTER, Cluster, LINEAGE, PATIENCE, has_user, id, is_founded, leads, until};
use types::{Author, ClusterId, Command, ConversationId, Envelope, Slot, UserId};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_founded_and_take_commands_through_each() {
    let cluster = Cluster::founded().await;
    for slot in Slot::ALL {
        let user = cluster.create_user(slot).await;
        until("all have the user", || cluster.all(|node| has_user(node, user))).await;
    }
    let digests = || Slot::ALL.map(|slot| cluster.node(slot).state().digest().expect("readable"));
    until("all are in the same state", || digests().windows(2).all(|pair| pair[0] == pair[1])).await;
    until("each hears of the others", || {
        cluster.all(|node| node.status().nodes.iter().all(|one| one.reachable && one.version == "1.2.3"))
    })
    .await;
    // The leader looks at whether most nodes answer it twenty times a second.
    until("none is stale", || cluster.all(|node| node.stale_age().is_none())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_and_the_others_go_on_and_it_catches_up() {
    let mut cluster = Cluster::founded().await;
    let before = cluster.create_user(Slot::B).await;
    let leader = cluster.leader().await;
    cluster.kill(leader).await;
    let via = *Slot::ALL.iter().find(|slot| **slot != leader).expect("two run");
    let during = cluster.create_user(via).await;
    cluster.start(leader).await;
    until("it has caught up", || cluster.has_user(leader, before) && cluster.has_user(leader, during)).await;
    let after = cluster.create_user(leader).await;
    until("all have what came after", || cluster.all(|node| has_user(node, after))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_leaders_process_is_gone_the_others_do_not_wait_for_the_timeout() {
    const EARLY: &str = "tricord_raft_early_elections_total";
    let mut cluster = Cluster::founded().await;
    assert_eq!(cluster.count(EARLY), 0, "nobody has died");
    let mut early = 0;
    for _ in 0..4 {
        let leader = cluster.leader().await;
        cluster.create_user(leader).await;
        let dying = cluster.nodes[usize::from(leader.number() - 1)].take().expect("it runs").node;
        let before = cluster.count(EARLY);
        dying.kill().await;
        let next = cluster.leader().await;
        cluster.create_user(next).await;
        early += cluster.count(EARLY) - before;
        cluster.start(leader).await;
    }
    assert!(early >= 1, "no leader was replaced early"); // On a busy machine not each time; who stands may try twice.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_while_leaders_die_under_load() {
    let mut cluster = Cluster::founded().await;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let victim = cluster.leader().await;
        let others: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| *slot != victim).collect();
        let dying = cluster.nodes[usize::from(victim.number() - 1)].take().expect("it runs").node;
        let death = async {
            tokio::time::sleep(Duration::from_millis(30)).await; // In the middle of what the clients do.
            dying.kill().await;
        };
        let clients = (0..16).map(|client| {
            let (cluster, via) = (&cluster, others[client % 2]);
            async move {
                let mut created = Vec::new();
                for _ in 0..6 {
                    created.push(cluster.create_user(via).await); // Asserts that a repeat has the first answer.
                }
                created
            }
        });
        let ((), created) = tokio::join!(death, futures::future::join_all(clients));
        acknowledged.extend(created.into_iter().flatten());
        cluster.start(victim).await;
    }
    until("all have what was acknowledged", || {
        cluster.all(|node| acknowledged.iter().all(|user| has_user(node, *user)))
    })
    .await;
    let digests = || Slot::ALL.map(|slot| cluster.node(slot).state().digest().expect("readable"));
    until("all are in the same state", || digests().windows(2).all(|pair| pair[0] == pair[1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_leadership_over_first() {
    let mut cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    let via = cluster.follower().await;
    let stopping = cluster.nodes[usize::from(leader.number() - 1)].take().expect("it runs").node;
    let (stopped, user) = tokio::join!(stopping.shutdown(), cluster.create_user(via));
    stopped.expect("its state is durable");
    until("the others have what was put meanwhile", || cluster.all(|node| has_user(node, user))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_hear_of_a_commit_without_waiting_for_a_heartbeat() {
    let cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let mut delays = Vec::new();
    for _ in 0..21 {
        let user = cluster.create_user(leader).await;
        let answered = Instant::now();
        until("the follower has it", || cluster.has_user(follower, user)).await;
        delays.push(answered.elapsed());
    }
    delays.sort_unstable();
    assert!(delays[10] < Duration::from_millis(40), "heartbeats alone would take 50 ms in the middle: {delays:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_behind_the_barrier_sees_what_was_acknowledged_elsewhere() {
    let cluster = Cluster::founded().await;
    let leader = cluster.leader().await;
    for slot in Slot::ALL {
        let user = cluster.create_user(leader).await;
        cluster.node(slot).read_barrier(Instant::now() + PATIENCE).await.expect("a majority is there");
        assert!(cluster.has_user(slot, user), "{slot} is behind its own barrier");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_says_that_it_cannot_serve() {
    let mut cluster = Cluster::founded().await;
    let left = cluster.leader().await;
    for slot in Slot::ALL.into_iter().filter(|slot| *slot != left) {
        cluster.kill(slot).await;
    }
    until("it notices", || cluster.node(left).stale_age().is_some()).await;
    let began = Instant::now();
    let refused = cluster.try_create_user(left, Duration::from_millis(500)).await;
    assert!(matches!(refused, Err(ProposeError::NoMajority | ProposeError::OutcomeUnknown)), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "the caller's deadline holds");
    assert!(cluster.node(left).read_barrier(Instant::now() + Duration::from_millis(500)).await.is_err());
    until("the others are seen to be gone", || {
        cluster.node(left).status().nodes.iter().filter(|one| one.reachable).count() == 1
    })
    .await;
}

/// A cluster whose third node lacks what the others have purged from their logs; who that is, who leads, and the last user
/// made.
async fn left_behind() -> (Cluster, Slot, Slot, UserId) {
    let mut cluster = Cluster::new().await;
    cluster.limits = SnapshotLimits { log_bytes: 1, log_kept_entries: 5, ..SnapshotLimits::default() };
    cluster.found().await;
    let away = cluster.follower().await;
    cluster.kill(away).await;
    let via = cluster.leader().await;
    let mut last = UserId::default();
    for _ in 0..40 {
        last = cluster.create_user(via).await;
    }
    // Snapshots are made as entries come, so at some point the log that the third needs is gone.
    let covered = || cluster.node(via).state().current_snapshot().and_then(|snapshot| snapshot.manifest().applied);
    for more in 0.. {
        if covered().is_some_and(|applied| applied.index > 40) {
            break;
        }
        assert!(more < 600, "no snapshot is made");
        last = cluster.create_user(via).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("the log is purged", || cluster.node(via).purged().is_some_and(|purged| purged > 30)).await;
    (cluster, away, via, last)
}

/// Turns a bit in each file of a snapshot in this directory that the state does not share.
fn rot(snapshots: &std::path::Path) {
    let entries = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path());
        entries.collect::<Vec<_>>()
    };
    let mut rotten = 0;
    for path in entries(snapshots).iter().flat_map(|snapshot| entries(&snapshot.join("database"))) {
        let mut bytes = std::fs::read(&path).expect("readable");
        if path.extension().is_none_or(|extension| extension != "sst") && !bytes.is_empty() {
            bytes[0] ^= 1;
            std::fs::write(&path, bytes).expect("writable");
            rotten += 1;
        }
    }
    assert!(rotten > 0, "{}", snapshots.display());
}

/// Waits until a node that was left behind is where the leader is.
async fn has_caught_up(cluster: &Cluster, away: Slot, via: Slot, last: UserId) {
    until("it has everything", || cluster.has_user(away, last)).await;
    until("its services were told", || cluster.running(away).replaced.load(Ordering::SeqCst) > 0).await;
    let digest = |slot| cluster.node(slot).state().digest().expect("readable");
    until("it is in the same state", || digest(away) == digest(via)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_far_behind_gets_a_snapshot_and_has_the_same_state() {
    let (mut cluster, away, via, last) = left_behind().await;
    cluster.start(away).await;
    has_caught_up(&cluster, away, via, last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_far_behind_comes_up_though_the_leaders_snapshot_has_rotted() {
    let (mut cluster, away, via, last) = left_behind().await;
    let others: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| *slot != away).collect();
    for slot in &others {
        let snapshot = cluster.node(*slot).state().current_snapshot().expect("it was made").dir();
        cluster.kill(*slot).await;
        rot(snapshot.ancestors().nth(2).expect("it is among the snapshots"));
    }
    // From here on no other is due.
    cluster.limits = SnapshotLimits { log_kept_entries: 5, ..SnapshotLimits::default() };
    for slot in &others {
        cluster.start(*slot).await;
    }
    cluster.start(away).await;
    has_caught_up(&cluster, away, via, last).await;
    assert!(cluster.fatal.lock().expect("no panic").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_becomes_durable_by_itself() {
    let mut cluster = Cluster::new().await;
    cluster.limits = SnapshotLimits { flush_every: Duration::ZERO, ..SnapshotLimits::default() };
    cluster.found().await;
    let durable = |slot| cluster.node(slot).state().durable_applied().expect("readable");
    let before = Slot::ALL.map(durable);
    cluster.create_user(Slot::A).await;
    until("all would start from there", || {
        Slot::ALL.into_iter().zip(before).all(|(slot, before)| durable(slot) > before)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_the_senders_is_refused_at_once() {
    let cluster = Cluster::founded().await;
    let (leader, via) = (cluster.leader().await, cluster.follower().await);
    let envelope = Envelope { origin: id(leader), author: Author::Node, command: Command::Tick };
    let began = Instant::now();
    let refused = cluster.node(via).propose(envelope, began + PATIENCE).await;
    assert_eq!(refused, Err(ProposeError::Refused));
    assert!(began.elapsed() < PATIENCE / 3, "it was tried again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_node_stops_at_once_and_hands_over_to_nobody() {
    let mut cluster = Cluster::founded().await;
    let last = cluster.leader().await;
    for slot in Slot::ALL.into_iter().filter(|slot| *slot != last) {
        cluster.kill(slot).await;
    }
    let node = cluster.nodes[usize::from(last.number() - 1)].take().expect("it runs").node;
    let began = Instant::now();
    node.shutdown().await.expect("its state is durable");
    assert!(began.elapsed() < Duration::from_millis(1_900), "it waited for a peer that is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_disk_under_an_old_id_is_refused() {
    let mut cluster = Cluster::founded().await;
    let wiped = cluster.follower().await;
    cluster.kill(wiped).await;
    let dir = tempfile::tempdir().expect("a directory");
    let identity = Identity { cluster: CLUSTER, lineage: LINEAGE, node: id(wiped), disk: [0x77; 16] };
    let tls = cluster.pki.tls(CLUSTER, wiped);
    cluster.start_as(wiped, identity, tls, dir.path().to_path_buf()).await;
    stays_out(&cluster, wiped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused() {
    let mut cluster = Cluster::founded().await;
    let slot = cluster.follower().await;
    cluster.kill(slot).await;
    let dir = tempfile::tempdir().expect("a directory");
    let other = ClusterId([0xd2; 16]);
    let identity = Identity { cluster: other, lineage: LINEAGE, node: id(slot), disk: [slot.number(); 16] };
    let tls = cluster.pki.tls(other, slot);
    cluster.start_as(slot, identity, tls, dir.path().to_path_buf()).await;
    stays_out(&cluster, slot).await;
}

/// The two that belong together go on, long enough for the third to have been let in, and it never is.
async fn stays_out(cluster: &Cluster, slot: Slot) {
    let via = *Slot::ALL.iter().find(|other| **other != slot).expect("two run");
    let until_then = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until_then {
        cluster.create_user(via).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outsider = cluster.node(slot);
    assert!(!is_founded(outsider), "it was given the state");
    assert!(!leads(outsider));
    assert!(outsider.stale_age().is_some(), "a leader has spoken to it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_reaches_the_other_nodes() {
    let mut cluster = Cluster::founded().await;
    let notice = Typing { conversation: ConversationId([7; 16]), user: UserId([8; 16]) };
    cluster.node(Slot::A).send_typing(notice);
    for slot in [1, 2] {
        let running = cluster.nodes[slot].as_mut().expect("it runs");
        let heard = tokio::time::timeout(PATIENCE, running.typing.recv()).await;
        assert_eq!(heard, Ok(Some(notice)));
    }
}
