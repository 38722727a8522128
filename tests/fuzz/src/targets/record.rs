//! What a verifier is given: signed notes, checkpoints, keys, exports. Nothing is believed that was not signed.

use record::cosignature::Witness;
use record::note::{Note, Signature, Signer, Verifier};
use record::tree::{self, Memory};
use record::verify::Log;
use record::{Checkpoint, FoundingKeys, checkpoint, leaf_hash, verify};
use types::{ClusterId, Incarnation, NodeId, Slot};

use crate::samples::{ROWS, golden};
use crate::target::Target;

const CLUSTER: ClusterId = ClusterId([7; 16]);

pub fn all() -> Vec<Target> {
    vec![
        Target::new("note", note, notes),
        Target::new("audit-key", audit_key, audit_keys),
        Target::new("founding-keys", founding_keys, || vec![keys().to_string().into_bytes()]),
        Target::new("audit-log", audit_log, audit_logs).factor(256),
        Target::new("tree-proof", tree_proof, tree_proofs),
    ]
}

fn signer(slot: Slot) -> Signer {
    let name = checkpoint::key_name(CLUSTER, NodeId::new(slot, Incarnation(1)));
    Signer::from_seed(&name, [slot.number(); 32]).expect("a key")
}

fn keys() -> FoundingKeys {
    FoundingKeys::new(CLUSTER, Slot::ALL.map(|slot| *signer(slot).verifier().key())).expect("names")
}

fn sealed(size: u64, root: [u8; 32]) -> Vec<u8> {
    let text = Checkpoint { origin: checkpoint::origin(CLUSTER), size, root }.text();
    let signatures = [Slot::A, Slot::C].map(|slot| {
        let signer = signer(slot);
        Signature::new(signer.verifier(), &signer.sign(&text))
    });
    Note { text, signatures: signatures.into() }.to_string().into_bytes()
}

fn notes() -> Vec<Vec<u8>> {
    vec![sealed(88_120, [9; 32]), sealed(0, [0; 32])]
}

/// Only what was signed is taken for a head; a note prints as it was read.
fn note(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert!(note.to_string() == text, "a note has two spellings");
    }
    text.lines().for_each(|line| drop(Signature::parse(line)));
    if let (Ok(note), Ok(witness)) = (Note::parse(text), Witness::new("witness.example", [7; 32])) {
        assert_eq!(witness.saw(&note), None, "a witness is believed that has not signed");
    }
    if let Ok(head) = verify::head(text, &keys()) {
        let head = head.checkpoint;
        let signed = [(88_120, [9; 32]), (0, [0; 32])].contains(&(head.size, head.root));
        assert!(signed, "a head that nobody signed is believed");
    }
    if let Some(read) = Checkpoint::parse(text) {
        assert!(text.starts_with(&read.text()), "a checkpoint has two spellings");
    }
}

fn audit_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = Verifier::parse(text) {
        assert_eq!(key.to_string(), text, "a key has two spellings");
    }
    if let Ok(key) = Witness::parse(text) {
        assert_eq!(key.to_string(), text, "a witness's key has two spellings");
    }
    if let Ok(key) = Signer::parse(text) {
        assert_eq!(key.secret(), text.trim_end(), "a private key has two spellings");
    }
}

fn audit_keys() -> Vec<Vec<u8>> {
    let signer = signer(Slot::B);
    let witness = Witness::new("witness.example", [7; 32]).expect("a name");
    vec![signer.verifier().to_string().into_bytes(), signer.secret().into_bytes(), witness.to_string().into_bytes()]
}

fn founding_keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(keys) = FoundingKeys::parse(text) {
        assert!(FoundingKeys::parse(&keys.to_string()).as_ref() == Ok(&keys), "founding keys do not read back");
    }
}

/// Records, each behind its length in two bytes, under a head that was sealed over others.
fn audit_log(bytes: &[u8]) {
    let (mut log, mut rest) = (Log::default(), bytes);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let Some((record, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        log.push(record);
        rest = after;
    }
    let head = String::from_utf8(sealed(log.tree().size(), [9; 32])).expect("text");
    assert!(log.verify(&keys(), &head, std::slice::from_ref(&head), Some(&head)).is_err(), "another log is believed");
}

fn audit_logs() -> Vec<Vec<u8>> {
    let records: Vec<Vec<u8>> = golden(ROWS).filter(|(name, _)| *name == "Record").map(|(_, bytes)| bytes).collect();
    let with_length = |record: &Vec<u8>| [&(record.len() as u16).to_be_bytes()[..], record].concat();
    vec![records.iter().map(with_length).collect::<Vec<_>>().concat()]
}

/// Index and size, then hashes: only what is in a tree is shown to be in it.
fn tree_proof(bytes: &[u8]) {
    let Some((numbers, hashes)) = bytes.split_first_chunk::<16>() else { return };
    let number = |at: usize| numbers[at..at + 8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (index, size) = (number(0), number(8));
    let hashes: Vec<[u8; 32]> = hashes.as_chunks::<32>().0.to_vec();
    let (tree, leaves) = tree();
    let root = tree::root(&tree, tree.size()).expect("its own size");
    let Some((leaf, path)) = hashes.split_first() else { return };
    if tree::verify_inclusion(leaf, index, tree.size(), path, &root) {
        let there = usize::try_from(index).ok().and_then(|index| leaves.get(index));
        assert!(there == Some(leaf), "a leaf that is not there is shown to be there");
    }
    if tree::verify_consistency((index, leaf), (tree.size(), &root), path) {
        assert!(tree::root(&tree, index).is_ok_and(|root| root == *leaf), "another log is shown to be the beginning");
    }
    let _ = tree::verify_inclusion(leaf, index, size, path, &root);
    let _ = tree::verify_consistency((index, leaf), (size, &root), path);
}

fn tree() -> (Memory, Vec<[u8; 32]>) {
    let (mut tree, leaves) = (Memory::default(), (0..11_u8).map(|at| leaf_hash(&[at])).collect::<Vec<_>>());
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    (tree, leaves)
}

fn tree_proofs() -> Vec<Vec<u8>> {
    let (tree, leaves) = tree();
    let size = tree.size();
    let bytes = |index: u64, first: [u8; 32], path: Vec<[u8; 32]>| {
        [&index.to_be_bytes()[..], &size.to_be_bytes(), &first, &path.concat()].concat()
    };
    let mut all = Vec::new();
    for index in [0_u64, 6, 10] {
        let path = tree::prove_inclusion(&tree, index, size).ok().flatten();
        all.extend(path.map(|path| bytes(index, leaves[index as usize], path)));
    }
    for old in [1_u64, 4, 7] {
        let path = tree::prove_consistency(&tree, old, size).ok().flatten();
        all.extend(path.map(|path| bytes(old, tree::root(&tree, old).expect("a size"), path)));
    }
    all
}
