//! What the two machines tell each other.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pki::{files, pair};

/// Where the authority's certificate is, below the directory of the configuration.
const CA: &str = "tls/ca.crt";

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

    fn is_key(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "key")
    }

    /// Where it goes below a directory.
    ///
    /// Errors: it would go elsewhere.
    fn place(&self, dir: &Path) -> Result<PathBuf> {
        let plain = self.path.components().all(|part| matches!(part, Component::Normal(_)));
        if plain {
            return Ok(dir.join(&self.path));
        }
        Err(Error::Content {
            doing: "write what the other machine sent".into(),
            why: format!("{} is no file below the configuration", self.path.display()),
        })
    }

    /// Writes it below a directory, whatever is there.
    fn write(&self, dir: &Path) -> Result<()> {
        let full = self.place(dir)?;
        files::private_dir(full.parent().unwrap_or(dir))?;
        files::replace(&full, self.text.as_bytes(), self.mode & 0o777)
    }

    /// Writes it below a directory, unless it is there. One without a byte is what an interruption left.
    fn write_missing(&self, dir: &Path) -> Result<()> {
        let there = std::fs::metadata(self.place(dir)?).is_ok_and(|there| there.len() > 0);
        if there { Ok(()) } else { self.write(dir) }
    }
}

impl Bundle {
    /// Writes the files below the directory of the configuration. What is there stays, but for certificates and their keys: they go
    /// in pairs, and a pair stays only if whoever trusts the authority takes it. So it does not matter where an attempt before was
    /// interrupted. What a node renews its certificates with is written in any case: its key went with the data directory before.
    ///
    /// Errors: a file would go elsewhere, or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for file in &self.files {
            file.place(dir)?;
        }
        let (paired, single): (Vec<&File>, Vec<&File>) =
            self.files.iter().partition(|file| file.is_key() || self.other_half(file).is_some());
        for file in single {
            file.write_missing(dir)?;
        }
        for key in paired.into_iter().filter(|file| file.is_key()) {
            let Some(certificate) = self.other_half(key) else {
                key.write_missing(dir)?;
                continue;
            };
            let [cert_path, key_path, ca] = [certificate.place(dir)?, key.place(dir)?, dir.join(CA)];
            let renews = key.path.file_stem().is_some_and(|stem| stem == "renewal");
            if renews || !pair::is_good(&cert_path, &key_path, &ca) {
                key.write(dir)?;
                certificate.write(dir)?;
            }
        }
        Ok(())
    }

    /// The key to a certificate, or the certificate to a key.
    fn other_half(&self, file: &File) -> Option<&File> {
        let other = file.path.with_extension(if file.is_key() { "crt" } else { "key" });
        self.files.iter().find(|one| one.path == other)
    }
}

#[cfg(test)]
mod tests {
    use types::{ClusterId, Slot};

    use super::*;
    use crate::pki::Authority;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), mode: 0o600, text: text.into() }
    }

    fn bundle(files: Vec<File>) -> Bundle {
        Bundle {
            name: "Test".into(),
            lineage: String::new(),
            slot: "b".into(),
            node: 0,
            node_name: "b2".into(),
            pending: 0,
            files,
        }
    }

    /// As a healthy machine makes it, each time anew, with the authority's key.
    fn made(authority: &Authority) -> Bundle {
        let mut files = vec![file("tls/ca.crt", authority.certificate())];
        let hosts = ["b.example".to_owned()];
        let peer = authority.peer(ClusterId([7; 16]), Slot::B, 10).unwrap();
        let (client, renewal) = (authority.client(&hosts, 10), authority.renewal(ClusterId([7; 16]), Slot::B, &hosts));
        for (name, pair) in [("peer", peer), ("client", client.unwrap()), ("renewal", renewal.unwrap())] {
            files.push(file(&format!("tls/{name}.crt"), &pair.certificate));
            files.push(file(&format!("tls/{name}.key"), &pair.key));
        }
        bundle(files)
    }

    fn text(dir: &Path, path: &str) -> String {
        std::fs::read_to_string(dir.join(path)).unwrap()
    }

    fn holds(dir: &Path, bundle: &Bundle, name: &str) -> bool {
        ["crt", "key"].iter().all(|ending| {
            let path = format!("tls/{name}.{ending}");
            let sent = bundle.files.iter().find(|file| file.path == Path::new(&path)).unwrap();
            std::fs::read_to_string(dir.join(path)).is_ok_and(|there| there == sent.text)
        })
    }

    #[test]
    fn nothing_is_written_elsewhere_or_over_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["../out", "/etc/out", "tls/../../out"] {
            let wrong = bundle(vec![file("first", "new"), file(wrong, "new")]);
            assert!(wrong.write(&dir.path().join("below")).is_err(), "{wrong:?}");
            assert!(!dir.path().join("below").exists(), "all of it or nothing");
        }
        std::fs::write(dir.path().join("there"), "old").unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        let sent = ["there", "empty", "audit.key"].map(|path| file(path, "new"));
        bundle(sent.into()).write(dir.path()).unwrap();
        assert_eq!(text(dir.path(), "there"), "old");
        assert_eq!(text(dir.path(), "empty"), "new", "an interrupted attempt left it");
        assert_eq!(text(dir.path(), "audit.key"), "new");
    }

    #[test]
    fn wherever_an_attempt_ended_the_next_leaves_pairs_that_fit() {
        let authority = Authority::create("Test").unwrap();
        let (first, second) = (made(&authority), made(&authority));
        for written in 0..=first.files.len() {
            for half in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                // As releases before wrote it: one after the other, each under its own name from the first byte on.
                std::fs::create_dir_all(dir.path().join("tls")).unwrap();
                for file in &first.files[..written] {
                    std::fs::write(dir.path().join(&file.path), &file.text).unwrap();
                }
                if let Some(last) = first.files[..written].last().filter(|file| half && file.path != Path::new(CA)) {
                    std::fs::write(dir.path().join(&last.path), &last.text[..last.text.len() / 2]).unwrap();
                }
                second.write(dir.path()).unwrap();
                for name in ["peer", "client"] {
                    let fits = holds(dir.path(), &first, name) || holds(dir.path(), &second, name);
                    assert!(fits, "{name} after {written} files, the last one half: {half}");
                }
                assert!(holds(dir.path(), &second, "renewal"), "its key may be gone with the data directory");
            }
        }
    }

    #[test]
    fn a_pair_that_is_good_stays_and_that_of_another_authority_goes() {
        let (own, other) = (Authority::create("Test").unwrap(), Authority::create("Other").unwrap());
        let (first, second, foreign) = (made(&own), made(&own), made(&other));
        let dir = tempfile::tempdir().unwrap();
        first.write(dir.path()).unwrap();
        second.write(dir.path()).unwrap();
        assert!(holds(dir.path(), &first, "peer") && holds(dir.path(), &first, "client"));
        let dir = tempfile::tempdir().unwrap();
        foreign.write(dir.path()).unwrap();
        std::fs::write(dir.path().join(CA), own.certificate()).unwrap();
        second.write(dir.path()).unwrap();
        assert!(holds(dir.path(), &second, "peer") && holds(dir.path(), &second, "client"));
    }
}
