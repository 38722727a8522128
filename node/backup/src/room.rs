//! Where a backup is restored to be verified: a directory that goes away again. Whoever is killed takes nothing away, so the
//! next one does: a whole database must not lie about.
//!
//! Whoever uses a directory holds a lock on it (flock), which ends with the process, however that ends.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::Error;
use crate::target::list;

const PREFIX: &str = "tricord-verify-";
/// How often a directory is made anew, because somebody took it away before it was locked.
const TRIES: usize = 16;

/// A directory of this process's own.
#[derive(Debug)]
pub(crate) struct Room {
    dir: TempDir, // Goes first: as long as it is there it is locked.
    _held: Option<File>,
}

impl Room {
    /// An empty one. What killed processes have left there goes.
    pub fn make(below: &Path) -> Result<Self, Error> {
        clear(below);
        for _ in 0..TRIES {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(below);
            let dir = dir.map_err(Error::io("make a directory in", below))?;
            match lock(dir.path()) {
                Lock::Held(held) => return Ok(Self { dir, _held: Some(held) }),
                Lock::NoLocks => return Ok(Self { dir, _held: None }),
                Lock::Used => {} // By one that clears, for which it was nobody's.
            }
        }
        Err(Error::io("make a directory in", below)(ErrorKind::WouldBlock.into()))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

enum Lock {
    Held(File),
    Used,
    /// The file system has none, or the directory cannot be opened: then nothing there is taken away.
    NoLocks,
}

fn lock(dir: &Path) -> Lock {
    let Ok(file) = File::open(dir) else { return if dir.exists() { Lock::NoLocks } else { Lock::Used } };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let (locked, there) = (file.metadata(), fs::symlink_metadata(dir));
            let same = matches!((locked, there), (Ok(locked), Ok(there)) if locked.ino() == there.ino());
            if same { Lock::Held(file) } else { Lock::Used }
        }
        Err(Errno::WOULDBLOCK) => Lock::Used,
        Err(_) => Lock::NoLocks,
    }
}

/// Takes away this user's rooms that nobody uses. What cannot be taken away stays: that hinders nobody.
fn clear(below: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for name in list(below).unwrap_or_default().iter().filter(|name| name.starts_with(PREFIX)) {
        let dir = below.join(name);
        let is_own = fs::symlink_metadata(&dir).is_ok_and(|there| there.is_dir() && there.uid() == own);
        if is_own && let Lock::Held(_held) = lock(&dir) {
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_used_stays() {
        let below = tempfile::tempdir().expect("a directory");
        let at = |name: &str| below.path().join(name);
        for name in ["tricord-verify-killed", "another"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("CURRENT"), b"a whole database").expect("written");
        }
        fs::write(at("tricord-verify-file"), b"").expect("written");
        std::os::unix::fs::symlink(at("another"), at("tricord-verify-link")).expect("made");

        let used = Room::make(below.path()).expect("a room");
        assert!(!at("tricord-verify-killed").exists(), "nobody uses it any more");
        assert!(
            at("another/CURRENT").exists() && at("tricord-verify-file").exists() && at("tricord-verify-link").exists()
        );
        fs::write(used.path().join("CURRENT"), b"in use").expect("written");
        let second = Room::make(below.path()).expect("a room");
        assert!(used.path().join("CURRENT").exists(), "it is in use");
        let paths = [used.path().to_owned(), second.path().to_owned()];
        drop((used, second));
        assert!(paths.iter().all(|path| !path.exists()), "each goes with whoever used it");
    }
}
