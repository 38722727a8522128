//! Verifies a backup by restoring it where nobody else is, and says what was shown and what was not.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use record::FoundingKeys;
use record::tree::{self, Hash, Memory};
use record::verify::{Log, Problem, Report};
use seal::NodeKey;
use sha2::{Digest, Sha256};
use state::view::{Rows, heads};
use store::{RocksDisk, StateView, TreeNodes};
use types::{ClusterId, Lineage, NodeId, Table};

use crate::contents::Contents;
use crate::kit::{self, KitProof};
use crate::room::Room;
use crate::{Error, Evidence, Manifest, Progress, Series, Target, evidence, restore};

/// What a backup is opened with.
#[derive(Debug)]
pub enum Opener {
    /// The recovery kit, put together from two shares.
    Kit(NodeKey),
    /// The series' own key, on the node that makes the backups. It shows nothing of the kit.
    Series(Series),
}

/// What a backup must be of; what is not known is not asked.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The cluster.
    pub cluster: Option<ClusterId>,
    /// Its history.
    pub lineage: Option<Lineage>,
    /// Who signed the audit log from its first record on.
    pub founding: Option<FoundingKeys>,
}

/// What was shown of a backup.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it consists of.
    pub manifest: Manifest,
    /// What restoring it has shown; none: nothing to open it with was given.
    pub restored: Option<Restored>,
}

/// What restoring has shown.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Files of the state.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Rows of the state: each could be read and understood.
    pub rows: u64,
    /// Messages among them.
    pub messages: u64,
    /// Who sealed a head that covers all records; none: none had, when the backup was made.
    pub sealed_by: Vec<NodeId>,
    /// The size up to which the founding keys vouch for the records; none: no founding keys were given, or no head was
    /// sealed yet.
    pub founded: Option<u64>,
    /// Records that name signers whom only the keys given for a restoration vouch for.
    pub believed: Vec<u64>,
    /// What the recovery kit has opened; none: it was not given.
    pub kit: Option<KitProof>,
}

/// Verifies a backup: always its manifest, and that each file is as long as it was and has the hash it had; with something
/// to open it, all of it, restored to an empty directory of its own below `room`.
pub fn verify(
    target: &Target,
    name: &str,
    expected: &Expected,
    with: Option<&Opener>,
    room: &Path,
    progress: Progress<'_>,
) -> Result<Verified, Error> {
    let Some(with) = with else {
        let manifest = structure(target, name, expected, 1, progress)?;
        return Ok(Verified { manifest, restored: None });
    };
    let room = Room::make(room)?;
    restore_into(target, name, expected, with, room.path(), progress)
}

/// Restores a backup into an empty directory, and verifies it there: what is left is a database that holds what it says.
pub fn restore_into(
    target: &Target,
    name: &str,
    expected: &Expected,
    with: &Opener,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<Verified, Error> {
    let manifest = structure(target, name, expected, 2, progress)?;
    let total = manifest.bytes();
    let key = restore::key(target, &manifest, with)?;
    let contents = restore::contents(target, &manifest, &key)?;
    let plain = contents.snapshot.bytes();
    restore::files(target, &manifest, &key, &contents, dir, &mut |done, _| {
        progress(total + done.saturating_mul(total) / plain.max(1), 2 * total);
    })?;
    let restored = look(target, &manifest, &contents, dir, expected, with)?;
    Ok(Verified { manifest, restored: Some(restored) })
}

/// The manifest, and each file's length and hash. It is the first of `parts` of the work.
fn structure(
    target: &Target,
    name: &str,
    expected: &Expected,
    parts: u64,
    progress: Progress<'_>,
) -> Result<Manifest, Error> {
    let manifest = target.manifest(name)?;
    whose(target, &manifest, expected)?;
    let (mut done, all) = (0, parts * manifest.bytes());
    for item in manifest.items() {
        let path = target.file_path(&manifest.series, item);
        let (bytes, sha256) = hash(&path, &mut |bytes| {
            done += bytes;
            progress(done, all);
        })?;
        if bytes != item.bytes {
            return Err(Error::Length { path, found: bytes, expected: item.bytes });
        }
        if sha256 != item.sha256 {
            return Err(Error::Changed { path, why: "its hash is another" });
        }
    }
    Ok(manifest)
}

fn whose(target: &Target, manifest: &Manifest, expected: &Expected) -> Result<(), Error> {
    let path = target.manifest_path(&manifest.name);
    let foreign =
        |what, found: String, expected: String| Err(Error::Foreign { path: path.clone(), what, found, expected });
    let cluster = expected.cluster.or(expected.founding.as_ref().map(|keys| keys.cluster));
    match (cluster, expected.lineage) {
        (Some(cluster), _) if cluster != manifest.cluster => {
            foreign("cluster", manifest.cluster.to_string(), cluster.to_string())
        }
        (_, Some(lineage)) if lineage != manifest.lineage => {
            foreign("lineage", manifest.lineage.to_string(), lineage.to_string())
        }
        _ => Ok(()),
    }
}

/// Looks at what was restored, as the node would.
fn look(
    target: &Target,
    manifest: &Manifest,
    contents: &Contents,
    dir: &Path,
    expected: &Expected,
    with: &Opener,
) -> Result<Restored, Error> {
    let path = target.manifest_path(&manifest.name);
    let wrong = |what: &str| Error::Contents { path: path.clone(), what: what.to_owned() };
    let audit = |problem: String| Error::Audit { path: path.clone(), problem };
    let view = StateView::of_checkpoint(&RocksDisk::default(), dir)?;
    let (applied, membership) = view.applied()?;
    let snapshot = &contents.snapshot;
    if applied != snapshot.applied || membership != snapshot.membership {
        return Err(wrong("which log entry it goes up to"));
    }
    if applied.map_or(0, |applied| applied.index) != manifest.applied {
        return Err(wrong("which log entry it goes up to"));
    }
    let cluster = view.cluster()?.ok_or_else(|| wrong("that it is of a cluster"))?;
    if cluster.id != manifest.cluster || cluster.lineage != manifest.lineage {
        return Err(wrong("whose it is"));
    }
    let (rows, messages, log) = read_all(&view)?;
    let records = heads(&view)?.records;
    if records != manifest.records || log.tree().size() != records {
        return Err(wrong("how many records it has"));
    }
    let root = root_of(log.tree());
    if root != manifest.root {
        return Err(audit("its records do not give the root that its manifest names".into()));
    }
    if tree::root(&TreeNodes(&view), records)? != root {
        return Err(audit("its tree is not that of its records".into()));
    }
    let signers = evidence::signers(&view)?;
    if let Some(by) = manifest.signer()
        && !signers.iter().any(|(_, signer)| signer.key == *by.key())
    {
        return Err(Error::Changed { path, why: "it is signed by a key that this cluster does not know" });
    }
    let sealed_by = match &contents.evidence {
        Some(evidence) => {
            let sealed = evidence.sealed_by(manifest.cluster, &signers, (records, &root));
            sealed.map_err(|why| audit(why.to_owned()))?
        }
        None => Vec::new(),
    };
    let (founded, believed) = match &expected.founding {
        Some(keys) => match founded(&view, &log, keys, contents.evidence.as_ref())? {
            Ok((size, believed)) => (size, believed),
            Err(Problem::Signer(record)) => return Err(Error::Unvouched { path, record }),
            Err(problem) => return Err(audit(problem.to_string())),
        },
        None => (None, Vec::new()),
    };
    let kit = match with {
        Opener::Kit(pair) => Some(kit::prove(&view, pair, &path)?),
        Opener::Series(_) => None,
    };
    let (files, bytes) = (snapshot.files.len(), snapshot.bytes());
    Ok(Restored { files, bytes, rows, messages, sealed_by, founded, believed, kit })
}

/// Reads and decodes every row; rows, messages, and the audit log anew from its records' stored bytes.
fn read_all(view: &StateView) -> Result<(u64, u64, Log), Error> {
    let (mut rows, mut messages, mut log) = (0, 0, Log::default());
    for table in Table::ALL {
        view.each(*table, &mut |key, value| {
            codec::key_from_bytes(key)?;
            codec::decode_row(*table, value)?;
            rows += 1;
            match table {
                Table::Message => messages += 1,
                Table::Record => drop(log.push(value)),
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok((rows, messages, log))
}

fn root_of(tree: &Memory) -> Hash {
    tree::root(tree, tree.size()).unwrap_or_else(|_| tree::empty_root())
}

/// Up to which size the founding keys vouch for a log, and the records that name whom only the keys of a restoration vouch
/// for.
type Founded = (Option<u64>, Vec<u64>);

/// Holds a log to the founding keys: by the newest sealed head in it and those that vouch for who came later, or, as long
/// as it has none, by the one that was sealed soon after.
fn founded(
    view: &StateView,
    log: &Log,
    keys: &FoundingKeys,
    later: Option<&Evidence>,
) -> Result<Result<Founded, Problem>, Error> {
    let size = log.tree().size();
    let Some(newest) = evidence::newest(view, keys.cluster, size)? else {
        let sealed = later.map(|later| record::verify::head(&later.note, keys)).transpose();
        let unknown = |problem| match (problem, log.named().next()) {
            (Problem::TooFewSignatures { .. }, Some((record, _))) => Problem::Signer(record),
            (problem, _) => problem,
        };
        return Ok(sealed.map(|sealed| (sealed.map(|_| size), Vec::new())).map_err(unknown));
    };
    let (signers, mut vouching) = (evidence::signers(view)?, Vec::new());
    for named in log.named() {
        vouching.extend(evidence::vouching(view, (keys.cluster, size), &signers, named)?);
    }
    let report = log.verify(keys, &newest, &vouching, None);
    Ok(report.map(|Report { head, believed, .. }| (Some(head.checkpoint.size), believed)))
}

fn hash(path: &Path, took: &mut dyn FnMut(u64)) -> Result<(u64, [u8; 32]), Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let (mut hash, mut length, mut chunk) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok((length, hash.finalize().into()));
        }
        hash.update(&chunk[..read]);
        length += read as u64;
        took(read as u64);
    }
}
