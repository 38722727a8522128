//! Verification from the founding keys alone: of a whole log, and of one record. It says exactly what is wrong.

use std::collections::BTreeSet;

use types::record::{Action, Entity, Record, Result as End};
use types::{NodeId, Timestamp};

use crate::checkpoint::{Checkpoint, key_name};
use crate::founding::FoundingKeys;
use crate::note::{Note, Verifier};
use crate::read;
use crate::tree::{self, Hash, Memory, leaf_hash};

/// Signatures that make a head sealed.
const SEALED_BY: usize = 2;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not a signed checkpoint.
    #[error("NOT A HEAD: {0} is no signed checkpoint")]
    NoHead(&'static str),
    /// A head of another log.
    #[error("ANOTHER LOG: the head is of {found}, the founding keys are of {expected}")]
    OtherLog {
        /// The origin it names.
        found: String,
        /// The origin of the founding keys.
        expected: String,
    },
    /// Fewer than two nodes signed.
    #[error("TOO FEW SIGNATURES: the head of size {size} is signed by {}, two nodes are needed", names(.signers))]
    TooFewSignatures {
        /// The head's size.
        size: u64,
        /// Who did, and is known.
        signers: Vec<String>,
    },
    /// A known key is named as a signer, and did not sign it.
    #[error(
        "FALSE SIGNATURE: the head of size {size} says that {signer} signed it, and that is not so: it was tampered with"
    )]
    FalseSignature {
        /// The head's size.
        size: u64,
        /// The node named.
        signer: String,
    },
    /// A record's bytes are not those of its leaf.
    #[error("CHANGED RECORD: record {0} is not the one that was signed")]
    Changed(u64),
    /// One of several was changed, and it cannot be said which.
    #[error("CHANGED RECORD: one of the records {first} to {last} is not the one that was signed")]
    ChangedWithin {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The log ends before its head, or has a hole.
    #[error("MISSING RECORD: record {0} is not there")]
    Missing(u64),
    /// The log ends before a head that was seen earlier.
    #[error("CUT TAIL: there was a sealed head of size {since}, and this log ends at {size}")]
    Cut {
        /// The size of the earlier head.
        since: u64,
        /// The size of this log.
        size: u64,
    },
    /// Two sealed heads that no one log can have.
    #[error("FORK: another log of size {size} was sealed, signed by {}", names(.signers))]
    Fork {
        /// The size at which they part, or before it.
        size: u64,
        /// Who signed the other.
        signers: Vec<String>,
    },
    /// The records do not give the root.
    #[error("CHANGED RECORD: the records do not give the root that was signed; which of them is wrong cannot be told")]
    Root,
    /// The first record is not the founding of the cluster with these keys.
    #[error("ANOTHER LOG: the first record is not the founding of this cluster with these keys")]
    Founding,
    /// Nobody trusted vouches for a signer.
    #[error(
        "UNKNOWN SIGNER: record {0} names a signer that no two signers from before it vouch for. If the cluster was restored then, \
         from a backup or from one node, say its new keys (--signers)"
    )]
    Signer(u64),
    /// The path does not lead to the head's root.
    #[error("CHANGED RECORD: record {0} is not in the log that was signed")]
    NotIn(u64),
}

fn name(node: NodeId) -> String {
    node.slot().map_or_else(|| node.to_string(), |slot| slot.to_string())
}

fn names(names: &[String]) -> String {
    if names.is_empty() { String::from("nobody known") } else { names.join(" and ") }
}

/// A head that two known nodes signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The head.
    pub checkpoint: Checkpoint,
    /// The nodes that signed it, as they print.
    pub signers: Vec<String>,
}

/// A log that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The head it ends with.
    pub head: Sealed,
    /// The time of its last record: the head was not sealed before.
    pub last: Timestamp,
    /// The earlier head that it goes on from, if one was given.
    pub since: Option<u64>,
    /// Records that name signers whom only the keys given for a restoration vouch for.
    pub believed: Vec<u64>,
}

/// Who may sign.
struct Trusted(Vec<(NodeId, Verifier)>);

impl Trusted {
    fn founding(keys: &FoundingKeys) -> Self {
        let node = |slot| NodeId::new(slot, types::Incarnation(1));
        Self(types::Slot::ALL.into_iter().map(node).zip(keys.keys.iter().cloned()).collect())
    }

    fn head(&self, note: &str, what: &'static str, origin: &str) -> Result<Sealed, Problem> {
        let note = Note::parse(note).map_err(|_| Problem::NoHead(what))?;
        let checkpoint = Checkpoint::parse(&note.text).ok_or(Problem::NoHead(what))?;
        if checkpoint.origin != origin {
            return Err(Problem::OtherLog { found: checkpoint.origin, expected: origin.to_owned() });
        }
        let signed = note.signers(self.0.iter().map(|(_, key)| key)).map_err(|key| {
            let named = self.0.iter().find(|(_, other)| other == key).map(|(node, _)| name(*node));
            Problem::FalseSignature { size: checkpoint.size, signer: named.unwrap_or_default() }
        })?;
        let by: Vec<_> = self.0.iter().filter(|(_, key)| signed.contains(&key)).collect();
        let signers: Vec<String> = by.iter().map(|(node, _)| name(*node)).collect();
        // One place, or one key, is one signer, under however many names.
        let slots: BTreeSet<_> = by.iter().map(|(node, _)| node.slot()).collect();
        let keys: BTreeSet<_> = by.iter().map(|(_, key)| *key.key()).collect();
        if slots.len().min(keys.len()) < SEALED_BY {
            return Err(Problem::TooFewSignatures { size: checkpoint.size, signers });
        }
        Ok(Sealed { checkpoint, signers })
    }

    fn replace(&mut self, node: NodeId, key: Verifier) {
        self.0.retain(|(other, _)| other.slot() != node.slot());
        self.0.push((node, key));
    }
}

/// A head that two of the founding nodes signed, or of those who are believed beside them.
pub fn head(note: &str, founding: &FoundingKeys) -> Result<Sealed, Problem> {
    let mut trusted = Trusted::founding(founding);
    trusted.0.extend(founding.restored.iter().cloned());
    trusted.head(note, "the head", &founding.origin())
}

/// A record with its place and path, under a head: the record itself, if it can be read.
pub fn record(
    stored: &[u8],
    index: u64,
    path: &[Hash],
    head: &Checkpoint,
) -> Result<Result<Record, read::Error>, Problem> {
    if tree::verify_inclusion(&leaf_hash(stored), index, head.size, path, &head.root) {
        Ok(read::record(stored))
    } else {
        Err(Problem::NotIn(index))
    }
}

/// A whole log, as it is read: records in their order, then its heads.
#[derive(Default)]
pub struct Log {
    tree: Memory,
    founding: Option<Vec<(NodeId, [u8; 32])>>,
    changes: Vec<(u64, NodeId, [u8; 32])>,
    last: Timestamp,
}

impl Log {
    /// Takes the next record; its leaf hash.
    pub fn push(&mut self, stored: &[u8]) -> Hash {
        let (index, leaf) = (self.tree.size(), leaf_hash(stored));
        self.tree.push(leaf);
        // What this release cannot read is verified all the same; it cannot name signers.
        if let Ok(record) = read::record(stored) {
            self.last = self.last.max(record.at);
            if record.result != End::Done {
                return leaf; // What was refused names no signer.
            }
            let signers = record.entities.iter().filter_map(|entity| match entity {
                Entity::Signer(node, key) => Some((*node, *key)),
                _ => None,
            });
            match (index, record.action) {
                (0, Action::Found) => self.founding = Some(signers.collect()),
                (1.., Action::AddSigner) => self.changes.extend(signers.map(|(node, key)| (index, node, key))),
                _ => {}
            }
        }
        leaf
    }

    /// The records that name a signer after the founding, and whom.
    pub fn named(&self) -> impl Iterator<Item = (u64, NodeId)> {
        self.changes.iter().map(|(index, node, _)| (*index, *node))
    }

    /// The tree so far.
    #[must_use]
    pub const fn tree(&self) -> &Memory {
        &self.tree
    }

    /// Verifies what was taken: it must be what `checkpoint` seals, with signers that follow from the founding keys (older
    /// heads vouch for those that came later), and go on from the head `since`, if one is given. After a restoration nobody
    /// is left who could vouch: then the keys that came with the founding keys are believed ([`FoundingKeys::believe`]).
    /// Who was named above the head need not be vouched for: nothing below it rests on them.
    pub fn verify(
        &self,
        founding: &FoundingKeys,
        checkpoint: &str,
        older: &[String],
        since: Option<&str>,
    ) -> Result<Report, Problem> {
        let origin = founding.origin();
        let mut trusted = Trusted::founding(founding);
        let (mut ever, mut believed) = (Trusted(trusted.0.clone()), Vec::new());
        let expected: Vec<_> = trusted.0.iter().map(|(node, key)| (*node, *key.key())).collect();
        if self.tree.size() > 0 && self.founding.as_ref() != Some(&expected) {
            // The first record may be the one that was changed: then the root says so.
            let head = Note::parse(checkpoint).ok().and_then(|note| Checkpoint::parse(&note.text));
            let changed = head.is_some_and(|head| self.root(head.size).is_some_and(|root| root != head.root));
            return Err(if changed { Problem::Root } else { Problem::Founding });
        }
        let heads: Vec<&str> = older.iter().map(String::as_str).chain([checkpoint]).collect();
        let (end, mut above) = (size_of(checkpoint), None);
        for (index, node, key) in &self.changes {
            let vouches = |note: &&str| {
                let sealed = trusted.head(note, "a head", &origin).ok()?.checkpoint;
                (sealed.size > *index && self.root(sealed.size)? == sealed.root).then_some(())
            };
            let name = key_name(founding.cluster, *node);
            let verifier = Verifier::new(&name, *key).map_err(|_| Problem::Signer(*index))?;
            if !heads.iter().any(|note| vouches(note).is_some()) {
                if founding.restored.contains(&(*node, verifier.clone())) {
                    believed.push(*index);
                } else if end.is_some_and(|end| *index >= end) {
                    above.get_or_insert(*index);
                    continue;
                } else {
                    return Err(Problem::Signer(*index));
                }
            }
            ever.0.push((*node, verifier.clone()));
            trusted.replace(*node, verifier);
        }
        let head = trusted.head(checkpoint, "the checkpoint", &origin).map_err(|problem| match (problem, above) {
            // Whoever is named above may have signed a head from before.
            (Problem::TooFewSignatures { .. }, Some(index)) => Problem::Signer(index),
            (problem, _) => problem,
        })?;
        if self.tree.size() < head.checkpoint.size {
            return Err(Problem::Missing(self.tree.size()));
        }
        if self.root(head.checkpoint.size) != Some(head.checkpoint.root) {
            return Err(Problem::Root);
        }
        let since = since.map(|since| ever.head(since, "the earlier head", &origin)).transpose()?;
        if let Some(Sealed { checkpoint: earlier, signers }) = &since {
            if earlier.size > head.checkpoint.size {
                return Err(Problem::Cut { since: earlier.size, size: head.checkpoint.size });
            }
            if self.root(earlier.size) != Some(earlier.root) {
                return Err(Problem::Fork { size: earlier.size, signers: signers.clone() });
            }
        }
        Ok(Report { head, last: self.last, since: since.map(|since| since.checkpoint.size), believed })
    }

    fn root(&self, size: u64) -> Option<Hash> {
        if size > self.tree.size() { None } else { tree::root(&self.tree, size).ok() }
    }
}

/// The size that a head says it has.
fn size_of(note: &str) -> Option<u64> {
    Some(Checkpoint::parse(&Note::parse(note).ok()?.text)?.size)
}

#[cfg(test)]
mod tests;
