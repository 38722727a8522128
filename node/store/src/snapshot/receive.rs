//! Receiving a snapshot: file by file, resumable, nothing believed that was not verified.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, SnapshotFile};
use super::{DATABASE, MANIFEST};
use crate::Fault;
use crate::files::{hash_file, make_dir, remove_dir, replace_file, sync_dir};

/// A place in a snapshot: which of the manifest's files, and the byte in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The file's place in the manifest; the number of files at the end.
    pub file: usize,
    /// Bytes of it.
    pub offset: u64,
}

/// Why bytes of a snapshot were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// They are not the next ones; send from here.
    #[error("bytes of a snapshot out of place; the next are those of file {}, from {}", .expected.file, .expected.offset)]
    OutOfPlace {
        /// The next ones.
        expected: Position,
    },
    /// A file is complete and not what the manifest says; it was dropped. Send it again, or give up.
    #[error("file {file} of the snapshot arrived damaged")]
    Damaged {
        /// Its place in the manifest.
        file: usize,
    },
    /// Something is still missing.
    #[error("the snapshot is not complete")]
    Incomplete,
    /// This node cannot write.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A snapshot on its way in. Dropped and begun again with the same manifest it goes on where it was.
#[derive(Debug)]
pub struct Receiver {
    dir: PathBuf,
    manifest: Manifest,
    position: Position,
    file: Option<File>,
}

/// Where a snapshot is received.
pub(crate) fn incoming_dir(state_root: &Path) -> PathBuf {
    state_root.join("incoming")
}

impl Receiver {
    /// Begins in [`crate::StateStore::incoming_dir`], or goes on if what is there belongs to the same manifest.
    pub fn begin(dir: &Path, manifest: Manifest) -> Result<Self, ReceiveError> {
        let encoded = manifest.encode();
        if fs::read(dir.join(MANIFEST)).ok().as_ref() != Some(&encoded) {
            remove_dir(dir)?;
            make_dir(dir)?;
            replace_file(&dir.join(MANIFEST), &encoded)?;
        }
        make_dir(&dir.join(DATABASE))?;
        let mut receiver = Self { dir: dir.to_path_buf(), manifest, position: Position::default(), file: None };
        receiver.find_position()?;
        Ok(receiver)
    }

    /// The next bytes wanted.
    #[must_use]
    pub const fn resume_point(&self) -> Position {
        self.position
    }

    /// What it consists of.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether everything has arrived.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.position.file >= self.manifest.files.len()
    }

    /// Takes the next bytes, of one file.
    pub fn write(&mut self, at: Position, bytes: &[u8]) -> Result<(), ReceiveError> {
        let Some(expected) = self.manifest.files.get(at.file).filter(|_| at == self.position) else {
            return Err(ReceiveError::OutOfPlace { expected: self.position });
        };
        let end = at.offset.saturating_add(bytes.len() as u64);
        if end > expected.bytes {
            return Err(ReceiveError::OutOfPlace { expected: self.position });
        }
        let path = self.path(expected);
        if self.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Fault::io("open", &path))?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(Fault::io("write", &path))?;
        }
        let complete = end == expected.bytes;
        self.position.offset = end;
        if complete {
            self.complete_file()?;
            self.find_position()?; // Later files may be there from before, and empty ones need no bytes.
        }
        Ok(())
    }

    /// That everything has arrived and is durable.
    pub fn finish(self) -> Result<Incoming, ReceiveError> {
        if !self.is_complete() {
            return Err(ReceiveError::Incomplete);
        }
        let database = self.dir.join(DATABASE);
        let names: Vec<&str> = self.manifest.files.iter().map(|file| file.name.as_str()).collect();
        for name in crate::files::names(&database)?.iter().filter(|name| !names.contains(&name.as_str())) {
            let path = database.join(name);
            fs::remove_file(&path).map_err(Fault::io("remove", &path))?;
        }
        sync_dir(&database)?;
        sync_dir(&self.dir)?;
        Ok(Incoming { dir: self.dir, manifest: self.manifest })
    }

    /// Goes over what is there; the first file that is not whole and right is where it goes on.
    fn find_position(&mut self) -> Result<(), ReceiveError> {
        while let Some(expected) = self.manifest.files.get(self.position.file) {
            let path = self.path(expected);
            self.position.offset = match fs::metadata(&path) {
                Ok(metadata) if metadata.len() <= expected.bytes => metadata.len(),
                Ok(_) => {
                    fs::remove_file(&path).map_err(Fault::io("remove", &path))?;
                    0
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
                Err(error) => return Err(Fault::io("look at", &path)(error).into()),
            };
            if self.position.offset < expected.bytes {
                return Ok(());
            }
            match self.complete_file() {
                Err(ReceiveError::Damaged { .. }) => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    /// Makes the file that is all there durable, verifies it, and goes to the next.
    fn complete_file(&mut self) -> Result<(), ReceiveError> {
        self.file = None;
        let Some(expected) = self.manifest.files.get(self.position.file) else { return Ok(()) };
        let path = self.path(expected);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Fault::io("open", &path))?;
        file.sync_all().map_err(Fault::io("sync", &path))?;
        if hash_file(&path)? != (expected.bytes, expected.sha256) {
            fs::remove_file(&path).map_err(Fault::io("remove", &path))?;
            self.position.offset = 0;
            return Err(ReceiveError::Damaged { file: self.position.file });
        }
        self.position = Position { file: self.position.file + 1, offset: 0 };
        Ok(())
    }

    fn path(&self, file: &SnapshotFile) -> PathBuf {
        self.dir.join(DATABASE).join(&file.name)
    }
}

/// A snapshot that has arrived whole.
#[derive(Debug)]
pub struct Incoming {
    dir: PathBuf,
    manifest: Manifest,
}

impl Incoming {
    /// What it consists of.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Removes what is left of it.
    pub(crate) fn remove(self) -> Result<Manifest, Fault> {
        remove_dir(&self.dir)?;
        Ok(self.manifest)
    }
}
