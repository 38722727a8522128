use super::*;
use types::Key;
use types::command::{SetPassword, UpdateUser};
use types::limits::{DAY_MS, DEVICES_PER_USER_MAX, SESSION_IDLE_MS_MAX, SESSIONS_PER_USER_MAX};
use types::reply::Field;

use crate::policy::actor_of;
use crate::view::Rows;

fn open(world: &World, n: u8) -> bool {
    matches!(actor_of(&world.model, Timestamp(world.now), session(n)), Ok(Some(_)))
}

#[test]
fn a_sign_in_that_is_tried_again_has_the_same_answer() {
    let mut world = World::new(1);
    let command = Command::SignIn(sign_in(1, 9, 2));
    let first = world.node(command.clone());
    assert_eq!(first.records.len(), 1);
    let again = world.node(command);
    assert_eq!(again.answer.result, first.answer.result);
    assert_eq!(again.changes.len(), 1);
    let stolen = Command::SignIn(SignIn { token: [0; 32], ..sign_in(1, 9, 2) });
    assert_eq!(world.node(stolen).answer.result, Err(Reject::Taken(0)));
}

#[test]
fn a_sign_in_that_raced_a_change_of_password_is_refused() {
    let mut world = World::new(1);
    world.node(Command::SignIn(sign_in(1, 9, 2))).answer.result.expect("signs in");
    let set = SetPassword { password: "$argon2id$y".to_string(), credential_version: 2 };
    assert_eq!(world.by(1, Command::SetPassword(set)), Ok(Reply::Version(3)));
    assert!(open(&world, 1) && !open(&world, 9), "other sessions end");
    assert_eq!(world.node(Command::SignIn(sign_in(1, 8, 2))).answer.result, Err(Reject::CredentialChanged));
}

#[test]
fn a_code_is_good_once_and_after_a_reset_for_a_day() {
    let mut world = World::new(1);
    assert_eq!(world.node(enrol(1, 9)).answer.result, Err(Reject::BadCode), "used");
    assert_eq!(world.by(0, Command::IssueEnrolment(user(1), [1; 32])), Ok(Reply::PasswordReset));
    assert!(!open(&world, 1));
    world.now += DAY_MS;
    assert_eq!(world.node(enrol(1, 9)).answer.result, Err(Reject::BadCode), "too old");
}

#[test]
fn a_helpdesk_cannot_reset_an_administrator() {
    let mut world = World::new(1);
    let update = UpdateUser {
        id: user(1),
        version: 0,
        display_name: None,
        unit: None,
        words: None,
        external_ids: None,
        may_message: None,
        permissions: Some(vec![PermissionSet::Helpdesk, PermissionSet::Integrator]),
        sealed_name: None,
    };
    assert_eq!(world.by(0, Command::UpdateUser(update.clone())), Ok(Reply::Version(2)));
    assert_eq!(world.by(1, Command::IssueEnrolment(user(0), [3; 32])), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, Command::UpdateUser(update)), Err(Reject::NotPermitted), "nor grant permission sets");
    let powerful = NewUser { permissions: vec![PermissionSet::Viewer], ..new_user(9) };
    assert_eq!(world.by(1, Command::CreateUsers(vec![powerful])), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, Command::CreateUsers(vec![new_user(9)])), Ok(Reply::Users(vec![user(9)])));
}

#[test]
fn users_are_created_all_or_none_and_a_login_is_taken_for_ever() {
    let mut world = World::new(1);
    let before = world.model.rows.keys().filter(|key| matches!(key, Key::User(_) | Key::Word(..))).count();
    let same = NewUser { login: "user1".to_string(), ..new_user(4) };
    assert_eq!(world.by(0, Command::CreateUsers(vec![new_user(3), same])), Err(Reject::Taken(1)));
    let after = world.model.rows.keys().filter(|key| matches!(key, Key::User(_) | Key::Word(..))).count();
    assert_eq!(before, after);
    let odd = NewUser { display_name: "Dr\u{202E} Ito".to_string(), ..new_user(3) };
    assert_eq!(world.by(0, Command::CreateUsers(vec![odd])), Err(Reject::Invalid(Field::DisplayName)));
}

#[test]
fn a_change_of_name_takes_the_old_words_away() {
    let mut world = World::new(1);
    let update = UpdateUser {
        id: user(1),
        version: 1,
        display_name: Some("Ito".to_string()),
        unit: None,
        words: Some(vec!["ito".to_string()]),
        external_ids: None,
        may_message: None,
        permissions: None,
        sealed_name: None,
    };
    world.by(0, Command::UpdateUser(update)).expect("updates");
    let words: Vec<_> =
        world.model.rows.keys().filter(|key| matches!(key, Key::Word(_, id) if *id == user(1))).collect();
    assert_eq!(words, [&Key::Word("ito".to_string(), user(1))]);
    invariants::check(&world.model);
}

#[test]
fn one_session_too_many_ends_the_one_longest_unused_unless_all_are_connected() {
    let mut world = World::new(1);
    let max = SESSIONS_PER_USER_MAX as u8;
    for n in 0..max - 1 {
        world.now += 1;
        world.node(Command::SignIn(sign_in(1, 100 + n, 2))).answer.result.expect("signs in");
    }
    world.attach(1);
    world.now += 1;
    world.node(Command::SignIn(sign_in(1, 200, 2))).answer.result.expect("signs in");
    assert!(open(&world, 1), "connected");
    assert!(!open(&world, 100));
    for n in 101..100 + max - 1 {
        world.attach(n);
    }
    world.attach(200);
    let refused = world.node(Command::SignIn(sign_in(1, 201, 2))).answer.result;
    assert_eq!(refused, Err(Reject::Limit(Field::Sessions)));
    invariants::check(&world.model);
}

#[test]
fn a_device_that_was_retired_goes_on_above_its_numbers() {
    let mut world = World::new(1);
    world.group(1, 1, &[]);
    for n in 0..DEVICES_PER_USER_MAX as u8 {
        world.now += 1;
        world.node(Command::SignIn(sign_in(1, 100 + n, 2))).answer.result.expect("signs in");
    }
    invariants::check(&world.model);
    let back = SignIn { session: session(99), ..sign_in(1, 1, 2) };
    let Ok(Reply::SignedIn { next_number, .. }) = world.node(Command::SignIn(back)).answer.result else {
        panic!("not signed in")
    };
    assert_eq!(next_number, 2);
    let late = Request { session: session(99), number: 1, settled: 1, content: [7; 16] };
    let late = Envelope { origin: NODE, author: Author::Session(late), command: post(1) };
    assert_eq!(world.put(late).answer.result, Err(Reject::DedupExpired), "never carried out a second time");
}

#[test]
fn a_session_lasts_while_it_is_used_and_is_forgotten_a_day_after_its_end() {
    let mut world = World::new(1);
    world.never_lock();
    world.group(1, 1, &[]);
    world.now += SESSION_IDLE_MS_MAX / 2;
    posted(world.by(1, post(1)));
    world.now += SESSION_IDLE_MS_MAX / 2 + 1;
    world.node(Command::Tick);
    assert!(open(&world, 1) && !open(&world, 0));
    world.now += SESSION_IDLE_MS_MAX;
    world.node(Command::Tick);
    assert!(!open(&world, 1));
    assert!(matches!(world.model.session(session(1)), Ok(Some(_))));
    world.now += DAY_MS;
    world.node(Command::Tick);
    assert!(matches!(world.model.session(session(1)), Ok(None)));
    invariants::check(&world.model);
}

#[test]
fn someone_elses_session_answers_as_an_unknown_one() {
    let mut world = World::new(2);
    assert_eq!(world.by(1, Command::EndSession(session(2))), Err(Reject::NotFound));
    assert_eq!(world.by(1, Command::EndSession(session(99))), Err(Reject::NotFound));
    assert_eq!(world.by(0, Command::EndSession(session(2))), Ok(Reply::Done));
    assert_eq!(world.by(1, Command::EndSession(session(1))), Ok(Reply::Done));
    assert!(!open(&world, 1) && !open(&world, 2));
}

#[test]
fn signing_in_over_and_over_fills_no_table() {
    let mut world = World::new(1);
    let mut sizes = Vec::new();
    for n in 0..6 * DEVICES_PER_USER_MAX as u16 {
        let mut id = [99; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let sign_in = SignIn { session: SessionId(id), device: DeviceId(id), ..sign_in(1, 9, 2) };
        world.node(Command::SignIn(sign_in)).answer.result.expect("signs in");
        world.now += 1;
        let kept = |key: &&Key| !matches!(key, Key::Record(_) | Key::UserEvent(..) | Key::EventScope(_));
        sizes.push(world.model.rows.keys().filter(kept).count());
    }
    assert_eq!(sizes.last(), sizes.get(3 * DEVICES_PER_USER_MAX), "rows grow: {sizes:?}");
    invariants::check(&world.model);
}
