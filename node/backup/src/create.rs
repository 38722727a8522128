//! Makes a backup of a snapshot.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use record::note::Signer;
use record::tree::{self, Hash};
use seal::{PublicKey, SealError};
use sha2::{Digest, Sha256};
use state::View;
use state::view::{Rows, heads};
use store::{Fault, Snapshot, SnapshotFile, Space, TreeNodes};
use types::key::Holder;
use types::limits::BACKUP_CHUNK_BYTES;
use types::row::Heads;
use types::{ClusterId, Lineage, NodeId, Timestamp};

use crate::contents::Contents;
use crate::evidence;
use crate::target::Partial;
use crate::{Error, Evidence, Item, Manifest, Pace, Progress, Series, Target};

/// Bytes that sealing adds to a file: what it begins with, and a tag for each chunk.
const HEADER_BYTES: u64 = 40;
const TAG_BYTES: u64 = 16;

/// What a backup is made of.
#[derive(Debug)]
pub struct Order {
    /// The state, as files.
    pub snapshot: Snapshot,
    /// The cluster.
    pub cluster: ClusterId,
    /// Its history.
    pub lineage: Lineage,
    /// The recovery kit.
    pub recovery: PublicKey,
    /// The node that makes it.
    pub node: NodeId,
    /// When: the time that the cluster has in the snapshot, or the first one after it that gives the backup a name of its
    /// own. No machine's clock: that may be years off.
    pub created: Timestamp,
    /// Records of the audit log in the snapshot.
    pub records: u64,
    /// The root over them.
    pub root: Hash,
    /// Who signs the audit log, as the snapshot knows it.
    pub signers: Vec<(NodeId, types::row::Signer)>,
    /// A sealed head that covers them, if there is one.
    pub evidence: Option<Evidence>,
}

impl Order {
    /// What a snapshot says of itself, to be put into `target`. `view` is of the snapshot.
    ///
    /// Errors: [`Error::NoKit`] if nothing could open a backup.
    pub fn new<V: View<Fault = Fault>>(
        snapshot: Snapshot,
        view: &V,
        node: NodeId,
        target: &Target,
    ) -> Result<Self, Error> {
        let cluster = view.cluster()?.ok_or(Error::NoKit)?;
        let recovery = PublicKey(view.key_holder(Holder::Recovery)?.ok_or(Error::NoKit)?.public);
        let Heads { clock, records, .. } = heads(view)?;
        let created = target.free_time(clock, node);
        let root = tree::root(&TreeNodes(view), records)?;
        let (cluster, lineage, signers) = (cluster.id, cluster.lineage, evidence::signers(view)?);
        Ok(Self { snapshot, cluster, lineage, recovery, node, created, records, root, signers, evidence: None })
    }
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it consists of.
    pub manifest: Manifest,
    /// Bytes written for it; the rest was there already.
    pub written: u64,
    /// Files that were there already.
    pub reused: usize,
}

/// Makes a backup: sealed files first, each whole before it has its name, the manifest last. What an interruption leaves
/// is nobody's backup, and goes with the next one.
pub fn create(
    order: &Order,
    target: &Target,
    series: &Series,
    signer: Option<&Signer>,
    mut pace: Pace,
    progress: Progress<'_>,
) -> Result<Made, Error> {
    let dir = target.prepare(&series.id)?;
    let there = known(target, series, order)?;
    let snapshot = order.snapshot.manifest();
    let name = name_of(order.created, order.node);
    let mut manifest = Manifest {
        name,
        cluster: order.cluster,
        lineage: order.lineage,
        node: order.node,
        created: order.created,
        applied: snapshot.applied.map_or(0, |applied| applied.index),
        records: order.records,
        root: order.root,
        recovery: series.recovery,
        series: series.id,
        envelope: series
            .key
            .envelope(&series.recovery, &Manifest::context(order.cluster, order.lineage, &series.id))?,
        contents: Item { name: [0; 32], bytes: 0, sha256: [0; 32] },
        files: Vec::new(),
        signature: None,
    };
    let contents = Contents { head: manifest.head(), snapshot: snapshot.clone(), evidence: order.evidence.clone() };
    let contents = contents.encode();

    let (mut missing, mut reused) = (Vec::new(), 0);
    for (place, file) in snapshot.files.iter().enumerate() {
        let name = series.key.name_of(&file.sha256, file.bytes)?;
        match there.get(&name).filter(|item| has_length(target, series, item)) {
            Some(item) => {
                manifest.files.push(item.clone());
                reused += 1;
            }
            None => missing.push((place, file, name)),
        }
    }
    let total: u64 = missing.iter().map(|(_, file, _)| file.bytes).sum();
    let needed = total + sealed_bytes(contents.len() as u64) + snapshot.files.len() as u64 * 256;
    let free = Space::at(&dir)?.free;
    if free < needed {
        return Err(Error::NoRoom { path: target.dir().to_owned(), needed, free });
    }
    let (mut done, mut written) = (0, 0);
    for (place, file, name) in missing {
        let mut part = |bytes: u64| -> Result<(), Error> {
            done += bytes;
            progress(done, total);
            pace.took(bytes)
        };
        let read = |offset: u64| order.snapshot.read(place, offset, BACKUP_CHUNK_BYTES).map_err(Error::from);
        let item =
            seal_file(target, series, name, file, read, &mut part).map_err(|error| full(error, target, total))?;
        written += item.bytes;
        manifest.files.push(item);
    }
    manifest.files.sort();
    manifest.files.dedup(); // Two files of the same bytes are one.

    let hash: [u8; 32] = Sha256::digest(&contents).into();
    let file = SnapshotFile { name: "contents".into(), bytes: contents.len() as u64, sha256: hash };
    let name = series.key.name_of(&file.sha256, file.bytes)?;
    let read = |offset: u64| {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
        Ok(contents[from..contents.len().min(from.saturating_add(BACKUP_CHUNK_BYTES))].to_vec())
    };
    manifest.contents = seal_file(target, series, name, &file, read, &mut |_| Ok(()))
        .map_err(|error| full(error, target, file.bytes))?;
    written += manifest.contents.bytes;
    signer.inspect(|signer| manifest.sign(signer));
    target.put_manifest(&manifest).map_err(|error| full(error, target, 1))?;
    Ok(Made { manifest, written, reused })
}

/// Files of this series that a complete backup has put there.
fn known(target: &Target, series: &Series, order: &Order) -> Result<HashMap<[u8; 32], Item>, Error> {
    let mut known = HashMap::new();
    for name in target.names()? {
        let Ok(manifest) = target.manifest(&name) else { continue }; // Verification will say what is wrong with it.
        if manifest.series == series.id && manifest.cluster == order.cluster {
            known.extend(manifest.files.into_iter().map(|item| (item.name, item)));
        }
    }
    Ok(known)
}

fn has_length(target: &Target, series: &Series, item: &Item) -> bool {
    std::fs::metadata(target.file_path(&series.id, item)).is_ok_and(|file| file.len() == item.bytes)
}

fn sealed_bytes(plain: u64) -> u64 {
    HEADER_BYTES + plain + TAG_BYTES * plain.div_ceil(BACKUP_CHUNK_BYTES as u64).max(1)
}

/// Seals one file, and makes sure on the way that it is still what the snapshot says.
fn seal_file<B: AsRef<[u8]>>(
    target: &Target,
    series: &Series,
    name: [u8; 32],
    file: &SnapshotFile,
    read: impl Fn(u64) -> Result<B, Error>,
    part: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<Item, Error> {
    let path = target.file_path(&series.id, &Item { name, bytes: 0, sha256: [0; 32] });
    let mut partial = Partial::create(&path)?;
    let sealed = (|| {
        let out = Hashing { out: BufWriter::new(&mut partial.file), hash: Sha256::new(), bytes: 0 };
        let mut sealing = series.key.seal(&name, out).map_err(|error| sealing_failed(error, &path))?;
        let (mut hash, mut offset) = (Sha256::new(), 0);
        while offset < file.bytes {
            let bytes = read(offset)?;
            let bytes = bytes.as_ref();
            hash.update(bytes);
            sealing.write(bytes).map_err(|error| sealing_failed(error, &path))?;
            offset += bytes.len() as u64;
            part(bytes.len() as u64)?;
        }
        if hash.finalize().as_slice() != file.sha256 {
            let what = format!("the file {} of this node's own state, which changed while it was read", file.name);
            return Err(Error::State(Fault::Damaged { what }));
        }
        let mut out = sealing.finish().map_err(|error| sealing_failed(error, &path))?;
        out.out.flush().map_err(Error::io("write", &path))?;
        Ok(Item { name, bytes: out.bytes, sha256: out.hash.finalize().into() })
    })();
    match sealed {
        Ok(item) => partial.put_in_place().map(|()| item),
        Err(error) => {
            partial.give_up();
            Err(error)
        }
    }
}

fn sealing_failed(error: SealError, path: &std::path::Path) -> Error {
    match error {
        SealError::Seal(error) => error.into(),
        SealError::Io(source) => Error::io("write", path)(source),
    }
}

/// A write that found no room says so in the target's terms.
fn full(error: Error, target: &Target, needed: u64) -> Error {
    match error {
        Error::Io { ref source, .. } if Error::is_no_room(source) => {
            let free = Space::at(target.dir()).map_or(0, |space| space.free);
            Error::NoRoom { path: target.dir().to_owned(), needed, free }
        }
        other => other,
    }
}

/// Hashes and counts what goes through.
struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `20261122T101503Z-a1`: names sort as times do.
///
/// Source: Howard Hinnant, `civil_from_days`.
pub(crate) fn name_of(created: Timestamp, node: NodeId) -> String {
    let seconds = created.0 / 1_000;
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{node}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Incarnation, Slot};

    #[test]
    fn names_are_times_of_the_calendar() {
        let name = |seconds: u64| name_of(Timestamp(seconds * 1_000), NodeId::new(Slot::B, Incarnation(3)));
        assert_eq!(name(0), "19700101T000000Z-b3");
        assert_eq!(name(951_782_400), "20000229T000000Z-b3");
        assert_eq!(name(1_795_342_503), "20261122T101503Z-b3");
        assert_eq!(name(1_798_761_599), "20261231T235959Z-b3");
    }
}
