//! The sealed list of what a backup's files are.
//!
//! Shape: `TRICBC`, format 2 bytes ‖ head of the manifest ‖ the snapshot's manifest ‖ the head of the audit log that
//! covers it (a signed note, may be empty) ‖ the proof that it does, 32 bytes for each hash. Each part but the magic is
//! behind its length, 4 bytes big-endian.

use store::Manifest as Snapshot;

use crate::evidence::Evidence;

const MAGIC: &[u8; 8] = b"TRICBC\x00\x01";
/// Largest list that is read: that of a snapshot with as many files as one may have.
pub(crate) const CONTENTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a backup's files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Contents {
    /// The first lines of the manifest: who changes them there is found out here.
    pub head: String,
    /// The files, by name, with what is in them.
    pub snapshot: Snapshot,
    /// A head of the audit log that two nodes sealed.
    pub evidence: Option<Evidence>,
}

impl Contents {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let (note, proof) = match &self.evidence {
            Some(evidence) => (evidence.note.as_str(), evidence.proof.concat()),
            None => ("", Vec::new()),
        };
        for part in [self.head.as_bytes(), &self.snapshot.encode(), note.as_bytes(), &proof] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut part = || {
            let (length, after) = rest.split_first_chunk()?;
            let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let head = String::from_utf8(part()?.to_vec()).ok()?;
        let snapshot = Snapshot::decode(part()?).ok()?;
        let note = String::from_utf8(part()?.to_vec()).ok()?;
        let (proof, odd) = part()?.as_chunks::<32>();
        let evidence = (!note.is_empty()).then(|| Evidence { note, proof: proof.to_vec() });
        (rest.is_empty() && odd.is_empty()).then_some(Self { head, snapshot, evidence })
    }
}
