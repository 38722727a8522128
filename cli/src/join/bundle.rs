//! What the two machines tell each other.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pki::files;

/// What a new machine is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// One of the first three.
    Found,
    /// To take the place of a node that is lost.
    Replace,
}

/// The first thing the new machine says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// What it was asked for.
    pub purpose: Purpose,
    /// Which place, if it was said.
    pub slot: Option<String>,
}

/// What the new machine is given, or why not.
#[derive(Debug, Serialize, Deserialize)]
pub enum Given {
    Bundle(Box<Bundle>),
    Refused(String),
}

/// Everything a new machine needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// What people call the cluster.
    pub name: String,
    /// Its lineage.
    pub lineage: String,
    /// Which place.
    pub slot: String,
    /// The id of the node, as a number and as it prints.
    pub node: u64,
    pub node_name: String,
    /// The id of a node that was let in before and is on its way; 0: none.
    pub pending: u64,
    /// Files below the directory of the configuration.
    pub files: Vec<File>,
}

/// A file.
#[derive(Serialize, Deserialize)]
pub struct File {
    /// Relative to the configuration's directory.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.path.display())
    }
}

/// What became of it on the new machine.
#[derive(Debug, Serialize, Deserialize)]
pub enum Adopted {
    /// It has a data directory; nothing else is needed to found.
    Ready {
        /// Its id.
        node: u64,
        /// The id of its disk.
        disk: String,
        /// Its public key.
        public_key: String,
    },
    /// It could not be done.
    Failed(String),
}

/// The last word of the machine that let it in.
#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    Admitted,
    Refused(String),
}

impl File {
    /// Reads a file of a directory.
    pub fn read(dir: &Path, path: &str, mode: u32) -> Result<Self> {
        let full = dir.join(path);
        let text =
            std::fs::read_to_string(&full).map_err(|source| Error::File { doing: "read", path: full, source })?;
        Ok(Self { path: path.into(), mode, text })
    }

    /// Writes it below a directory, unless it is there. What a node renews its certificates with is written in any case: its key
    /// went with the data directory before, and an old certificate does not fit another key.
    pub fn write_missing(&self, dir: &Path) -> Result<()> {
        let plain = self.path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(Error::Content {
                doing: "write what the other machine sent".into(),
                why: format!("{} is no file below the configuration", self.path.display()),
            });
        }
        let full = dir.join(&self.path);
        if full.exists() {
            if self.path.file_stem().is_none_or(|stem| stem != "renewal") {
                return Ok(());
            }
            std::fs::remove_file(&full).map_err(|source| Error::File {
                doing: "replace",
                path: full.clone(),
                source,
            })?;
        }
        files::private_dir(full.parent().unwrap_or(dir))?;
        files::write_new(&full, self.text.as_bytes(), self.mode & 0o777)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_elsewhere_or_over_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str| File { path: path.into(), mode: 0o600, text: "new".into() };
        for wrong in ["../out", "/etc/out", "tls/../../out"] {
            assert!(file(wrong).write_missing(&dir.path().join("below")).is_err(), "{wrong}");
        }
        file("tls/peer.key").write_missing(dir.path()).unwrap();
        std::fs::write(dir.path().join("there"), "old").unwrap();
        std::fs::write(dir.path().join("renewal.crt"), "old").unwrap();
        file("renewal.crt").write_missing(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("renewal.crt")).unwrap(), "new", "its key is gone");
        file("there").write_missing(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("there")).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(dir.path().join("tls/peer.key")).unwrap(), "new");
    }
}
