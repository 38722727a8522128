//! The snapshot that a new node needs has rotted on the disk of the one that has to send it.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::replace::write_on;
use super::*;

/// The one that sends: a.
const SENDER: usize = 0;
/// What it says when it has found out.
const FOUND_OUT: &str = "a snapshot had rotted on this node's disk";

/// The file of a snapshot to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What the snapshot consists of, in our words.
    Manifest,
    /// Likewise, in RocksDB's: `MANIFEST-…`.
    Engine,
    /// Which of those counts.
    Current,
    /// A table, as a copy: the state has another.
    Table,
    /// A table that is the state's too.
    SharedTable,
}

/// Flips a bit in each kind of file of the snapshot while the sender is down and people go on writing to it. What arrives at the
/// new node is right each time, and it ends before it takes it; or the sender ends, for what has rotted is its state. Answers how
/// many messages were acknowledged meanwhile.
pub(crate) async fn each_kind(cluster: &mut Cluster, client: Arc<Client>, ward: &str) -> Result<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let writing = write_on(client, ward.to_owned(), stop.clone());
    let mut tried = 0;
    for kind in [Kind::Manifest, Kind::Engine, Kind::Current, Kind::Table, Kind::SharedTable] {
        cluster.node(SENDER).kill()?;
        let Some((path, at)) = damage(cluster, kind)? else {
            eprintln!("{kind:?} of a snapshot: there is none, not run");
            cluster.node(SENDER).start()?;
            continue;
        };
        tried += 1;
        let said_before = cluster.node(SENDER).log().len();
        cluster.node(SENDER).start()?;
        cluster.node(VICTIM).start_until("snapshot-moved=return")?;
        let who = tokio::task::block_in_place(|| first_to_end(cluster))?;
        eprintln!("{kind:?} of a snapshot, byte {at} of {}: {} ended", path.display(), cluster::SLOTS[who]);
        let log = cluster.node(SENDER).log();
        let told = &log[said_before..];
        if kind == Kind::SharedTable {
            assert_eq!(who, SENDER, "a table of the state has rotted: {told}");
            assert!(told.contains("damaged"), "{told}");
            cluster.node(VICTIM).kill()?;
            flip(&path, at)?;
            cluster.node(SENDER).start()?;
        } else {
            // Every file had arrived, and was what the sender's fresh manifest says.
            assert_eq!(who, VICTIM, "{kind:?}: {told}");
            // A snapshot without a manifest is none: it is gone when the node has started.
            assert!(kind == Kind::Manifest || told.contains(FOUND_OUT), "{kind:?} went unnoticed: {told}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written = writing.await??;
    assert!(tried >= 4 && written > 0, "only {tried} kinds of file were there, {written} messages written");
    Ok(written)
}

/// Which of the two ends by itself first.
fn first_to_end(cluster: &mut Cluster) -> Result<usize> {
    let began = Instant::now();
    while began.elapsed() < JUDGED {
        for node in [VICTIM, SENDER] {
            if cluster.node(node).has_ended_within(Duration::from_millis(20))? {
                return Ok(node);
            }
        }
    }
    Err("the new node got no snapshot, and the one that sends it did not end".into())
}

/// Flips a bit in the middle of such a file of the sender's snapshot.
fn damage(cluster: &Cluster, kind: Kind) -> Result<Option<(PathBuf, usize)>> {
    let snapshots = cluster.dir().join("a/data/state/snapshots");
    let named = |name: &str| match kind {
        Kind::Manifest => name == "manifest",
        Kind::Engine => name.starts_with("MANIFEST"),
        Kind::Current => name == "CURRENT",
        Kind::Table | Kind::SharedTable => name.ends_with(".sst"),
    };
    let mut all = files(&snapshots)?;
    all.retain(|path| path.file_name().is_some_and(|name| named(&name.to_string_lossy())));
    if kind == Kind::SharedTable {
        all.retain(|path| fs::metadata(path).is_ok_and(|file| file.nlink() > 1));
    }
    all.sort_by_key(|path| fs::metadata(path).map(|file| file.len()).unwrap_or(0));
    let Some(path) = all.pop() else { return Ok(None) };
    if kind == Kind::Table {
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        fs::write(&path, bytes)?;
    }
    let at = usize::try_from(fs::metadata(&path)?.len() / 2)?;
    flip(&path, at)?;
    Ok(Some((path, at)))
}
