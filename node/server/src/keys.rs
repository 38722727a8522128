//! This node's key pair: made on this machine, and on its disk only in protected form.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use raft::KeyReport;
use seal::{NodeKey, Protected, PublicKey, Secret};
use types::command::{AddDataKey, Found};
use types::key::{Envelope, Holder, NewClusterKey};
use zeroize::Zeroizing;

use crate::Failure;

/// Bytes of a secret that is not made by people.
const SECRET_BYTES_MIN: usize = 32;
/// Shortest passphrase, in characters.
const PASSPHRASE_CHARS_MIN: usize = 14;
/// The systemd credential and the variable of the environment that a passphrase is taken from, where there is one.
const PASSPHRASE_CREDENTIAL: &str = "tricord-node-passphrase";
/// See [`PASSPHRASE_CREDENTIAL`].
pub const PASSPHRASE_VARIABLE: &str = "TRICORD_NODE_PASSPHRASE";
/// Longest secret that is read.
const SECRET_BYTES_MAX: u64 = 4_096;

/// What protects the private key. A TPM would be one more of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Protection {
    /// A file with a random secret, made at founding if it is not there.
    File(PathBuf),
    /// A systemd credential of this name (`LoadCredential=` or `LoadCredentialEncrypted=`).
    Credential(String),
    /// A passphrase: of a credential or the environment if there is one, otherwise from there.
    Passphrase(Passphrase),
}

/// Where a passphrase comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passphrase {
    /// The terminal.
    Prompt,
    /// `systemd-ask-password`, which asks wherever the operator is.
    Systemd,
    /// A file descriptor that was inherited.
    Descriptor(u32),
}

impl Protection {
    /// In a few words, for status and reports.
    pub fn describe(&self, data: &Path) -> String {
        let words = match self {
            Self::Credential(_) => "credential",
            Self::Passphrase(_) => "passphrase",
            Self::File(file) if same_file_system(file, data) => "file on the data disk",
            Self::File(_) => "file",
        };
        words.to_owned()
    }

    fn secret(&self, anew: bool) -> Result<Secret, Failure> {
        match self {
            Self::File(path) => {
                if anew && !path.exists() {
                    make_secret(path)?;
                }
                file_secret(path)
            }
            Self::Credential(name) => {
                let dir = credentials()
                    .ok_or("there are no systemd credentials: start by systemd with LoadCredential= or LoadCredentialEncrypted=")?;
                read_secret(&dir.join(name))
            }
            Self::Passphrase(from) => {
                let words = from.ask(anew)?;
                if anew && words.chars().count() < PASSPHRASE_CHARS_MIN {
                    return Err(
                        format!("the passphrase is too short: {PASSPHRASE_CHARS_MIN} characters or more").into()
                    );
                }
                Ok(Secret::Passphrase(words))
            }
        }
    }
}

/// Drops a passphrase that came by the environment and was not needed, so that it is not there for as long as the daemon runs.
/// Once the node's key is open.
pub fn forget_handed_over() {
    drop(seal::environment::take(PASSPHRASE_VARIABLE)); // There is none, mostly, or it was taken.
}

impl Passphrase {
    /// What was handed over goes before what must be asked for: the credential, the descriptor, the environment, people.
    fn ask(self, anew: bool) -> Result<Zeroizing<String>, Failure> {
        const WHAT: &str = "Passphrase of this node's key";
        let credential = credentials().map(|dir| dir.join(PASSPHRASE_CREDENTIAL)).filter(|path| path.exists());
        if let Some(path) = credential {
            return line_of(&read_bounded(&path)?);
        }
        if !matches!(self, Self::Descriptor(_))
            && let Some(words) = seal::environment::take(PASSPHRASE_VARIABLE)?
        {
            return Ok(words);
        }
        let words = match self {
            Self::Prompt => {
                let words = Zeroizing::new(rpassword::prompt_password(format!("{WHAT}: "))?);
                if anew && *words != rpassword::prompt_password("The same again: ")? {
                    return Err("the two passphrases differ".into());
                }
                words
            }
            Self::Systemd => {
                let asked = Command::new("systemd-ask-password")
                    .args(["--timeout=0", "--id=tricord-node-key", WHAT])
                    .stdin(Stdio::null())
                    .stderr(Stdio::inherit())
                    .output()
                    .map_err(|error| format!("run systemd-ask-password: {error}"))?;
                let said = Zeroizing::new(asked.stdout);
                if !asked.status.success() {
                    return Err("systemd-ask-password gave no passphrase".into());
                }
                line_of(&said)?
            }
            Self::Descriptor(number) => line_of(&read_bounded(Path::new(&format!("/proc/self/fd/{number}")))?)?,
        };
        Ok(words)
    }
}

/// Where systemd puts credentials, if it started this.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// A passphrase as it was handed over, without the end of its line.
fn line_of(bytes: &[u8]) -> Result<Zeroizing<String>, Failure> {
    let words = std::str::from_utf8(bytes).map_err(|_| "the passphrase is not UTF-8")?;
    Ok(Zeroizing::new(words.trim_end_matches(['\n', '\r']).to_owned()))
}

/// This node's pair, opened: made if it has none yet.
pub fn open_or_make(protection: &Protection, data: &Path) -> Result<(NodeKey, PublicKey), Failure> {
    let path = data.join("keys").join("node");
    if path.exists() {
        let protected = Protected::from_bytes(std::fs::read(&path).map_err(named("read", &path))?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let opened = protected.open(&protection.secret(false)?);
        return opened
            .map_err(|error| format!("open {}: {error}; see [keys] in the configuration", path.display()).into());
    }
    let secret = protection.secret(true)?;
    let pair = NodeKey::generate()?;
    let protected = Protected::protect(&pair, &secret)?;
    let dir = data.join("keys");
    std::fs::create_dir_all(&dir).map_err(named("create", &dir))?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).map_err(named("make private", &dir))?;
    write_new(&path, protected.as_bytes())?;
    let public = pair.public()?;
    Ok((pair, public))
}

/// The pair as the other nodes are told of it.
pub fn report(public: PublicKey, protection: &Protection, data: &Path) -> KeyReport {
    KeyReport { public: public.0, protection: protection.describe(data) }
}

/// Makes the first keys, on the one node that puts the founding, sealed to the three nodes and the recovery kit.
pub fn complete(recovery: PublicKey) -> raft::Complete {
    Arc::new(move |found, nodes| {
        let holders = nodes.iter().map(|(node, public)| (Holder::Node(*node), PublicKey(*public)));
        let made = first_key(std::iter::once((Holder::Recovery, recovery)).chain(holders));
        match made {
            Ok((key, requests)) => Some(Found { cluster_key: Some(key), request_key: Some(requests), ..found }),
            Err(error) => {
                tracing::error!(%error, "make the first cluster key");
                None
            }
        }
    })
}

fn first_key(holders: impl Iterator<Item = (Holder, PublicKey)>) -> Result<(NewClusterKey, AddDataKey), seal::Error> {
    let key = seal::ClusterKey::generate(1)?;
    let envelope = |(holder, to): (Holder, PublicKey)| {
        Ok::<_, seal::Error>(Envelope { holder, public: to.0, sealed: key.envelope(&to)? })
    };
    let mut envelopes = holders.map(envelope).collect::<Result<Vec<_>, _>>()?;
    envelopes.sort_by_key(|envelope| envelope.holder);
    let requests = seal::RequestKey::mint(&key)?;
    Ok((NewClusterKey { version: 1, check: key.check_value(), envelopes }, requests))
}

fn same_file_system(file: &Path, data: &Path) -> bool {
    match (rustix::fs::stat(file), rustix::fs::stat(data)) {
        (Ok(file), Ok(data)) => file.st_dev == data.st_dev,
        _ => true, // Not known to be elsewhere.
    }
}

fn make_secret(path: &Path) -> Result<(), Failure> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES_MIN]);
    getrandom::fill(secret.as_mut()).map_err(|_| "no randomness")?;
    let text: Zeroizing<String> = Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect());
    write_new(path, text.as_bytes())
}

fn file_secret(path: &Path) -> Result<Secret, Failure> {
    let mode = std::fs::metadata(path).map_err(named("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("{} can be read by others: chmod 600 it", path.display()).into());
    }
    read_secret(path)
}

fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let bytes = read_bounded(path)?;
    let end = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    if end < SECRET_BYTES_MIN {
        return Err(format!("{}: a secret has {SECRET_BYTES_MIN} bytes or more", path.display()).into());
    }
    Ok(Secret::Key(Zeroizing::new(bytes[..end].to_vec())))
}

fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(named("read", path))?;
    file.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(named("read", path))?;
    Ok(bytes)
}

/// Writes a file that is not there yet, for its owner alone, durably: whole or not at all.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let mut file = file.map_err(named("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(named("write", &temporary))?;
    std::fs::rename(&temporary, path).map_err(named("create", path))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(named("sync", dir))
}

fn named(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| format!("{doing} {}: {error}", path.display()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_once_and_opens_with_its_secret_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let protection = Protection::File(dir.path().join("node.secret"));
        let (_, made) = open_or_make(&protection, &data).expect("made");
        let (pair, opened) = open_or_make(&protection, &data).expect("opened");
        assert_eq!(made, opened);
        assert_eq!(protection.describe(&data), "file on the data disk");
        for file in ["node.secret", "data/keys/node"] {
            let path = dir.path().join(file);
            let bytes = std::fs::read(&path).expect("a file");
            assert!(!bytes.windows(32).any(|bytes| bytes == pair.private_bytes()), "{file}");
            assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600, "{file}");
        }
        let other = Protection::File(dir.path().join("other.secret"));
        make_secret(&dir.path().join("other.secret")).expect("made");
        let error = open_or_make(&other, &data).expect_err("another secret").to_string();
        assert!(error.contains("not the right one"), "{error}");
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_short_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.secret");
        make_secret(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
        let error = file_secret(&path).expect_err("readable").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::write(&path, "short\n").expect("written");
        let error = read_secret(&path).expect_err("short").to_string();
        assert!(error.contains("32 bytes or more"), "{error}");
    }
}
