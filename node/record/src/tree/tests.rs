use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use super::*;

const SIZE_MAX: u64 = 40;

fn record(index: u64) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

fn of(size: u64) -> Memory {
    let mut tree = Memory::default();
    (0..size).for_each(|index| tree.push(leaf_hash(&record(index))));
    tree
}

/// An implementation that is not ours: crate `ct-merkle`.
fn theirs(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|index| tree.push(record(index)));
    tree
}

#[test]
fn an_empty_leaf_and_an_empty_tree_hash_as_in_rfc_6962() {
    let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn roots_are_those_of_another_implementation() {
    let tree = of(SIZE_MAX);
    for size in 0..=SIZE_MAX {
        assert_eq!(root(&tree, size).expect("complete"), theirs(size).root().as_bytes().as_slice(), "of size {size}");
    }
}

#[test]
fn an_edge_grows_to_the_same_root_wherever_it_began() {
    for began in 0..=SIZE_MAX {
        let mut edge = Edge::of(&of(began), began).expect("complete");
        for size in began..=SIZE_MAX {
            let tree = of(size);
            assert_eq!((edge.size(), Ok(edge.root())), (size, root(&tree, size)), "from {began}");
            edge.push(leaf_hash(&record(size)), |level, place, hash| {
                assert_eq!(of(size + 1).node(level, place), Ok(hash), "from {began} to {size}: level {level}, {place}");
            });
        }
    }
}

#[test]
fn inclusion_proofs_are_those_of_another_implementation_and_prove_nothing_else() {
    let tree = of(SIZE_MAX);
    for size in 1..=SIZE_MAX {
        let (root, other) = (root(&tree, size).expect("complete"), theirs(size));
        for index in 0..size {
            let path = prove_inclusion(&tree, index, size).expect("complete").expect("inside");
            let expected = other.prove_inclusion(usize::try_from(index).expect("small"));
            assert_eq!(path.concat(), expected.as_bytes(), "{index} of {size}");
            let leaf = leaf_hash(&record(index));
            assert!(verify_inclusion(&leaf, index, size, &path, &root));
            assert!(!verify_inclusion(&leaf_hash(b"other"), index, size, &path, &root), "another record");
            assert!(!verify_inclusion(&leaf, index + 1, size, &path, &root), "another place");
            let more = [path.as_slice(), &[leaf]].concat();
            assert!(!verify_inclusion(&leaf, index, size, &more, &root), "a longer path");
            if let Some((_, shorter)) = path.split_last() {
                assert!(!verify_inclusion(&leaf, index, size, shorter, &root), "a shorter path");
            }
        }
        assert_eq!(prove_inclusion(&tree, size, size), Ok(None));
    }
}

#[test]
fn consistency_proofs_are_those_of_another_implementation_and_prove_nothing_else() {
    let tree = of(SIZE_MAX);
    for new in 1..=SIZE_MAX {
        let (new_root, other) = (root(&tree, new).expect("complete"), theirs(new));
        for old in 1..=new {
            let old_root = root(&tree, old).expect("complete");
            let proof = prove_consistency(&tree, old, new).expect("complete").expect("in order");
            let expected = other.prove_consistency(usize::try_from(new - old).expect("small"));
            assert_eq!(proof.concat(), expected.as_bytes(), "{old} to {new}");
            assert!(verify_consistency((old, &old_root), (new, &new_root), &proof), "{old} to {new}");
            assert!(!verify_consistency((old, &leaf_hash(b"other")), (new, &new_root), &proof), "another beginning");
            assert!(!verify_consistency((old, &old_root), (new, &leaf_hash(b"other")), &proof), "another end");
        }
    }
    assert_eq!(prove_consistency(&tree, 0, 5), Ok(None));
    assert_eq!(prove_consistency(&tree, 6, 5), Ok(None));
}
