use bytes::Bytes;
use store::engine::{Batch, Disk, Engine, Family, Kind};
use store::{LogEntry, LogId, Payload};
use types::command::{Found, Lease, NewUser};
use types::user::{PermissionSet, Realm, UserKind};
use types::{Author, ClusterId, Command, Entry, Envelope, Incarnation, Key, Lineage, NodeId, Slot, Timestamp, UserId};

use super::*;

fn node() -> NodeId {
    NodeId::new(Slot::A, Incarnation(1))
}

fn commands(at: u64, commands: Vec<Command>) -> Payload {
    let envelopes = commands.into_iter().map(|command| Envelope { origin: node(), author: Author::Node, command });
    Payload::Commands(codec::encode_entry(&Entry { at: Timestamp(at), envelopes: envelopes.collect() }).into())
}

fn found() -> Command {
    let admin = NewUser {
        id: UserId([1; 16]),
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: "admin".into(),
        display_name: "First".into(),
        unit: String::new(),
        words: vec!["first".into()],
        external_ids: Vec::new(),
        may_message: true,
        permissions: vec![PermissionSet::Admin],
        enrolment: None,
        sealed_name: Vec::new(),
        key: None,
    };
    Command::Found(Found {
        cluster: ClusterId([2; 16]),
        lineage: Lineage([3; 16]),
        name: "Ward".into(),
        feature_level: 1,
        admin,
        audit_keys: vec![[5; 32], [6; 32], [7; 32]],
        cluster_key: None,
        request_key: None,
    })
}

/// A log that founds a cluster, with records in every entry after that.
fn log(length: u32) -> Vec<LogEntry> {
    let payload = |index: u32| match index {
        0 => Payload::Membership(Bytes::from_static(b"three")),
        1 => commands(1_000, vec![found(), Command::RenewLease(Lease { epoch: 1 })]),
        _ => commands(
            1_000 + u64::from(index),
            vec![Command::RenewLease(Lease { epoch: u64::from(index) }), Command::RaiseFeatureLevel(index)],
        ),
    };
    let id = |index: u32| LogId { term: 1, node: node(), index: u64::from(index) };
    (0..length).map(|index| LogEntry { id: id(index), payload: payload(index) }).collect()
}

/// A node that has all of this in its log, and has applied `applied` entries of it.
fn stopped(dir: &Path, log: &[LogEntry], applied: usize) -> PathBuf {
    let disk = Arc::new(RocksDisk::default());
    fs::create_dir_all(dir).expect("made");
    let (store, writer) = LogStore::open_dir(&disk, &dir.join("log")).expect("opens");
    let writing = std::thread::spawn(move || writer.run());
    let (done, written) = std::sync::mpsc::channel();
    store.append(log.to_vec(), Box::new(move |result| done.send(result.is_ok()).expect("waited for"))).expect("taken");
    assert_eq!(written.recv(), Ok(true));
    drop(store);
    writing.join().expect("no panic").expect("all written");
    let state = StateStore::<RocksEngine>::open(disk, &dir.join("state")).expect("opens");
    let entries = log[..applied].iter().map(|entry| (entry.id, entry.payload.clone())).collect();
    state.apply(entries).expect("applied");
    state.flush().expect("durable");
    dir.to_path_buf()
}

/// Changes what a node's state consists of, behind its back.
fn change(data: &Path, how: impl FnOnce(&mut Batch)) {
    let path = data.join("state").join("state-0000000000000001");
    let engine = RocksDisk::default().open(&path, Kind::State).expect("opens");
    let mut batch = Batch::default();
    how(&mut batch);
    engine.write(batch, false).expect("written");
    engine.flush().expect("durable");
}

/// Two nodes that stopped at different places, and what comes of comparing them once the second was changed.
fn with(how: impl FnOnce(&mut Batch)) -> Result<Vec<Held>, Error> {
    let dir = tempfile::tempdir().expect("a directory");
    let log = log(30);
    let data = [stopped(&dir.path().join("a"), &log, 30), stopped(&dir.path().join("b"), &log[..22], 20)];
    change(&data[1], how);
    compare(&data, &dir.path().join("scratch"))
}

#[test]
fn nodes_that_stopped_at_different_places_are_equal_at_one() {
    let held = with(|_| {}).expect("comparable");
    assert_eq!(held.iter().map(|one| one.stopped_at).collect::<Vec<_>>(), [29, 19]);
    assert_eq!((held[0].applied, held[0].state, held[0].root), (held[1].applied, held[1].state, held[1].root));
    assert!(held[0].records > 20 && held[0].records == held[1].records, "{held:?}");
}

/// Another hash in the audit tree.
fn put_node(batch: &mut Batch, level: u8, place: u64) {
    let (key, row) = (Key::TreeNode(level, place), types::Row::TreeNode([9; 32]));
    batch.put(Family::Tree, codec::key_bytes(&key), codec::encode_row(&row));
}

#[test]
fn one_row_more_is_found() {
    let held = with(|batch| put_node(batch, 40, 7)).expect("comparable");
    assert_ne!(held[0].state, held[1].state);
    assert_eq!(held[0].root, held[1].root, "the root does not come of it");
}

#[test]
fn another_hash_in_the_audit_tree_is_found() {
    // Of the first 16 records, all of which were there when the node stopped.
    let held = with(|batch| put_node(batch, 4, 0)).expect("comparable");
    assert_ne!(held[0].root, held[1].root);
}

#[test]
fn a_row_that_is_missing_is_found() {
    let held = with(|batch| batch.delete(Family::Records, codec::key_bytes(&Key::Record(3)))).expect("comparable");
    assert_ne!(held[0].state, held[1].state);
}

#[test]
fn an_entry_of_another_leader_at_the_same_place_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut other = log(20);
    other[19].id.term = 2;
    let data = [stopped(&dir.path().join("a"), &log(30), 30), stopped(&dir.path().join("b"), &other, 20)];
    let refused = compare(&data, &dir.path().join("scratch")).expect_err("they followed different leaders");
    assert!(matches!(refused, Error::Diverged { index: 19, .. }), "{refused}");
}
