//! Calls that break off while a snapshot arrives.

use store::engine::{MemDisk, MemEngine};
use store::{LogId, Payload};
use tokio::sync::oneshot;
use types::{Incarnation, NodeId, Slot};

use super::*;
use crate::kinds::RaftStoredMembership;

type Store = Arc<StateStore<MemEngine>>;

/// Two states: one that sends, and one that receives.
fn stores() -> (tempfile::TempDir, Store, Store) {
    let (disk, dir) = (Arc::new(MemDisk::default()), tempfile::tempdir().expect("a directory"));
    let store = |name| Arc::new(StateStore::open(disk.clone(), &dir.path().join(name)).expect("opens"));
    let (from, to) = (store("from"), store("to"));
    (dir, from, to)
}

/// A snapshot as of the entry with this index.
fn snapshot(state: &Store, index: u64) -> store::Snapshot {
    let id = LogId { term: 1, node: NodeId::new(Slot::A, Incarnation(1)), index };
    state.apply(vec![(id, Payload::Blank)]).expect("applied");
    state.build_snapshot().expect("built")
}

async fn offer(arrivals: &Arrivals, to: &Store, snapshot: &store::Snapshot) -> peer::OfferSnapshotResponse {
    let last_membership = RaftStoredMembership::default();
    let meta = SnapshotMeta { last_log_id: snapshot.manifest().applied.map(from_id), last_membership };
    let head = wire::snapshot_head(&meta, snapshot.manifest().encode().into());
    let request = peer::OfferSnapshotRequest { ballot: None, head: Some(head) };
    arrivals.offer(to, request).await.expect("taken")
}

/// The message with these bytes of the first file: a snapshot in memory has only one.
fn message(begin: &peer::OfferSnapshotResponse, offset: u64, data: Bytes) -> peer::SendSnapshotRequest {
    peer::SendSnapshotRequest { transfer: begin.transfer, ballot: None, file: 0, offset, data }
}

#[tokio::test]
async fn a_call_that_breaks_off_leaves_the_directory_to_what_is_installed_from_it() {
    let (_dir, from, to) = stores();
    let arrivals = Arc::new(Arrivals::default());
    let old = snapshot(&from, 3);
    let begin = offer(&arrivals, &to, &old).await;
    let all = message(&begin, 0, old.read(0, 0, usize::MAX).expect("readable"));
    let ((queued, is_queued), (go, goes)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
    let (installed, is_installed) = oneshot::channel();
    let state = to.clone();
    let install = move |_, incoming| async move {
        // As openraft does: what was put to it stays with it when whoever asked is gone.
        let installing = tokio::spawn(async move {
            goes.await.expect("it may");
            installed.send(state.install(incoming).map(drop)).expect("it is waited for");
        });
        queued.send(()).expect("it is waited for");
        installing.await.map_err(|_| Status::internal("it panicked"))
    };
    let receiving = arrivals.clone();
    let call =
        tokio::spawn(async move { receiving.receive(&all, stream::iter([Ok(all.clone())]).boxed(), install).await });
    is_queued.await.expect("everything has arrived");
    call.abort();
    assert!(call.await.is_err(), "it broke off");
    let new = snapshot(&from, 5);
    let mut next = std::pin::pin!(offer(&arrivals, &to, &new));
    assert!(timeout(Duration::from_millis(100), &mut next).await.is_err(), "another one begins in the same place");
    go.send(()).expect("it waits");
    is_installed.await.expect("it ends").expect("what arrived is still there");
    assert_eq!(to.applied().expect("readable").0, old.manifest().applied);
    assert_eq!(next.await.offset, 0);
}

#[tokio::test]
async fn what_has_arrived_is_neither_sent_nor_looked_through_again() {
    let (_dir, from, to) = stores();
    let arrivals = Arrivals::default();
    let snapshot = snapshot(&from, 3);
    let begin = offer(&arrivals, &to, &snapshot).await;
    let ten = message(&begin, 0, snapshot.read(0, 0, 10).expect("readable"));
    let broken = stream::iter([Ok(ten.clone()), Err(Status::unavailable("the connection is gone"))]);
    let install = |_, _| async { panic!("not all has arrived") };
    let received: Result<(), Status> = arrivals.receive(&ten, broken.boxed(), install).await;
    assert!(received.is_err());
    // Whoever looked would not find this, and would begin anew.
    std::fs::remove_file(to.incoming_dir().join("manifest")).expect("it is there");
    let again = offer(&arrivals, &to, &snapshot).await;
    assert_eq!(again.offset, 10);
    let short = stream::iter([Ok(message(&again, 10, snapshot.read(0, 10, 10).expect("readable")))]);
    let received: Result<(), Status> = arrivals.receive(&message(&again, 10, Bytes::new()), short, install).await;
    assert_eq!(received.expect_err("something is missing").code(), Code::Aborted);
    let again = offer(&arrivals, &to, &snapshot).await;
    assert_eq!(again.offset, 20);
    let rest = message(&again, 20, snapshot.read(0, 20, usize::MAX).expect("readable"));
    let state = to.clone();
    let install = move |_, incoming| async move { state.install(incoming).map_err(|_| Status::internal("it failed")) };
    arrivals.receive(&rest, stream::iter([Ok(rest.clone())]), install).await.expect("installed");
    assert_eq!(to.digest().expect("readable"), from.digest().expect("readable"));
}
