//! Network addresses in records: sealed with a key that is there, and in the records that begin a session or move it.

use types::identity::Refresh;
use types::limits::SEALED_ADDRESS_BYTES_MAX;
use types::record::{Action, Record, Result as End};
use types::reply::Field;

use super::*;
use crate::view::Rows;

const KEY: u64 = 700;

/// A world in which the key of addresses is there.
fn world() -> World {
    let mut world = World::new(2);
    let month = Month::of(Timestamp(world.now));
    let add = AddDataKey { id: KEY, scope: KeyScope::Addresses, month, version: 1, wrapped: vec![1] };
    world.node(Command::AddDataKey(add)).answer.result.expect("added");
    world
}

fn from(n: u8, address: Vec<u8>) -> Command {
    Command::SignIn(SignIn { address: Some(address), ..sign_in(1, n, 2) })
}

fn row(world: &World, n: u8) -> types::session::Session {
    let Ok(row) = world.model.session(session(n));
    row.expect("a session")
}

fn last(outcome: &Outcome) -> &Record {
    outcome.records.last().expect("a record")
}

#[test]
fn a_sign_in_is_recorded_with_its_address_and_the_session_knows_it() {
    let mut world = world();
    let done = world.node(from(9, payload(KEY)));
    done.answer.result.clone().expect("signed in");
    assert_eq!((last(&done).action, last(&done).address.clone()), (Action::SignIn, payload(KEY)));
    assert_eq!(row(&world, 9).address, Some(payload(KEY)));
}

#[test]
fn an_address_under_a_key_that_is_not_there_is_sealed_anew_and_leaves_no_record() {
    let mut world = world();
    let other = world.node(from(9, payload(KEY + 1)));
    assert_eq!(other.answer.result, Err(Reject::UnknownKey));
    assert_eq!(other.records.len(), 0, "between node and state");
    let of_requests = world.node(from(9, payload(9_999)));
    assert_eq!(of_requests.answer.result, Err(Reject::UnknownKey), "of another scope");
    let mut long = payload(KEY);
    long.resize(SEALED_ADDRESS_BYTES_MAX + 1, 0);
    let long = world.node(from(9, long));
    assert_eq!(long.answer.result, Err(Reject::Invalid(Field::Payload)));
    assert_eq!((last(&long).address.len(), last(&long).result != End::Done), (0, true), "and none that is too long");
    assert!(world.model.session(session(9)).is_ok_and(|row| row.is_none()));
}

#[test]
fn a_session_that_is_used_from_elsewhere_leaves_a_record_and_others_leave_none() {
    let mut world = world();
    world.node(from(9, payload(KEY))).answer.result.expect("signed in");
    let refresh = |number: u64, address| {
        let token = [number as u8 + 0x50; 32];
        Command::Refresh(Refresh { session: session(9), token, key: [9; 32], number, address })
    };
    let stays = world.node(refresh(1, None));
    stays.answer.result.clone().expect("refreshed");
    assert_eq!(stays.records.len(), 0);
    let mut elsewhere = payload(KEY);
    elsewhere.push(7);
    let moves = world.node(refresh(2, Some(elsewhere.clone())));
    moves.answer.result.clone().expect("refreshed");
    assert_eq!(moves.records.len(), 1);
    let record = last(&moves);
    assert_eq!((record.action, record.address.clone()), (Action::RefreshSession, elsewhere.clone()));
    assert!(matches!(record.agent, types::record::Agent::User { user: by, .. } if by == user(1)));
    assert_eq!(row(&world, 9).address, Some(elsewhere.clone()));
    let unknown = world.node(refresh(3, Some(payload(KEY + 1))));
    assert_eq!(unknown.answer.result, Err(Reject::UnknownKey));
    assert_eq!(row(&world, 9).address, Some(elsewhere), "and its number is not used up");
    world.node(refresh(3, Some(payload(KEY)))).answer.result.expect("sealed anew");
}
