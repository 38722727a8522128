//! Files of secrets: created anew, never replaced, readable only by their owner.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a new file, synced; an existing one is an error.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let fail = |source| Error::File { doing: "create", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)
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
