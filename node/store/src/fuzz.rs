//! What reads bytes that a disk or another node gave, as functions for `tests/fuzz`: none may panic, and what is taken
//! must be written back as it was. Each has samples, and where a checksum would end every try at the door, what sets it right.

use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, Timestamp};

use crate::engine::wal_scan::{Verdict, judge, masked, records};
use crate::identity::text;
use crate::log::entry::{self, Placed};
use crate::{Identity, LogEntry, LogId, Manifest, Payload, Promises, Remembered, SnapshotFile, Vote, remembered};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;

/// The scan of a log's WAL. What is left after a cut is whole.
pub fn wal(bytes: &[u8]) {
    match judge(bytes) {
        Verdict::Whole => {
            let of_records: usize = records(bytes).map(|(_, record)| record.len()).sum();
            assert!(of_records <= bytes.len(), "records are longer than the file");
        }
        Verdict::Torn { whole_to } => {
            assert_eq!(judge(&bytes[..whole_to]), Verdict::Whole, "what is left of a torn file is not whole");
        }
        Verdict::Damaged { at } => assert!(at < bytes.len(), "damage behind the end"),
    }
}

/// Files as RocksDB frames them: small records, one over several blocks, one that ends at the edge of a block.
#[must_use]
pub fn wal_samples() -> Vec<Vec<u8>> {
    let sizes: [&[usize]; 4] = [&[0, 1, 20, 300], &[70_000, 5], &[BLOCK_BYTES - HEADER_BYTES, 9], &[32_755, 40]];
    sizes.into_iter().map(framed).collect()
}

fn framed(sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for size in sizes {
        let (mut left, mut first) = (*size, true);
        loop {
            let room = BLOCK_BYTES - out.len() % BLOCK_BYTES;
            if room < HEADER_BYTES {
                out.resize(out.len() + room, 0);
                continue;
            }
            let part = left.min(room - HEADER_BYTES);
            left -= part;
            let kind = match (first, left == 0) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            put_fragment(&mut out, kind, &vec![0xA5; part]);
            first = false;
            if left == 0 {
                break;
            }
        }
    }
    out
}

fn put_fragment(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let crc = masked(crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload));
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
}

/// Gives the fragments that stand one after the other right checksums.
pub fn wal_mend(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER_BYTES>) {
        let end = at + HEADER_BYTES + usize::from(u16::from_le_bytes([header[4], header[5]]));
        let Some(checked) = bytes.get(at + 6..end) else { return };
        let crc = masked(crc32c::crc32c(checked)).to_le_bytes();
        bytes[at..at + 4].copy_from_slice(&crc);
        at = end;
        let room = BLOCK_BYTES - at % BLOCK_BYTES;
        if room < HEADER_BYTES {
            at += room;
        }
    }
}

/// The manifest of a snapshot, from another node.
pub fn manifest(bytes: &[u8]) {
    if let Ok(read) = Manifest::decode(bytes) {
        assert!(read.encode() == bytes, "a manifest has two spellings");
        let _ = (read.bytes(), read.id());
    }
}

/// With and without a membership and files.
#[must_use]
pub fn manifest_samples() -> Vec<Vec<u8>> {
    let id = LogId { term: 7, node: NodeId(5), index: 99 };
    let file = |name: &str| SnapshotFile { name: name.into(), bytes: 70_000, sha256: [7; 32] };
    let files = vec![file("000012.sst"), file("CURRENT"), file("MANIFEST-000001")];
    let full = Manifest { applied: Some(id), membership: Some((Some(id), Bytes::from_static(b"who"))), files };
    [Manifest { applied: None, membership: None, files: Vec::new() }, full].iter().map(Manifest::encode).collect()
}

/// Gives it the right hash.
pub fn manifest_mend(bytes: &mut Vec<u8>) {
    let end = bytes.len().saturating_sub(32);
    bytes.truncate(end);
    let hash = Sha256::digest(&*bytes);
    bytes.extend_from_slice(&hash);
}

/// The file `identity`.
pub fn identity(bytes: &[u8]) {
    let (Ok(text), nowhere) = (std::str::from_utf8(bytes), Path::new("")) else { return };
    if let Ok(read) = text::read(text, 1, nowhere, nowhere) {
        let again = text::read(&text::write(&read, 1), 1, nowhere, nowhere);
        assert!(again.is_ok_and(|again| again == read), "an identity does not read back");
    }
}

/// One.
#[must_use]
pub fn identity_samples() -> Vec<Vec<u8>> {
    let node = NodeId::new(Slot::B, Incarnation(3));
    let (cluster, lineage) = (ClusterId([1; 16]), Lineage([2; 16]));
    let identity = Identity { cluster, lineage, node, disk: [4; 16], created: Timestamp(1_800_000_000_000) };
    vec![text::write(&identity, 1).into_bytes()]
}

/// The file `remembered`.
pub fn remembered(bytes: &[u8]) {
    if let Some(read) = remembered::read(bytes) {
        let again = remembered::read(remembered::write(&read).as_bytes());
        let kept = again
            .as_ref()
            .is_some_and(|again| again.nodes.iter().all(|(node, seen)| read.nodes.get(node) == Some(seen)));
        assert!(kept, "what is remembered does not read back");
    }
}

/// Of nobody, and of several.
#[must_use]
pub fn remembered_samples() -> Vec<Vec<u8>> {
    let vote = Vote { term: 7, node: NodeId(2), committed: false };
    let log = LogId { term: 6, node: NodeId(1), index: 99 };
    let full = Promises { boot_seq: 3, nonce: u64::MAX, vote: Some(vote), log: Some(log) };
    let nodes = [(NodeId(1), full), (NodeId(2), Promises::default())].into();
    let some = Remembered { nodes, barred: true, lineage: Some(Lineage([2; 16])) };
    [Remembered::default(), some].iter().map(|one| remembered::write(one).into_bytes()).collect()
}

/// Gives a file that ends with the hash of its lines the right one.
pub fn lines_mend(bytes: &mut Vec<u8>) {
    const SUM: &[u8] = b"sha256 = ";
    let end = bytes.windows(SUM.len()).position(|window| window == SUM).unwrap_or(bytes.len());
    bytes.truncate(end);
    let hash: String = Sha256::digest(&*bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.extend_from_slice(SUM);
    bytes.extend_from_slice(hash.as_bytes());
    bytes.push(b'\n');
}

/// An entry of the log, as it is stored.
pub fn log_entry(bytes: &[u8]) {
    if let Ok(read) = entry::decode(7, bytes) {
        assert!(read.entry.payload.is_empty() || entry::encode(&read) == bytes, "a log entry has two spellings");
    }
}

/// One of each kind.
#[must_use]
pub fn log_entry_samples() -> Vec<Vec<u8>> {
    let id = LogId { term: 7, node: NodeId(5), index: 7 };
    let payloads = [
        Payload::Blank,
        Payload::Commands(Bytes::from_static(b"commands")),
        Payload::Membership(Bytes::from_static(b"who")),
    ];
    let placed = |payload| Placed { entry: LogEntry { id, payload }, log_bytes: 12_345, job: 0 };
    payloads.into_iter().map(|payload| entry::encode(&placed(payload))).collect()
}
