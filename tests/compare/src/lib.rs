//! What stopped nodes hold, compared to the byte: the hash of the whole state and the root of the audit tree.
//!
//! Nodes stop one after the other, so each has applied a little more than the one before. Equal places are made: the log of the
//! one that is furthest is applied to copies of the others. What is compared is then the state as each node had built it, brought
//! on by the same entries.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::{Fault, LogStore, OpenError, RocksDisk, RocksEngine, StateStore, TreeNodes};

/// Entries are applied so many bytes at a time.
const BYTES_AT_A_TIME: usize = 4 << 20;
/// In a state's directory, and not part of the state.
const BESIDE: [&str; 2] = ["snapshots", "incoming"];

/// What a node holds at the place where all are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The last log entry applied when it stopped.
    pub stopped_at: u64,
    /// The last log entry applied when it was compared: the same for all.
    pub applied: u64,
    /// SHA-256 over all rows.
    pub state: [u8; 32],
    /// Audit records.
    pub records: u64,
    /// The root of their tree.
    pub root: [u8; 32],
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be copied.
    #[error("copy {path}: {source}")]
    Copy {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A state cannot be read, or its audit tree has a hole.
    #[error(transparent)]
    State(#[from] Fault),
    /// A state ends with an entry that the log of the furthest node does not have there: they followed different leaders.
    #[error("{path} ends with another entry {index} than the node that is furthest has")]
    Diverged {
        /// The node's data directory.
        path: PathBuf,
        /// The place.
        index: u64,
    },
    /// No node has applied anything.
    #[error("there is nothing to compare")]
    Empty,
}

/// Reads these data directories, of nodes that have stopped, and says what each holds. Nothing in them is changed: `scratch`
/// gets copies.
pub fn compare(data: &[PathBuf], scratch: &Path) -> Result<Vec<Held>, Error> {
    let disk = Arc::new(RocksDisk::default());
    let mut states = Vec::new();
    for (index, dir) in data.iter().enumerate() {
        let copy = scratch.join(index.to_string());
        copy_tree(&dir.join("state"), &copy)?;
        states.push((dir, StateStore::<RocksEngine>::open(disk.clone(), &copy)?));
    }
    let mut applied = Vec::new();
    for (_, state) in &states {
        applied.push(state.applied()?.0.ok_or(Error::Empty)?);
    }
    let (furthest, last) = applied.iter().enumerate().max_by_key(|(_, id)| id.index).ok_or(Error::Empty)?;
    let copy = scratch.join("log");
    copy_tree(&data[furthest].join("log"), &copy)?;
    let (log, _writer) = LogStore::open_dir(&disk, &copy)?;
    let mut held = Vec::new();
    for ((dir, state), stopped) in states.iter().zip(&applied) {
        // A place that was purged is in the state that every node began with.
        if log.id_at(stopped.index)?.is_some_and(|id| id != *stopped) {
            return Err(Error::Diverged { path: dir.to_path_buf(), index: stopped.index });
        }
        bring_on(state, &log, stopped.index, last.index)?;
        let (view, records) = (state.view(), state.heads().records);
        let root = record::tree::root(&TreeNodes(&view), records)?;
        let (state, applied) = (state.digest()?, last.index);
        held.push(Held { stopped_at: stopped.index, applied, state, records, root });
    }
    Ok(held)
}

/// Applies what comes after `from`, up to and with `to`.
fn bring_on(state: &StateStore<RocksEngine>, log: &LogStore<RocksEngine>, from: u64, to: u64) -> Result<(), Error> {
    let mut next = from + 1;
    while next <= to {
        let entries = log.read(next..to + 1, BYTES_AT_A_TIME)?;
        if entries.first().is_none_or(|entry| entry.id.index != next) {
            return Err(Fault::Hole { index: next }.into());
        }
        next += entries.len() as u64;
        state.apply(entries.into_iter().map(|entry| (entry.id, entry.payload)).collect())?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        |source| Error::Copy { path, source }
    };
    fs::create_dir_all(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if BESIDE.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if path.is_dir() {
            copy_tree(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).map_err(failed(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
