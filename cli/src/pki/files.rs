//! Files of secrets: whole or not at all, readable only by their owner, and replaced only by who says so.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Writes a new file, durably; an existing one is an error.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    put(path, bytes, mode, |temporary| match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system knows how; there nobody else writes meanwhile.
        Err(Errno::INVAL | Errno::NOSYS) if !path.exists() => std::fs::rename(temporary, path),
        Err(Errno::INVAL | Errno::NOSYS) => Err(ErrorKind::AlreadyExists.into()),
        done => Ok(done?),
    })
}

/// Writes a file, durably, in the place of the one that is there, if any.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    put(path, bytes, mode, |temporary| std::fs::rename(temporary, path))
}

/// Writes a file under another name, and gives it its own when it is whole: an interruption leaves no part of it.
fn put(path: &Path, bytes: &[u8], mode: u32, name: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let written = || {
        drop(std::fs::remove_file(&temporary)); // Of an attempt before.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes).and_then(|()| file.sync_all())?;
        name(&temporary)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    };
    written().map_err(|source| {
        drop(std::fs::remove_file(&temporary));
        Error::File { doing: "create", path: path.to_owned(), source }
    })
}

/// Makes a directory of mode 0700, with its parents, unless it exists.
pub fn private_dir(dir: &Path) -> Result<()> {
    crate::profile::private_dir(dir)
}

/// Refuses a directory that holds anything.
pub fn must_be_empty(dir: &Path) -> Result<()> {
    let full = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(Error::File { doing: "read", path: dir.to_owned(), source }),
    };
    if full {
        return Err(Error::Usage(format!("{} is not empty; a founding bundle needs a new directory", dir.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_and_is_replaced_only_where_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer.key");
        // What an interrupted attempt leaves is in nobody's way, and is never taken for the file.
        std::fs::write(dir.path().join("peer.key.part"), "hal").unwrap();
        write_new(&path, b"one", 0o600).unwrap();
        assert!(write_new(&path, b"two", 0o600).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
