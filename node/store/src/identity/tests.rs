use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, Timestamp};

use super::*;

fn identity() -> Identity {
    let node = NodeId::new(Slot::B, Incarnation(3));
    Identity::new(ClusterId([1; 16]), Lineage([2; 16]), node, Timestamp(1_700_000_000_000)).expect("random")
}

fn open(path: &Path) -> Result<DataDir, DataDirError> {
    DataDir::open(path, None, None)
}

#[test]
fn a_data_directory_knows_whose_it_is_and_counts_its_starts() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("new");
    let identity = identity();
    let created = DataDir::create(&path, identity).expect("create");
    assert_eq!((created.identity(), created.boot_seq()), (&identity, 1));
    drop(created);
    for boot in 2..5 {
        let opened = DataDir::open(&path, Some(identity.cluster), Some(identity.node)).expect("open");
        assert_eq!((opened.identity(), opened.boot_seq()), (&identity, boot));
    }
    assert_ne!(super::tests::identity().disk, identity.disk);
}

#[test]
fn a_directory_with_anything_in_it_is_not_taken() {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("thesis.txt"), "irreplaceable").expect("write");
    assert!(matches!(DataDir::create(dir.path(), identity()), Err(DataDirError::NotEmpty { .. })));
    assert!(matches!(open(dir.path()), Err(DataDirError::Missing { .. })));
    let made = dir.path().join("node");
    drop(DataDir::create(&made, identity()).expect("create"));
    assert!(matches!(DataDir::create(&made, identity()), Err(DataDirError::NotEmpty { .. })));
    assert!(matches!(open(&dir.path().join("absent")), Err(DataDirError::Missing { .. })));
}

#[test]
fn a_creation_that_was_cut_short_can_be_made_again() {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("lock"), "").expect("write");
    fs::write(dir.path().join("identity.new"), "# The iden").expect("write");
    assert!(matches!(open(dir.path()), Err(DataDirError::Missing { .. })));
    DataDir::create(dir.path(), identity()).expect("create");
}

#[test]
fn data_without_an_identity_is_neither_opened_nor_overwritten() {
    let dir = tempfile::tempdir().expect("dir");
    drop(DataDir::create(dir.path(), identity()).expect("create"));
    fs::remove_file(dir.path().join("identity")).expect("remove");
    assert!(matches!(open(dir.path()), Err(DataDirError::Incomplete { .. })));
    assert!(matches!(DataDir::create(dir.path(), identity()), Err(DataDirError::NotEmpty { .. })));
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let identity = identity();
    drop(DataDir::create(dir.path(), identity).expect("create"));
    let other = NodeId::new(Slot::A, Incarnation(1));
    let refused = DataDir::open(dir.path(), Some(identity.cluster), Some(other)).expect_err("another node");
    assert!(
        matches!(refused, DataDirError::OtherNode { found, expected, .. } if (found, expected) == (identity.node, other))
    );
    assert!(refused.to_string().contains("b3") && refused.to_string().contains("a1"), "{refused}");
    let refused = DataDir::open(dir.path(), Some(ClusterId([9; 16])), None);
    assert!(matches!(refused, Err(DataDirError::OtherCluster { .. })));
    assert_eq!(open(dir.path()).expect("open").boot_seq(), 2, "a refusal is no start");
}

#[test]
fn a_newer_format_is_refused_and_a_changed_identity_is_damage() {
    let dir = tempfile::tempdir().expect("dir");
    drop(DataDir::create(dir.path(), identity()).expect("create"));
    let file = dir.path().join("identity");
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, text.replace("format = 1", "format = 2")).expect("write");
    assert!(matches!(open(dir.path()), Err(DataDirError::Newer { found: 2, known: 1, .. })));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(&file, bytes).expect("write");
        assert!(open(dir.path()).is_err(), "byte {at}");
    }
    fs::write(&file, &text[..text.len() / 2]).expect("write");
    assert!(matches!(open(dir.path()), Err(DataDirError::Damaged { .. })));
}

#[test]
fn a_second_daemon_is_refused_and_told_about_the_first() {
    let dir = tempfile::tempdir().expect("dir");
    let first = DataDir::create(dir.path(), identity()).expect("create");
    let refused = open(dir.path()).expect_err("in use");
    assert!(matches!(&refused, DataDirError::InUse { pid: Some(pid), .. } if *pid == std::process::id()), "{refused}");
    DataDir::identify(dir.path()).expect("whose it is can be asked meanwhile");
    drop(first);
    open(dir.path()).expect("free again");
}

#[test]
fn only_the_daemon_itself_may_look_into_the_directory() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("data");
    drop(DataDir::create(&path, identity()).expect("create"));
    assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o700);
}
