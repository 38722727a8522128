use super::*;
use types::identity::{Attempt, RefuseSignIn, Settings, Source};
use types::limits::{FAILURES_FREE, LOCK_MS_DEFAULT, LOCK_MS_MIN, LOG_OFF_AT_ONCE, SESSION_IDLE_MS_MAX};
use types::locking::UnlockSession;
use types::place::SetPin;
use types::presence::Presence;
use types::record::Action;
use types::session::{Session, SessionState};
use types::{EventBody, Key, Row};

use crate::policy::{actor_of, standing};
use crate::view::Rows;

fn row(world: &World, n: u8) -> Session {
    let Ok(Some(session)) = world.model.session(session(n)) else { panic!("no session {n}") };
    session
}

fn later(world: &mut World, ms: u64) -> Outcome {
    world.now += ms;
    world.node(Command::Tick)
}

fn used(world: &mut World, n: u8, ago: u64) {
    let changes = vec![(session(n), Connection::Used(ago))];
    world.node(Command::Connections(Connections { epoch: 1, changes })).answer.result.expect("told");
}

fn presence(world: &World, n: u8) -> Presence {
    let Ok(presence) = crate::presence::of(&world.model, Timestamp(world.now), user(n));
    presence
}

pub(super) fn unlock(method: Method) -> UnlockSession {
    UnlockSession { method, credential_version: 2, proof: None, attempt: None }
}

fn with_password() -> Command {
    Command::UnlockSession(unlock(Method::Password))
}

fn settings(world: &mut World, settings: Settings) {
    let version = world.model.settings().expect("reads").unwrap_or_default().version;
    world.by(0, Command::ChangeSettings(Settings { version, ..settings })).expect("set");
}

#[test]
fn a_session_locks_at_exactly_the_limit_once_and_stays_reachable() {
    let mut world = World::new(1);
    world.attach(1);
    used(&mut world, 1, 0);
    let outcome = later(&mut world, LOCK_MS_DEFAULT - 1);
    assert!(outcome.records.is_empty() && row(&world, 1).state == SessionState::Active, "a millisecond before");
    let outcome = later(&mut world, 1);
    let locked: Vec<_> = outcome.records.iter().filter(|one| one.action == Action::LockSession).collect();
    assert_eq!(locked.len(), 2, "the administrator's, and this one: {:?}", outcome.records);
    assert!(outcome.events.iter().any(|event| event.body == EventBody::SessionLocked(session(1))));
    assert!(outcome.presence.contains(&user(1)));
    assert_eq!(row(&world, 1).state, SessionState::Locked);
    assert!(matches!(presence(&world, 1), Presence::Locked(_)), "reachable by alert");
    assert!(matches!(actor_of(&world.model, Timestamp(world.now), session(1)), Ok(None)), "sees nothing");
    assert!(matches!(standing(&world.model, Timestamp(world.now), session(1)), Ok(Some(_))), "and is there");
    assert!(later(&mut world, LOCK_MS_DEFAULT).records.is_empty(), "once");
    invariants::check(&world.model);
}

#[test]
fn what_is_done_in_a_session_keeps_it_open_and_is_counted_from_when_it_was_done() {
    let mut world = World::new(1);
    let began = world.now;
    later(&mut world, 60_000);
    used(&mut world, 1, 1_500);
    assert_eq!(row(&world, 1).active.0, began + 58_500);
    used(&mut world, 1, 30_000);
    assert_eq!(row(&world, 1).active.0, began + 58_500, "never back");
    let timers = |world: &World| {
        world.model.rows.keys().filter(|key| matches!(key, Key::Timer(_, types::row::Timer::IdleDue(_)))).count()
    };
    assert_eq!(timers(&world), 2, "one for each session, however often it is used");
    world.now = began + 58_500 + LOCK_MS_DEFAULT - 1;
    world.node(Command::Tick);
    assert_eq!(row(&world, 1).state, SessionState::Active);
    assert_eq!(row(&world, 0).state, SessionState::Locked, "nothing was done there");
    later(&mut world, 1);
    assert_eq!(row(&world, 1).state, SessionState::Locked);
    used(&mut world, 1, 0);
    assert_eq!(row(&world, 1).state, SessionState::Locked, "what is told late does not unlock it");
}

#[test]
fn a_locked_session_puts_nothing_and_what_it_tried_goes_through_afterwards() {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    assert_eq!(posted(world.by(1, post(1))), Seq(1));
    world.by(1, Command::LockSession(session(1))).expect("locks itself");
    world.by(1, Command::LockSession(session(1))).expect("twice");
    // A send that the lock has overtaken: the same number is refused now, and carried out once, after.
    let sent = request(1, 50, 1, post(1));
    let refused = world.put(sent.clone());
    assert_eq!(refused.answer.result, Err(Reject::SessionLocked));
    assert_eq!(refused.records.len(), 1, "that is worth a record");
    assert_eq!(world.put(sent.clone()).answer.result, Err(Reject::SessionLocked));
    assert_eq!(world.by(1, Command::LockSession(session(2))), Err(Reject::SessionLocked), "not another's either");
    assert_eq!(world.by(2, Command::LockSession(session(1))), Err(Reject::NotFound), "nor by another");

    world.put(request(1, 60, 1, with_password())).answer.result.expect("unlocks");
    assert_eq!(posted(world.put(sent.clone()).answer.result), Seq(2));
    assert_eq!(posted(world.put(sent).answer.result), Seq(2), "once");
    world.put(request(1, 61, 1, Command::LockSession(session(1)))).answer.result.expect("locks again");
    let again = world.put(request(1, 60, 1, with_password()));
    assert_eq!(again.answer.result, Ok(Reply::Done), "a late retry has its answer");
    assert_eq!(row(&world, 1).state, SessionState::Locked, "and no second effect");
    invariants::check(&world.model);
}

#[test]
fn it_is_unlocked_by_what_the_settings_say_and_only_by_what_counts_now() {
    let mut world = World::new(1);
    let lock = |world: &mut World| world.by(1, Command::LockSession(session(1))).map(drop).expect("locks");
    world.by(1, Command::SetPin(SetPin { hash: "$argon2id$p".into(), credential_version: 2 })).expect("a PIN");
    lock(&mut world);
    let by = |method, credential_version, proof| {
        Command::UnlockSession(UnlockSession { credential_version, proof, ..unlock(method) })
    };
    assert_eq!(world.by(1, by(Method::Password, 2, None)), Err(Reject::CredentialChanged), "checked before the change");
    assert_eq!(world.by(1, by(Method::DeviceKey, 3, Some(([1; 32], 1)))), Err(Reject::MethodNotTaken));
    assert_eq!(world.by(1, by(Method::Totp, 3, None)), Err(Reject::MethodNotTaken));
    let before = row(&world, 1).authenticated;
    world.now += 1_000;
    world.by(1, by(Method::Pin, 3, None)).expect("the PIN, where nothing is said");
    assert_eq!(row(&world, 1).authenticated, before, "which proves less than a password");

    settings(&mut world, Settings { unlock: vec![Method::DeviceKey], ..Settings::default() });
    lock(&mut world);
    assert_eq!(world.by(1, by(Method::Pin, 3, None)), Err(Reject::MethodNotTaken));
    assert_eq!(world.by(1, by(Method::DeviceKey, 3, Some(([9; 32], 1)))), Err(Reject::BadProof), "another key");
    assert_eq!(world.by(1, by(Method::DeviceKey, 3, None)), Err(Reject::BadProof));
    world.by(1, by(Method::DeviceKey, 3, Some(([1; 32], 4)))).expect("the device");
    lock(&mut world);
    assert_eq!(world.by(1, by(Method::DeviceKey, 3, Some(([1; 32], 4)))), Err(Reject::BadProof), "used before");
    world.by(1, by(Method::Password, 3, None)).expect("the password, whatever is said");
    assert_eq!(row(&world, 1).authenticated.0, world.now, "proved anew");
    invariants::check(&world.model);
}

#[test]
fn guesses_at_a_locked_screen_make_that_screen_wait_whatever_is_guessed_next() {
    let mut world = World::new(1);
    world.by(1, Command::LockSession(session(1))).expect("locks");
    let attempt = Attempt { login: [0x10; 16], source: Source::Device(device(1)) };
    for _ in 0..FAILURES_FREE {
        let once = world.once();
        world.node(Command::RefuseSignIn(RefuseSignIn {
            user: Some(user(1)),
            attempt,
            pin: false,
            once,
            address: None,
        }));
    }
    let right = Command::UnlockSession(UnlockSession { attempt: Some(attempt), ..unlock(Method::Password) });
    assert!(matches!(world.by(1, right.clone()), Err(Reject::LockedOut(_))), "with the right password");
    assert_eq!(row(&world, 1).state, SessionState::Locked);
    world.now += 30_000;
    world.by(1, right).expect("after the wait");
    assert_eq!(row(&world, 1).state, SessionState::Active);
}

#[test]
fn changed_times_hold_for_sessions_that_are_open() {
    let mut world = World::new(1);
    let began = world.now;
    settings(&mut world, Settings { lock_ms: Some(LOCK_MS_MIN), idle_ms: Some(3_600_000), ..Settings::default() });
    assert_eq!(row(&world, 1).idle_due.map(|due| due.0), Some(began + LOCK_MS_MIN));
    assert_eq!(row(&world, 1).expires.0, began + 3_600_000);
    later(&mut world, LOCK_MS_MIN);
    assert_eq!(row(&world, 1).state, SessionState::Locked);
    world.by(0, with_password()).expect("the administrator's too");
    settings(&mut world, Settings { lock_ms: Some(0), ..Settings::default() });
    world.by(1, with_password()).expect("unlocks");
    assert_eq!(row(&world, 1).idle_due, None, "0: never");
    assert_eq!(row(&world, 1).expires.0, world.now + SESSION_IDLE_MS_MAX, "used: the time that holds now");
    later(&mut world, 3_600_000);
    assert!(matches!(row(&world, 0).state, SessionState::Active), "{:?}", row(&world, 0));
    let bad = [
        Settings { lock_ms: Some(LOCK_MS_MIN - 1), ..Settings::default() },
        Settings { part_ms: Some(0), ..Settings::default() },
        Settings { longest_ms: Some(u64::MAX), ..Settings::default() },
        Settings { unlock: vec![Method::Totp], ..Settings::default() },
        Settings { unlock: vec![Method::Pin, Method::DeviceKey], ..Settings::default() },
    ];
    for settings in bad {
        let settings = Settings { version: 2, ..settings };
        assert!(matches!(world.by(0, Command::ChangeSettings(settings)), Err(Reject::Invalid(_))));
    }
    invariants::check(&world.model);
}

#[test]
fn more_sessions_than_one_command_changes_are_changed_by_timer() {
    let mut world = World::new(1);
    let one = row(&world, 1);
    let people = LOG_OFF_AT_ONCE as u64 + 700;
    for n in 0..people {
        let mut id = [0x77; 16];
        id[8..].copy_from_slice(&n.to_be_bytes());
        let (id, owner) = (SessionId(id), UserId(id));
        let Ok(Some(account)) = world.model.user(user(1)) else { panic!("a user") };
        let row = Session { id, user: owner, attached: None, idle_due: None, ..one.clone() };
        world.model.rows.insert(Key::User(owner), Row::User(types::user::User { id: owner, ..account }));
        world.model.rows.insert(Key::Session(id), Row::Session(row));
        world.model.rows.insert(Key::UserSession(owner, id), Row::UserSession(()));
    }
    settings(&mut world, Settings { lock_ms: Some(60_000), ..Settings::default() });
    let armed = |world: &World| {
        world.model.rows.values().filter(|row| matches!(row, Row::Session(one) if one.idle_due.is_some())).count()
    };
    assert!(armed(&world) <= LOG_OFF_AT_ONCE);
    later(&mut world, 1_000);
    later(&mut world, 1_000);
    assert_eq!(armed(&world) as u64, people + 2);
}

#[test]
fn a_token_is_renewed_while_locked_and_that_is_no_use_of_the_session() {
    let mut world = World::new(1);
    world.by(1, Command::LockSession(session(1))).expect("locks");
    let expires = row(&world, 1).expires;
    world.now += 7 * types::limits::DAY_MS;
    let refresh =
        types::identity::Refresh { session: session(1), token: [0x51; 32], key: [1; 32], number: 1, address: None };
    world.node(Command::Refresh(refresh)).answer.result.expect("reachable on");
    assert_eq!((row(&world, 1).expires, row(&world, 1).state), (expires, SessionState::Locked));
}
