//! What is reused, what is kept, and what a series ends with.

use std::fs;

use super::*;
use crate::{Manifest, Pruned, Series, prune, sort_by_age};

use types::limits::BACKUP_SERIES_MS_MAX;
use types::{Incarnation, Lineage, NodeId, Slot, Timestamp};

fn sealed_files(target: &Target) -> usize {
    files_below(&target.dir().join("files")).len()
}

#[test]
fn files_that_are_there_already_are_not_written_again() {
    let mut world = World::new();
    world.post(50);
    let (_dir, target, first) = backed_up(&mut world);
    assert_eq!(first.reused, 0);
    let before = sealed_files(&target);
    world.post(1);
    let second = world.back_up(&target).expect("a backup");
    let tables = |made: &Made| made.manifest.files.iter().map(|item| item.name).collect::<Vec<_>>();
    let shared = tables(&second).iter().filter(|name| tables(&first).contains(name)).count();
    assert!(shared > 0 && second.reused == shared, "{shared} shared, {} reused", second.reused);
    assert_eq!(sealed_files(&target), before + second.manifest.files.len() - shared + 1);
    for made in [&first, &second] {
        check(&world, &target, made, Some(&world.kit())).expect("both are whole");
    }
}

#[test]
fn a_file_that_lost_its_end_is_written_again() {
    let mut world = World::new();
    world.post(5);
    let (_dir, target, first) = backed_up(&mut world);
    let largest = first.manifest.files.iter().max_by_key(|item| item.bytes).expect("some");
    fs::write(target.file_path(&first.manifest.series, largest), b"cut").expect("written");
    let snapshot = world.snapshot();
    let second = world.back_up_of(&target, snapshot).expect("a backup");
    check(&world, &target, &second, Some(&world.kit())).expect("good");
}

#[test]
fn the_newest_are_kept_and_files_go_with_the_last_backup_that_has_them() {
    let mut world = World::new();
    let (_dir, target, _) = backed_up(&mut world);
    for _ in 0..4 {
        world.post(3);
        world.back_up(&target).expect("a backup");
    }
    let all = target.names().expect("lists");
    let made = target.manifest(&all[4]).expect("readable");
    let pruned = prune(&target, &made, 2).expect("prunes");
    assert_eq!((pruned.backups.as_slice(), pruned.unreadable.as_ref()), (&all[..3], None));
    assert!(pruned.files > 0);
    assert_eq!(target.names().expect("lists"), all[3..]);
    for name in &all[3..] {
        let done = verify(&target, name, &Expected::default(), Some(&world.kit()), world.room(), &mut |_, _| {});
        done.expect("what is kept is whole");
    }
    assert_eq!(prune(&target, &made, 2).expect("prunes"), Pruned::default(), "nothing more to do");

    let others = Manifest { node: NodeId::new(Slot::B, Incarnation(1)), name: "b".into(), ..made.clone() };
    assert_eq!(prune(&target, &others, 1).expect("prunes").backups.len(), 0, "a's are not b's");

    fs::write(target.manifest_path("19700101T000000Z-a1"), b"tricord-backup 1\n").expect("written");
    let pruned = prune(&target, &made, 1).expect("prunes");
    assert_eq!((pruned.backups.len(), pruned.files), (1, 0), "files may be those of the backup that cannot be read");
    assert_eq!(pruned.unreadable.as_deref(), Some("19700101T000000Z-a1"));
}

#[test]
fn a_backup_has_the_time_of_the_cluster_and_no_clock_decides_what_is_taken_away() {
    let mut world = World::new();
    let (_dir, target, _) = backed_up(&mut world);
    let ahead = Timestamp(world.clock().0 + 10 * 365 * 86_400_000);
    for days in 0..2 {
        world.post(1);
        world.back_up_dated(&target, Timestamp(ahead.0 + days * 86_400_000)).expect("a backup");
    }
    world.post(1);
    let made = world.back_up(&target).expect("a backup");
    assert_eq!(made.manifest.created, world.clock());

    let pruned = prune(&target, &made.manifest, 2).expect("prunes");
    assert_eq!(pruned.backups.len(), 2);
    check(&world, &target, &made, Some(&world.kit())).expect("what was just made is there, and whole");
    let left = target.names().expect("lists");
    let mut left: Vec<Manifest> = left.iter().map(|name| target.manifest(name).expect("readable")).collect();
    sort_by_age(&mut left, None);
    assert_eq!(left.last().map(|one| &one.name), Some(&made.manifest.name), "the newest is the one with most in it");
    assert!(left[0].created > ahead);

    // Nothing was applied meanwhile, as without a majority: that which was just made stays all the same.
    let again = world.back_up_dated(&target, Timestamp(0)).expect("a backup");
    prune(&target, &again.manifest, 1).expect("prunes");
    assert_eq!(target.names().expect("lists"), [again.manifest.name]);
}

#[test]
fn another_history_is_newer_if_its_last_backup_is_and_the_one_that_goes_on_is_the_newest() {
    let mut world = World::new();
    let (_dir, _, made) = backed_up(&mut world);
    let one = |lineage: u8, applied: u64, created: u64| Manifest {
        name: format!("{lineage}-{applied}"),
        lineage: Lineage([lineage; 16]),
        applied,
        created: Timestamp(created),
        ..made.manifest.clone()
    };
    // A new history counts its log from the beginning; and one of the old one was made by a clock that was ahead.
    let mut backups = [one(2, 5, 40), one(1, 100, 20), one(1, 90, 9_000), one(2, 9, 50), one(1, 110, 30)];
    let sorted = |backups: &[Manifest]| backups.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    sort_by_age(&mut backups, None);
    assert_eq!(sorted(&backups), ["1-90", "1-100", "1-110", "2-5", "2-9"]);
    sort_by_age(&mut backups, Some((made.manifest.cluster, Lineage([1; 16]))));
    assert_eq!(sorted(&backups), ["2-5", "2-9", "1-90", "1-100", "1-110"]);
}

#[test]
fn a_series_goes_on_for_a_month_and_not_for_another_kit() {
    let mut world = World::new();
    let first = world.series().id;
    assert_eq!(world.series().id, first);
    world.later(BACKUP_SERIES_MS_MAX);
    let next = world.series().id;
    assert_ne!(next, first);
    let other = World::new();
    fs::copy(world.series_file(), other.series_file()).expect("copied");
    assert_ne!(other.series().id, next, "sealed to another kit");

    let text = fs::read_to_string(world.series_file()).expect("readable");
    fs::write(world.series_file(), text.replacen("key ", "key 0", 1)).expect("written");
    assert!(matches!(Series::load(&world.series_file()), Err(Error::Series { .. })));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(other.series_file()).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
}
