//! That the audit log in a backup is the one that nodes have sealed: a sealed head at its size or above, and the proof that
//! the log in the backup is the beginning of that one.

use std::collections::BTreeSet;

use record::Checkpoint;
use record::checkpoint::{key_name, origin};
use record::note::{Note, Signature, Verifier};
use record::tree::{self, Hash};
use state::keys;
use state::view::{Rows, View};
use store::{Fault, TreeNodes};
use types::limits::SIGNERS_MAX;
use types::row::{Head, Signer};
use types::{ClusterId, Key, NodeId, Row};

/// Heads that can be between two that are sealed, and more.
const UNSEALED_MAX: usize = 64;
/// Heads that are read at a time.
const READ_AT_ONCE: usize = 1_024;
/// Heads that are tried for each signer who came later: one is enough unless a signature on it is false.
const VOUCHING_MAX: usize = 4;

/// A sealed head, and the proof that a log of some smaller size is its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The head, as a signed note.
    pub note: String,
    /// See [`tree::prove_consistency`].
    pub proof: Vec<Hash>,
}

impl Evidence {
    /// The first head of this size or above that two of these have sealed, if there is one yet: who came after the
    /// backup is a stranger to whoever reads it.
    pub fn of<V: View<Fault = Fault>>(
        view: &V,
        records: u64,
        signers: &[(NodeId, Signer)],
    ) -> Result<Option<Self>, Fault> {
        let (Some(cluster), 1..) = (view.cluster()?, records) else { return Ok(None) };
        let heads = view.scan(&Key::Head(records), &Key::Head(u64::MAX), false, UNSEALED_MAX)?;
        let Some((size, head)) = heads.into_iter().filter_map(sealed).find(|(_, head)| sealed_among(head, signers))
        else {
            return Ok(None);
        };
        let Some(note) = note(view, cluster.id, size, &head)? else { return Ok(None) };
        let proof = tree::prove_consistency(&TreeNodes(view), records, size)?;
        Ok(proof.map(|proof| Self { note, proof }))
    }

    /// Who sealed it, if it covers a log of this size and root; what is wrong otherwise.
    pub(crate) fn sealed_by(
        &self,
        cluster: ClusterId,
        signers: &[(NodeId, Signer)],
        (records, root): (u64, &Hash),
    ) -> Result<Vec<NodeId>, &'static str> {
        let note = Note::parse(&self.note).map_err(|_| "the sealed head is no signed note")?;
        let head = Checkpoint::parse(&note.text).ok_or("the sealed head is no checkpoint")?;
        if head.origin != origin(cluster) {
            return Err("the sealed head is of another cluster");
        }
        let mut known = Vec::with_capacity(signers.len());
        for (node, signer) in signers {
            let key = Verifier::new(&key_name(cluster, *node), signer.key).map_err(|_| "a signer has no name")?;
            known.push((*node, key));
        }
        let signed = note.signers(known.iter().map(|(_, key)| key));
        let signed =
            signed.map_err(|_| "the sealed head has a false signature of a known key: it was tampered with")?;
        let by: Vec<NodeId> = known.iter().filter(|(_, key)| signed.contains(&key)).map(|(node, _)| *node).collect();
        let mut slots: Vec<_> = by.iter().map(|node| node.slot()).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots.len() < 2 {
            return Err("the sealed head is not signed by two nodes");
        }
        if tree::verify_consistency((records, root), (head.size, &head.root), &self.proof) {
            Ok(by)
        } else {
            Err("the sealed head is of another log")
        }
    }
}

/// Everyone who signs, or did.
pub(crate) fn signers<V: View<Fault = Fault>>(view: &V) -> Result<Vec<(NodeId, Signer)>, Fault> {
    let (from, to) = keys::signers();
    let rows = view.scan(&from, &to, false, SIGNERS_MAX)?.into_iter();
    Ok(rows
        .filter_map(|(key, row)| match (key, row) {
            (Key::Signer(node), Row::Signer(signer)) => Some((node, signer)),
            _ => None,
        })
        .collect())
}

/// The newest sealed head up to this size, as a note; none: none is sealed yet.
pub(crate) fn newest<V: View<Fault = Fault>>(view: &V, cluster: ClusterId, size: u64) -> Result<Option<String>, Fault> {
    let (from, to) = keys::heads_to(size);
    let head = view.scan(&from, &to, true, READ_AT_ONCE)?.into_iter().find_map(sealed);
    head.map_or(Ok(None), |(size, head)| note(view, cluster, size, &head))
}

/// The heads up to this size that can vouch for `node`, whom the record `index` names as a signer: the first ones above it
/// that two others have signed who came before. However long ago that was, they are kept.
pub(crate) fn vouching<V: View<Fault = Fault>>(
    view: &V,
    (cluster, size): (ClusterId, u64),
    signers: &[(NodeId, Signer)],
    (index, node): (u64, NodeId),
) -> Result<Vec<String>, Fault> {
    let came_before = |(other, signer): &&(NodeId, Signer)| *other != node && signer.since <= index;
    let old: Vec<_> = signers.iter().filter(came_before).cloned().collect();
    let (mut notes, mut from) = (Vec::new(), index.saturating_add(1));
    loop {
        let rows = view.scan(&Key::Head(from), &Key::Head(size), false, READ_AT_ONCE)?;
        let Some(Key::Head(last)) = rows.last().map(|(key, _)| key.clone()) else { return Ok(notes) };
        for (size, head) in rows.into_iter().filter_map(sealed).filter(|(_, head)| sealed_among(head, &old)) {
            notes.extend(note(view, cluster, size, &head)?);
            if notes.len() >= VOUCHING_MAX {
                return Ok(notes);
            }
        }
        from = last.saturating_add(1);
    }
}

/// Whether signers of two slots have signed what most did.
fn sealed_among(head: &Head, signers: &[(NodeId, Signer)]) -> bool {
    let signed = head.signatures.iter().filter(|one| head.root() == Some(one.root));
    let known = signed.filter(|one| signers.iter().any(|(node, _)| *node == one.node));
    let slots: BTreeSet<_> = known.map(|one| one.node.slot()).collect();
    slots.len() >= 2
}

fn sealed((key, row): (Key, Row)) -> Option<(u64, Head)> {
    match (key, row) {
        (Key::Head(size), Row::Head(head)) if head.sealed.is_some() => Some((size, head)),
        _ => None,
    }
}

fn note<V: View<Fault = Fault>>(view: &V, cluster: ClusterId, size: u64, head: &Head) -> Result<Option<String>, Fault> {
    let Some(root) = head.root() else { return Ok(None) };
    let text = Checkpoint { origin: origin(cluster), size, root }.text();
    let mut signatures = Vec::new();
    for one in head.signatures.iter().filter(|one| one.root == root) {
        let Some(signer) = view.signer(one.node)? else { continue };
        let Ok(verifier) = Verifier::new(&key_name(cluster, one.node), signer.key) else { continue };
        signatures.push(Signature::new(&verifier, &one.signature));
    }
    Ok((!signatures.is_empty()).then(|| Note { text, signatures }.to_string()))
}
