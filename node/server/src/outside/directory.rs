//! Heads as files: write-once storage, another machine's disk, a stick.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Writes a head under its size, synced; one that is there stays as it is.
pub fn write(dir: &Path, size: u64, note: &str) -> io::Result<()> {
    let path = dir.join(format!("{size:020}"));
    if path.exists() {
        return Ok(());
    }
    // Under another name until it is whole: one that is there is never mended.
    let partial = dir.join(format!("{size:020}.partial"));
    let mut file = File::create(&partial)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    match std::fs::hard_link(&partial, &path) {
        Ok(()) => std::fs::remove_file(&partial)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => std::fs::remove_file(&partial)?,
        Err(_) => std::fs::rename(&partial, &path)?, // A stick's file system may know no links.
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_once_and_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), 7, "first").expect("written");
        write(dir.path(), 7, "second").expect("there already");
        std::fs::write(dir.path().join("00000000000000000008.partial"), "cut o").expect("a stick pulled out");
        write(dir.path(), 8, "whole").expect("written");
        assert_eq!(std::fs::read(dir.path().join("00000000000000000008")).expect("there"), b"whole");
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 2, "nothing else is left");
        assert_eq!(std::fs::read(dir.path().join("00000000000000000007")).expect("there"), b"first");
        assert!(write(&dir.path().join("none"), 8, "x").is_err(), "a stick that is not there is an error");
    }
}
