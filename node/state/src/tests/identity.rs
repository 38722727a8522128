use super::*;
use types::Key;
use types::identity::{
    AddSecondFactor, Attempt, LogOff, LogOffScope, Refresh, RefuseSignIn, SecondProof, Settings, Source,
};
use types::limits::{
    DAY_MS, FAILURE_SOURCES_MAX, FAILURES_FREE, LOCKOUT_MS_MAX, LOCKOUT_MS_MIN, SESSION_MS_MAX,
    SESSION_WITHOUT_KEY_MS_MAX, TOKEN_BEFORE_MS, TOKEN_MS,
};
use types::record::{Action, Agent, Entity, Result as End};
use types::session::Session;

use crate::policy::actor_of;
use crate::view::Rows;

const LOGIN: [u8; 16] = [0x10; 16];

fn desk(n: u8) -> Source {
    Source::Address([n; 16])
}

fn wrong(world: &mut World, source: Source) -> Outcome {
    let once = world.once();
    let refuse = RefuseSignIn {
        user: Some(user(1)),
        attempt: Attempt { login: LOGIN, source },
        pin: false,
        once,
        address: None,
    };
    world.node(Command::RefuseSignIn(refuse))
}

fn right(world: &mut World, n: u8, source: Source) -> Result<Reply, Reject> {
    let attempt = Some(Attempt { login: LOGIN, source });
    world.node(Command::SignIn(SignIn { attempt, ..sign_in(1, n, 2) })).answer.result
}

fn row(world: &World, n: u8) -> Session {
    let Ok(Some(session)) = world.model.session(session(n)) else { panic!("no session {n}") };
    session
}

fn refresh(n: u8, token: u8, key: u8, number: u64) -> Command {
    Command::Refresh(Refresh { session: session(n), token: [token; 32], key: [key; 32], number, address: None })
}

#[test]
fn guessing_at_one_desk_blocks_that_desk_for_that_login_and_nobody_else() {
    let mut world = World::new(2);
    for _ in 0..FAILURES_FREE {
        wrong(&mut world, desk(1)).answer.result.expect("counted");
    }
    assert_eq!(right(&mut world, 9, desk(1)), Err(Reject::LockedOut(LOCKOUT_MS_MIN)), "even with the right password");
    right(&mut world, 10, desk(2)).expect("another desk");
    right(&mut world, 11, Source::Device(device(1))).expect("the user's own phone");
    let other = Some(Attempt { login: [0x20; 16], source: desk(1) });
    let other = Command::SignIn(SignIn { attempt: other, ..sign_in(2, 12, 2) });
    world.node(other).answer.result.expect("another user at that desk");
    world.now += LOCKOUT_MS_MIN;
    right(&mut world, 13, desk(1)).expect("after the wait");
    for _ in 1..FAILURES_FREE {
        wrong(&mut world, desk(1));
    }
    right(&mut world, 14, desk(1)).expect("what failed before was forgotten");
    invariants::check(&world.model);
}

#[test]
fn a_refused_sign_in_leaves_a_record_that_names_the_account_and_no_agent() {
    let mut world = World::new(1);
    let outcome = wrong(&mut world, desk(1));
    let [record] = &outcome.records[..] else { panic!("{:?}", outcome.records) };
    assert_eq!((record.action, record.agent.clone()), (Action::SignIn, Agent::Unknown));
    assert_eq!(record.entities, [Entity::User(user(1))]);
    assert!(matches!(record.result, End::Refused(_)));
}

#[test]
fn failures_are_bounded_and_forgotten_after_a_day() {
    let mut world = World::new(1);
    let before = world.model.rows.len();
    let (mut counted, mut told_to_wait) = (0, 0);
    for n in 0..2 * FAILURE_SOURCES_MAX as u8 {
        match wrong(&mut world, desk(n)).answer.result {
            Ok(_) => counted += 1,
            Err(reject) => {
                assert!(matches!(reject, Reject::LockedOut(_)), "as a right guess would be: {reject:?}");
                told_to_wait += 1;
                world.now += LOCKOUT_MS_MAX;
            }
        }
    }
    assert!(told_to_wait > 0 && counted > FAILURE_SOURCES_MAX as u32, "{counted} counted, {told_to_wait} told to wait");
    let Ok(Some(failures)) = world.model.failures(LOGIN) else { panic!("no failures") };
    assert_eq!((failures.sources.len(), failures.strange), (FAILURE_SOURCES_MAX, counted));
    assert!(matches!(right(&mut world, 9, desk(99)), Err(Reject::LockedOut(_))), "new places wait");
    right(&mut world, 10, Source::Device(device(1))).expect("known devices do not");
    world.now += 2 * DAY_MS;
    world.node(Command::Tick);
    assert!(matches!(world.model.failures(LOGIN), Ok(None)));
    assert!(matches!(world.model.failures_count(), Ok(Some(0))));
    assert!(!world.model.rows.keys().any(|key| matches!(key, Key::Timer(_, types::row::Timer::FailuresFade(_)))));
    assert!(world.model.rows.len() > before, "records stay");
}

#[test]
fn a_token_is_renewed_by_a_proof_that_is_good_once() {
    let mut world = World::new(1);
    assert_eq!(row(&world, 1).token_expires.0, world.now + TOKEN_MS);
    world.now += TOKEN_MS - 1_000;
    let renewed = world.node(refresh(1, 0x51, 1, 1));
    let expires = Timestamp(world.now + TOKEN_MS);
    assert!(matches!(renewed.answer.result, Ok(Reply::Refreshed { token_expires, .. }) if token_expires == expires));
    assert!(renewed.records.is_empty(), "what each device does all day leaves no record");
    let session = row(&world, 1);
    assert_eq!(session.token, [0x51; 32]);
    assert_eq!(session.previous, Some(([1; 32], Timestamp(world.now + 1_000))), "never longer than it was good for");
    assert_eq!(world.node(refresh(1, 0x51, 1, 1)).answer.result, renewed.answer.result, "a node tries again");

    let replayed = world.node(refresh(1, 0x52, 1, 1));
    assert_eq!(replayed.answer.result, Err(Reject::BadProof));
    assert_eq!(replayed.records.len(), 1, "that is worth a record");
    assert_eq!(world.node(refresh(1, 0x52, 2, 2)).answer.result, Err(Reject::BadProof), "another key");
    assert_eq!(row(&world, 1).token, [0x51; 32]);
    world.node(refresh(1, 0x53, 1, 7)).answer.result.expect("numbers may be left out");
    assert_eq!(row(&world, 1).previous, Some(([0x51; 32], Timestamp(world.now + TOKEN_BEFORE_MS))));
    world.by(1, Command::EndSession(session.id)).expect("ends");
    assert_eq!(world.node(refresh(1, 0x54, 1, 8)).answer.result, Err(Reject::NoSession));
}

#[test]
fn a_device_without_a_key_has_a_session_for_a_shift_and_no_new_token() {
    let mut world = World::new(1);
    world.node(Command::SignIn(SignIn { key: None, ..sign_in(1, 9, 2) })).answer.result.expect("signs in");
    let session = row(&world, 9);
    assert_eq!(session.token_expires.0, world.now + SESSION_WITHOUT_KEY_MS_MAX);
    assert_eq!(session.ends, session.token_expires);
    assert_eq!(world.node(refresh(9, 0x51, 0, 1)).answer.result, Err(Reject::BadProof));
    world.now += SESSION_WITHOUT_KEY_MS_MAX;
    world.node(Command::Tick);
    assert!(matches!(actor_of(&world.model, Timestamp(world.now), session.id), Ok(None)));
}

#[test]
fn a_session_ends_for_good_however_often_it_is_renewed() {
    let mut world = World::new(1);
    let ends = row(&world, 1).ends;
    assert_eq!(ends.0, world.now + SESSION_MS_MAX);
    let mut number = 0;
    while world.now + 7 * DAY_MS < ends.0 {
        world.now += 7 * DAY_MS;
        number += 1;
        world.node(refresh(1, 0x50 + number as u8, 1, number)).answer.result.expect("renewed");
    }
    world.now = ends.0 - 1;
    world.node(refresh(1, 0xEE, 1, number + 1)).answer.result.expect("renewed");
    assert_eq!(row(&world, 1).token_expires, ends);
    world.now = ends.0;
    assert_eq!(world.node(refresh(1, 0xEF, 1, number + 2)).answer.result, Err(Reject::NoSession));
}

#[test]
fn a_new_key_begins_its_numbers_anew_and_takes_the_old_ones_place() {
    let mut world = World::new(1);
    world.node(refresh(1, 0x51, 1, 40)).answer.result.expect("renewed");
    let again = SignIn { session: session(9), key: Some([0x77; 32]), ..sign_in(1, 1, 2) };
    world.node(Command::SignIn(again)).answer.result.expect("signs in");
    assert_eq!(world.node(refresh(1, 0x52, 1, 41)).answer.result, Err(Reject::BadProof));
    world.node(refresh(9, 0x53, 0x77, 1)).answer.result.expect("renewed");
}

#[test]
fn a_reset_is_an_action_of_its_own_and_tells_the_user() {
    let mut world = World::new(1);
    let outcome = world.outcome_by(0, Command::IssueEnrolment(user(1), [1; 32]));
    assert_eq!(outcome.records[0].action, Action::ResetPassword);
    let told = outcome.events.iter().any(|event| event.body == types::EventBody::PasswordReset(user(0)));
    assert!(told, "{:?}", outcome.events);
    let Ok(Some(credential)) = world.model.credential(user(1)) else { panic!("no credential") };
    assert_eq!(credential.reset.map(|reset| (reset.by, reset.at.0)), Some((user(0), world.now)));
    world.by(0, Command::CreateUsers(vec![new_user(5)])).expect("creates");
    let first = world.outcome_by(0, Command::IssueEnrolment(user(5), [2; 32]));
    assert_eq!(first.records[0].action, Action::IssueEnrolment, "there was no password to take away");
}

fn add_second() -> Command {
    let recovery = vec![[0xE1; 32], [0xE2; 32]];
    Command::AddSecondFactor(AddSecondFactor { secret: b"sealed".to_vec(), recovery, credential_version: 2 })
}

fn sign_in_with(world: &mut World, n: u8, second: Option<SecondProof>) -> Result<Reply, Reject> {
    world.node(Command::SignIn(SignIn { second, ..sign_in(1, n, 2) })).answer.result
}

#[test]
fn a_second_factor_counts_once_it_is_confirmed_and_no_step_is_good_twice() {
    let mut world = World::new(1);
    world.by(1, add_second()).expect("set up");
    sign_in_with(&mut world, 8, None).expect("not asked for yet");
    world.by(1, Command::ConfirmSecondFactor(100)).expect("confirmed");
    assert_eq!(sign_in_with(&mut world, 9, None), Err(Reject::SecondFactorNeeded));
    assert_eq!(sign_in_with(&mut world, 9, Some(SecondProof::Totp(100))), Err(Reject::BadSecondFactor), "used before");
    sign_in_with(&mut world, 9, Some(SecondProof::Totp(101))).expect("the next");
    assert_eq!(sign_in_with(&mut world, 10, Some(SecondProof::Totp(100))), Err(Reject::BadSecondFactor), "older");
    assert_eq!(world.by(1, add_second()), Err(Reject::Taken(0)), "not replaced by whoever has the session");
}

#[test]
fn a_recovery_code_is_good_once() {
    let mut world = World::new(1);
    world.by(1, add_second()).expect("set up");
    world.by(1, Command::ConfirmSecondFactor(100)).expect("confirmed");
    let code = Some(SecondProof::Recovery([0xE1; 32]));
    sign_in_with(&mut world, 9, code).expect("in its place");
    assert_eq!(sign_in_with(&mut world, 10, code), Err(Reject::BadSecondFactor));
    assert_eq!(sign_in_with(&mut world, 10, Some(SecondProof::Recovery([9; 32]))), Err(Reject::BadSecondFactor));
}

#[test]
fn what_needs_a_second_factor_is_not_in_force_before_it() {
    let mut world = World::new(1);
    let settings = |version| Settings { version, second_factor: vec![PermissionSet::Admin], ..Settings::default() };
    assert_eq!(world.by(1, Command::ChangeSettings(settings(0))), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::ChangeSettings(settings(0))), Ok(Reply::Version(1)));
    assert_eq!(world.by(0, Command::CreateUsers(vec![new_user(9)])), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::ChangeSettings(settings(1))), Err(Reject::NotPermitted), "nor undone without it");
    world.by(0, add_second()).expect("setting one up is for everyone");
    world.by(0, Command::ConfirmSecondFactor(7)).expect("confirmed");
    assert_eq!(world.by(0, Command::CreateUsers(vec![new_user(9)])), Ok(Reply::Users(vec![user(9)])));
    assert_eq!(world.by(0, Command::ChangeSettings(settings(0))), Err(Reject::VersionMismatch(1)));
}

#[test]
fn someone_elses_second_factor_is_taken_away_with_permission_only() {
    let mut world = World::new(2);
    world.by(1, add_second()).expect("set up");
    world.by(1, Command::ConfirmSecondFactor(100)).expect("confirmed");
    assert_eq!(world.by(2, Command::RemoveSecondFactor(user(1))), Err(Reject::NotPermitted));
    let outcome = world.outcome_by(0, Command::RemoveSecondFactor(user(1)));
    assert_eq!((outcome.answer.result, outcome.records[0].action), (Ok(Reply::Done), Action::RemoveSecondFactor));
    let stale = world.node(Command::SignIn(sign_in(1, 9, 2))).answer.result;
    assert_eq!(stale, Err(Reject::CredentialChanged), "a sign-in checked before it");
    world.node(Command::SignIn(sign_in(1, 9, 3))).answer.result.expect("by password alone");
}

fn log_off(scope: LogOffScope) -> Command {
    Command::LogOff(LogOff { scope, reason: "a phone was lost".to_string() })
}

fn open(world: &World, n: u8) -> bool {
    matches!(actor_of(&world.model, Timestamp(world.now), session(n)), Ok(Some(_)))
}

#[test]
fn a_user_or_a_device_is_signed_out_with_permission_and_a_reason() {
    let mut world = World::new(2);
    world.node(Command::SignIn(sign_in(1, 9, 2))).answer.result.expect("another device");
    assert_eq!(world.by(2, log_off(LogOffScope::User(user(1)))), Err(Reject::NotPermitted));
    assert_eq!(world.by(2, log_off(LogOffScope::Device(device(1)))), Err(Reject::NotPermitted));
    let silent = Command::LogOff(LogOff { scope: LogOffScope::User(user(1)), reason: String::new() });
    assert!(matches!(world.by(0, silent), Err(Reject::Invalid(_))));
    let outcome = world.outcome_by(0, log_off(LogOffScope::Device(device(9))));
    assert_eq!(outcome.answer.result, Ok(Reply::LoggedOff(user(1))));
    assert_eq!(
        (outcome.records[0].action, &outcome.records[0].entities[..]),
        (Action::LogOff, &[Entity::User(user(1))][..])
    );
    assert_eq!(outcome.records[0].reason.as_deref(), Some("a phone was lost"));
    assert!(open(&world, 1) && !open(&world, 9));
    world.by(0, log_off(LogOffScope::User(user(1)))).expect("signed out");
    assert!(!open(&world, 1) && open(&world, 2));
    assert_eq!(world.by(0, log_off(LogOffScope::Device(device(77)))), Err(Reject::NotFound));
    invariants::check(&world.model);
}

#[test]
fn everybody_is_signed_out_in_slices_and_who_comes_back_stays() {
    let mut world = World::new(1);
    let Ok(Some(one)) = world.model.session(session(1)) else { panic!("no session") };
    let many = types::limits::LOG_OFF_AT_ONCE + types::limits::TIMERS_PER_TICK_MAX;
    for n in 0..many as u32 {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let owner = types::UserId(id);
        let row = Session { id: SessionId(id), user: owner, attached: None, ..one.clone() };
        world.model.rows.insert(Key::UserSession(owner, row.id), types::Row::UserSession(()));
        world.model.rows.insert(Key::Session(row.id), types::Row::Session(row));
    }
    let left = |world: &World| {
        let rows = world.model.rows.values();
        let open = |row: &&types::Row| matches!(row, types::Row::Session(session) if session.state == types::session::SessionState::Active);
        rows.filter(open).count()
    };
    world.by(0, log_off(LogOffScope::Everybody)).expect("signed out");
    assert_eq!(left(&world), many + 2 - types::limits::LOG_OFF_AT_ONCE);
    world.now += 1_000;
    world.node(Command::SignIn(sign_in(1, 0xEE, 2))).answer.result.expect("comes back");
    for _ in 0..4 {
        world.now += 1_000;
        world.node(Command::Tick).answer.result.expect("a tick");
    }
    assert_eq!(left(&world), 1, "who signed in since");
    assert!(open(&world, 0xEE) && !open(&world, 0) && !open(&world, 1));
}

#[test]
fn a_failure_that_is_put_again_is_counted_once() {
    let mut world = World::new(1);
    let attempt = Attempt { login: LOGIN, source: desk(1) };
    let refuse = RefuseSignIn { user: Some(user(1)), attempt, pin: false, once: world.once(), address: None };
    for _ in 0..3 {
        world.node(Command::RefuseSignIn(refuse.clone())).answer.result.expect("taken");
    }
    let Ok(Some(failures)) = world.model.failures(LOGIN) else { panic!("kept") };
    assert_eq!((failures.sources[0].count, failures.strange), (1, 1));
}
