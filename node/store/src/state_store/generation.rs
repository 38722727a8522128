//! Directories of the state: the state itself is in a numbered one, and a file says in which. Installing a snapshot
//! makes the next number and then switches the file, so that a crash leaves the old state or the new.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Fault;
use crate::engine::{Disk, Engine, Kind};
use crate::files::{DirGuard, make_dir, names, remove_dir, replace_file};

const POINTER: &str = "CURRENT";
const PREFIX: &str = "state-";

/// An open engine and its directory.
pub(super) struct Generation<E> {
    pub engine: E, // Before the directory, for that goes away with the last of its readers.
    pub dir: Arc<DirGuard>,
    pub number: u64,
}

impl<E: Engine> Generation<E> {
    /// Opens the generation that the pointer names, the first one if there is none, and removes all others.
    pub fn open_current(disk: &dyn Disk<E>, root: &Path) -> Result<Self, Fault> {
        make_dir(root)?;
        let number = match read_pointer(root)? {
            Some(number) => number,
            None => {
                point_to(root, 1)?;
                1
            }
        };
        let current = name(number);
        for other in names(root)?.iter().filter(|name| name.starts_with(PREFIX) && **name != current) {
            remove_dir(&root.join(other))?;
        }
        Self::open(disk, root, number)
    }

    /// Opens the generation with this number.
    pub fn open(disk: &dyn Disk<E>, root: &Path, number: u64) -> Result<Self, Fault> {
        let path = dir(root, number);
        let engine = disk.open(&path, Kind::State)?;
        Ok(Self { engine, dir: Arc::new(DirGuard::new(path)), number })
    }
}

/// The directory of a generation.
pub(super) fn dir(root: &Path, number: u64) -> PathBuf {
    root.join(name(number))
}

/// Makes this generation the one that is opened from now on.
pub(super) fn point_to(root: &Path, number: u64) -> Result<(), Fault> {
    replace_file(&root.join(POINTER), format!("{}\n", name(number)).as_bytes())
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:016}")
}

fn read_pointer(root: &Path) -> Result<Option<u64>, Fault> {
    let path = root.join(POINTER);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.strip_suffix('\n').and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            number.map(Some).ok_or_else(|| Fault::damaged(format!("the pointer {}", path.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("read", &path)(error)),
    }
}
