//! A small cluster's state with real keys, backed up, damaged in every way, verified and restored.

mod damage;
mod founding;
mod series;
mod world;

use std::path::Path;

use types::{ClusterId, Lineage};
use world::World;

use crate::{Error, Expected, Made, Opener, Pace, Target, Verified, verify};

/// A target in a directory of its own, with `world`'s backup number `count` in it.
fn backed_up(world: &mut World) -> (tempfile::TempDir, Target, Made) {
    let dir = tempfile::tempdir().expect("a directory");
    let target = Target::init(dir.path()).expect("a target");
    let made = world.back_up(&target).expect("a backup");
    (dir, target, made)
}

fn check(world: &World, target: &Target, made: &Made, with: Option<&Opener>) -> Result<Verified, Error> {
    let expected = Expected { founding: Some(world.founding()), ..Expected::default() };
    verify(target, &made.manifest.name, &expected, with, world.room(), &mut |_, _| {})
}

#[test]
fn two_backups_of_one_second_have_names_of_their_own() {
    let mut world = World::new();
    let (_dir, target, made) = backed_up(&mut world);
    let (node, taken) = (made.manifest.node, made.manifest.created);
    let next = target.free_time(taken, node);
    assert_eq!(next.0, taken.0 + 1_000);
    assert_eq!(target.free_time(next, node), next);
}

#[test]
fn a_backup_is_verified_by_restoring_it_and_the_kit_opens_it() {
    let mut world = World::new();
    world.post(5);
    world.seal_head();
    let (_dir, target, made) = backed_up(&mut world);
    assert_eq!(target.names().expect("lists"), std::slice::from_ref(&made.manifest.name));

    let closed = check(&world, &target, &made, None).expect("structure");
    assert!(closed.restored.is_none(), "nothing to open it with, so nothing inside is shown");

    let opened = check(&world, &target, &made, Some(&world.kit())).expect("good").restored.expect("restored");
    assert_eq!((opened.messages, opened.sealed_by.len()), (5, 2));
    let kit = opened.kit.expect("the kit was given");
    assert_eq!((kit.cluster_keys, kit.data_keys, kit.messages), (1, 2, 1));
    assert!(opened.founded.is_some_and(|size| size > 0));

    let own = Opener::Series(world.series());
    let opened = check(&world, &target, &made, Some(&own)).expect("good").restored.expect("restored");
    assert_eq!((opened.messages, opened.kit), (5, None), "the node's own key shows nothing of the kit");
    assert_eq!(std::fs::read_dir(world.room()).expect("a room").count(), 0, "nothing is left of it");
}

#[test]
fn a_head_sealed_later_covers_what_was_backed_up_before() {
    let mut world = World::new();
    world.post(3);
    world.seal_head();
    world.post(2);
    let snapshot = world.snapshot();
    world.post(4);
    let dir = tempfile::tempdir().expect("a directory");
    let target = Target::init(dir.path()).expect("a target");
    let made = world.back_up_of(&target, snapshot.clone()).expect("a backup");
    let opened = check(&world, &target, &made, Some(&world.kit())).expect("good").restored.expect("restored");
    assert_eq!(opened.sealed_by, [], "no head covers it yet");
    world.seal_head();
    let made = world.back_up_of(&target, snapshot).expect("a backup");
    let opened = check(&world, &target, &made, Some(&world.kit())).expect("good").restored.expect("restored");
    assert_eq!((opened.messages, opened.sealed_by.len()), (5, 2));
}

#[test]
fn a_backup_of_another_cluster_history_or_kit_is_refused_by_name() {
    let mut world = World::new();
    world.post(1);
    let (_dir, target, made) = backed_up(&mut world);
    let name = &made.manifest.name;
    let ask = |expected: &Expected, with: Option<&Opener>| {
        verify(&target, name, expected, with, world.room(), &mut |_, _| {}).expect_err("foreign").to_string()
    };
    let cluster = Expected { cluster: Some(ClusterId([9; 16])), ..Expected::default() };
    let lineage = Expected { lineage: Some(Lineage([9; 16])), ..Expected::default() };
    let other = World::new();
    for (error, what) in [
        (ask(&cluster, None), "of cluster"),
        (ask(&lineage, None), "of lineage"),
        (ask(&Expected::default(), Some(&other.kit())), "of the recovery kit"),
    ] {
        assert!(error.starts_with("FOREIGN BACKUP") && error.contains(what) && error.contains(name), "{error}");
    }
}

#[test]
fn content_never_lies_in_a_target_in_the_clear() {
    let mut world = World::new();
    world.post(3);
    world.seal_head();
    let (dir, ..) = backed_up(&mut world);
    let mut seen = 0;
    for file in files_below(dir.path()) {
        let bytes = std::fs::read(&file).expect("readable");
        for canary in ["admin", "Ward", "first", "$argon2id$"] {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} lies in {}", file.display());
        }
        seen += 1;
    }
    assert!(seen > 5, "there are files: {seen}");
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
