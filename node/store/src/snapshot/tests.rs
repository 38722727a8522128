use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use proptest::prelude::*;
use types::Timestamp;

use super::*;
use crate::engine::{Engine, MemDisk};
use crate::files::{HASHED, STEP};
use crate::state_store::tests::{copy_tree, id, log, memory, rocks};
use crate::{Fault, StateStore};

/// Sends what is still missing, `chunk` bytes at a time, at most `chunks` times.
fn send(snapshot: &Snapshot, receiver: &mut Receiver, chunk: usize, chunks: usize) {
    for _ in 0..chunks {
        let at = receiver.resume_point();
        if at.file == snapshot.manifest().files.len() {
            return;
        }
        let bytes = snapshot.read(at.file, at.offset, chunk).expect("read");
        receiver.write(at, &bytes).expect("write");
    }
}

fn transfer<E: Engine>(snapshot: &Snapshot, to: &StateStore<E>) -> Incoming {
    let manifest = Manifest::decode(&snapshot.manifest().encode()).expect("manifest");
    let mut receiver = Receiver::begin(&to.incoming_dir(), manifest).expect("begin");
    send(snapshot, &mut receiver, 10_000, usize::MAX);
    receiver.finish().expect("finish")
}

fn copies_at_each_step(of: &Path, work: impl FnOnce()) -> Vec<tempfile::TempDir> {
    let copies = Rc::new(RefCell::new(Vec::new()));
    let (of, kept) = (PathBuf::from(of), copies.clone());
    STEP.set(Some(Box::new(move || {
        let copy = tempfile::tempdir().expect("dir");
        copy_tree(&of, copy.path());
        kept.borrow_mut().push(copy);
    })));
    work();
    STEP.set(None);
    copies.take()
}

#[test]
fn a_snapshot_carries_the_whole_state_to_another_node() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    assert!(from.current_snapshot().is_none());
    from.apply(log(20)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    assert_eq!(snapshot.manifest().applied, Some(id(19)));
    from.apply(log(25).split_off(20)).expect("apply");
    to.apply(log(3)).expect("apply");
    let before = to.view();
    to.install(transfer(&snapshot, &to)).expect("install");
    assert_eq!(to.applied().expect("applied"), (Some(id(19)), snapshot.manifest().membership.clone()));
    assert_eq!(to.durable_applied().expect("durable"), Some(id(19)));
    assert_eq!(to.heads().clock, Timestamp(1_019));
    assert_eq!(state::heads(&before).expect("read").clock, Timestamp(1_002), "a view shows the old state still");
    to.apply(log(25).split_off(20)).expect("apply");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
    let generations = || fs::read_dir(dir.path().join("to")).expect("list").count();
    let with_old = generations();
    drop(before);
    assert_eq!(generations(), with_old - 1, "the old state goes with its last reader");
}

#[test]
fn one_snapshot_is_kept_and_an_old_one_stays_readable_while_it_is_sent() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(dir.path());
    store.apply(log(5)).expect("apply");
    let old = store.build_snapshot().expect("build");
    store.apply(log(9).split_off(5)).expect("apply");
    let new = store.build_snapshot().expect("build");
    assert_ne!(old.manifest().id(), new.manifest().id());
    assert_eq!(store.current_snapshot().map(|current| current.manifest().id()), Some(new.manifest().id()));
    old.read(0, 0, 100).expect("still there");
    let gone = old.dir();
    drop(old);
    assert!(!gone.exists());
    drop((store, new));
    let store = rocks(dir.path());
    assert_eq!(store.current_snapshot().expect("found again").manifest().applied, Some(id(8)));
}

#[test]
fn the_manifest_is_right_also_for_files_that_were_in_the_snapshot_before() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(dir.path());
    store.apply(log(5)).expect("apply");
    let mut old = store.build_snapshot().expect("build");
    store.apply(log(9).split_off(5)).expect("apply");
    let mut new = store.build_snapshot().expect("build");
    let shared = |old: &Snapshot, new: &Snapshot| {
        let mut tables = new.manifest().files.iter().filter(|file| file.name.ends_with(".sst"));
        tables.any(|file| old.manifest().files.contains(file))
    };
    for _ in 0..100 {
        if shared(&old, &new) {
            break; // A compaction may have replaced all tables in between; it comes to an end.
        }
        old = new;
        new = store.build_snapshot().expect("build");
    }
    assert!(shared(&old, &new));
    is_right(&new);
}

fn is_right(snapshot: &Snapshot) {
    for file in &snapshot.manifest().files {
        let found = crate::files::hash_file(&snapshot.dir().join(&file.name)).expect("hash");
        assert_eq!(found, (file.bytes, file.sha256), "{}", file.name);
    }
}

#[test]
fn the_snapshot_after_an_installation_reads_no_table_again_that_was_verified_as_it_came() {
    let dir = tempfile::tempdir().expect("dir");
    let from = rocks(&dir.path().join("from"));
    from.apply(log(20)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    let tables = |names: Vec<String>| names.into_iter().filter(|name| name.ends_with(".sst")).collect::<Vec<_>>();
    for attempt in 0..100 {
        let to = rocks(&dir.path().join(format!("to{attempt}")));
        let received = to.install(transfer(&snapshot, &to)).expect("install");
        HASHED.take();
        let own = to.build_snapshot_of(&received).expect("build");
        let read = tables(HASHED.take());
        let came = tables(received.files.iter().map(|file| file.name.clone()).collect());
        assert!(!read.iter().any(|name| came.contains(name)), "{read:?}, of {came:?}");
        is_right(&own);
        if own.manifest().files.iter().any(|file| came.contains(&file.name)) {
            return; // Otherwise a compaction has replaced all tables in between, and this proves nothing.
        }
    }
    panic!("no table was left as it came");
}

#[test]
fn a_table_of_another_length_than_the_one_that_was_received_is_read() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(20)).expect("apply");
    let mut received = to.install(transfer(&from.build_snapshot().expect("build"), &to)).expect("install");
    for file in &mut received.files {
        (file.bytes, file.sha256) = (file.bytes + 1, [0; 32]);
    }
    is_right(&to.build_snapshot_of(&received).expect("build"));
}

#[test]
fn a_snapshot_of_an_older_state_does_not_take_the_place_of_a_newer_one() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let store = memory(&disk, &dir.path().join("from"));
    store.apply(log(5)).expect("apply");
    let old = store.build_snapshot().expect("build");
    store.apply(log(9).split_off(5)).expect("apply");
    let new = store.build_snapshot().expect("build");
    let kept = Snapshots::open(&dir.path().join("kept")).expect("open");
    let build = |of: &Snapshot| {
        let copy = |to: &Path| {
            copy_tree(&of.dir(), to);
            Ok(())
        };
        kept.build(&disk, None, &[], copy).expect("build")
    };
    build(&new);
    assert_eq!(build(&old).manifest().applied, Some(id(8)), "the newer one is the answer");
    assert_eq!(kept.current().expect("it stays").manifest().applied, Some(id(8)));
    let reopened = Snapshots::open(&dir.path().join("kept")).expect("open");
    assert_eq!(reopened.current().expect("it stays").manifest().applied, Some(id(8)));
}

#[test]
fn a_snapshot_of_what_is_applied_but_not_flushed_is_complete() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (from, to) = (memory(&disk, &dir.path().join("from")), memory(&disk, &dir.path().join("to")));
    from.apply(log(7)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    to.install(transfer(&snapshot, &to)).expect("install");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
    assert_eq!(from.durable_applied().expect("durable"), Some(id(6)), "a snapshot is never ahead of durable state");
}

#[test]
fn receiving_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(50)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    let begin = || Receiver::begin(&to.incoming_dir(), snapshot.manifest().clone()).expect("begin");
    let mut reached = begin().resume_point(); // Not the very beginning when the first file is empty.
    loop {
        let mut receiver = begin();
        assert_eq!(receiver.resume_point(), reached, "nothing is sent twice");
        send(&snapshot, &mut receiver, 97, 13);
        reached = receiver.resume_point();
        if reached.file == snapshot.manifest().files.len() {
            break;
        }
        assert!(matches!(receiver.finish(), Err(ReceiveError::Incomplete)));
    }
    to.install(begin().finish().expect("finish")).expect("install");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
}

#[test]
fn another_manifest_begins_anew_and_bytes_out_of_place_are_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(5)).expect("apply");
    let old = from.build_snapshot().expect("build");
    let mut receiver = Receiver::begin(&to.incoming_dir(), old.manifest().clone()).expect("begin");
    send(&old, &mut receiver, 100, 5);
    let expected = receiver.resume_point();
    let refused = receiver.write(Position { file: 0, offset: 0 }, b"again");
    assert!(matches!(refused, Err(ReceiveError::OutOfPlace { expected: at }) if at == expected));
    let too_long = vec![0; old.manifest().files[expected.file].bytes as usize + 1];
    assert!(receiver.write(expected, &too_long).is_err());
    drop(receiver);
    from.apply(log(9).split_off(5)).expect("apply");
    let new = from.build_snapshot().expect("build");
    let receiver = Receiver::begin(&to.incoming_dir(), new.manifest().clone()).expect("begin");
    assert_eq!(receiver.resume_point().offset, 0);
    let left = fs::read_dir(to.incoming_dir().join(DATABASE)).expect("list").map(|file| file.expect("file"));
    assert_eq!(left.map(|file| file.metadata().expect("metadata").len()).sum::<u64>(), 0, "nothing of the old one");
}

#[test]
fn a_file_that_arrives_damaged_is_refused_and_can_be_sent_again() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(9)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    let mut receiver = Receiver::begin(&to.incoming_dir(), snapshot.manifest().clone()).expect("begin");
    let at = receiver.resume_point();
    let mut bytes = snapshot.read(at.file, 0, usize::MAX).expect("read").to_vec();
    bytes[0] ^= 1;
    let refused = receiver.write(at, &bytes);
    assert!(matches!(refused, Err(ReceiveError::Damaged { file }) if file == at.file));
    assert_eq!(receiver.resume_point(), at);
    send(&snapshot, &mut receiver, 10_000, usize::MAX);
    to.install(receiver.finish().expect("finish")).expect("install");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
}

/// Turns a bit of a file of a snapshot.
fn rot(snapshot: &Snapshot, name: &str) {
    let path = snapshot.dir().join(name);
    let mut bytes = fs::read(&path).expect("read");
    bytes[0] ^= 1;
    fs::write(&path, bytes).expect("write");
}

/// The name of a file of a kind.
fn named<'a>(snapshot: &'a Snapshot, part: &str) -> &'a str {
    let found = snapshot.manifest().files.iter().find(|file| file.name.contains(part) && file.bytes > 0);
    &found.expect("there is one").name
}

#[test]
fn a_snapshot_that_has_rotted_is_replaced_by_a_fresh_one_at_once() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(9)).expect("apply");
    let well = from.build_snapshot().expect("build");
    assert!(!from.replace_if_rotten(&well).expect("readable"), "it arrived damaged for another reason");
    for part in ["MANIFEST", "CURRENT"] {
        // Nothing has changed since: the same snapshot, and its files as they were.
        rot(&well, named(&well, part));
        assert_eq!(well.rotten(), [named(&well, part)]);
        assert!(from.replace_if_rotten(&well).expect("a fresh one"));
        assert!(from.current_snapshot().expect("it stays").rotten().is_empty());
    }
    from.apply(log(20).split_off(9)).expect("apply");
    fs::remove_file(well.dir().join(named(&well, "MANIFEST"))).expect("remove");
    assert!(from.replace_if_rotten(&well).expect("a fresh one"));
    let fresh = from.current_snapshot().expect("a fresh one");
    assert_eq!(fresh.manifest().applied, Some(id(19)));
    to.install(transfer(&fresh, &to)).expect("install");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
    assert!(from.replace_if_rotten(&well).expect("it has been replaced already"));
    assert_eq!(from.current_snapshot().expect("still").dir(), fresh.dir());
}

#[test]
fn a_snapshot_that_has_rotted_where_the_state_has_the_same_table_is_a_fault_of_the_state() {
    let dir = tempfile::tempdir().expect("dir");
    let from = rocks(dir.path());
    from.apply(log(9)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    rot(&snapshot, named(&snapshot, ".sst"));
    let damaged = from.replace_if_rotten(&snapshot);
    assert!(matches!(damaged, Err(Fault::Damaged { ref what }) if what.contains(".sst")), "{damaged:?}");
}

#[test]
fn a_manifest_that_says_something_else_than_the_files_is_not_installed() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(9)).expect("apply");
    to.apply(log(3)).expect("apply");
    let snapshot = from.build_snapshot().expect("build");
    let lie = Manifest { applied: Some(id(99)), ..snapshot.manifest().clone() };
    let mut receiver = Receiver::begin(&to.incoming_dir(), lie).expect("begin");
    send(&snapshot, &mut receiver, 10_000, usize::MAX);
    assert!(matches!(to.install(receiver.finish().expect("finish")), Err(Fault::Damaged { .. })));
    assert_eq!(to.applied().expect("applied").0, Some(id(2)));
    to.install(transfer(&snapshot, &to)).expect("the right one can be installed after that");
    assert_eq!(to.digest().expect("digest"), from.digest().expect("digest"));
}

#[test]
fn a_crash_at_any_step_of_an_installation_leaves_the_old_state_or_the_new() {
    let dir = tempfile::tempdir().expect("dir");
    let (from, to) = (rocks(&dir.path().join("from")), rocks(&dir.path().join("to")));
    from.apply(log(20)).expect("apply");
    to.apply(log(3)).expect("apply");
    to.flush().expect("flush");
    let (old, new) = (to.digest().expect("digest"), from.digest().expect("digest"));
    let snapshot = from.build_snapshot().expect("build");
    let copies = copies_at_each_step(&dir.path().join("to"), || {
        to.install(transfer(&snapshot, &to)).expect("install");
    });
    assert!(copies.len() >= 8, "{}", copies.len());
    let mut found = Vec::new();
    for copy in &copies {
        let store = rocks(copy.path());
        let digest = store.digest().expect("digest");
        let expected_mark = if digest == old { id(2) } else { id(19) };
        assert!(digest == old || digest == new);
        assert_eq!(store.applied().expect("applied").0, Some(expected_mark));
        found.push(digest == new);
        if digest == old {
            store.install(transfer(&snapshot, &store)).expect("it can be done again");
            assert_eq!(store.digest().expect("digest"), new);
        }
    }
    assert!(found.is_sorted() && found.contains(&true) && found.contains(&false), "{found:?}");
}

#[test]
fn a_crash_at_any_step_of_building_leaves_a_complete_snapshot_or_none() {
    let dir = tempfile::tempdir().expect("dir");
    let store = rocks(dir.path());
    store.apply(log(5)).expect("apply");
    store.build_snapshot().expect("build");
    store.apply(log(9).split_off(5)).expect("apply");
    let copies = copies_at_each_step(dir.path(), || drop(store.build_snapshot().expect("build")));
    assert!(copies.len() >= 5, "{}", copies.len());
    for copy in &copies {
        let reopened = rocks(copy.path());
        let snapshot = reopened.current_snapshot().expect("the old one or the new one");
        assert!([Some(id(4)), Some(id(8))].contains(&snapshot.manifest().applied));
        let target = tempfile::tempdir().expect("dir");
        let target = rocks(target.path());
        target.install(transfer(&snapshot, &target)).expect("install");
        assert_eq!(target.applied().expect("applied").0, snapshot.manifest().applied);
        let kept = fs::read_dir(copy.path().join("snapshots")).expect("list").count();
        assert_eq!(kept, 1, "what was unfinished or older is gone");
    }
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let ids =
        || proptest::option::of((0_u64..9, 0_u64..999).prop_map(|(term, index)| crate::LogId { term, ..id(index) }));
    let membership = proptest::option::of((ids(), proptest::collection::vec(any::<u8>(), 0..40)));
    let files = proptest::collection::btree_map("[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}", any::<(u64, [u8; 32])>(), 0..9);
    (ids(), membership, files).prop_map(|(applied, membership, files)| Manifest {
        applied,
        membership: membership.map(|(id, bytes)| (id, bytes.into())),
        files: files.into_iter().map(|(name, (bytes, sha256))| SnapshotFile { name, bytes, sha256 }).collect(),
    })
}

proptest! {
    #[test]
    fn a_manifest_reads_back_and_no_other_bytes_do(manifest in manifests(), at in any::<prop::sample::Index>()) {
        let mut bytes = manifest.encode();
        prop_assert_eq!(Manifest::decode(&bytes).expect("decode"), manifest);
        let at = at.index(bytes.len());
        prop_assert!(Manifest::decode(&bytes[..at]).is_err());
        bytes[at] ^= 1;
        prop_assert!(Manifest::decode(&bytes).is_err());
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in ["../CURRENT", "/etc/passwd", "a/b", ".", "..", "", ".hidden", "a\0b"] {
        let file = SnapshotFile { name: name.into(), bytes: 0, sha256: [0; 32] };
        let manifest = Manifest { applied: None, membership: None, files: vec![file] };
        assert!(Manifest::decode(&manifest.encode()).is_err(), "{name:?}");
    }
}
