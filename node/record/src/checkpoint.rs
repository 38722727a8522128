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

    /// The checkpoint of a note, with those of these keys that signed it.
    #[must_use]
    pub fn open<'a>(note: &Note, keys: &'a [Verifier]) -> Option<(Self, Vec<&'a Verifier>)> {
        let signers = keys.iter().filter(|key| note.signed_by(key)).collect();
        Some((Self::parse(&note.text)?, signers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_has_one_spelling() {
        let checkpoint = Checkpoint { origin: origin(ClusterId([7; 16])), size: 88_120, root: [9; 32] };
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Some(checkpoint.clone()));
        for (from, to) in [("88120", "088120"), ("88120", "+88120"), ("CQkJ", "!QkJ"), ("tricord", "\n")] {
            assert_eq!(Checkpoint::parse(&checkpoint.text().replacen(from, to, 1)), None, "{from} {to}");
        }
    }
}
