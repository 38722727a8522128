//! What the founding keys show of a backup when nodes were replaced, and when nobody is left to vouch for the new ones.

use types::Slot;
use types::limits::AUDIT_HEAD_KEPT_MS;

use record::FoundingKeys;

use super::*;

/// Hours after which the heads that vouch are far from the newest.
const HOURS: usize = 1_100;

fn held_to(world: &World, target: &Target, made: &Made, founding: FoundingKeys) -> Result<crate::Restored, Error> {
    let expected = Expected { founding: Some(founding), ..Expected::default() };
    let verified = verify(target, &made.manifest.name, &expected, Some(&world.kit()), world.room(), &mut |_, _| {});
    Ok(verified?.restored.expect("restored"))
}

#[test]
fn machines_replaced_years_ago_are_vouched_for_by_the_heads_of_that_time() {
    let mut world = World::new();
    world.seal_head();
    world.replace(Slot::C);
    world.later(AUDIT_HEAD_KEPT_MS); // The first head of each hour is kept.
    world.seal_head();
    world.replace(Slot::B);
    world.later(AUDIT_HEAD_KEPT_MS);
    world.seal_head_by([Slot::A, Slot::C]);
    // Of those of the founding only a1 is left: from here on nothing vouches for c2 or b2 any more.
    for _ in 0..HOURS {
        world.later(AUDIT_HEAD_KEPT_MS);
        world.post(1);
        world.seal_head();
    }
    let size = world.records();
    assert!(world.sealed_heads() > HOURS, "a head of each hour is kept");
    let (_dir, target, made) = backed_up(&mut world);
    let restored = held_to(&world, &target, &made, world.founding()).expect("the founding keys vouch for all of it");
    assert!(restored.founded == Some(size) && restored.believed.is_empty(), "{restored:?}");
}

#[test]
fn after_a_restoration_the_new_keys_are_needed_and_their_absence_is_no_fault_of_the_backup() {
    let mut world = World::new();
    world.seal_head();
    let first = world.records();
    Slot::ALL.into_iter().for_each(|slot| world.replace(slot)); // Nobody signed meanwhile.
    world.post(3);
    world.seal_head();
    let (_dir, target, made) = backed_up(&mut world);

    let error = held_to(&world, &target, &made, world.founding()).expect_err("nobody of before vouches for them");
    assert!(!error.refutes(), "{error}");
    let text = error.to_string();
    assert!(matches!(error, Error::Unvouched { record, .. } if record > first), "{text}");
    assert!(text.contains("UNKNOWN SIGNER") && text.contains("--signers") && text.contains("--founding"), "{text}");

    let believing = world.founding().believe(&world.signers()).expect("keys");
    let restored = held_to(&world, &target, &made, believing).expect("good");
    assert_eq!(
        (restored.founded, restored.believed.len()),
        (Some(made.manifest.records), 2),
        "two vouch for the third"
    );

    let before = world.founding().believe(&World::new().signers()).expect("keys");
    assert!(held_to(&world, &target, &made, before).is_err(), "other nodes' keys");
}

#[test]
fn a_machine_replaced_since_the_last_head_of_the_backup_is_no_obstacle() {
    let mut world = World::new();
    world.post(1);
    world.seal_head();
    let sealed = world.records();
    world.replace(Slot::C);
    world.post(1);
    let snapshot = world.snapshot();
    world.seal_head();
    let dir = tempfile::tempdir().expect("a directory");
    let target = Target::init(dir.path()).expect("a target");
    let made = world.back_up_of(&target, snapshot).expect("a backup");
    let restored = held_to(&world, &target, &made, world.founding()).expect("good");
    assert_eq!((restored.founded, restored.sealed_by.len()), (Some(sealed), 2));
}

#[test]
fn only_what_is_wrong_with_the_backup_itself_speaks_against_it() {
    let mut world = World::new();
    world.post(1);
    world.seal_head();
    let (_dir, target, made) = backed_up(&mut world);
    let other = World::new();
    let foreign = check(&world, &target, &made, Some(&other.kit())).expect_err("another kit");
    let own = Opener::Series(other.series());
    let series = check(&world, &target, &made, Some(&own)).expect_err("another node's series");
    let nowhere = std::path::Path::new("/nowhere");
    let room = verify(&target, &made.manifest.name, &Expected::default(), Some(&world.kit()), nowhere, &mut |_, _| {});
    let name = verify(&target, "no-such", &Expected::default(), None, world.room(), &mut |_, _| {});
    for error in [foreign, series, room.expect_err("no room"), name.expect_err("no such backup")] {
        assert!(!error.refutes(), "{error}");
    }
    std::fs::remove_file(target.file_path(&made.manifest.series, &made.manifest.contents)).expect("removed");
    assert!(check(&world, &target, &made, None).expect_err("a file is missing").refutes());
}
