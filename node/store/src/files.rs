//! Files and directories, so that they are still there after a power cut.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use types::limits::{DISK_FREE_BYTES_MIN, DISK_FREE_SHARE_MIN, DISK_RESERVE_BYTES, DISK_RESERVE_SHARE};

use crate::Fault;

/// Room on a file system, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Free for this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}

impl Space {
    /// Of the file system of `path`. Blocks as long as the file system does.
    pub fn at(path: &Path) -> Result<Self, Fault> {
        let stat = rustix::fs::statvfs(path).map_err(|error| Fault::io("ask for free space at", path)(error.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    /// Whether so little is left that RocksDB could soon find no room for what it must write: a flush, a compaction, a
    /// snapshot.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free < DISK_FREE_BYTES_MIN.min(self.total / DISK_FREE_SHARE_MIN)
    }

    /// Whether only the last reserve is left: for leases, timers and the like, without which a cluster does not live.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free < DISK_RESERVE_BYTES.min(self.total / DISK_RESERVE_SHARE)
    }
}

/// Makes entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Fault> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Fault::io("sync", dir))
}

/// Makes a directory if there is none, durably.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Fault> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(Fault::io("create", dir))?;
    step();
    sync_dir(dir.parent().unwrap_or(dir))
}

/// Gives a file this content: at any moment, and after a crash, it has the old content or the new.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(Fault::io("create", &temporary))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(Fault::io("write", &temporary))?;
    step();
    fs::rename(&temporary, path).map_err(Fault::io("put in place", path))?;
    step();
    sync_dir(dir)
}

/// Moves a directory to a name that is free, durably.
pub(crate) fn move_dir(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).map_err(Fault::io("move", from))?;
    step();
    for dir in [from.parent(), to.parent()].into_iter().flatten() {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Removes a directory and all in it, if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), Fault> {
    step();
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// Names in a directory, sorted; none if there is no such directory.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, Fault> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(Fault::io("list", dir))?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Length and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, [u8; 32]), Fault> {
    #[cfg(test)]
    HASHED.with_borrow_mut(|hashed| hashed.extend(path.file_name().map(|name| name.to_string_lossy().into_owned())));
    let mut file = File::open(path).map_err(Fault::io("open", path))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        let read = file.read(&mut chunk).map_err(Fault::io("read", path))?;
        if read == 0 {
            return Ok((length, hash.finalize().into()));
        }
        hash.update(&chunk[..read]);
        length += read as u64;
    }
}

/// A place where a crash leaves something else than a moment before. Tests look at the disk here.
fn step() {
    #[cfg(test)]
    STEP.with_borrow_mut(|look| look.iter_mut().for_each(|look| look()));
}

#[cfg(test)]
thread_local! {
    /// What a test does at each step of this thread.
    pub(crate) static STEP: std::cell::RefCell<Option<Box<dyn FnMut()>>> = const { std::cell::RefCell::new(None) };
    /// The names of files that this thread has hashed.
    pub(crate) static HASHED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A directory that is removed when nobody looks at it any more, once it is retired.
#[derive(Debug)]
pub(crate) struct DirGuard {
    path: PathBuf,
    retired: AtomicBool,
}

impl DirGuard {
    pub const fn new(path: PathBuf) -> Self {
        Self { path, retired: AtomicBool::new(false) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for DirGuard {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire)
            && let Err(fault) = remove_dir(&self.path)
        {
            tracing::warn!(%fault, "an old directory stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_a_gibibyte_and_a_small_one_below_an_eighth() {
        let low = |free, total| Space { free, total }.is_low();
        assert!(low((1 << 30) - 1, 1 << 40));
        assert!(!low(1 << 30, 1 << 40));
        assert!(low(127 << 20, 1 << 30));
        assert!(!low(128 << 20, 1 << 30));
        let full = |free, total| Space { free, total }.is_full();
        assert!(full((256 << 20) - 1, 1 << 40) && !full(256 << 20, 1 << 40));
        assert!(full((32 << 20) - 1, 1 << 30) && !full(32 << 20, 1 << 30));
    }
}
