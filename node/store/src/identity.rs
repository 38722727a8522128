//! The data directory: whose it is, and that only one daemon uses it.
//!
//! Shape: `identity` is text, one `name = value` a line, closed by the SHA-256 of the lines before; written once. `boot`
//! is a number, `remembered` what the node and its peers have promised. `lock` is locked while a daemon runs and holds its process id. Beside them `log/`, `state/` and
//! `attachments/`.

pub(crate) mod text;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use types::{ClusterId, Lineage, NodeId, Timestamp};

use crate::Fault;
use crate::files::{make_dir, names, replace_file};

const IDENTITY: &str = "identity";
const BOOT: &str = "boot";
const LOCK: &str = "lock";
/// Formats of the data directory. 1, 2026-11-22: the first.
const FORMAT: u32 = 1;

/// Whose a data directory is. Never changes; a node with a new or damaged disk is a new node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its lineage when the directory was made.
    pub lineage: Lineage,
    /// The node, and with it its slot.
    pub node: NodeId,
    /// Of this directory alone: a copy put in place of the original shows itself to the peers by nothing else.
    pub disk: [u8; 16],
    /// When it was made, by this machine's clock.
    pub created: Timestamp,
}

impl Identity {
    /// A new one, with a random disk id.
    pub fn new(cluster: ClusterId, lineage: Lineage, node: NodeId, created: Timestamp) -> Result<Self, Fault> {
        Ok(Self { cluster, lineage, node, disk: random()?, created })
    }
}

/// Why a data directory cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// There is something in it already.
    #[error("{path} is not empty; give an empty directory, or remove what is in it if it is not needed")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing of ours in it.
    #[error("{path} holds no node; check the path and that the disk is mounted, or initialise this node")]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// There is data without an identity.
    #[error(
        "{path} has no identity but other files; restore the identity file, or empty the directory and replace this node"
    )]
    Incomplete {
        /// The directory.
        path: PathBuf,
    },
    /// The identity cannot be read.
    #[error(
        "the identity file {path} is damaged; restore it from its copy, or empty the directory and replace this node"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer release made it.
    #[error("{path} has format {found}, this release reads up to {known}; start the newer release")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It belongs to another cluster.
    #[error(
        "{path} belongs to cluster {found}, this node is configured for {expected}; correct the path or the configuration"
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// It belongs to another node.
    #[error(
        "{path} belongs to node {found}, this node is configured as {expected}; correct the path or the configuration"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Its node.
        found: NodeId,
        /// Ours.
        expected: NodeId,
    },
    /// A daemon uses it.
    #[error("{path} is in use by {}; stop it first", .pid.map_or("another process".into(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Which, if it says so.
        pid: Option<u32>,
    },
    /// The file system refuses.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A data directory this process has for itself, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    boot_seq: u64,
    nonce: u64,
    _lock: File,
}

impl DataDir {
    /// Makes a data directory of an empty or absent one.
    pub fn create(path: &Path, identity: Identity) -> Result<Self, DataDirError> {
        make_dir(path)?;
        let lock = lock(path)?;
        // A creation that was cut short leaves these, and nothing else.
        let unfinished = [LOCK.to_owned(), format!("{IDENTITY}.new"), "lost+found".to_owned()];
        if names(path)?.iter().any(|name| !unfinished.contains(name)) {
            return Err(DataDirError::NotEmpty { path: path.to_path_buf() });
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, private).map_err(Fault::io("make private", path))?;
        replace_file(&path.join(IDENTITY), text::write(&identity, FORMAT).as_bytes())?;
        Self::start(path, identity, lock)
    }

    /// Gives an identity to a directory that holds a state already, made there by `adopt`, and none yet.
    pub fn adopt(path: &Path, identity: Identity) -> Result<Self, DataDirError> {
        let lock = lock(path)?;
        if path.join(IDENTITY).exists() {
            return Err(DataDirError::NotEmpty { path: path.to_path_buf() });
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, private).map_err(Fault::io("make private", path))?;
        replace_file(&path.join(IDENTITY), text::write(&identity, FORMAT).as_bytes())?;
        Self::start(path, identity, lock)
    }

    /// Opens the data directory of a node; `node` is compared if it is known from elsewhere.
    pub fn open(path: &Path, cluster: Option<ClusterId>, node: Option<NodeId>) -> Result<Self, DataDirError> {
        let missing = || DataDirError::Missing { path: path.to_path_buf() };
        if !path.is_dir() {
            return Err(missing());
        }
        let identity = Self::identify(path)?;
        if let Some(expected) = cluster.filter(|expected| *expected != identity.cluster) {
            return Err(DataDirError::OtherCluster { path: path.to_path_buf(), found: identity.cluster, expected });
        }
        if let Some(expected) = node.filter(|expected| *expected != identity.node) {
            return Err(DataDirError::OtherNode { path: path.to_path_buf(), found: identity.node, expected });
        }
        Self::start(path, identity, lock(path)?)
    }

    /// Whose a data directory is; it may be in use.
    pub fn identify(path: &Path) -> Result<Identity, DataDirError> {
        let file = path.join(IDENTITY);
        match fs::read_to_string(&file) {
            Ok(written) => text::read(&written, FORMAT, path, &file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let data =
                    names(path)?.iter().any(|name| matches!(name.as_str(), "log" | "state" | "attachments" | BOOT));
                let path = path.to_path_buf();
                Err(if data { DataDirError::Incomplete { path } } else { DataDirError::Missing { path } })
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(DataDirError::Damaged { path: file }),
            Err(error) => Err(Fault::io("read", &file)(error).into()),
        }
    }

    /// Gives it another lineage: the last step of beginning a new history. It stays the same node on the same disk.
    pub fn set_lineage(mut self, lineage: Lineage) -> Result<Self, DataDirError> {
        self.identity.lineage = lineage;
        replace_file(&self.path.join(IDENTITY), text::write(&self.identity, FORMAT).as_bytes())?;
        Ok(self)
    }

    /// Whose it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How often it was opened, this time included. Durable before this was returned: no two starts have the same.
    #[must_use]
    pub const fn boot_seq(&self) -> u64 {
        self.boot_seq
    }

    /// Random, of this opening: tells two openings with one number apart, which two copies of a disk have.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The file of what the node and its peers have promised.
    #[must_use]
    pub fn remembered_file(&self) -> PathBuf {
        self.path.join("remembered")
    }

    /// The directory of the Raft log.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The directory of the state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn start(path: &Path, identity: Identity, lock: File) -> Result<Self, DataDirError> {
        let file = path.join(BOOT);
        let before = match fs::read_to_string(&file) {
            Ok(number) => number.trim_end().parse::<u64>().map_err(|_| DataDirError::Damaged { path: file.clone() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Fault::io("read", &file)(error).into()),
        };
        let boot_seq = before + 1;
        replace_file(&file, format!("{boot_seq}\n").as_bytes())?;
        let nonce = u64::from_be_bytes(random()?);
        Ok(Self { path: path.to_path_buf(), identity, boot_seq, nonce, _lock: lock })
    }
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Fault::Engine { doing: "ask the system for random bytes", source: Box::new(error) })?;
    Ok(bytes)
}

/// Takes the lock. The system lets go of it when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK);
    let open = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
    let mut file = open.map_err(Fault::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let pid = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
            return Err(DataDirError::InUse { path: dir.to_path_buf(), pid });
        }
        Err(error) => return Err(Fault::io("lock", &path)(error.into()).into()),
    }
    let written = file.set_len(0).and_then(|()| file.rewind());
    let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(Fault::io("write", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
