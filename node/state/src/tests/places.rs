use super::*;
use types::identity::{Attempt, LogOff, LogOffScope, RefuseSignIn, Settings, Source};
use types::limits::{LOCK_MS_DEFAULT, PART_MS_DEFAULT, PART_MS_MAX, PIN_FAILURES_MAX};
use types::place::{SetPin, TapIn};
use types::record::{Action, Agent, Entity};
use types::session::{Session, SessionEnd, SessionState};
use types::{EventBody, Key};

use crate::policy::actor_of;
use crate::view::Rows;

/// The room's account, which is signed in on device 9 in session 9.
const ROOM: u8 = 9;

fn hospital(people: u8) -> World {
    let mut world = World::new(people);
    let room = NewUser { kind: UserKind::Location, ..new_user(ROOM) };
    world.by(0, Command::CreateUsers(vec![room])).expect("a room");
    world.node(enrol(ROOM, ROOM)).answer.result.expect("signed in");
    for n in 1..=people {
        world.by(n, Command::SetPin(SetPin { hash: "$argon2id$p".into(), credential_version: 2 })).expect("a PIN");
    }
    world
}

fn tap(who: u8, n: u8) -> TapIn {
    TapIn {
        user: user(who),
        at: session(ROOM),
        session: session(n),
        token: [n; 32],
        credential_version: 3,
        attempt: None,
        methods: vec![Method::Pin],
        second: None,
        address: None,
    }
}

fn tap_in(world: &mut World, who: u8, n: u8) -> Outcome {
    world.node(Command::TapIn(tap(who, n)))
}

fn row(world: &World, n: u8) -> Session {
    let Ok(Some(session)) = world.model.session(session(n)) else { panic!("no session {n}") };
    session
}

fn acts(world: &World, n: u8) -> Option<UserId> {
    let Ok(actor) = actor_of(&world.model, Timestamp(world.now), session(n));
    actor.map(|actor| actor.user.id)
}

fn why(world: &World, n: u8) -> Option<SessionEnd> {
    match row(world, n).state {
        SessionState::Ended(_, why) => Some(why),
        _ => None,
    }
}

#[test]
fn whoever_taps_in_writes_from_there_and_every_message_names_both() {
    let mut world = hospital(2);
    world.group(1, 1, &[2, ROOM]);
    let outcome = tap_in(&mut world, 1, 20);
    let [record] = &outcome.records[..] else { panic!("{:?}", outcome.records) };
    let agent = Agent::User { user: user(1), acting_role: None, device: device(ROOM), session: session(20) };
    assert_eq!((record.action, record.location, &record.agent), (Action::TapIn, Some(user(ROOM)), &agent));

    let sent = world.put(request(20, 1, 1, post(1)));
    assert_eq!(posted(sent.answer.result), Seq(1));
    let Ok(Some(message)) = world.model.message(conversation(1), Seq(1)) else { panic!("no message") };
    let sender = message.sender;
    assert_eq!((sender.user, sender.location, sender.device), (user(1), Some(user(ROOM)), device(ROOM)));
    assert_eq!(sent.records[0].location, Some(user(ROOM)));

    let elsewhere = Command::Post(Post { location: Some(user(ROOM)), ..message_of(1) });
    assert_eq!(world.by(1, elsewhere), Err(Reject::Invalid(types::reply::Field::Location)), "not from one's own phone");
    posted(world.put(request(ROOM, 2, 1, post(1))).answer.result);
    let Ok(Some(message)) = world.model.message(conversation(1), Seq(2)) else { panic!("no message") };
    assert_eq!((message.sender.user, message.sender.location), (user(ROOM), None), "the room for itself");
    invariants::check(&world.model);
}

fn message_of(id: u8) -> Post {
    message(id)
}

#[test]
fn after_a_step_of_the_clock_people_still_tap_in_and_are_there() {
    let mut world = hospital(2);
    world.now += 73 * 365 * 24 * 60 * 60 * 1000; // Longer than any session lasts: nobody is put out by it before someone says it is right.
    for (who, n) in [(1, 20), (2, 21)] {
        let command = Command::TapIn(tap(who, n));
        let outcome = world.step(Envelope { origin: NODE, author: Author::Node, command });
        outcome.answer.result.expect("taps in");
        assert_eq!(acts(&world, n), Some(user(who)), "and is there");
    }
    assert_eq!(acts(&world, 20), None, "whoever was there before is not");
    invariants::check(&world.model);
}

#[test]
fn of_two_who_tap_in_at_once_one_is_there() {
    let mut world = hospital(2);
    tap_in(&mut world, 1, 20).answer.result.expect("taps in");
    world.attach(20);
    let outcome = tap_in(&mut world, 2, 21);
    outcome.answer.result.expect("taps in");
    assert_eq!((acts(&world, 20), acts(&world, 21)), (None, Some(user(2))));
    assert_eq!(why(&world, 20), Some(SessionEnd::TappedOut));
    assert!(outcome.events.iter().any(|event| event.body == EventBody::SessionEnded(session(20))), "its stream ends");
    assert!(outcome.presence.contains(&user(1)));
    let actions: Vec<_> = outcome.records.iter().map(|one| one.action).collect();
    assert_eq!(actions, [Action::TapOut, Action::TapIn]);
    assert_eq!(outcome.records[0].entities, [Entity::Session(session(20)), Entity::User(user(1))]);

    // A node that did not hear of it tries again, after someone else has come.
    let again = tap_in(&mut world, 1, 20);
    assert_eq!(again.answer.result, Err(Reject::NoSession), "it was there, and is not any more");
    assert_eq!(acts(&world, 21), Some(user(2)), "and takes nobody's place");
    let again = tap_in(&mut world, 2, 21);
    assert!(matches!(again.answer.result, Ok(Reply::SignedIn { .. })) && again.records.is_empty(), "exactly once");
    tap_in(&mut world, 2, 22).answer.result.expect("the same person anew");
    assert_eq!((acts(&world, 21), acts(&world, 22)), (None, Some(user(2))));
    invariants::check(&world.model);
}

#[test]
fn a_part_ends_at_exactly_its_limit_and_the_place_stays() {
    let mut world = hospital(1);
    tap_in(&mut world, 1, 20).answer.result.expect("taps in");
    world.now += PART_MS_DEFAULT - 1;
    world.node(Command::Tick);
    assert_eq!(acts(&world, 20), Some(user(1)));
    world.now += 1;
    let outcome = world.node(Command::Tick);
    assert_eq!(why(&world, 20), Some(SessionEnd::Idle), "ended, not locked");
    assert_eq!(outcome.records.iter().filter(|one| one.action == Action::TapOut).count(), 1);
    assert_eq!((acts(&world, ROOM), row(&world, ROOM).part), (Some(user(ROOM)), None));
    world.now += 10 * LOCK_MS_DEFAULT;
    world.node(Command::Tick);
    assert_eq!(acts(&world, ROOM), Some(user(ROOM)), "a place is not locked");
    invariants::check(&world.model);
}

#[test]
fn to_lock_a_part_is_to_end_it_and_the_place_ends_the_part_of_who_left() {
    let mut world = hospital(1);
    tap_in(&mut world, 1, 20);
    let locked = world.put(request(20, 1, 1, Command::LockSession(session(20))));
    assert_eq!(locked.answer.result, Ok(Reply::PartEnded));
    assert_eq!((why(&world, 20), locked.records[0].action), (Some(SessionEnd::SignedOut), Action::EndSession));
    tap_in(&mut world, 1, 21);
    world.put(request(ROOM, 2, 1, Command::EndSession(session(21)))).answer.result.expect("by the place");
    assert_eq!((acts(&world, 21), acts(&world, ROOM)), (None, Some(user(ROOM))));
    assert_eq!(world.put(request(ROOM, 3, 1, Command::EndSession(session(1)))).answer.result, Err(Reject::NotFound));
    invariants::check(&world.model);
}

#[test]
fn a_part_ends_with_its_place_however_that_ends() {
    let ends: [fn(&mut World); 4] = [
        |world| drop(world.by(0, Command::EndSession(session(ROOM)))),
        |world| drop(world.by(0, Command::DeactivateUser(user(ROOM)))),
        |world| {
            let log_off = LogOff { scope: LogOffScope::Device(device(ROOM)), reason: "a test".into() };
            drop(world.by(0, Command::LogOff(log_off)));
        },
        |world| drop(world.put(request(ROOM, 1, 1, Command::LockSession(session(ROOM))))),
    ];
    for end in ends {
        let mut world = hospital(1);
        tap_in(&mut world, 1, 20).answer.result.expect("taps in");
        end(&mut world);
        assert_eq!((acts(&world, ROOM), acts(&world, 20)), (None, None));
        assert!(why(&world, 20).is_some());
        assert_eq!(tap_in(&mut world, 1, 21).answer.result, Err(Reject::NoSession));
        invariants::check(&world.model);
    }
    let mut world = hospital(1);
    tap_in(&mut world, 1, 20).answer.result.expect("taps in");
    world.by(0, Command::DeactivateUser(user(1))).expect("deactivated");
    assert_eq!((acts(&world, 20), row(&world, ROOM).part), (None, None));
    tap_in(&mut world, 0, 22);
    world.now += PART_MS_MAX;
    assert_eq!(acts(&world, 22), None, "no longer than a shift");
    invariants::check(&world.model);
}

#[test]
fn nobody_taps_in_where_no_place_is_or_by_what_does_not_count() {
    let mut world = hospital(2);
    let refused = |world: &mut World, tap: TapIn| world.node(Command::TapIn(tap)).answer.result;
    assert_eq!(refused(&mut world, TapIn { at: session(2), ..tap(1, 20) }), Err(Reject::NotPermitted), "a phone");
    assert_eq!(refused(&mut world, TapIn { user: user(ROOM), ..tap(1, 20) }), Err(Reject::NotPermitted), "a room");
    assert_eq!(refused(&mut world, TapIn { credential_version: 2, ..tap(1, 20) }), Err(Reject::CredentialChanged));
    assert_eq!(
        refused(&mut world, TapIn { methods: vec![Method::DeviceKey], ..tap(1, 20) }),
        Err(Reject::CredentialChanged)
    );
    assert_eq!(refused(&mut world, TapIn { methods: vec![], ..tap(1, 20) }), Err(Reject::CredentialChanged));
    world.by(1, Command::ClearPin(user(1))).expect("gives it up");
    assert_eq!(refused(&mut world, TapIn { credential_version: 4, ..tap(1, 20) }), Err(Reject::CredentialChanged));
    refused(&mut world, TapIn { credential_version: 4, methods: vec![Method::Password], ..tap(1, 20) })
        .expect("the password");
    assert_eq!(refused(&mut world, TapIn { at: session(20), ..tap(2, 21) }), Err(Reject::NotPermitted), "in a part");
    let by_user = world.by(1, Command::TapIn(tap(1, 23)));
    assert_eq!(by_user, Err(Reject::NotPermitted), "only a node that has checked who it is");
    invariants::check(&world.model);
}

#[test]
fn a_pin_that_was_wrong_too_often_is_good_for_nothing_and_the_password_goes_on() {
    let mut world = hospital(1);
    for n in 0..PIN_FAILURES_MAX {
        let attempt = Attempt { login: [0x10; 16], source: Source::Device(device(100 + n as u8)) };
        let once = world.once();
        world.node(Command::RefuseSignIn(RefuseSignIn {
            user: Some(user(1)),
            attempt,
            pin: true,
            once,
            address: None,
        }));
    }
    assert_eq!(tap_in(&mut world, 1, 20).answer.result, Err(Reject::PinBlocked));
    let password = TapIn { methods: vec![Method::Password], ..tap(1, 21) };
    world.node(Command::TapIn(password)).answer.result.expect("the password");
    world.by(1, Command::SetPin(SetPin { hash: "$argon2id$q".into(), credential_version: 3 })).expect("another PIN");
    let anew = TapIn { credential_version: 4, ..tap(1, 22) };
    world.node(Command::TapIn(anew)).answer.result.expect("which is good");
}

#[test]
fn a_pin_gives_no_power_over_the_cluster() {
    let mut world = hospital(1);
    world.by(0, Command::SetPin(SetPin { hash: "$argon2id$p".into(), credential_version: 2 })).expect("a PIN");
    tap_in(&mut world, 0, 20).answer.result.expect("taps in");
    let create = Command::CreateUsers(vec![new_user(40)]);
    assert_eq!(world.put(request(20, 1, 1, create.clone())).answer.result, Err(Reject::NotPermitted));
    let password = TapIn { methods: vec![Method::Password], ..tap(0, 21) };
    world.node(Command::TapIn(password)).answer.result.expect("taps in");
    world.put(request(21, 2, 1, create)).answer.result.expect("with the password");
}

#[test]
fn a_pin_taken_away_by_the_help_desk_is_a_record_of_its_own_and_told() {
    let mut world = hospital(2);
    let outcome = world.outcome_by(0, Command::ClearPin(user(1)));
    assert_eq!((outcome.answer.result, outcome.records[0].action), (Ok(Reply::PinReset), Action::ResetPin));
    assert!(outcome.events.iter().any(|event| event.body == EventBody::PinCleared(user(0))));
    let Ok(Some(credential)) = world.model.credential(user(1)) else { panic!("no credential") };
    assert_eq!(credential.pin_cleared.map(|reset| reset.by), Some(user(0)));
    assert_eq!(world.by(0, Command::ClearPin(user(1))), Err(Reject::NotFound), "there is none");
    assert_eq!(world.by(1, Command::ClearPin(user(2))), Err(Reject::NotPermitted));
    let own = world.outcome_by(2, Command::ClearPin(user(2)));
    assert_eq!((own.answer.result, own.records[0].action), (Ok(Reply::Done), Action::ClearPin));
    let reset = Command::IssueEnrolment(user(2), [5; 32]);
    world.by(0, reset).expect("reset");
    assert!(matches!(world.model.credential(user(2)), Ok(Some(one)) if one.pin.is_none()));
}

#[test]
fn times_of_parts_are_settings() {
    let mut world = hospital(1);
    tap_in(&mut world, 1, 20);
    let settings = Settings { part_ms: Some(10_000), lock_ms: Some(0), ..Settings::default() };
    world.by(0, Command::ChangeSettings(settings)).expect("set");
    world.now += 10_000;
    world.node(Command::Tick);
    assert_eq!(acts(&world, 20), None);
    assert!(!world.model.rows.keys().any(|key| matches!(key, Key::Timer(_, types::row::Timer::IdleDue(_)))));
    invariants::check(&world.model);
}
