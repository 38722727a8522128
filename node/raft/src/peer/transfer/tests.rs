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
