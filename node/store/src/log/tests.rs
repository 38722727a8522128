use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use proptest::prelude::*;
use types::NodeId;
use types::limits::{LOG_QUEUE_BYTES_MAX, LOG_TAIL_BYTES_MAX};

use super::*;
use crate::Fault;
use crate::engine::{Batch, Disk, Engine, Family, Kind, MemDisk, MemEngine, Reader, RocksDisk};

type Store = LogStore<MemEngine>;

fn id(term: u64, index: u64) -> LogId {
    LogId { term, node: NodeId(5), index }
}

fn entry(term: u64, index: u64) -> LogEntry {
    LogEntry { id: id(term, index), payload: Payload::Commands(Bytes::from(format!("{term} {index}"))) }
}

fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<LogEntry> {
    indexes.map(|index| entry(term, index)).collect()
}

fn nothing() -> Callback {
    Box::new(|_| {})
}

fn open(disk: &MemDisk, dir: &Path) -> (Store, LogWriter<MemEngine>) {
    LogStore::open(disk.open(dir, Kind::Log).expect("disk")).expect("log")
}

fn work(writer: &LogWriter<MemEngine>) {
    while writer.step().expect("write") {}
}

fn all<E: Engine>(store: &LogStore<E>) -> Vec<LogEntry> {
    store.read(0..u64::MAX, usize::MAX).expect("read")
}

#[test]
fn entries_are_readable_before_they_are_written_and_after_they_are_read_back() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let mut kinds = entries(1, 0..3);
    kinds[0].payload = Payload::Blank;
    kinds[1].payload = Payload::Membership(Bytes::from_static(b"three"));
    store.append(kinds.clone(), nothing()).expect("append");
    assert_eq!(all(&store), kinds);
    work(&writer);
    drop((store, writer));
    let (store, _writer) = open(&disk, dir.path());
    assert_eq!(all(&store), kinds);
    assert_eq!(store.bounds(), (None, Some(id(1, 2))));
}

#[test]
fn a_power_cut_leaves_everything_whose_callback_ran_and_nothing_out_of_order() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let done = Arc::new(Mutex::new(Vec::new()));
    let tell = |what: u64| -> Callback {
        let done = done.clone();
        Box::new(move |result| done.lock().expect("lock").push((what, result.is_ok())))
    };
    store.append(entries(1, 0..2), tell(1)).expect("append");
    store.save_vote(Vote { term: 3, node: NodeId(6), committed: false }, tell(2));
    work(&writer);
    store.append(entries(3, 2..5), tell(3)).expect("append");
    assert_eq!(*done.lock().expect("lock"), [(1, true), (2, true)], "in order, and only what was written");
    disk.cut_power(0);
    drop((store, writer));
    assert_eq!(done.lock().expect("lock").last(), Some(&(3, false)), "whoever waits hears of the end");

    let (store, _writer) = open(&disk, dir.path());
    assert_eq!(all(&store), entries(1, 0..2));
    assert_eq!(store.vote(), Some(Vote { term: 3, node: NodeId(6), committed: false }));
}

#[test]
fn what_waits_together_is_written_together() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    for index in 0..100 {
        store.append(vec![entry(1, index)], nothing()).expect("append");
    }
    assert!(writer.step().expect("write"));
    assert!(!writer.step().expect("write"), "one batch took them all");
    assert_eq!(store.queue_bytes(), 0);
}

#[test]
fn a_failed_write_stops_the_log_and_tells_everyone() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let (tell, told) = mpsc::channel();
    let callback = |what: u64| -> Callback {
        let tell = tell.clone();
        Box::new(move |result| tell.send((what, result.is_err())).expect("send"))
    };
    disk.fail_next_write(Kind::Log);
    store.append(entries(1, 0..1), callback(1)).expect("append");
    assert!(writer.step().is_err());
    store.append(entries(1, 1..2), callback(2)).expect("append");
    store.save_vote(Vote::default(), callback(3));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    assert!(writer.step().is_err(), "never tried again, though the disk would take it now");
}

#[test]
fn what_was_never_acknowledged_survives_a_power_cut_or_not_but_whole() {
    for (survivors, left) in [(0, 2), (1, 7)] {
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let (store, writer) = open(&disk, dir.path());
        store.append(entries(1, 0..2), nothing()).expect("append");
        work(&writer);
        disk.fail_next_write(Kind::Log);
        store.append(entries(1, 2..7), nothing()).expect("append");
        assert!(writer.step().is_err());
        disk.cut_power(survivors);
        drop((store, writer));
        assert_eq!(all(&open(&disk, dir.path()).0), entries(1, 0..left));
    }
}

#[test]
fn the_writer_ends_when_the_log_is_gone_and_nothing_waits() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let running = std::thread::spawn(move || writer.run().is_ok());
    let (tell, told) = mpsc::channel();
    store.append(entries(1, 0..9), Box::new(move |result| tell.send(result.is_ok()).expect("send"))).expect("append");
    store.save_committed(Some(id(1, 8)));
    drop(store);
    assert!(told.recv().expect("told") && running.join().expect("join"));
    let (store, _writer) = open(&disk, dir.path());
    assert_eq!((store.committed(), all(&store).len()), (Some(id(1, 8)), 9));
}

#[test]
fn the_committed_mark_waits_for_the_next_batch() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    store.append(entries(1, 0..2), nothing()).expect("append");
    store.save_committed(Some(id(1, 0)));
    work(&writer);
    store.save_committed(Some(id(1, 1)));
    assert_eq!(store.committed(), Some(id(1, 1)));
    disk.cut_power(0);
    drop((store, writer));
    assert_eq!(open(&disk, dir.path()).0.committed(), Some(id(1, 0)));
}

#[test]
fn a_truncated_log_goes_on_with_other_entries() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    store.append(entries(1, 0..6), nothing()).expect("append");
    work(&writer);
    store.truncate_after(Some(id(1, 2))).expect("truncate");
    assert_eq!(store.bounds().1, Some(id(1, 2)));
    store.append(entries(2, 3..5), nothing()).expect("append");
    let expected: Vec<_> = entries(1, 0..3).into_iter().chain(entries(2, 3..5)).collect();
    assert_eq!(all(&store), expected);
    work(&writer);
    drop((store, writer));
    let (store, writer) = open(&disk, dir.path());
    assert_eq!(all(&store), expected);
    store.truncate_after(None).expect("truncate");
    work(&writer);
    assert_eq!((all(&store), store.bounds()), (Vec::new(), (None, None)));
}

#[test]
fn the_purge_mark_outlives_the_entries_and_a_purge_may_go_beyond_the_last() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    store.append(entries(1, 0..6), nothing()).expect("append");
    store.purge(id(1, 3));
    assert_eq!((store.bounds(), all(&store)), ((Some(id(1, 3)), Some(id(1, 5))), entries(1, 4..6)));
    work(&writer);
    store.purge(id(4, 90));
    work(&writer);
    drop((store, writer));
    let (store, _writer) = open(&disk, dir.path());
    assert_eq!((store.bounds(), all(&store)), ((Some(id(4, 90)), Some(id(4, 90))), Vec::new()));
    store.append(entries(4, 91..93), nothing()).expect("goes on behind the mark");
    assert!(store.append(entries(4, 95..96), nothing()).is_err(), "a gap is refused");
}

#[test]
fn a_missing_entry_is_a_fault_and_never_silence() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    store.append(entries(1, 0..9), nothing()).expect("append");
    work(&writer);
    drop((store, writer));
    let engine = disk.open(dir.path(), Kind::Log).expect("disk");
    let mut batch = Batch::default();
    batch.delete(Family::Entries, 4_u64.to_be_bytes().to_vec());
    engine.write(batch, true).expect("write");
    let (store, _writer) = LogStore::open(engine).expect("log");
    assert!(matches!(store.read(0..9, usize::MAX), Err(Fault::Hole { index: 4 })));
    assert_eq!(store.read(5..9, usize::MAX).expect("read"), entries(1, 5..9));
}

#[test]
fn a_read_has_at_least_one_entry_and_otherwise_keeps_to_its_bytes() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    store.append(entries(1, 0..9), nothing()).expect("append");
    let size = entry(1, 0).size();
    for _ in ["from the tail", "from the engine"] {
        assert_eq!(store.read(2..9, 1).expect("read"), entries(1, 2..3));
        assert_eq!(store.read(2..9, 3 * size).expect("read"), entries(1, 2..5));
        assert_eq!(store.bytes_since(5).expect("bytes"), 3 * size as u64);
        assert_eq!(store.id_at(5).expect("id"), Some(id(1, 5)));
        work(&writer);
        store.forget_tail();
    }
}

#[test]
fn large_entries_leave_the_tail_once_written_and_are_read_across_both() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let payload = Bytes::from(vec![7; LOG_TAIL_BYTES_MAX / 8]);
    let big = |index| LogEntry { id: id(1, index), payload: Payload::Commands(payload.clone()) };
    for index in 0..12 {
        store.append(vec![big(index)], nothing()).expect("append");
        if index < 10 {
            work(&writer);
        }
    }
    let ids: Vec<u64> = all(&store).iter().map(|entry| entry.id.index).collect();
    assert_eq!(ids, (0..12).collect::<Vec<_>>());
    assert!(store.tail_bytes() <= LOG_TAIL_BYTES_MAX + 2 * (payload.len() + 64));
}

#[test]
fn a_full_queue_lets_nobody_in_until_the_disk_has_caught_up() {
    let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = open(&disk, dir.path());
    let (tell, told) = mpsc::channel();
    let big = Payload::Commands(Bytes::from(vec![7; LOG_QUEUE_BYTES_MAX]));
    store.append(vec![LogEntry { id: id(1, 0), payload: big }], nothing()).expect("append");
    store.when_room(Box::new(move || tell.send(()).expect("send")));
    assert!(told.try_recv().is_err());
    work(&writer);
    assert!(told.try_recv().is_ok());
}

proptest! {
    #[test]
    fn any_history_reads_back_as_a_plain_list_does(steps in proptest::collection::vec((0_u8..5, 0_u64..12), 1..60)) {
        let (disk, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
        let (mut store, mut writer) = open(&disk, dir.path());
        let mut plain: Vec<LogEntry> = Vec::new();
        let mut purged: Option<LogId> = None;
        for (term, (step, number)) in (1..).zip(steps) {
            let next = plain.last().map(|entry| entry.id).or(purged).map_or(0, |id| id.index + 1);
            match step {
                0 | 1 => {
                    plain.extend(entries(term, next..next + number));
                    store.append(entries(term, next..next + number), nothing()).expect("append");
                }
                2 if plain.len() as u64 > number => {
                    let after = plain[number as usize].id;
                    plain.truncate(number as usize + 1);
                    store.truncate_after(Some(after)).expect("truncate");
                }
                3 if plain.len() as u64 > number => {
                    purged = Some(plain[number as usize].id);
                    plain.drain(..=number as usize);
                    store.purge(purged.expect("set"));
                }
                4 => {
                    work(&writer);
                    if number > 6 {
                        drop((store, writer));
                        disk.cut_power(0);
                        (store, writer) = open(&disk, dir.path());
                    }
                }
                _ => {}
            }
            prop_assert_eq!(&all(&store), &plain);
            prop_assert_eq!(store.bounds(), (purged, plain.last().map(|entry| entry.id).or(purged)));
            let bytes: usize = plain.iter().skip(1).map(LogEntry::size).sum();
            prop_assert_eq!(store.bytes_since(plain.first().map_or(0, |entry| entry.id.index)).expect("bytes"), bytes as u64);
        }
    }
}

#[test]
fn rocksdb_keeps_what_the_memory_keeps() {
    let (disk, dir) = (RocksDisk::default(), tempfile::tempdir().expect("dir"));
    let (store, writer) = LogStore::open_dir(&disk, dir.path()).expect("open");
    store.append(entries(1, 0..300), nothing()).expect("append");
    store.save_vote(Vote { term: 9, node: NodeId(7), committed: true }, nothing());
    store.purge(id(1, 99));
    store.truncate_after(Some(id(1, 199))).expect("truncate");
    store.append(entries(2, 200..210), nothing()).expect("append");
    store.save_committed(Some(id(2, 205)));
    while writer.step().expect("write") {}
    let expected: Vec<_> = entries(1, 100..200).into_iter().chain(entries(2, 200..210)).collect();
    assert_eq!(all(&store), expected);
    store.healthy().expect("healthy");
    drop((store, writer));
    let (store, _writer) = LogStore::open_dir(&disk, dir.path()).expect("open again");
    assert_eq!(all(&store), expected);
    assert_eq!(store.bounds(), (Some(id(1, 99)), Some(id(2, 209))));
    assert_eq!(store.vote(), Some(Vote { term: 9, node: NodeId(7), committed: true }));
    assert_eq!(store.committed(), Some(id(2, 205)));
}

#[test]
fn both_engines_show_the_same_ranges() {
    let (memory, dir) = (MemDisk::default(), tempfile::tempdir().expect("dir"));
    let memory = memory.open(&dir.path().join("memory"), Kind::Log).expect("memory");
    let rocks = RocksDisk::default().open(&dir.path().join("rocks"), Kind::Log).expect("rocks");
    let mut batch = Batch::default();
    for key in [&b"a"[..], b"b", b"b\0", b"ba", b"c", b"d"] {
        batch.put(Family::Entries, key.to_vec(), b"1".to_vec());
    }
    batch.delete_range(Family::Entries, b"c".to_vec(), b"d".to_vec());
    batch.put(Family::LogMarks, b"b".to_vec(), b"other family".to_vec());
    memory.write(batch.clone(), true).expect("write");
    rocks.write(batch, true).expect("write");
    let bounds = [Bound::Unbounded, Bound::Included(&b"b"[..]), Bound::Excluded(b"b"), Bound::Included(b"d")];
    for (from, to, reverse) in bounds.iter().flat_map(|f| bounds.iter().flat_map(|t| [(*f, *t, false), (*f, *t, true)]))
    {
        let show = |reader: &dyn Reader| {
            let mut keys = Vec::new();
            let mut visit = |key: &[u8], _: &[u8]| {
                keys.push(key.to_vec());
                Ok(ControlFlow::Continue(()))
            };
            reader.range(Family::Entries, (from, to), reverse, &mut visit).map(|()| keys).ok()
        };
        let empty = matches!((from, to), (Bound::Included(b"d"), Bound::Included(b"b") | Bound::Excluded(b"b")))
            || matches!((from, to), (Bound::Excluded(b"b"), Bound::Excluded(b"b") | Bound::Included(b"b")));
        if !empty {
            assert_eq!(show(&memory), show(&rocks), "{from:?} {to:?} {reverse}");
            assert_eq!(show(memory.view().as_ref()), show(rocks.view().as_ref()));
        }
    }
}
