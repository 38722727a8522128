//! The directory that backups are in: an NFS share, a stick, another disk. It may vanish at any moment, and nothing half
//! written must be taken for a backup then.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use types::limits::{BACKUP_MANIFEST_BYTES_MAX, BACKUPS_LISTED_MAX};
use types::{NodeId, Timestamp};

use crate::create::name_of;
use crate::manifest::Unreadable;
use crate::{Error, Item, Manifest, hex};

const MARKER: &str = "tricord-backup";
const MARKER_TEXT: &str = "A target for Tricord's backups. Everything in it is sealed to the recovery kit.\n";
const MANIFESTS: &str = "manifests";
const FILES: &str = "files";
/// What is being written has this ending.
const PARTIAL: &str = ".partial";
/// Longest name of a backup.
const NAME_BYTES_MAX: usize = 64;

/// A directory with backups.
#[derive(Clone, Debug)]
pub struct Target {
    dir: PathBuf,
}

impl Target {
    /// A directory that is a target already. Where a share or stick is not mounted it is none, and nothing is written.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let none = |why| Error::NoTarget { path: dir.to_owned(), why };
        if !dir.is_dir() {
            return Err(none("there is no such directory; is it mounted?"));
        }
        match fs::read(dir.join(MARKER)) {
            Ok(_) => Ok(Self { dir: dir.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(none("it holds no backups and is not marked as a target; is the right disk mounted?"))
            }
            Err(error) => Err(Error::io("read", &dir.join(MARKER))(error)),
        }
    }

    /// Makes a target of an empty directory; one that is a target already stays as it is.
    pub fn init(dir: &Path) -> Result<Self, Error> {
        let none = |why| Error::NoTarget { path: dir.to_owned(), why };
        if !dir.is_dir() {
            return Err(none("there is no such directory; make it, or mount the disk"));
        }
        if !dir.join(MARKER).exists() {
            let mut there = fs::read_dir(dir).map_err(Error::io("list", dir))?;
            // A new file system has this of its own.
            if there.any(|one| one.map_or(true, |one| one.file_name() != "lost+found")) {
                return Err(none("it is not empty, and holds no backups"));
            }
            write(&dir.join(MARKER), MARKER_TEXT.as_bytes())?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of all backups that are complete, sorted.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let dir = self.dir.join(MANIFESTS);
        let mut names: Vec<String> =
            list(&dir)?.into_iter().filter(|name| is_name(name)).take(BACKUPS_LISTED_MAX).collect();
        names.sort();
        Ok(names)
    }

    /// What a backup consists of.
    pub fn manifest(&self, name: &str) -> Result<Manifest, Error> {
        let path = self.manifest_path(name);
        if !is_name(name) {
            return Err(Error::NoBackup { path: self.dir.clone(), name: name.to_owned() });
        }
        let mut text = String::new();
        match File::open(&path).map(|file| file.take(BACKUP_MANIFEST_BYTES_MAX + 1).read_to_string(&mut text)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Error::Changed { path, why: "it is no text" });
            }
            Ok(Err(error)) => return Err(Error::io("read", &path)(error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoBackup { path: self.dir.clone(), name: name.to_owned() });
            }
            Err(error) => return Err(Error::io("open", &path)(error)),
        }
        match Manifest::decode(&text) {
            Ok(manifest) if manifest.name == name => Ok(manifest),
            Ok(_) => Err(Error::Changed { path, why: "it is of a backup with another name" }),
            Err(Unreadable::Newer(found)) => Err(Error::Newer { path, found }),
            Err(Unreadable::Damaged) => Err(Error::Changed { path, why: "its checksum or signature is another" }),
        }
    }

    /// Writes a manifest, last of all: from then on the backup is there.
    pub(crate) fn put_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = self.manifest_path(&manifest.name);
        make_dir(&self.dir.join(MANIFESTS))?;
        write(&path, manifest.encode().as_bytes())
    }

    /// Takes a backup away: its files are not touched.
    pub(crate) fn remove_manifest(&self, name: &str) -> Result<(), Error> {
        let path = self.manifest_path(name);
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        sync_dir(&self.dir.join(MANIFESTS))
    }

    /// Where a manifest is.
    #[must_use]
    pub fn manifest_path(&self, name: &str) -> PathBuf {
        self.dir.join(MANIFESTS).join(name)
    }

    /// The first time from `at` on that gives a backup of this node a name of its own: two of one second would be one.
    #[must_use]
    pub fn free_time(&self, at: Timestamp, node: NodeId) -> Timestamp {
        let seconds = (0..BACKUPS_LISTED_MAX as u64).map(|seconds| Timestamp(at.0 + seconds * 1_000));
        let is_free = |time: &Timestamp| !self.manifest_path(&name_of(*time, node)).exists();
        seconds.into_iter().find(is_free).unwrap_or(at)
    }

    /// Where the files of a series are.
    pub(crate) fn series_dir(&self, series: &[u8; 16]) -> PathBuf {
        self.dir.join(FILES).join(hex::encode(series))
    }

    /// Where a sealed file is.
    #[must_use]
    pub fn file_path(&self, series: &[u8; 16], item: &Item) -> PathBuf {
        self.series_dir(series).join(hex::encode(&item.name))
    }

    /// Makes the directories for a series, and takes away what an attempt before has left half written.
    pub(crate) fn prepare(&self, series: &[u8; 16]) -> Result<PathBuf, Error> {
        make_dir(&self.dir.join(FILES))?;
        let dir = self.series_dir(series);
        make_dir(&dir)?;
        for name in list(&dir)?.iter().filter(|name| name.ends_with(PARTIAL)) {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(dir)
    }
}

/// A file under another name until it is whole.
pub(crate) struct Partial {
    path: PathBuf,
    partial: PathBuf,
    pub file: File,
}

impl Partial {
    pub fn create(path: &Path) -> Result<Self, Error> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).open(&partial);
        let file = opened.map_err(Error::io("create", &partial))?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// On stable storage, under its own name.
    pub fn put_in_place(self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("sync", &self.partial))?;
        fs::rename(&self.partial, &self.path).map_err(Error::io("put in place", &self.path))?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// Takes it away again.
    pub fn give_up(self) {
        let _ = fs::remove_file(&self.partial);
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut partial = Partial::create(path)?;
    if let Err(error) = partial.file.write_all(bytes) {
        partial.give_up();
        return Err(Error::io("write", path)(error));
    }
    partial.put_in_place()
}

fn make_dir(dir: &Path) -> Result<(), Error> {
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(dir.parent().unwrap_or(Path::new("."))),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io("create", dir)(error)),
    }
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

/// Names in a directory; none if there is no such directory.
pub(crate) fn list(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
    let names: Result<Vec<_>, _> = names.collect();
    Ok(names.map_err(Error::io("list", dir))?.into_iter().flatten().collect())
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}
