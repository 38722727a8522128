use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use state::{Rows, View};
use types::command::{Found, Lease, NewUser};
use types::row::Heads;
use types::user::{PermissionSet, Realm, UserKind};
use types::{
    Author, ClusterId, Command, Entry, Envelope, Incarnation, Key, Lineage, NodeId, Row, Slot, Timestamp, UserId,
};

use super::cache::Cache;
use super::overlay::Overlay;
use super::*;
use crate::engine::{Batch, Disk, Engine, Family, Kind, MemDisk, MemEngine, RocksDisk, RocksEngine};
use crate::{Fault, LogId, Payload};

#[path = "../../benches/ward/mod.rs"]
mod ward;

pub(crate) fn id(index: u64) -> LogId {
    LogId { term: 1, node: NodeId::new(Slot::A, Incarnation(1)), index }
}

fn envelope(command: Command) -> Envelope {
    Envelope { origin: NodeId::new(Slot::B, Incarnation(1)), author: Author::Node, command }
}

fn commands(at: u64, commands: Vec<Command>) -> Payload {
    let envelopes = commands.into_iter().map(envelope).collect();
    Payload::Commands(codec::encode_entry(&Entry { at: Timestamp(at), envelopes }).into())
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
    let (cluster, lineage) = (ClusterId([2; 16]), Lineage([3; 16]));
    let (name, audit_keys) = ("Ward".into(), vec![[5; 32], [6; 32], [7; 32]]);
    Command::Found(Found {
        cluster,
        lineage,
        name,
        feature_level: 1,
        admin,
        audit_keys,
        cluster_key: None,
        request_key: None,
    })
}

/// A log that founds the cluster and then renews leases, with two audit records in each: `length` entries in all, at
/// least 2.
pub(crate) fn log(length: u64) -> Vec<(LogId, Payload)> {
    let mut log = vec![
        (id(0), Payload::Membership(Bytes::from_static(b"three"))),
        (id(1), commands(1_000, vec![found(), Command::RenewLease(Lease { epoch: 1 })])),
    ];
    for index in 2..length {
        let renew = |epoch| Command::RenewLease(Lease { epoch });
        let raise = |more| Command::RaiseFeatureLevel(u32::try_from(index * 2 + more).expect("small"));
        let all = vec![renew(index * 2), renew(index * 2 + 1), Command::Tick, raise(0), raise(1)];
        log.push((id(index), commands(1_000 + index, all)));
    }
    log.truncate(usize::try_from(length).expect("small"));
    log
}

pub(crate) fn memory(disk: &MemDisk, dir: &Path) -> StateStore<MemEngine> {
    StateStore::open(Arc::new(disk.clone()), dir).expect("open")
}

pub(crate) fn rocks(dir: &Path) -> StateStore<RocksEngine> {
    StateStore::open(Arc::new(RocksDisk::default()), dir).expect("open")
}

/// Copies a directory that is in use, as of one moment: RocksDB may compact meanwhile, and then it is copied again.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for _ in 0..100 {
        let before = listing(from);
        let copied = before.keys().all(|file| {
            let to = to.join(file.strip_prefix(from).expect("inside"));
            std::fs::create_dir_all(to.parent().expect("parent")).expect("create");
            std::fs::copy(file, to).is_ok()
        });
        if copied && listing(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).expect("remove");
    }
    panic!("{} does not come to rest", from.display());
}

/// Every file below a directory, with its length.
fn listing(dir: &Path) -> BTreeMap<PathBuf, Option<u64>> {
    let mut files = BTreeMap::new();
    for path in std::fs::read_dir(dir).expect("list").map(|file| file.expect("file").path()) {
        if path.is_dir() {
            files.extend(listing(&path));
        } else {
            files.insert(path.clone(), std::fs::metadata(&path).ok().map(|metadata| metadata.len()));
        }
    }
    files
}

#[test]
fn what_is_applied_is_readable_with_its_mark() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let store = memory(&disk, dir.path());
    assert_eq!(store.applied().expect("applied"), (None, None));
    assert_eq!(store.heads(), Heads::default());
    let before = store.view();
    let outputs = store.apply(log(3)).expect("apply");
    assert_eq!(outputs.iter().map(|output| output.answers.len()).collect::<Vec<_>>(), [0, 2, 5]);
    assert!(outputs[1].answers.iter().all(|answer| answer.result.is_ok()));
    let membership = (Some(id(0)), Bytes::from_static(b"three"));
    assert_eq!(store.applied().expect("applied"), (Some(id(2)), Some(membership)));
    assert_eq!(store.view().cluster().expect("read").expect("founded").name, "Ward");
    assert_eq!(store.heads().clock, Timestamp(1_002));
    assert_eq!(before.cluster().expect("read"), None, "a view does not change");
}

#[test]
fn a_payload_that_does_not_decode_stops_the_node_and_changes_nothing() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let store = memory(&disk, dir.path());
    store.apply(log(2)).expect("apply");
    let digest = store.digest().expect("digest");
    let bad = vec![log(3).remove(2), (id(3), Payload::Commands(Bytes::from_static(b"\xFFnonsense")))];
    assert!(matches!(store.apply(bad), Err(Fault::Decode(_))));
    assert_eq!(store.applied().expect("applied").0, Some(id(1)));
    assert_eq!(store.digest().expect("digest"), digest);
}

#[test]
fn a_power_cut_leaves_the_state_of_the_last_flush_and_its_mark() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let store = memory(&disk, dir.path());
    store.apply(log(4)).expect("apply");
    store.flush().expect("flush");
    let flushed = store.digest().expect("digest");
    store.apply(log(9).split_off(4)).expect("apply");
    assert_eq!(store.durable_applied().expect("durable"), Some(id(3)));
    disk.cut_power(9);
    drop(store);
    let store = memory(&disk, dir.path());
    assert_eq!(store.applied().expect("applied").0, Some(id(3)));
    assert_eq!(store.digest().expect("digest"), flushed);
}

#[test]
fn durable_applied_is_never_ahead_of_what_a_kill_leaves() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(&dir.path().join("live"));
    assert_eq!(store.durable_applied().expect("durable"), None);
    for (number, part) in log(40).chunks(4).enumerate() {
        store.apply(part.to_vec()).expect("apply");
        if number % 4 == 2 {
            store.flush().expect("flush");
        }
        let durable = store.durable_applied().expect("durable");
        let killed = dir.path().join(format!("killed-{number}"));
        copy_tree(&dir.path().join("live"), &killed);
        assert_eq!(rocks(&killed).applied().expect("applied").0, durable, "after {number}");
    }
    assert_eq!(store.durable_applied().expect("durable"), Some(id(27)));
}

#[test]
fn replay_after_a_kill_gives_the_same_state() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(&dir.path().join("live"));
    let log = log(30);
    store.apply(log[..12].to_vec()).expect("apply");
    store.flush().expect("flush");
    store.apply(log[12..].to_vec()).expect("apply");
    copy_tree(&dir.path().join("live"), &dir.path().join("killed"));
    let replayed = rocks(&dir.path().join("killed"));
    let from = replayed.applied().expect("applied").0.expect("flushed").index as usize + 1;
    replayed.apply(log[from..].to_vec()).expect("apply");
    assert_eq!(replayed.digest().expect("digest"), store.digest().expect("digest"));
}

#[test]
fn a_view_outlives_later_writes_and_the_store_itself() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(dir.path());
    store.apply(log(3)).expect("apply");
    let view = store.view();
    store.apply(log(6).split_off(3)).expect("apply");
    let later = store.view();
    drop(store);
    let read = std::thread::spawn(move || (view.heads().clock, state::heads(&view).expect("read").clock));
    assert_eq!(read.join().expect("thread"), (Timestamp(1_002), Timestamp(1_002)));
    assert_eq!(later.heads().clock, Timestamp(1_005));
}

#[test]
fn a_row_under_a_key_of_another_table_is_a_fault() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let store = memory(&disk, dir.path());
    assert!(store.view().scan(&Key::Heads(), &Key::User(UserId([9; 16])), false, 10).is_err());
    let engine = disk.open(&dir.path().join("state-0000000000000001"), Kind::State).expect("engine");
    let mut batch = Batch::default();
    batch.put(Family::Rows, codec::key_bytes(&Key::Heads()), vec![0xEE]);
    engine.write(batch, false).expect("write");
    assert!(matches!(StateStore::open(Arc::new(disk), dir.path()), Err(Fault::Decode(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_log_in_different_batches_gives_the_same_state(cuts in proptest::collection::vec(1_usize..9, 0..12)) {
        let log = log(40);
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let at_once = memory(&disk, &dir.path().join("at-once"));
        let expected = at_once.apply(log.clone()).expect("apply");
        let in_parts = memory(&disk, &dir.path().join("in-parts"));
        let mut rest = log.as_slice();
        let mut outputs = Vec::new();
        for cut in cuts {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            outputs.extend(in_parts.apply(part.to_vec()).expect("apply"));
            rest = after;
        }
        outputs.extend(in_parts.apply(rest.to_vec()).expect("apply"));
        prop_assert_eq!(outputs, expected);
        prop_assert_eq!(in_parts.digest().expect("digest"), at_once.digest().expect("digest"));
        prop_assert_eq!(in_parts.applied().expect("applied"), at_once.applied().expect("applied"));
    }

    #[test]
    fn an_overlay_reads_as_one_map(
        base in proptest::collection::btree_map(0_u64..30, 0_u64..9, 0..20),
        changes in proptest::collection::btree_map(0_u64..30, proptest::option::of(0_u64..9), 0..20),
        (from, to, reverse, limit) in (0_u64..30, 0_u64..30, any::<bool>(), prop_oneof![0_usize..12, Just(usize::MAX)]),
    ) {
        let row = |epoch: u64| Row::NodeLease(types::presence::NodeLease { epoch, expired: None });
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let engine = disk.open(dir.path(), Kind::State).expect("engine");
        let mut batch = Batch::default();
        for (node, epoch) in &base {
            batch.put(Family::Rows, codec::key_bytes(&Key::NodeLease(NodeId(*node))), codec::encode_row(&row(*epoch)));
        }
        engine.write(batch, false).expect("write");
        let guard = Arc::new(crate::files::DirGuard::new(dir.path().into()));
        let view = StateView::new(engine.view(), guard).expect("view");
        let cache = Cache::default();
        let mut overlay = Overlay::new(&view, &cache);
        overlay.get(&Key::NodeLease(NodeId(3))).expect("read before the changes");
        let changes: Vec<(u64, Option<u64>)> = changes.into_iter().collect();
        let as_rows = |part: &[(u64, Option<u64>)]| {
            part.iter().map(|(node, epoch)| (Key::NodeLease(NodeId(*node)), epoch.map(row).map(Arc::new))).collect()
        };
        let (sooner, later) = changes.split_at(changes.len() / 2);
        overlay.extend(as_rows(sooner));
        overlay.scan(&Key::NodeLease(NodeId(0)), &Key::NodeLease(NodeId(9)), false, 3).expect("scan between them");
        overlay.extend(as_rows(later));

        let mut plain: BTreeMap<u64, u64> = base;
        for (node, epoch) in changes {
            match epoch {
                Some(epoch) => plain.insert(node, epoch),
                None => plain.remove(&node),
            };
        }
        let inside = plain.iter().filter(|(node, _)| from <= **node && **node <= to);
        let mut expected: Vec<_> = inside.map(|(node, epoch)| (Key::NodeLease(NodeId(*node)), row(*epoch))).collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        let (from, to) = (Key::NodeLease(NodeId(from)), Key::NodeLease(NodeId(to)));
        prop_assert_eq!(overlay.scan(&from, &to, reverse, limit).expect("scan"), expected);
        for node in 0..30 {
            prop_assert_eq!(overlay.get(&Key::NodeLease(NodeId(node))).expect("get"), plain.get(&node).map(|epoch| row(*epoch)));
        }
    }
}

#[test]
fn the_engine_tells_of_itself_in_a_file_of_its_own_and_leaves_none_in_a_snapshot() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(dir.path());
    let told = |dir: &Path| std::fs::read_to_string(dir.join("LOG")).unwrap_or_default();
    assert!(told(&dir.path().join("state-0000000000000001")).contains("RocksDB version"));
    let snapshot = store.build_snapshot().expect("built");
    assert_eq!(told(&snapshot.dir()), "");
}

#[test]
fn what_is_kept_between_calls_changes_nothing_however_the_log_is_cut() {
    let (mut ward, founding) = ward::Ward::founded(5);
    let mut log = vec![founding];
    log.extend((0..20).map(|number| ward.posts(number % 7 + 1, 40)));
    let end = ward.by(0, Command::DeactivateUser(ward::person(4)));
    log.push(ward.entry(vec![end])); // What was only read so far changes.
    log.extend((0..20).map(|number| ward.posts(number % 7 + 1, 40)));
    let applied = |part: usize, forget: bool| {
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let mut store = memory(&disk, dir.path());
        let mut outputs = Vec::new();
        for entries in log.chunks(part) {
            outputs.extend(store.apply(entries.to_vec()).expect("apply"));
            if forget {
                store.flush().expect("flush");
                drop(store);
                store = memory(&disk, dir.path());
            }
        }
        (outputs, store.digest().expect("digest"))
    };
    let (outputs, digest) = applied(1, true);
    let answers = outputs.iter().flat_map(|output| &output.answers);
    let refused = answers.clone().filter(|answer| answer.result.is_err()).count();
    assert!((2..20).contains(&refused) && answers.count() > 150, "{refused} refused");
    for part in [1, 2, 7, 42] {
        assert_eq!(applied(part, false), (outputs.clone(), digest), "{part} in a call");
    }
}
