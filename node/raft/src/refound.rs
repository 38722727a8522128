//! Beginning a new history with what one node has, while nothing runs there: the last resort when two nodes are lost for good.
//!
//! Everything in this node's log is taken, whether it is known to be committed or not: what was acknowledged is among it as far as
//! this node ever had it. Then come two entries that no other node will ever have: a membership of this node alone, and
//! `Refound`. The state that comes of it is made durable, and an empty log goes on behind it, one term higher. The caller then
//! writes the new lineage into the identity; until that is done, this can be begun again and goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use state::Rows;
use store::{Fault, LogId, LogStore, OpenError, Payload, RocksDisk, StateStore, Vote};
use types::limits::{APPEND_BYTES_MAX, APPLY_ENTRIES_MAX};
use types::reply::Reject;
use types::seat::{Refound, Refounding};
use types::{Author, Command, Entry, Envelope, Lineage, Timestamp};

use crate::kinds::{NodeInfo, RaftMembership};
use crate::seats;
use crate::wire::membership_bytes;

/// Why no new history was begun.
#[derive(Debug, thiserror::Error)]
pub enum RefoundError {
    /// The log cannot be opened.
    #[error("open the log")]
    Log(#[from] OpenError),
    /// The state or the log cannot be read or written.
    #[error("read or write what this node has")]
    Fault(#[from] Fault),
    /// The file system refuses.
    #[error("put the log aside")]
    Io(#[from] std::io::Error),
    /// There was never a cluster here.
    #[error("this node has no state of a cluster")]
    NotFounded,
    /// The state did not take it.
    #[error("the state does not take a new history: {0}")]
    Rejected(Reject),
}

/// What one node has, as an operator has to know before deciding.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What people call the cluster.
    pub name: String,
    /// The lineage of the state.
    pub lineage: Lineage,
    /// The cluster time of the newest thing that this node has.
    pub last: Timestamp,
    /// Entries of the log that it has and has not applied: they may never have been acknowledged, and are kept.
    pub unapplied: u64,
    /// Records of the audit log.
    pub records: u64,
    /// The refounding that was begun here and not ended, or the last one.
    pub refounding: Option<Refounding>,
    /// By slot: where the state says that peers reach the node there, if it says so.
    pub addresses: [Option<String>; 3],
}

/// Where a node keeps what it has.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// The Raft log.
    pub log: PathBuf,
    /// The state.
    pub state: PathBuf,
}

/// Looks, and changes nothing but what opening always does.
pub fn survey(dirs: &Dirs) -> Result<Survey, RefoundError> {
    let disk = RocksDisk::default();
    let (log, writer) = LogStore::open_dir(&disk, &dirs.log)?;
    let state = StateStore::open(Arc::new(disk), &dirs.state)?;
    let next = state.applied()?.0.map_or(0, |id| id.index + 1);
    let unapplied = log.bounds().1.map_or(0, |id| id.index + 1).saturating_sub(next);
    apply_all(&log, &state)?; // In memory: a young node's state may be in its log alone.
    let view = state.view();
    let cluster = view.cluster()?.ok_or(RefoundError::NotFounded)?;
    let mut addresses = [const { None }; 3];
    for (node, seat) in seats::all(&view)? {
        if let Some(slot) = node.slot() {
            addresses[usize::from(slot.number()) - 1] = Some(seat.peer_address); // The newest of a slot comes last.
        }
    }
    let survey = Survey {
        name: cluster.name,
        lineage: cluster.lineage,
        last: state.heads().clock,
        unapplied,
        records: state.heads().records,
        refounding: view.refounding()?,
        addresses,
    };
    drop((view, state, log));
    drop(writer);
    Ok(survey)
}

/// Applies everything in the log.
fn apply_all(log: &LogStore<store::RocksEngine>, state: &StateStore<store::RocksEngine>) -> Result<(), RefoundError> {
    let next = state.applied()?.0.map_or(0, |id| id.index + 1);
    each(log, next, |id, payload| state.apply(vec![(id, payload.clone())]).map(drop).map_err(RefoundError::from))
}

/// Begins the new history. Said again with the same lineage after an interruption, it goes on.
pub fn refound(dirs: &Dirs, node: &NodeInfo, refound: Refound) -> Result<Refounding, RefoundError> {
    let disk = RocksDisk::default();
    let (log, writer) = LogStore::open_dir(&disk, &dirs.log)?;
    let vote = log.vote();
    let state = StateStore::open(Arc::new(disk), &dirs.state)?;
    let begun = state.view().cluster()?.is_some_and(|cluster| cluster.lineage == refound.lineage);
    if !begun {
        apply_all(&log, &state)?;
        state.view().cluster()?.ok_or(RefoundError::NotFounded)?;
        let last = state.applied()?.0.unwrap_or(LogId { term: 0, node: node.node, index: 0 });
        let term = vote.map_or(0, |vote| vote.term).max(last.term) + 1;
        let at = |index| LogId { term, node: node.node, index };
        let voters = BTreeSet::from([node.node.0]);
        let nodes = BTreeMap::from([(node.node.0, node.clone())]);
        let membership = RaftMembership::new(vec![voters], nodes).map_err(|_| RefoundError::NotFounded)?;
        let envelope = Envelope { origin: node.node, author: Author::Node, command: Command::Refound(refound) };
        // Later than all that survived, so that times tell what did.
        let entry = Entry { at: state.heads().clock.plus_ms(1), envelopes: vec![envelope] };
        let outputs = state.apply(vec![
            (at(last.index + 1), Payload::Membership(membership_bytes(&membership))),
            (at(last.index + 2), Payload::Commands(Bytes::from(codec::encode_entry(&entry)))),
        ])?;
        if let Some(Err(reject)) = outputs.last().and_then(|output| output.answers.first()).map(|answer| &answer.result)
        {
            return Err(RefoundError::Rejected(reject.clone()));
        }
        state.flush()?;
    }
    let refounding = state.view().refounding()?.ok_or(RefoundError::NotFounded)?;
    let term = state.applied()?.0.map_or(0, |id| id.term);
    drop((state, log));
    drop(writer);
    empty_log(&dirs.log, Vote { term, node: node.node, committed: false })?;
    Ok(refounding)
}

/// Puts the old log aside, once, and makes an empty one that knows its vote.
fn empty_log(dir: &Path, vote: Vote) -> Result<(), RefoundError> {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".ended");
    let aside = PathBuf::from(aside);
    if !aside.exists() {
        std::fs::rename(dir, &aside)?;
        if let Some(parent) = dir.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    let (log, writer) = LogStore::open_dir(&RocksDisk::default(), dir)?;
    if log.vote().is_none_or(|known| known.term < vote.term) {
        log.save_vote(vote, Box::new(|_| ()));
        writer.step().map_err(|fault| RefoundError::Io(std::io::Error::other(fault)))?;
    }
    Ok(())
}

/// Each entry from there on.
fn each(
    log: &LogStore<store::RocksEngine>,
    from: u64,
    mut take: impl FnMut(LogId, &Payload) -> Result<(), RefoundError>,
) -> Result<(), RefoundError> {
    let (purged, last) = log.bounds();
    let end = last.map_or(0, |id| id.index + 1);
    let mut next = from.max(purged.map_or(0, |id| id.index + 1));
    while next < end {
        let part = log.read(next..end.min(next + APPLY_ENTRIES_MAX as u64), APPEND_BYTES_MAX)?;
        let Some(newest) = part.last().map(|entry| entry.id.index) else { return Ok(()) };
        for entry in part {
            take(entry.id, &entry.payload)?;
        }
        next = newest + 1;
    }
    Ok(())
}
