//! A disk that forgot what its node had promised: its node must not help to elect a leader that lacks it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use types::Slot;

use super::support::{Cluster, has_user, leads, until};

/// The newest write-ahead log in a data directory, and its length.
fn newest_wal(dir: &Path) -> (PathBuf, u64) {
    let files = fs::read_dir(dir.join("log")).expect("a directory").map(|file| file.expect("an entry").path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let newest = logs.max_by_key(|path| path.file_stem().map(|stem| (stem.len(), stem.to_owned()))).expect("a log");
    let length = newest.metadata().expect("its length").len();
    (newest, length)
}

/// A data directory at some moment.
struct Before {
    wal: (PathBuf, u64),
    state: TempDir,
}

impl Before {
    fn of(dir: &Path) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        copy(&dir.join("state"), state.path());
        Self { wal: newest_wal(dir), state }
    }

    /// Leaves a beginning of the first record written since, which is what opening makes of a record with a flipped bit
    /// at the end, and the state as a crash would: closing has made it durable.
    fn tear(&self, dir: &Path) {
        let file = OpenOptions::new().write(true).open(&self.wal.0).expect("it is there");
        assert!(file.metadata().expect("its length").len() > self.wal.1 + 20, "nothing was written since");
        file.set_len(self.wal.1 + 20).expect("shorter");
        fs::remove_dir_all(dir.join("state")).expect("gone");
        copy(self.state.path(), &dir.join("state"));
    }
}

/// How far a node's log goes, as the node says it.
fn end(cluster: &Cluster, slot: Slot) -> u64 {
    raft::Handle::status(cluster.node(slot)).nodes[usize::from(slot.number() - 1)].last_log
}

/// Two that are not this one; the first follows.
async fn roles(cluster: &Cluster) -> (Slot, Slot, Slot) {
    let leader = cluster.leader().await;
    let mut others = Slot::ALL.into_iter().filter(|slot| *slot != leader);
    (leader, others.next().expect("three"), others.next().expect("three"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_the_end_of_its_log_does_not_vote_an_acknowledged_write_away() {
    let mut cluster = Cluster::founded().await;
    let (leader, torn, away) = roles(&cluster).await;
    cluster.kill(away).await;
    cluster.create_user(leader).await;
    let before = Before::of(&cluster.dir(torn));
    let user = cluster.create_user(leader).await;
    until("the second has it too", || cluster.has_user(torn, user)).await;
    tokio::time::sleep(Duration::from_millis(2_200)).await; // What nodes promised is kept once a second.
    cluster.kill(leader).await;
    cluster.kill(torn).await;
    before.tear(&cluster.dir(torn));

    cluster.start(torn).await;
    cluster.start(away).await;
    let until_then = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until_then {
        assert!(!leads(cluster.node(torn)) && !leads(cluster.node(away)), "a leader without what was acknowledged");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.start(leader).await;
    until("all have it", || cluster.all(|node| has_user(node, user))).await;
    // Caught up, it votes again. Not before: who knows what else it had acknowledged.
    until("it is where the leader is", || end(&cluster, torn) >= end(&cluster, leader)).await;
    cluster.kill(leader).await;
    cluster.create_user(torn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lost_the_end_of_its_log_gets_it_again_and_the_leader_goes_on() {
    let mut cluster = Cluster::founded().await;
    let (leader, torn, away) = roles(&cluster).await;
    let before = Before::of(&cluster.dir(torn));
    let user = cluster.create_user(leader).await;
    until("the follower has it", || cluster.has_user(torn, user)).await;
    cluster.kill(torn).await;
    before.tear(&cluster.dir(torn));
    cluster.start(torn).await;
    until("it has it again", || cluster.has_user(torn, user)).await;
    assert_eq!(cluster.leader().await, leader, "the leader went on");
    cluster.kill(away).await;
    let more = cluster.create_user(leader).await; // With the one that had lost something as the second.
    until("it has that too", || cluster.has_user(torn, more)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_disk_stays_out() {
    old_copy(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_disk_stays_out_also_when_the_start_after_it_could_call_nobody() {
    old_copy(true).await;
}

/// `mute`: while the node ran after the copy was made, it was reached but reached nobody.
async fn old_copy(mute: bool) {
    let mut cluster = Cluster::founded().await;
    let (leader, restored, away) = roles(&cluster).await;
    cluster.kill(restored).await;
    let copies = tempfile::tempdir().expect("a directory");
    copy(&cluster.dir(restored), copies.path());
    let muted = cluster.mute[usize::from(restored.number() - 1)].clone();
    muted.store(mute, Ordering::Relaxed);
    cluster.start(restored).await;
    let user = cluster.create_user(leader).await;
    until("it has it", || cluster.has_user(restored, user)).await;
    cluster.kill(restored).await;
    let dir = cluster.dir(restored);
    // What the node began to write before it was killed may still come into being.
    until("its directory is gone", || fs::remove_dir_all(&dir).is_ok() || !dir.exists()).await;
    copy(copies.path(), &dir);
    cluster.boots[usize::from(restored.number() - 1)] -= 1; // The number of starts is in the copy as well.
    muted.store(false, Ordering::Relaxed);

    cluster.start(restored).await;
    cluster.create_user(away).await;
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    let outsider = cluster.node(restored);
    assert!(!has_user(outsider, user), "it took part");
    assert!(raft::Handle::stale_age(outsider).is_some(), "a leader has spoken to it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_start_again_at_once_and_so_do_two_without_the_third() {
    let mut cluster = Cluster::founded().await;
    let user = cluster.create_user(Slot::A).await;
    for slots in [Slot::ALL.as_slice(), &[Slot::A, Slot::B]] {
        let running: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| cluster.runs(*slot)).collect();
        for slot in running {
            cluster.kill(slot).await;
        }
        let began = Instant::now();
        for slot in slots {
            cluster.start(*slot).await;
        }
        cluster.leader().await;
        assert!(began.elapsed() < Duration::from_secs(8), "{:?} to a leader", began.elapsed());
        cluster.create_user(Slot::B).await;
        until("they have what was there", || cluster.all(|node| has_user(node, user))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_follower_acknowledged_and_lost_does_not_count_once_it_has_started_again() {
    let mut cluster = Cluster::new().await;
    cluster.paced = true;
    cluster.found().await;
    let (leader, torn, away) = roles(&cluster).await;
    let place = |slot: Slot| usize::from(slot.number() - 1);
    cluster.create_user(leader).await;
    cluster.kill(away).await;
    cluster.create_user(leader).await;
    tokio::time::sleep(Duration::from_millis(2_200)).await; // What nodes promised is kept once a second.
    let before = Before::of(&cluster.dir(torn));
    // The follower alone has it on its disk, so it is not committed.
    cluster.stalled[place(leader)].store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await; // What is being written ends.
    let (slow, patience) = (cluster.node(leader).clone(), Duration::from_secs(20));
    let (command, user) = cluster.next_user(leader);
    let write = tokio::spawn(async move { raft::Handle::propose(&slow, command, Instant::now() + patience).await });
    until("the follower has it", || newest_wal(&cluster.dir(torn)).1 > before.wal.1 + 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // For the acknowledgement.
    assert!(!write.is_finished(), "the leader's disk stalls, so nothing is committed");
    cluster.mute[place(leader)].store(true, Ordering::Relaxed);
    cluster.kill(torn).await;
    before.tear(&cluster.dir(torn));
    cluster.start(torn).await;
    // It has been told what is remembered of it, and would vote now.
    until("the follower was heard", || {
        let status = raft::Handle::status(cluster.node(torn));
        status.nodes[place(leader)].reachable
    })
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    cluster.stalled[place(leader)].store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!write.is_finished(), "acknowledged with one copy on one disk: {:?}", write.await);
    cluster.mute[place(leader)].store(false, Ordering::Relaxed);
    write.await.expect("it goes on").expect("acknowledged");
    cluster.kill(leader).await;
    cluster.start(away).await;
    until("they have what was acknowledged", || cluster.all(|node| has_user(node, user))).await;
}
