use super::*;
use types::command::UpdateUser;
use types::emergency::{Emergency, OpenEmergency, ReviewEmergency};
use types::limits::{EMERGENCY_APPROVAL_MS, EMERGENCY_PROOF_MS_MAX};
use types::record::{Action, Agent, Entity, Purpose};
use types::user::PermissionSet;

use super::locking::unlock;
use crate::view::Rows;

const HOUR: u64 = 3_600_000;

fn grant(world: &mut World, n: u8, permissions: Vec<PermissionSet>) {
    world.by(0, update(n, permissions)).expect("granted");
}

fn update(n: u8, permissions: Vec<PermissionSet>) -> Command {
    Command::UpdateUser(UpdateUser {
        id: user(n),
        version: 0,
        display_name: None,
        unit: None,
        words: None,
        external_ids: None,
        may_message: None,
        permissions: Some(permissions),
        sealed_name: None,
    })
}

/// Keyholders 1, 2 and 3; 4 is an auditor, 5 nobody.
fn hospital() -> World {
    let mut world = World::new(5);
    for n in 1..=3 {
        grant(&mut world, n, vec![PermissionSet::Keyholder]);
    }
    grant(&mut world, 4, vec![PermissionSet::Auditor]);
    world
}

fn open() -> Command {
    Command::OpenEmergency(OpenEmergency { reason: "no administrator".into(), lasts_ms: HOUR })
}

fn row(world: &World, number: u64) -> Emergency {
    let Ok(Some(one)) = world.model.emergency(number) else { panic!("none of number {number}") };
    one
}

fn review(number: u64) -> Command {
    Command::ReviewEmergency(ReviewEmergency { number, note: "as said".into() })
}

fn create(n: u8) -> Command {
    Command::CreateUsers(vec![new_user(n)])
}

#[test]
fn it_takes_two_and_then_both_act_under_their_own_ids_until_its_end() {
    let mut world = hospital();
    assert_eq!(world.by(5, open()), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, open()), Err(Reject::NotPermitted), "an administrator needs none");
    assert_eq!(world.by(1, open()), Ok(Reply::Emergency(1)));
    assert_eq!(world.by(1, open()), Err(Reject::Taken(0)), "it waits already");
    assert_eq!(world.by(1, create(40)), Err(Reject::NotPermitted), "one opens nothing");
    assert_eq!(world.by(1, Command::ApproveEmergency(1)), Err(Reject::NotPermitted), "nor twice");
    assert_eq!(world.by(5, Command::ApproveEmergency(1)), Err(Reject::NotPermitted));
    assert_eq!(world.by(2, Command::ApproveEmergency(7)), Err(Reject::NotFound));
    let approved = world.outcome_by(2, Command::ApproveEmergency(1));
    assert_eq!(approved.answer.result, Ok(Reply::Emergency(1)));
    assert_eq!(approved.records[0].purpose, Some(Purpose::BreakGlass));
    assert_eq!(world.by(3, Command::ApproveEmergency(1)), Err(Reject::EmergencyState), "two are enough");

    for n in [1, 2] {
        let done = world.outcome_by(n, create(40 + n));
        done.answer.result.expect("acts");
        let record = &done.records[0];
        assert!(matches!(record.agent, Agent::User { user: who, .. } if who == user(n)), "in their own name");
        assert_eq!(record.purpose, Some(Purpose::BreakGlass));
    }
    assert_eq!(world.by(3, create(43)), Err(Reject::NotPermitted));
    world.now += HOUR - 1;
    world.by(1, create(44)).expect("to the end");
    world.now += 1;
    assert_eq!(world.by(1, create(45)), Err(Reject::NotPermitted), "and not beyond, before any timer");
    let ended = world.node(Command::Tick);
    assert_eq!(ended.records.iter().filter(|one| one.action == Action::EndEmergency).count(), 1);
    assert!(world.node(Command::Tick).records.is_empty(), "once");
    let one = row(&world, 1);
    assert_eq!(one.ended.map(|at| at.0), Some(world.now));
    assert!(one.records_from < one.records_to.expect("so many"));
    invariants::check(&world.model);
}

#[test]
fn it_stays_open_for_review_until_an_auditor_signs_it_off() {
    let mut world = hospital();
    grant(&mut world, 2, vec![PermissionSet::Auditor, PermissionSet::Keyholder]);
    world.by(1, open()).expect("asked for");
    world.by(2, Command::ApproveEmergency(1)).expect("approved");
    assert_eq!(world.by(4, review(1)), Err(Reject::EmergencyState), "not while it is in force");
    assert_eq!(world.by(3, Command::EndEmergency(1)), Err(Reject::NotPermitted), "not theirs");
    world.by(1, Command::EndEmergency(1)).expect("ended early");
    world.by(2, Command::EndEmergency(1)).expect("it is");
    assert_eq!(world.by(1, create(40)), Err(Reject::NotPermitted));
    assert_eq!(world.by(2, review(1)), Err(Reject::NotPermitted), "nobody reviews themselves");
    assert_eq!(world.by(0, review(1)), Err(Reject::NotPermitted));
    let signed = world.outcome_by(4, review(1));
    assert_eq!(signed.answer.result, Ok(Reply::Emergency(1)));
    assert_eq!(signed.records[0].entities, [Entity::Emergency(1)]);
    assert_eq!(signed.records[0].reason.as_deref(), Some("as said"));
    assert_eq!(world.by(4, review(1)), Err(Reject::EmergencyState), "once");
    assert_eq!(row(&world, 1).reviewed.map(|(by, _)| by), Some(user(4)));
    invariants::check(&world.model);
}

#[test]
fn what_nobody_approves_lapses_and_needs_no_review() {
    let mut world = hospital();
    world.by(1, open()).expect("asked for");
    world.now += EMERGENCY_APPROVAL_MS;
    world.put(request(2, 90, 1, Command::UnlockSession(unlock(Method::Password)))).answer.result.expect("proved");
    assert_eq!(world.put(request(2, 91, 1, Command::ApproveEmergency(1))).answer.result, Err(Reject::EmergencyState));
    world.node(Command::Tick);
    assert!(row(&world, 1).ended.is_some());
    assert_eq!(world.by(4, review(1)), Err(Reject::SessionLocked), "idle meanwhile");
    world.put(request(4, 90, 1, Command::UnlockSession(unlock(Method::Password)))).answer.result.expect("unlocked");
    assert_eq!(world.put(request(4, 91, 1, review(1))).answer.result, Err(Reject::EmergencyState));
    world.put(request(1, 90, 1, Command::UnlockSession(unlock(Method::Password)))).answer.result.expect("proved");
    assert_eq!(world.put(request(1, 91, 1, open())).answer.result, Ok(Reply::Emergency(2)), "anew");
    world.put(request(1, 92, 1, Command::EndEmergency(2))).answer.result.expect("withdrawn");
    invariants::check(&world.model);
}

#[test]
fn a_screen_left_open_opens_nothing() {
    let mut world = hospital();
    world.now += EMERGENCY_PROOF_MS_MAX + 1;
    assert_eq!(world.by(1, open()), Err(Reject::ProofTooOld));
    world.by(1, Command::UnlockSession(unlock(Method::Password))).expect("proves anew, though it is not locked");
    world.by(1, open()).expect("asked for");
    assert_eq!(world.by(2, Command::ApproveEmergency(1)), Err(Reject::ProofTooOld));
}

#[test]
fn whoever_acts_by_it_keeps_off_those_who_watch_over_it() {
    let mut world = hospital();
    world.by(1, open()).expect("asked for");
    world.by(2, Command::ApproveEmergency(1)).expect("approved");
    assert_eq!(world.by(1, Command::IssueEnrolment(user(4), [1; 32])), Err(Reject::NotPermitted), "the auditor");
    assert_eq!(world.by(1, Command::DeactivateUser(user(4))), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, update(4, vec![])), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, update(5, vec![PermissionSet::Auditor])), Err(Reject::NotPermitted), "one of their own");
    let auditor = NewUser { permissions: vec![PermissionSet::Auditor], ..new_user(41) };
    assert_eq!(world.by(1, Command::CreateUsers(vec![auditor])), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, update(1, vec![PermissionSet::Admin, PermissionSet::Keyholder])), Err(Reject::NotPermitted));
    world.by(1, update(5, vec![PermissionSet::Admin])).expect("a new administrator is what it is for");
    world.by(1, Command::IssueEnrolment(user(5), [1; 32])).expect("and their password");
}

#[test]
fn a_keyholder_who_is_none_any_more_has_nothing_of_it() {
    let mut world = hospital();
    world.by(1, open()).expect("asked for");
    grant(&mut world, 1, vec![]);
    assert_eq!(world.by(2, Command::ApproveEmergency(1)), Err(Reject::EmergencyState));
    grant(&mut world, 1, vec![PermissionSet::Keyholder]);
    world.by(2, Command::ApproveEmergency(1)).expect("approved");
    grant(&mut world, 2, vec![]);
    assert_eq!(world.by(2, create(40)), Err(Reject::NotPermitted));
    world.by(1, create(40)).expect("the other goes on");
    world.by(0, Command::EndEmergency(1)).expect("an administrator ends it");
    assert_eq!(world.by(1, create(41)), Err(Reject::NotPermitted));
    invariants::check(&world.model);
}
