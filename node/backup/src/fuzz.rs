//! What reads bytes that lie where backups lie, as functions for `tests/fuzz`: none may panic, and what is taken has one
//! spelling.

use record::note::Signer;
use seal::PublicKey;
use sha2::{Digest, Sha256};
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, Timestamp};

use crate::contents::Contents;
use crate::{Evidence, Item, Manifest, hex, series};

/// The manifest of a backup.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = Manifest::decode(text) {
        assert_eq!(read.encode(), text, "a manifest has two spellings");
        let _ = read.bytes();
    }
}

/// One that is signed, and one that is not.
#[must_use]
pub fn manifest_samples() -> Vec<Vec<u8>> {
    let item = |byte: u8| Item { name: [byte; 32], bytes: 70_000, sha256: [byte; 32] };
    let plain = Manifest {
        name: "20261122T101500Z-a1".into(),
        cluster: ClusterId([1; 16]),
        lineage: Lineage([2; 16]),
        node: NodeId::new(Slot::A, Incarnation(1)),
        created: Timestamp(1_800_000_000_000),
        applied: 99,
        records: 7,
        root: [3; 32],
        recovery: PublicKey([4; 32]),
        series: [5; 16],
        envelope: vec![6; 80],
        contents: item(7),
        files: vec![item(8), item(9)],
        signature: None,
    };
    let mut signed = plain.clone();
    if let Ok(signer) = Signer::from_seed("tricord/audit/x/a1", [7; 32]) {
        signed.sign(&signer);
    }
    [plain, signed].iter().map(|one| one.encode().into_bytes()).collect()
}

/// Gives its lines the right hash, and no signature.
pub fn manifest_mend(bytes: &mut Vec<u8>) {
    lines_mend(bytes);
    bytes.extend_from_slice(b"unsigned\n");
}

/// Gives a file that ends with the hash of its lines the right one.
pub fn lines_mend(bytes: &mut Vec<u8>) {
    const SUM: &[u8] = b"\nsha256 ";
    let end = bytes.windows(SUM.len()).position(|window| window == SUM).map_or(bytes.len(), |at| at + 1);
    bytes.truncate(end);
    let hash: [u8; 32] = Sha256::digest(&*bytes).into();
    bytes.extend_from_slice(format!("sha256 {}\n", hex::encode(&hash)).as_bytes());
}

/// The list of what its files are, once it is opened.
pub fn contents(bytes: &[u8]) {
    if let Some(read) = Contents::decode(bytes) {
        assert!(read.encode() == bytes, "a list of contents has two spellings");
    }
}

/// With and without evidence.
#[must_use]
pub fn contents_samples() -> Vec<Vec<u8>> {
    let snapshot = store::Manifest { applied: None, membership: None, files: Vec::new() };
    let evidence = Evidence { note: "tricord\n1\nAAAA\n\n".into(), proof: vec![[1; 32], [2; 32]] };
    let with = |evidence| Contents { head: "tricord-backup 1\n".into(), snapshot: snapshot.clone(), evidence }.encode();
    vec![with(None), with(Some(evidence))]
}

/// The file of a series.
pub fn series(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(series::read(text));
    }
}

/// One.
#[must_use]
pub fn series_samples() -> Vec<Vec<u8>> {
    let (cluster, lineage) = (ClusterId([1; 16]), Lineage([2; 16]));
    let (sixteen, key) = (hex::encode(&[5; 16]), hex::encode(&[6; 32]));
    let mut text = format!(
        "tricord-backup-series 1\nid {sixteen}\ncluster {cluster}\nlineage {lineage}\nbegan 7\nrecovery {key}\nkey {key}\n"
    )
    .into_bytes();
    lines_mend(&mut text);
    vec![text]
}
