//! Heads of the tree as texts (C2SP `tlog-checkpoint`): origin, size, root. Nodes sign these very bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::{ClusterId, NodeId};

use crate::note::{Note, Verifier};
use crate::tree::Hash;

/// A head of the audit tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Whose tree; see [`origin`].
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The name of a cluster's tree.
#[must_use]
pub fn origin(cluster: ClusterId) -> String {
    format!("tricord/audit/{cluster}")
}

/// The name of the key a node of this cluster signs with.
#[must_use]
pub fn key_name(cluster: ClusterId, node: NodeId) -> String {
    format!("{}/{node}", origin(cluster))
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads the text of a note. Lines after the third are for extensions, and ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let plain = size == "0" || (!size.starts_with('0') && size.bytes().all(|byte| byte.is_ascii_digit()));
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        (plain && !origin.is_empty()).then_some(())?;
        Some(Self { origin: origin.to_owned(), size: size.parse().ok()?, root })
    }

    /// The checkpoint of a note, with those of these keys that signed it; none where one of them has a false signature on it.
    #[must_use]
    pub fn open<'a>(note: &Note, keys: &'a [Verifier]) -> Option<(Self, Vec<&'a Verifier>)> {
        Some((Self::parse(&note.text)?, note.signers(keys).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::{Signature, Signer};

    #[test]
    fn a_checkpoint_with_a_false_signature_of_a_known_key_is_not_opened() {
        let signer = |name: &str, seed| Signer::from_seed(name, [seed; 32]).expect("a key");
        let (a, b) = (signer("x/a", 1), signer("x/b", 2));
        let checkpoint = Checkpoint { origin: "x".into(), size: 7, root: [9; 32] };
        let text = checkpoint.text();
        let lines = [&a, &b].map(|by| Signature::new(by.verifier(), &a.sign(&text)));
        let note = Note { text, signatures: lines.to_vec() };
        let keys = [a.verifier().clone(), b.verifier().clone()];
        assert_eq!(Checkpoint::open(&note, &keys), None, "b did not sign it");
        assert_eq!(Checkpoint::open(&note, &keys[..1]), Some((checkpoint, vec![&keys[0]])), "nobody knows b");
    }

    #[test]
    fn a_checkpoint_reads_back_and_has_one_spelling() {
        let checkpoint = Checkpoint { origin: origin(ClusterId([7; 16])), size: 88_120, root: [9; 32] };
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Some(checkpoint.clone()));
        for (from, to) in [("88120", "088120"), ("88120", "+88120"), ("CQkJ", "!QkJ"), ("tricord", "\n")] {
            assert_eq!(Checkpoint::parse(&checkpoint.text().replacen(from, to, 1)), None, "{from} {to}");
        }
    }
}
