//! Snapshots this node makes: one is kept.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use types::limits::SNAPSHOT_FILES_MAX;

use super::manifest::{Manifest, SnapshotFile};
use super::{DATABASE, MANIFEST};
use crate::Fault;
use crate::engine::{Disk, Engine, Kind};
use crate::files::{DirGuard, hash_file, make_dir, move_dir, names, remove_dir, replace_file, sync_dir};
use crate::state_store::read_applied;

const BUILDING: &str = "building";

/// A snapshot that is complete on disk. It stays readable while anybody holds it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    manifest: Arc<Manifest>,
    dir: Arc<DirGuard>,
}

impl Snapshot {
    /// What it consists of.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join(DATABASE)
    }

    /// At most `bytes_max` bytes of a file, by its place in the manifest; none at its end.
    pub fn read(&self, file: usize, offset: u64, bytes_max: usize) -> Result<Bytes, Fault> {
        let Some(file) = self.manifest.files.get(file) else {
            return Err(Fault::Misuse("the snapshot has no such file"));
        };
        let length = usize::try_from(file.bytes.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes_max);
        let path = self.dir().join(&file.name);
        let mut chunk = vec![0; length];
        let opened = File::open(&path).map_err(Fault::io("open", &path))?;
        opened.read_exact_at(&mut chunk, offset).map_err(Fault::io("read", &path))?;
        Ok(chunk.into())
    }

    /// The names of files that are not what they were when it was made, or cannot be read. Reads all of it.
    #[must_use]
    pub fn rotten(&self) -> Vec<&str> {
        let dir = self.dir();
        let is_rotten = |file: &&SnapshotFile| {
            !hash_file(&dir.join(&file.name)).is_ok_and(|found| found == (file.bytes, file.sha256))
        };
        self.manifest.files.iter().filter(is_rotten).map(|file| file.name.as_str()).collect()
    }

    /// Whether this directory has the very same table, not a copy.
    pub(crate) fn shares_table(&self, name: &str, with: &Path) -> bool {
        let file = |dir: &Path| fs::metadata(dir.join(name)).map(|file| (file.dev(), file.ino())).ok();
        is_table(name) && file(&self.dir()).is_some_and(|own| file(with) == Some(own))
    }
}

/// Where snapshots are kept.
pub(crate) struct Snapshots {
    root: PathBuf,
    building: Mutex<()>,
    current: Mutex<Option<Snapshot>>,
}

impl Snapshots {
    /// Finds the newest complete snapshot and removes everything else.
    pub fn open(state_root: &Path) -> Result<Self, Fault> {
        let root = state_root.join("snapshots");
        make_dir(&root)?;
        let mut current: Option<Snapshot> = None;
        for name in names(&root)? {
            let dir = root.join(name);
            let manifest = fs::read(dir.join(MANIFEST)).ok().and_then(|bytes| Manifest::decode(&bytes).ok());
            match manifest {
                Some(manifest) if !dir.ends_with(BUILDING) => {
                    let found = Snapshot { manifest: Arc::new(manifest), dir: Arc::new(DirGuard::new(dir)) };
                    let newer = current.as_ref().is_none_or(|old| old.manifest.applied < found.manifest.applied);
                    let old = if newer { current.replace(found) } else { Some(found) };
                    old.inspect(|old| old.dir.retire());
                }
                _ => remove_dir(&dir)?,
            }
        }
        Ok(Self { root, building: Mutex::default(), current: Mutex::new(current) })
    }

    /// The newest one.
    pub fn current(&self) -> Option<Snapshot> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes one out of a checkpoint. What it holds is read from the checkpoint itself: the state goes on meanwhile.
    /// Where nothing has changed since the one before, that stays, but for those of its files that are `rotten`; and one
    /// of a newer state stays. Tables of `received` have been verified, and the state has not been reopened since.
    pub fn build<E: Engine>(
        &self,
        disk: &dyn Disk<E>,
        received: Option<&Manifest>,
        rotten: &[&str],
        checkpoint: impl FnOnce(&Path) -> Result<(), Fault>,
    ) -> Result<Snapshot, Fault> {
        let _one_at_a_time = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let building = self.root.join(BUILDING);
        let database = building.join(DATABASE);
        remove_dir(&building)?;
        make_dir(&building)?;
        checkpoint(&database)?;
        let manifest = describe(disk, &database, self.current().as_ref(), received)?;
        if let Some(newer) = self.current().filter(|current| current.manifest.applied > manifest.applied) {
            remove_dir(&building)?;
            return Ok(newer); // The log may have been purged up to there.
        }
        sync_dir(&database)?;
        replace_file(&building.join(MANIFEST), &manifest.encode())?;
        let dir = self.root.join(manifest.id());
        if let Some(same) = self.current().filter(|current| current.dir.path() == dir) {
            for name in rotten {
                let fresh = database.join(name);
                fs::rename(&fresh, same.dir().join(name)).map_err(Fault::io("put in place", &fresh))?;
            }
            sync_dir(&same.dir())?;
            remove_dir(&building)?;
            return Ok(same);
        }
        move_dir(&building, &dir)?;
        let snapshot = Snapshot { manifest: Arc::new(manifest), dir: Arc::new(DirGuard::new(dir)) };
        let old = self.current.lock().unwrap_or_else(PoisonError::into_inner).replace(snapshot.clone());
        old.inspect(|old| old.dir.retire());
        Ok(snapshot)
    }
}

fn describe<E: Engine>(
    disk: &dyn Disk<E>,
    database: &Path,
    before: Option<&Snapshot>,
    received: Option<&Manifest>,
) -> Result<Manifest, Fault> {
    let (applied, membership) = read_applied(disk.open_checkpoint(database, Kind::State)?.as_ref())?;
    let mut files = Vec::new();
    for name in names(database)? {
        if name.starts_with("LOG") || name == "LOCK" {
            continue; // What the engine says of itself.
        }
        let path = database.join(&name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(Fault::io("sync", &path))?;
        let known = before.and_then(|before| same_file(before, &name, &path));
        let file = match known.or_else(|| received_file(received?, &name, &path)) {
            Some(known) => known.clone(),
            None => {
                let (bytes, sha256) = hash_file(&path)?;
                SnapshotFile { name, bytes, sha256 }
            }
        };
        files.push(file);
    }
    if files.len() > SNAPSHOT_FILES_MAX {
        return Err(Fault::Misuse("the state has more files than a snapshot may have"));
    }
    Ok(Manifest { applied, membership, files })
}

/// The entry of a file of the snapshot before that is the same file on disk: tables never change once they are
/// written, so most of a large state need not be read again.
fn same_file<'a>(before: &'a Snapshot, name: &str, path: &Path) -> Option<&'a SnapshotFile> {
    let known = before.manifest.files.iter().find(|file| file.name == name)?;
    let (old, new) = (fs::metadata(before.dir().join(name)).ok()?, fs::metadata(path).ok()?);
    let same = (old.dev(), old.ino(), old.len()) == (new.dev(), new.ino(), known.bytes);
    (is_table(name) && same).then_some(known)
}

/// The entry of a table that came with a snapshot, which became the state: RocksDB keeps the next free number of a file
/// beside what it knows of the files, so a new table never has the name of one that was there.
fn received_file<'a>(received: &'a Manifest, name: &str, path: &Path) -> Option<&'a SnapshotFile> {
    let known = received.files.iter().find(|file| file.name == name)?;
    let same = fs::metadata(path).ok()?.len() == known.bytes;
    (is_table(name) && same).then_some(known)
}

/// Tables never change once they are written, so snapshots share them with the state.
fn is_table(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "sst" || extension == "blob")
}
