use types::command::Lease;
use types::limits::{ANSWERS_KEPT_MS, CLOCK_HOLD_MS, EVENTS_KEPT_MS, SESSION_MS_MAX};
use types::record::Action;

use super::*;
use crate::heads;
use crate::policy::actor_of;
use crate::view::Rows;

const YEARS: u64 = 73 * 365 * 24 * 60 * 60 * 1000;

fn tick() -> Envelope {
    Envelope { origin: NODE, author: Author::Node, command: Command::Tick }
}

fn signed_in(world: &World, n: u8) -> bool {
    matches!(actor_of(&world.model, Timestamp(world.now), session(n)), Ok(Some(_)))
}

/// Ticks until nothing more is due.
fn settle(world: &mut World) {
    for _ in 0..50 {
        world.step(tick());
    }
}

fn answers(world: &World) -> usize {
    world.model.rows.keys().filter(|key| matches!(key, Key::Answer(..))).count()
}

/// Events of before any step; ending a session makes another.
fn events(world: &World) -> usize {
    let old = |row: &&Row| matches!(row, Row::EventScope((_, at)) if at.0 <= 1_000_000);
    world.model.rows.values().filter(old).count()
}

/// A group with a message, and then a clock that says 2099.
fn stepped() -> World {
    let mut world = World::new(2);
    world.never_lock(); // Locking goes by cluster time: it can be made good by whoever is there.
    world.group(1, 0, &[1, 2]);
    world.by(1, post(1)).expect("posted");
    world.now += YEARS;
    let outcome = world.step(tick());
    assert_eq!(outcome.records.last().map(|record| record.action), Some(Action::StepClock), "it is a record");
    world
}

#[test]
fn nothing_irreversible_fires_after_a_step_until_an_operator_says_that_it_is_right() {
    let mut world = stepped();
    let before = (answers(&world), events(&world));
    settle(&mut world);
    assert!(signed_in(&world, 0) && signed_in(&world, 1), "sessions go on");
    assert_eq!((answers(&world), events(&world)), before, "answers and events are kept");
    let repeat = request(1, 1, 1, post(1));
    assert!(world.step(repeat).answer.result.is_ok(), "a retry of before is recognised");

    let hold = heads(&world.model).expect("heads").hold.expect("a hold");
    assert_eq!(world.by(1, Command::ConfirmClock(hold.after)), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::ConfirmClock(Timestamp(1))), Err(Reject::NotFound), "another step");
    world.by(0, Command::ConfirmClock(hold.after)).expect("confirmed");
    assert!(heads(&world.model).expect("heads").hold.is_none());
    assert!(!signed_in(&world, 1), "now they are over");
    world.now += CLOCK_HOLD_MS; // What waits looks again after a day at the latest.
    world.put(tick());
    settle(&mut world);
    assert_eq!(events(&world), 0);
}

#[test]
fn a_day_after_a_step_it_is_taken_for_right() {
    let mut world = stepped();
    world.now += CLOCK_HOLD_MS - 1;
    world.put(tick());
    settle(&mut world);
    assert!(signed_in(&world, 1));
    world.now += 1;
    world.put(tick());
    settle(&mut world);
    assert!(!signed_in(&world, 1));
    assert_eq!(events(&world), 0);
}

#[test]
fn what_would_have_expired_without_the_step_expires() {
    let mut world = World::new(2);
    world.group(1, 0, &[1, 2]);
    world.now += SESSION_MS_MAX.max(ANSWERS_KEPT_MS).max(EVENTS_KEPT_MS) - 60_000;
    world.put(tick());
    world.now += 30_000;
    world.put(Envelope { command: Command::RenewLease(Lease { epoch: 1 }), ..tick() });
    world.now += YEARS;
    world.step(tick());
    world.now += 3 * 60 * 60 * 1000;
    world.put(tick());
    settle(&mut world);
    assert!(!signed_in(&world, 1));
    assert_eq!(events(&world), 0, "their time was over anyway");
}

#[test]
fn a_second_step_adds_to_the_first() {
    let mut world = stepped();
    let first = heads(&world.model).expect("heads").hold.expect("a hold");
    world.now += 1_000 + YEARS;
    world.step(tick());
    let heads = heads(&world.model).expect("heads");
    let second = heads.hold.expect("a hold");
    assert_eq!(second.before, first.before, "of the time since the first step nothing passed without another");
    assert_eq!(heads.steady(), first.before);
    assert!(second.until > first.until);
    assert!(signed_in(&world, 1));
}

#[test]
fn a_refused_command_notes_the_step_all_the_same() {
    let mut world = World::new(1);
    world.now += YEARS;
    let number = heads(&world.model).expect("heads").records;
    let refused = request(1, 1, 1, Command::DeactivateUser(user(0)));
    assert_eq!(world.step(refused).answer.result, Err(Reject::NotPermitted));
    assert!(heads(&world.model).expect("heads").hold.is_some());
    let Ok(Some(record)) = world.model.record(number + 1) else { panic!("a record") };
    assert_eq!(record.action, Action::StepClock);
}

#[test]
fn time_that_passes_in_small_steps_is_no_step() {
    let mut world = World::new(1);
    for _ in 0..100 {
        world.now += types::limits::CLOCK_STEP_MS_MAX;
        world.step(tick());
    }
    assert!(heads(&world.model).expect("heads").hold.is_none());
}
