//! What nodes have promised, kept beside the log that holds the promises: so that a log that lost its end, and an old copy
//! of a disk, are recognised (ADR 2026-11-22-vote-guard).
//!
//! Shape: text. A line `node = boot_seq nonce vote_term vote_node log_term log_node log_index` for each node, `-` for what
//! was never seen; `barred = true` or `false`; `lineage =`; closed by the SHA-256 of the lines before. Replaced as a whole.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use types::limits::REMEMBERED_NODES_MAX;
use types::{Lineage, NodeId};

use crate::files::replace_file;
use crate::{Fault, LogId, Vote};

/// Formats of the file. 1, 2026-11-22: the first.
const FORMAT: &str = "1";
const SUM: &str = "sha256 = ";

/// What one node was seen to promise. May be older than the truth, never newer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Promises {
    /// The highest number of a start; 0: none was seen.
    pub boot_seq: u64,
    /// The nonce that came with it.
    pub nonce: u64,
    /// The highest vote; whether a majority granted it is not kept.
    pub vote: Option<Vote>,
    /// The last entry that it had on stable storage and that was committed. Such an entry is never taken back.
    pub log: Option<LogId>,
}

/// What a node remembers of itself and of its peers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remembered {
    /// By node, its own among them.
    pub nodes: BTreeMap<NodeId, Promises>,
    /// The history it is of: log ids and votes of another one say nothing here. None: it was written before that was kept.
    pub lineage: Option<Lineage>,
    /// A peer has seen later starts of this disk than this one: it is an old copy, and stays out for good.
    pub barred: bool,
}

impl Remembered {
    /// What was saved last; nothing if there is no file.
    ///
    /// Errors: [`Fault::Io`]; [`Fault::Damaged`] when its checksum does not hold.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        match std::fs::read(path) {
            Ok(bytes) => read(&bytes).ok_or_else(|| Fault::damaged("what this node remembers")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Fault::io("read", path)(error)),
        }
    }

    /// Replaces the file, durably. Of more than `REMEMBERED_NODES_MAX` nodes the oldest are left out.
    pub fn save(&self, path: &Path) -> Result<(), Fault> {
        replace_file(path, write(self).as_bytes())
    }
}

pub(crate) fn write(remembered: &Remembered) -> String {
    let mut text = format!("format = {FORMAT}\nbarred = {}\n", remembered.barred);
    if let Some(lineage) = remembered.lineage {
        let _ = writeln!(text, "lineage = {lineage}"); // Cannot fail.
    }
    for (node, seen) in newest(remembered) {
        let vote = seen.vote.map_or("- -".to_owned(), |vote| format!("{} {}", vote.term, vote.node.0));
        let log = seen.log.map_or("- - -".to_owned(), |log| format!("{} {} {}", log.term, log.node.0, log.index));
        let _ = writeln!(text, "{} = {} {} {vote} {log}", node.0, seen.boot_seq, seen.nonce); // Cannot fail.
    }
    let sum = checksum(&text);
    let _ = writeln!(text, "{SUM}{sum}");
    text
}

/// The newest of each slot, as many as are kept: an old node of one slot must not give way to new ones of another.
fn newest(remembered: &Remembered) -> impl Iterator<Item = (&NodeId, &Promises)> {
    let mut of_slot = BTreeMap::new();
    remembered.nodes.iter().rev().filter(move |(node, _)| {
        let count: &mut usize = of_slot.entry(node.slot()).or_default();
        *count += 1;
        *count <= REMEMBERED_NODES_MAX / 4
    })
}

pub(crate) fn read(bytes: &[u8]) -> Option<Remembered> {
    let text = std::str::from_utf8(bytes).ok()?;
    let end = text.find(SUM)?;
    if text[end..] != format!("{SUM}{}\n", checksum(&text[..end])) {
        return None;
    }
    let mut remembered = Remembered::default();
    for line in text[..end].lines() {
        let (name, value) = line.split_once(" = ")?;
        match name {
            "format" => (value == FORMAT).then_some(())?,
            "barred" => remembered.barred = value.parse().ok()?,
            "lineage" => remembered.lineage = Some(value.parse().ok()?),
            node => _ = remembered.nodes.insert(NodeId(node.parse().ok()?), promises(value)?),
        }
    }
    Some(remembered)
}

fn promises(value: &str) -> Option<Promises> {
    let words: Vec<&str> = value.split(' ').collect();
    let [boot_seq, nonce, vote_term, vote_node, log_term, log_node, log_index] = words.try_into().ok()?;
    let vote = match (vote_term, vote_node) {
        ("-", "-") => None,
        (term, node) => Some(Vote { term: term.parse().ok()?, node: NodeId(node.parse().ok()?), committed: false }),
    };
    let log = match (log_term, log_node, log_index) {
        ("-", "-", "-") => None,
        (term, node, index) => {
            Some(LogId { term: term.parse().ok()?, node: NodeId(node.parse().ok()?), index: index.parse().ok()? })
        }
    };
    Some(Promises { boot_seq: boot_seq.parse().ok()?, nonce: nonce.parse().ok()?, vote, log })
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Incarnation, Slot};

    fn some() -> Remembered {
        let vote = Vote { term: 7, node: NodeId(2), committed: false };
        let log = LogId { term: 6, node: NodeId(1), index: 99 };
        let full = Promises { boot_seq: 3, nonce: u64::MAX, vote: Some(vote), log: Some(log) };
        let nodes = [(NodeId(1), full), (NodeId(2), Promises::default())].into();
        Remembered { nodes, barred: true, ..Remembered::default() }
    }

    #[test]
    fn what_was_saved_is_loaded_and_nothing_is_loaded_of_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("remembered");
        assert_eq!(Remembered::load(&path).expect("no file"), Remembered::default());
        some().save(&path).expect("a file");
        assert_eq!(Remembered::load(&path).expect("whole"), some());
    }

    #[test]
    fn an_old_node_of_one_slot_does_not_give_way_to_new_ones_of_another() {
        let node = |slot, incarnation| NodeId::new(slot, Incarnation(incarnation));
        let others = (1..50).flat_map(|at| [node(Slot::B, at), node(Slot::C, at)]);
        let nodes = others.chain([node(Slot::A, 1)]).map(|node| (node, Promises::default())).collect();
        let kept =
            read(write(&Remembered { nodes, barred: false, ..Remembered::default() }).as_bytes()).expect("whole").nodes;
        assert!(kept.contains_key(&node(Slot::A, 1)) && kept.contains_key(&node(Slot::C, 49)), "{kept:?}");
        assert!(kept.len() <= REMEMBERED_NODES_MAX);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let text = write(&some()).into_bytes();
        for at in 0..text.len() {
            let mut flipped = text.clone();
            flipped[at] ^= 4;
            assert_eq!(read(&flipped), None, "byte {at}");
        }
    }
}
