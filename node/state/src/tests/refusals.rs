//! What one session is refused leaves a hundred records a minute, and one for all the rest.

use types::limits::REFUSALS_PER_MINUTE_MAX;
use types::record::{Action, Agent, Record, Result as End};

use super::*;

const EACH: usize = REFUSALS_PER_MINUTE_MAX as usize;

/// Tries to write where user 1 may not, so often; what that leaves in the log.
fn tries(world: &mut World, times: usize) -> Vec<Record> {
    let mut left = Vec::new();
    for _ in 0..times {
        let outcome = world.outcome_by(1, post(9));
        outcome.answer.result.expect_err("refused");
        left.extend(outcome.records);
    }
    left
}

fn folded(record: &Record) -> Option<u32> {
    let own = matches!(record.agent, Agent::User { session: of, user: who, .. } if of == session(1) && who == user(1));
    record.count.filter(|_| own && record.action == Action::Look && record.result != End::Done)
}

#[test]
fn above_a_hundred_a_minute_refusals_leave_one_record_with_their_count() {
    let mut world = World::new(2);
    world.now = 60_000 * 100;
    let first = tries(&mut world, EACH + 150);
    assert_eq!(first.len(), EACH, "each of the first has its own");
    assert!(first.iter().all(|record| record.count.is_none()));
    world.now += 60_000;
    let next = tries(&mut world, 2);
    assert_eq!(next.len(), 3);
    assert_eq!(folded(&next[0]), Some(150), "in the next minute the rest is told");
    let other = world.outcome_by(2, post(9));
    assert_eq!(other.records.len(), 1, "another session has a hundred of its own");
}

#[test]
fn what_was_folded_is_recorded_at_the_latest_when_the_session_ends() {
    let mut world = World::new(1);
    world.now = 60_000 * 100;
    tries(&mut world, EACH + 7);
    let ended = world.outcome_by(1, Command::EndSession(session(1)));
    ended.answer.result.clone().expect("ended");
    assert_eq!(ended.records.iter().filter_map(folded).collect::<Vec<_>>(), [7]);
}

#[test]
fn what_is_done_is_recorded_however_much_was_refused() {
    let mut world = World::new(1);
    world.group(5, 1, &[]);
    world.now = 60_000 * 100;
    tries(&mut world, EACH + 7);
    let done = world.outcome_by(1, post(5));
    done.answer.result.clone().expect("posted");
    assert_eq!((done.records.len(), done.records[0].result), (1, End::Done));
}
