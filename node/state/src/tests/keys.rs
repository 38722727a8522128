use types::command::{ApproveHolder, RewrapDataKeys, RewrappedKey, SetStatus, UpdateConversation};
use types::reply::Field;

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
    assert_eq!(world.by(1, Command::RotateClusterKey(cluster_key(2), vec![])), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::RotateClusterKey(cluster_key(3), vec![])), Err(Reject::VersionMismatch(1)));
    world.by(0, Command::RotateClusterKey(cluster_key(2), vec![])).expect("rotates");
    assert_eq!(
        world.by(0, Command::RotateClusterKey(cluster_key(3), vec![])),
        Err(Reject::WrongPhase),
        "one at a time"
    );
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
    let keys = vec![RewrappedKey { id: request_key().id, wrapped: vec![2] }];
    let last = RewrapDataKeys { from: 1, to: 2, keys };
    world.node(Command::RewrapDataKeys(last)).answer.result.expect("the key of requests too");
    assert_eq!((data_keys(&world, 1), data_keys(&world, 2)), (Some(before - 11), Some(11)));
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
    assert_eq!(world.by(0, Command::RotateClusterKey(more.clone(), vec![])), Err(Reject::Invalid(Field::Envelopes)));
    let mut none = cluster_key(2);
    none.envelopes.remove(0);
    assert_eq!(world.by(0, Command::RotateClusterKey(none, vec![])), Err(Reject::Invalid(Field::Envelopes)));
    let mut other = cluster_key(2);
    other.envelopes[1].public = [9; 32];
    assert_eq!(world.by(0, Command::RotateClusterKey(other, vec![])), Err(Reject::UnknownKey));

    let approve = |holder, envelopes| Command::ApproveHolder(ApproveHolder { holder, public: [6; 32], envelopes });
    assert_eq!(world.by(1, approve(joined, vec![(1, to(1, joined))])), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, approve(joined, vec![])), Err(Reject::UnknownKey), "a rotation came first");
    let recovery = approve(Holder::Recovery, vec![(1, to(1, Holder::Recovery))]);
    assert_eq!(world.by(0, recovery), Err(Reject::Invalid(Field::Envelopes)));
    assert_eq!(world.by(0, approve(joined, vec![(1, to(1, joined))])), Ok(Reply::Done));

    // The node it replaced gets no envelope of the next key, and is no holder any more.
    let gone = Holder::Node(OTHER_NODE);
    more.envelopes.remove(2);
    let without = Command::RotateClusterKey(more.clone(), vec![Holder::Recovery]);
    assert_eq!(world.by(0, without), Err(Reject::UnknownKey), "nobody said that it goes");
    assert_eq!(world.by(0, Command::RotateClusterKey(more, vec![gone])), Ok(Reply::Version(2)));
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

#[test]
fn a_rotation_made_before_an_approval_drops_nobody_and_is_made_anew() {
    let mut world = World::new(1);
    let (old, joined) = (Holder::Node(OTHER_NODE), Holder::Node(NodeId(5)));
    let to = |version: u32| KeyEnvelope { holder: joined, public: [6; 32], sealed: vec![version as u8] };
    let mut rotation = cluster_key(2);
    rotation.envelopes.retain(|envelope| envelope.holder != old);
    let approve = ApproveHolder { holder: joined, public: [6; 32], envelopes: vec![(1, to(1))] };
    world.by(0, Command::ApproveHolder(approve)).expect("approved, while the rotation is on its way");
    let late = request(0, 50, 1, Command::RotateClusterKey(rotation.clone(), vec![old]));
    assert_eq!(world.put(late).answer.result, Err(Reject::UnknownKey));
    assert!(world.model.rows.contains_key(&Key::KeyHolder(joined)), "the new holder stays");
    assert!(world.model.rows.contains_key(&Key::KeyHolder(old)), "and nothing else was done");
    rotation.envelopes.push(to(2));
    let anew = request(0, 50, 1, Command::RotateClusterKey(rotation, vec![old]));
    assert_eq!(world.put(anew).answer.result, Ok(Reply::Version(2)), "with the same number");
    assert!(world.model.rows.contains_key(&Key::KeyHolder(joined)));
    assert!(!world.model.rows.contains_key(&Key::KeyHolder(old)));
}

#[test]
fn the_key_of_requests_comes_with_the_founding_and_no_other_is_added() {
    let mut world = World::new(1);
    let more = AddDataKey { id: 77, month: Month::of(Timestamp(world.now)), ..request_key() };
    assert_eq!(put(&mut world, more), Err(Reject::Invalid(Field::Key)));
    let status = SetStatus { availability: None, text: payload(request_key().id), expires: None };
    assert_eq!(world.by(0, Command::SetStatus(status)), Err(Reject::UnknownKey), "no text is sealed with it");
    let before = data_keys(&world, 1).expect("keys");
    world.by(0, Command::RotateClusterKey(cluster_key(2), vec![])).expect("rotates");
    let keys = vec![RewrappedKey { id: request_key().id, wrapped: vec![2] }];
    world.node(Command::RewrapDataKeys(RewrapDataKeys { from: 1, to: 2, keys })).answer.result.expect("as others are");
    assert_eq!((data_keys(&world, 1), data_keys(&world, 2)), (Some(before - 1), Some(1)));
}

#[test]
fn a_key_that_a_command_brings_is_kept_only_if_the_command_is_accepted() {
    let mut world = World::new(1);
    let stored = |world: &World| world.model.rows.keys().filter(|key| matches!(key, Key::DataKey(_))).count();
    let before = stored(&world);
    let Command::CreateConversation(plain) = create(40, ConversationKind::Group, &[1]) else { unreachable!() };
    let own = KeyScope::Conversation(plain.id);
    let titled = |key: AddDataKey| CreateConversation { title: payload(key.id), key: Some(key), ..plain.clone() };

    let refused =
        CreateConversation { participants: vec![(principal(99), Part::Writer)], ..titled(add(&world, 400, own, 1)) };
    assert!(world.by(0, Command::CreateConversation(refused)).is_err());
    let elsewhere = titled(add(&world, 400, WARD, 1));
    assert_eq!(world.by(0, Command::CreateConversation(elsewhere)), Err(Reject::Invalid(Field::Key)));
    let rotated = titled(add(&world, 400, own, 2));
    assert_eq!(world.by(0, Command::CreateConversation(rotated)), Err(Reject::UnknownKey), "made anew by the node");
    let patient = NewUser {
        kind: UserKind::Patient,
        realm: Realm::Patient,
        display_name: String::new(),
        words: Vec::new(),
        sealed_name: payload(700),
        key: Some(add(&world, 700, KeyScope::User(user(7)), 1)),
        ..new_user(7)
    };
    let taken = vec![patient.clone(), new_user(1)];
    assert_eq!(world.by(0, Command::CreateUsers(taken)), Err(Reject::Taken(1)));
    assert_eq!(stored(&world), before, "nothing was accepted, and no key is left behind");

    world.by(0, Command::CreateConversation(titled(add(&world, 400, own, 1)))).expect("created");
    world.by(0, Command::CreateUsers(vec![patient])).expect("created");
    assert_eq!(stored(&world), before + 2);
    let counted = data_keys(&world, 1).expect("keys");
    assert_eq!(counted, stored(&world) as u64, "the key of requests among them");
}
