use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::engine::{Batch, Disk, Engine, Family, Kind, Reader, RocksDisk};

const BATCHES: u32 = 20;

/// A log directory as a power cut would leave it after `BATCHES` synced batches, and where each of them ends in its
/// one file.
fn crashed_log(bytes: impl Fn(u32) -> usize) -> (tempfile::TempDir, PathBuf, Vec<usize>) {
    let live = tempfile::tempdir().expect("dir");
    let engine = RocksDisk::default().open(live.path(), Kind::Log).expect("open");
    let mut ends = Vec::new();
    for number in 0..BATCHES {
        let mut batch = Batch::default();
        let noise = (0..bytes(number)).map(|at| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(number) as u8);
        batch.put(Family::Entries, number.to_be_bytes().to_vec(), noise.collect());
        engine.write(batch, true).expect("write");
        ends.push(fs::metadata(only_log(live.path())).expect("metadata").len() as usize);
    }
    let crashed = copy(live.path());
    let log = only_log(crashed.path());
    (crashed, log, ends)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("dir");
    for file in fs::read_dir(from).expect("list").map(|file| file.expect("file").path()) {
        fs::copy(&file, to.path().join(file.file_name().expect("name"))).expect("copy");
    }
    to
}

fn only_log(dir: &Path) -> PathBuf {
    let logs = log_files(dir).expect("list");
    assert_eq!(logs.len(), 1);
    logs[0].clone()
}

/// Opens it as the node does: how many batches are there, and that they are the first ones.
fn batches_left(dir: &Path) -> Result<u32, Fault> {
    let engine = RocksDisk::default().open(dir, Kind::Log)?;
    let there = |number: &u32| engine.get(Family::Entries, &number.to_be_bytes()).expect("read").is_some();
    let left = (0..BATCHES).take_while(there).count() as u32;
    assert_eq!((0..BATCHES).filter(there).count() as u32, left, "without a gap");
    Ok(left)
}

#[test]
fn a_log_that_was_not_closed_is_whole() {
    for size in [10, 5_000, 100_000] {
        let (dir, log, ends) = crashed_log(|_| size);
        assert_eq!(judge(&fs::read(&log).expect("read")), Verdict::Whole);
        assert_eq!(fs::metadata(&log).expect("metadata").len(), *ends.last().expect("end") as u64);
        assert_eq!(cut_torn_tail(dir.path()).expect("scan"), 0);
        assert_eq!(batches_left(dir.path()).expect("open"), BATCHES);
    }
}

#[test]
fn a_tail_cut_short_is_torn_wherever_it_is_cut() {
    for size in [10, 5_000, 100_000] {
        let (dir, log, ends) = crashed_log(|_| size);
        let bytes = fs::read(&log).expect("read");
        let (begin, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        for at in (begin + 1..end).step_by(((end - begin) / 50).max(1)) {
            assert_eq!(judge(&bytes[..at]), Verdict::Torn { whole_to: begin }, "cut at {at}");
        }
        fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(end as u64 - 1)).expect("cut");
        assert_eq!(batches_left(dir.path()).expect("open"), BATCHES - 1);
        assert_eq!(batches_left(dir.path()).expect("open again"), BATCHES - 1);
    }
}

#[test]
fn zeroed_pages_of_the_last_batch_are_torn_though_the_size_is_kept() {
    // 200,000 bytes span seven blocks: pages reach the disk in any order, so any of them may be missing.
    let (dir, log, ends) = crashed_log(|number| if number + 1 == BATCHES { 200_000 } else { 3_000 });
    let bytes = fs::read(&log).expect("read");
    let begin = ends[ends.len() - 2];
    for page in (begin / 4096 + 1)..bytes.len() / 4096 {
        let mut torn = bytes.clone();
        torn[page * 4096..(page + 1) * 4096].fill(0);
        assert_eq!(judge(&torn), Verdict::Torn { whole_to: begin }, "page {page}");
    }
    let mut torn = bytes;
    torn[begin..].fill(0);
    assert_eq!(judge(&torn), Verdict::Torn { whole_to: begin });
    let page = begin / 4096 + 2;
    torn[page * 4096..(page + 1) * 4096].fill(0);
    fs::write(&log, torn).expect("write");
    assert_eq!(batches_left(dir.path()).expect("open"), BATCHES - 1);
}

#[test]
fn a_flipped_byte_in_an_acknowledged_batch_is_damage_and_nothing_is_touched() {
    let (dir, log, ends) = crashed_log(|_| 50_000);
    let mut bytes = fs::read(&log).expect("read");
    let middle_of_batch_10 = usize::midpoint(ends[8], ends[9]);
    bytes[middle_of_batch_10] ^= 1;
    fs::write(&log, &bytes).expect("write");
    let fault = batches_left(dir.path()).expect_err("refused");
    assert!(matches!(&fault, Fault::DamagedLog { at, .. } if (ends[8]..ends[9]).contains(&(*at as usize))), "{fault}");
    assert!(fault.to_string().contains("replace this node"));
    assert_eq!(fs::read(&log).expect("read"), bytes);
}

#[test]
fn any_flipped_byte_is_found_and_only_the_last_batch_can_be_torn() {
    for size in [20, 700, 40_000] {
        let (_dir, log, ends) = crashed_log(|_| size);
        let bytes = fs::read(&log).expect("read");
        let last = ends[ends.len() - 2];
        for at in (0..bytes.len()).step_by((bytes.len() / 150).max(1) | 1) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            let verdict = judge(&flipped);
            match verdict {
                Verdict::Torn { whole_to } => assert!(at >= last && whole_to == last, "{at}: {verdict:?}"),
                Verdict::Damaged { at: found } => assert!(at < last && found <= at, "{at}: {verdict:?}"),
                Verdict::Whole => panic!("byte {at} of {} went unnoticed", bytes.len()),
            }
        }
    }
}

#[test]
fn an_older_file_must_be_whole() {
    let (dir, log, ends) = crashed_log(|_| 100);
    let newer = dir.path().join("999999.log");
    fs::copy(&log, &newer).expect("copy");
    assert_eq!(cut_torn_tail(dir.path()).expect("both are whole"), 0);
    let file = fs::OpenOptions::new().write(true).open(&log).expect("open");
    file.set_len(ends[ends.len() - 1] as u64 - 1).expect("cut");
    assert!(matches!(cut_torn_tail(dir.path()), Err(Fault::DamagedLog { path, .. }) if path == log));
}
