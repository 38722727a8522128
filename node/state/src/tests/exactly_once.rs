use super::*;
use types::limits::{ANSWERS_KEPT_MS, REQUEST_WINDOW};

fn group() -> World {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    world
}

#[test]
fn a_retry_has_the_same_answer_and_stores_nothing_new() {
    let mut world = group();
    let first = world.put(request(1, 2, 1, post(1)));
    world.now += 5;
    let before = world.model.clone();
    let again = world.put(request(1, 2, 1, post(1)));
    assert_eq!(again.answer, first.answer);
    assert_eq!(again.changes.len(), 1, "only the clock: {:?}", again.changes.keys());
    assert!(again.events.is_empty() && again.records.is_empty());
    assert_ne!(before, world.model, "the clock has moved");
}

#[test]
fn a_refusal_is_kept_like_any_answer() {
    let mut world = group();
    let envelope = request(1, 2, 1, post(9));
    assert_eq!(world.put(envelope.clone()).answer.result, Err(Reject::NotFound));
    world.group(9, 2, &[1]);
    assert_eq!(world.put(envelope).answer.result, Err(Reject::NotFound), "the same, though it would work now");
}

#[test]
fn a_number_used_for_other_content_is_refused() {
    let mut world = group();
    posted(world.put(request(1, 2, 1, post(1))).answer.result);
    let mut other = request(1, 2, 1, post(1));
    if let Author::Session(request) = &mut other.author {
        request.content = [8; 16];
    }
    assert_eq!(world.put(other).answer.result, Err(Reject::RequestIdReused));
}

#[test]
fn a_settled_number_is_never_run_again() {
    let mut world = group();
    posted(world.put(request(1, 2, 1, post(1))).answer.result);
    posted(world.put(request(1, 3, 3, post(1))).answer.result);
    assert_eq!(world.put(request(1, 2, 1, post(1))).answer.result, Err(Reject::DedupExpired));
    assert_eq!(world.put(request(1, 0, 0, post(1))).answer.result, Err(Reject::DedupExpired));
}

#[test]
fn numbers_reach_one_window_ahead_and_settling_moves_it() {
    let mut world = group();
    assert_eq!(world.put(request(1, 1 + REQUEST_WINDOW, 1, post(1))).answer.result, Err(Reject::WindowExceeded));
    posted(world.put(request(1, REQUEST_WINDOW, 1, post(1))).answer.result);
    posted(world.put(request(1, 1 + REQUEST_WINDOW, 2, post(1))).answer.result);
    // Settled beyond its own number: it must still be told apart.
    let envelope = request(1, 2 + REQUEST_WINDOW, u64::MAX, post(1));
    let first = posted(world.put(envelope.clone()).answer.result);
    assert_eq!(posted(world.put(envelope).answer.result), first);
    assert_eq!(world.put(request(1, u64::MAX, u64::MAX, post(1))).answer.result, Err(Reject::WindowExceeded));
}

#[test]
fn answers_are_dropped_when_a_device_was_silent_for_long() {
    let mut world = group();
    posted(world.put(request(1, 2, 1, post(1))).answer.result);
    world.now += ANSWERS_KEPT_MS - 1;
    world.node(Command::Tick);
    let kept =
        |world: &World| world.model.rows.keys().any(|key| matches!(key, types::Key::Answer(id, _) if *id == device(1)));
    assert!(kept(&world));
    world.now += 1;
    world.node(Command::Tick);
    assert!(!kept(&world));
    invariants::check(&world.model);
}

#[test]
fn a_forged_session_leaves_a_record_and_nothing_else() {
    let mut world = group();
    let outcome = world.put(request(77, 1, 1, post(1)));
    assert_eq!(outcome.answer.result, Err(Reject::NoSession));
    assert_eq!(outcome.changes.len(), 2, "clock and record");
    assert_eq!(outcome.records[0].agent, types::record::Agent::Unknown);
}

#[test]
fn a_node_speaks_for_no_user_and_a_user_for_no_node() {
    let mut world = group();
    assert_eq!(world.node(post(1)).answer.result, Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::Tick), Err(Reject::NotPermitted));
}

#[test]
fn before_founding_there_is_nothing_and_after_it_no_second_one() {
    let mut model = Model::default();
    let envelope = Envelope { origin: NODE, author: Author::Node, command: Command::Tick };
    assert_eq!(model.apply(Timestamp(1), &envelope).answer.result, Err(Reject::WrongPhase));
    let mut world = group();
    let admin = new_user(9);
    let found = Found {
        cluster: ClusterId([2; 16]),
        lineage: Lineage([2; 16]),
        name: "Other".to_string(),
        feature_level: 1,
        admin,
        audit_keys: Vec::new(),
        cluster_key: None,
        request_key: None,
    };
    assert_eq!(world.node(Command::Found(found)).answer.result, Err(Reject::WrongPhase));
}

#[test]
fn the_clock_never_goes_back() {
    let mut world = group();
    world.now -= 500_000;
    let Ok(Reply::Posted { at, .. }) = world.by(1, post(1)) else { panic!("not posted") };
    assert_eq!(at, Timestamp(1_000_000));
}

#[test]
fn what_people_do_leaves_a_record_and_what_nodes_do_by_themselves_does_not() {
    use types::record::{Action, Agent, Entity, Result as End};
    let mut world = group();
    let outcome = world.outcome_by(1, post(1));
    let [record] = outcome.records.as_slice() else { panic!("one record") };
    assert_eq!((record.action, record.result), (Action::Post, End::Done));
    assert_eq!(record.entities, [Entity::Messages(conversation(1), Seq(1), Seq(1))]);
    assert!(matches!(record.agent, Agent::User { user: who, .. } if who == user(1)));
    assert!(record.commitment.is_some());
    let refused = world.outcome_by(0, post(1));
    let [record] = refused.records.as_slice() else { panic!("one record") };
    assert_eq!(record.result, End::Refused(crate::records::reject_number(&Reject::NotFound)));
    assert_eq!(record.entities, [Entity::Conversation(conversation(1))]);
    assert!(world.node(Command::Tick).records.is_empty());
    assert!(world.node(Command::RenewLease(Lease { epoch: 1 })).records.is_empty());
}
