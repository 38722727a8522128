//! A node whose state comes from a backup: made once on its new machine by `tricordd backup restore`, and let in by the
//! other two when all three run.
//!
//! Shape of the file `restored` in the data directory: text, `name value` a line. It is written last when a backup is restored,
//! and goes away when the node has its slot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use backup::{Beginning, Expected, Revival, Target};
use raft::Handle;
use record::note::Signer;
use seal::NodeKey;
use services::Services;
use state::view::Rows;
use store::{DataDir, Identity};
use types::backup::{BackupDeed, NoteBackup};
use types::key::{Envelope, Holder};
use types::seat::AdmitNode;
use types::{Slot, Timestamp};

use crate::config::Config;
use crate::run::Consensus;
use crate::{Failure, keys};

const RESTORED: &str = "restored";
/// There while a backup is being restored; whoever finds it at the start begins anew.
const RESTORING: &str = "restoring";
/// Where the files of the backup are put together.
const ROOM: &str = "restore";
/// How often a node asks to be let in.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried to tell the cluster what it goes on from.
const TOLD_AT_MOST: usize = 20;

/// What a restored node has to tell the others.
#[derive(Clone, Debug)]
pub struct Note {
    envelopes: Vec<(u32, Envelope)>,
    records: u64,
    root: [u8; 32],
    bytes: u64,
}

/// Makes the data directory of the node that is configured out of a backup.
pub fn restore(
    config: &Config,
    (target, name): (&Target, &str),
    expected: Expected,
    kit: NodeKey,
    beginning: Beginning,
    progress: backup::Progress<'_>,
) -> Result<backup::Revived, Failure> {
    let data = &config.data;
    if data.join(RESTORING).exists() {
        let why = "restoring a backup to it was interrupted: empty the directory and begin again";
        return Err(format!("{}: {why}", data.display()).into());
    }
    // The slot's real id is known only from the backup; until then nothing makes this directory a node's.
    let room = data.join(ROOM);
    make_empty(data)?;
    fs::write(data.join(RESTORING), b"")?;
    fs::create_dir(&room)?;
    let (_, public) = keys::open_or_make(&config.keys, data)?;
    let slot = config.slot;
    let state = &data.join("state");
    let wish = Revival { target, name, expected, room: &room, state, slot, public, beginning };
    let revived = backup::revive(&wish, kit, progress).map_err(|error| match error {
        backup::Error::Unvouched { .. } => {
            Failure::from(format!("{error}. Empty {} before you run it again", data.display()))
        }
        other => other.into(),
    })?;
    let manifest = &revived.verified.manifest;
    let identity = Identity::new(manifest.cluster, beginning.lineage, revived.node, beginning.at)?;
    DataDir::adopt(data, identity)?;
    make_audit_key(config, &revived)?;
    let note = Note {
        envelopes: revived.envelopes.clone(),
        records: manifest.records,
        root: manifest.root,
        bytes: manifest.bytes(),
    };
    keep(data, &note)?;
    fs::remove_file(data.join(RESTORING))?;
    fs::File::open(data)?.sync_all()?;
    Ok(revived)
}

/// The data directory, which must be empty if it is there: for its owner alone before anything lies in it.
fn make_empty(data: &Path) -> Result<(), Failure> {
    match fs::read_dir(data) {
        Ok(mut there) => {
            if there.any(|one| one.map_or(true, |one| one.file_name() != "lost+found")) {
                return Err(format!(
                    "{} is not empty: a backup is restored to a new node's empty disk",
                    data.display()
                )
                .into());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::create_dir_all(data)?,
        Err(error) => return Err(format!("list {}: {error}", data.display()).into()),
    }
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(data, private).map_err(|error| format!("make {} private: {error}", data.display()).into())
}

/// A new node signs with a new key; the one that lies there is of the node before it.
fn make_audit_key(config: &Config, revived: &backup::Revived) -> Result<(), Failure> {
    let Some(path) = &config.audit_key else { return Ok(()) };
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| "no randomness")?;
    let name = record::checkpoint::key_name(revived.verified.manifest.cluster, revived.node);
    let signer = Signer::from_seed(&name, *seed)?;
    put_aside(path)?;
    keys::write_new(path, signer.secret().as_bytes())
}

/// Keeps the key that lies there as `audit.key.before`, or, where an earlier restoration has put one there, under the next
/// free number: the first one is that of the node which signed.
fn put_aside(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    let first = std::iter::once("key.before".to_owned());
    let names = first.chain((2..).map(|number: u32| format!("key.before.{number}")));
    let free = names.map(|name| path.with_extension(name)).find(|before| !before.exists());
    let before = free.ok_or("no name is free")?;
    fs::rename(path, &before).map_err(|error| format!("put {} aside: {error}", path.display()).into())
}

fn keep(data: &Path, note: &Note) -> Result<(), Failure> {
    let mut text =
        format!("tricord-restored 1\nrecords {}\nroot {}\nbytes {}\n", note.records, hex(&note.root), note.bytes);
    for (version, envelope) in &note.envelopes {
        text += &format!("envelope {version} {} {}\n", hex(&envelope.public), hex(&envelope.sealed));
    }
    let path = data.join(RESTORED);
    fs::write(&path, text)?;
    Ok(fs::File::open(&path)?.sync_all()?)
}

/// What a node that was restored has still to tell; none: it was not, or has told it.
///
/// Errors: restoring was interrupted, or the file is damaged.
pub fn load(data: &Path, own: &Identity) -> Result<Option<Note>, Failure> {
    if data.join(RESTORING).exists() {
        let why = "restoring a backup to it was interrupted: empty the directory and restore again";
        return Err(format!("{}: {why}", data.display()).into());
    }
    let path = data.join(RESTORED);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("read {}: {error}", path.display()).into()),
    };
    let note = parse(&text, own).ok_or_else(|| format!("{} is damaged: restore the backup again", path.display()))?;
    Ok(Some(note))
}

pub(crate) fn parse(text: &str, own: &Identity) -> Option<Note> {
    let mut lines = text.lines();
    let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
    (value("tricord-restored")? == "1").then_some(())?;
    let records = value("records")?.parse().ok()?;
    let root = unhex(value("root")?)?.try_into().ok()?;
    let bytes = value("bytes")?.parse().ok()?;
    let mut envelopes = Vec::new();
    for line in lines {
        let mut parts = line.strip_prefix("envelope ")?.split(' ');
        let version = parts.next()?.parse().ok()?;
        let public = unhex(parts.next()?)?.try_into().ok()?;
        let sealed = unhex(parts.next()?)?;
        envelopes.push((version, Envelope { holder: Holder::Node(own.node), public, sealed }));
    }
    Some(Note { envelopes, records, root, bytes })
}

/// Asks to be let in until this node has its slot; then the first of the three says what the cluster goes on from.
pub async fn let_in(
    node: Consensus,
    services: Services<Consensus>,
    note: Note,
    own: (Identity, [u8; 32]),
    config: Config,
) {
    let (identity, public) = own;
    let addresses = config.addresses(config.slot).clone();
    let admit = AdmitNode {
        node: identity.node,
        disk: identity.disk,
        public,
        peer_address: addresses.peer,
        client_address: addresses.client,
        envelopes: note.envelopes,
    };
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let seated = node.view().seat(identity.node).ok().flatten().is_some_and(|seat| seat.seated.is_some());
        if seated {
            break;
        }
        if let Err(why) = services.admit_restored(admit.clone(), Instant::now() + PATIENCE).await {
            tracing::debug!(why, "not let in yet");
        }
    }
    if config.slot == Slot::A {
        let (records, root, bytes) = (note.records, note.root, note.bytes);
        let deed = BackupDeed::Restore;
        let told = NoteBackup { deed, records, root, bytes, scheduled: false, reason: None };
        for _ in 0..TOLD_AT_MOST {
            match services.note_backup(told.clone(), Instant::now() + PATIENCE).await {
                Ok(()) => break,
                Err(why) => tracing::warn!(why, "the cluster was not told that it goes on from a backup"),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    if let Err(error) = fs::remove_file(config.data.join(RESTORED)) {
        tracing::warn!(%error, "the file 'restored' stays until the next start");
    }
    tracing::info!("this node, whose state comes from a backup, has its slot");
}

/// The three nodes of a cluster that begins with a backup.
pub fn founding(config: &Config, own: &Identity) -> raft::Founding {
    let nodes = Slot::ALL.map(|slot| crate::run::node_at(config, own, slot));
    raft::Founding { nodes, found: None, complete: None }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    // `from_str_radix` would also take a sign.
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// How a history begins, as people carry it from the first machine to the others: `LINEAGE-MILLISECONDS`.
pub fn parse_beginning(text: &str) -> Option<Beginning> {
    let (lineage, at) = text.split_once('-')?;
    let at = at.parse().ok().filter(|number: &u64| number.to_string() == at)?;
    Some(Beginning { lineage: lineage.parse().ok()?, at: Timestamp(at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_private_before_anything_lies_in_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let there = dir.path().join("there");
        fs::create_dir(&there).expect("made");
        for data in [there, dir.path().join("new/data")] {
            make_empty(&data).expect("empty");
            let mode = fs::metadata(&data).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", data.display());
            fs::write(data.join("file"), b"").expect("written");
            assert!(make_empty(&data).is_err(), "it is not empty any more");
        }
    }

    #[test]
    fn no_try_takes_the_place_of_the_key_that_signed() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = dir.path().join("audit.key");
        put_aside(&key).expect("nothing to do");
        for which in ["of the node", "of the first try", "of the second try"] {
            fs::write(&key, which).expect("written");
            put_aside(&key).expect("put aside");
            assert!(!key.exists());
        }
        let read = |name| fs::read_to_string(dir.path().join(name)).expect(name);
        assert_eq!(read("audit.key.before"), "of the node");
        assert_eq!(read("audit.key.before.2"), "of the first try");
        assert_eq!(read("audit.key.before.3"), "of the second try");
    }

    #[test]
    fn a_beginning_and_digits_have_one_spelling() {
        let lineage = "0f".repeat(16);
        assert!(parse_beginning(&format!("{lineage}-1800000000000")).is_some());
        for at in ["01800000000000", "+1800000000000", "", "-1"] {
            assert!(parse_beginning(&format!("{lineage}-{at}")).is_none(), "{at}");
        }
        assert_eq!((unhex("+1"), unhex("ä"), unhex("00ff")), (None, None, Some(vec![0, 255])));
    }
}
