use types::command::{ApproveHolder, RewrapDataKeys, RewrappedKey, SetStatus, UpdateConversation};
use types::reply::Field;
use types::{Key, Row};

use super::*;
use crate::view::{Rows, newest_cluster_key};

fn add(world: &World, id: u64, scope: KeyScope, version: u32) -> AddDataKey {
    AddDataKey { id, scope, month: Month::of(Timestamp(world.now)), version, wrapped: vec![1] }
}

fn put(world: &mut World, key: AddDataKey) -> Result<Reply, Reject> {
    world.node(Command::AddDataKey(key)).answer.result
}

fn data_keys(world: &World, version: u32) -> Option<u64> {
    let Ok(key) = world.model.cluster_key(version);
    key.map(|key| key.data_keys)
}

const WARD: KeyScope = KeyScope::Conversation(conversation(50));

#[test]
fn the_first_key_of_a_scope_and_month_wins_and_is_the_answer() {
    let mut world = World::new(1);
    let (one, other) = (add(&world, 100, WARD, 1), add(&world, 200, WARD, 1));
    assert_eq!(put(&mut world, one.clone()), Ok(Reply::DataKey(100)));
    assert_eq!(put(&mut world, other), Ok(Reply::DataKey(100)));
    assert_eq!(put(&mut world, one.clone()), Ok(Reply::DataKey(100)), "a retry");
    let next = AddDataKey { id: 300, month: Month(one.month.0 + 1), ..one.clone() };
    assert_eq!(put(&mut world, next), Ok(Reply::DataKey(300)), "the next month has its own");
    let later = AddDataKey { id: 400, month: Month(one.month.0 + 2), ..one };
    assert_eq!(put(&mut world, later), Err(Reject::Invalid(Field::Key)));
}

#[test]
fn an_id_that_is_taken_and_a_cluster_key_that_is_not_in_use_are_refused() {
    let mut world = World::new(1);
    let key = add(&world, 100, WARD, 1);
    put(&mut world, key.clone()).expect("added");
    let elsewhere = KeyScope::User(user(1));
    assert_eq!(put(&mut world, AddDataKey { scope: elsewhere, ..key.clone() }), Err(Reject::Taken(0)));
    assert_eq!(put(&mut world, AddDataKey { id: 101, scope: elsewhere, version: 2, ..key }), Err(Reject::UnknownKey));
}

#[test]
fn a_payload_needs_a_key_of_its_own_scope_and_the_number_stays_free_until_then() {
    let mut world = World::new(1);
    world.group(1, 0, &[1]);
    let sealed_with = |key: u64| {
        let sealed = Sealed { key_id: key, commitment: [0; 32], bytes: payload(key) };
        Command::Post(Post { sealed, ..message(1) })
    };
    let records = crate::heads(&world.model).map(|heads| heads.records);
    for wrong in [0, 999, key_of(2)] {
        let outcome = world.put(request(1, 1, 1, sealed_with(wrong)));
        assert_eq!(outcome.answer.result, Err(Reject::UnknownKey), "key {wrong}");
    }
    assert_eq!(
        crate::heads(&world.model).map(|heads| heads.records),
        records,
        "nothing to record: nothing was refused"
    );
    let outcome = world.put(request(1, 1, 1, sealed_with(key_of(1))));
    assert_eq!(posted(outcome.answer.result), Seq(1), "the same number");

    let mut forged = message(1);
    forged.sealed.key_id = key_of(2);
    assert_eq!(world.by(0, Command::Post(forged)), Err(Reject::Invalid(Field::Payload)));
    let title = UpdateConversation { id: conversation(1), version: 0, title: None, history: None, open: None };
    let titled = |key| Command::UpdateConversation(UpdateConversation { title: Some(payload(key)), ..title.clone() });
    assert_eq!(world.by(0, titled(key_of(2))), Err(Reject::UnknownKey));
    assert!(world.by(0, titled(key_of(1))).is_ok());
    let status = SetStatus { availability: None, text: payload(key_of(1)), expires: None };
    assert_eq!(world.by(0, Command::SetStatus(status)), Err(Reject::UnknownKey));
}

#[test]
fn whoever_may_not_is_told_that_and_not_of_keys() {
    let mut world = World::new(2);
    world.group(1, 0, &[1]);
    let unkeyed = || Post { sealed: Sealed { key_id: 0, commitment: [0; 32], bytes: vec![1; 9] }, ..message(1) };
    assert_eq!(world.by(2, Command::Post(unkeyed())), Err(Reject::NotFound));
    world.by(0, Command::RemoveParticipant(conversation(1), principal(1))).expect("removed");
    assert_eq!(world.by(1, Command::Post(unkeyed())), Err(Reject::NotPermitted));
}

#[test]
fn a_rotation_moves_every_key_and_then_the_old_one_goes() {
    let mut world = World::new(1);
    let before = data_keys(&world, 1).expect("keys");
    assert_eq!(world.by(1, Command::RotateClusterKey(cluster_key(2))), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::RotateClusterKey(cluster_key(3))), Err(Reject::VersionMismatch(1)));
    world.by(0, Command::RotateClusterKey(cluster_key(2))).expect("rotates");
    assert_eq!(world.by(0, Command::RotateClusterKey(cluster_key(3))), Err(Reject::WrongPhase), "one at a time");
    assert_eq!(world.node(Command::RetireClusterKey(1)).answer.result, Err(Reject::WrongPhase), "still in use");

    let slice = |ids: std::ops::Range<u8>| {
        let keys = ids.map(|id| RewrappedKey { id: key_of(id), wrapped: vec![2] }).collect();
        Command::RewrapDataKeys(RewrapDataKeys { from: 1, to: 2, keys })
    };
    for _ in 0..2 {
        world.node(slice(0..4)).answer.result.expect("wraps anew"); // Twice: a leader that took over does it again.
        assert_eq!((data_keys(&world, 1), data_keys(&world, 2)), (Some(before - 4), Some(4)));
    }
    world.node(slice(0..10)).answer.result.expect("wraps anew");
    assert_eq!((data_keys(&world, 1), data_keys(&world, 2)), (Some(before - 10), Some(10)));
    for _ in 0..2 {
        assert_eq!(world.node(Command::RetireClusterKey(1)).answer.result, Ok(Reply::Done));
    }
    let envelopes = |version: u32| {
        world.model.rows.keys().filter(move |key| matches!(key, Key::KeyEnvelope(v, _) if *v == version))
    };
    assert_eq!((envelopes(1).count(), envelopes(2).count()), (0, 3));
    assert_eq!(world.node(Command::RetireClusterKey(2)).answer.result, Err(Reject::WrongPhase), "in use");
    let Ok(newest) = newest_cluster_key(&world.model);
    assert_eq!(newest.map(|(version, _)| version), Some(2));
}

#[test]
fn nobody_becomes_a_holder_but_by_approval_and_the_recovery_kit_stays_one() {
    let mut world = World::new(1);
    let joined = Holder::Node(NodeId(5));
    let to = |version: u32, holder| KeyEnvelope { holder, public: [6; 32], sealed: vec![version as u8] };
    let mut more = cluster_key(2);
    more.envelopes.push(to(2, joined));
    assert_eq!(world.by(0, Command::RotateClusterKey(more.clone())), Err(Reject::Invalid(Field::Envelopes)));
    let mut none = cluster_key(2);
    none.envelopes.remove(0);
    assert_eq!(world.by(0, Command::RotateClusterKey(none)), Err(Reject::Invalid(Field::Envelopes)));
    let mut other = cluster_key(2);
    other.envelopes[1].public = [9; 32];
    assert_eq!(world.by(0, Command::RotateClusterKey(other)), Err(Reject::Invalid(Field::Envelopes)));

    let approve = |holder, envelopes| Command::ApproveHolder(ApproveHolder { holder, public: [6; 32], envelopes });
    assert_eq!(world.by(1, approve(joined, vec![(1, to(1, joined))])), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, approve(joined, vec![])), Err(Reject::Invalid(Field::Envelopes)));
    let recovery = approve(Holder::Recovery, vec![(1, to(1, Holder::Recovery))]);
    assert_eq!(world.by(0, recovery), Err(Reject::Invalid(Field::Envelopes)));
    assert_eq!(world.by(0, approve(joined, vec![(1, to(1, joined))])), Ok(Reply::Done));

    // The node it replaced gets no envelope of the next key, and is no holder any more.
    more.envelopes.remove(2);
    assert_eq!(world.by(0, Command::RotateClusterKey(more)), Ok(Reply::Version(2)));
    let holders: Vec<Holder> = world
        .model
        .rows
        .keys()
        .filter_map(|key| match key {
            Key::KeyHolder(holder) => Some(*holder),
            _ => None,
        })
        .collect();
    assert_eq!(holders, [Holder::Recovery, Holder::Node(NODE), joined]);
    assert!(matches!(world.model.rows.get(&Key::KeyEnvelope(2, joined)), Some(Row::KeyEnvelope(_))));
}

#[test]
fn a_patients_name_is_sealed_and_no_word_of_it_is_kept() {
    let mut world = World::new(1);
    let scope = KeyScope::User(user(7));
    let key = add(&world, 700, scope, 1);
    put(&mut world, key).expect("a key");
    let patient = NewUser {
        kind: UserKind::Patient,
        realm: Realm::Patient,
        display_name: String::new(),
        words: Vec::new(),
        sealed_name: payload(700),
        ..new_user(7)
    };
    let wrong = [
        (NewUser { display_name: "Ana".into(), ..patient.clone() }, Reject::Invalid(Field::DisplayName)),
        (NewUser { words: vec!["ana".into()], ..patient.clone() }, Reject::Invalid(Field::DisplayName)),
        (NewUser { sealed_name: Vec::new(), ..patient.clone() }, Reject::Invalid(Field::DisplayName)),
        (NewUser { sealed_name: payload(1), ..patient.clone() }, Reject::UnknownKey),
        (NewUser { sealed_name: payload(700), ..new_user(7) }, Reject::Invalid(Field::DisplayName)),
    ];
    for (user, reject) in wrong {
        assert_eq!(world.by(0, Command::CreateUsers(vec![user])), Err(reject));
    }
    assert!(world.by(0, Command::CreateUsers(vec![patient])).is_ok());
    assert!(!world.model.rows.keys().any(|key| matches!(key, Key::Word(_, id) if *id == user(7))));
}
