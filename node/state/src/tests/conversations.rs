use super::*;
use types::command::{Confirmation, UpdateConversation};
use types::conversation::POLICY_EVERYTHING;
use types::reply::Field;
use types::{EventBody, Scope};

use crate::policy::{Action, Decision, may};
use crate::view::Rows;
use crate::visible::{self, Visible};

fn visible(world: &World, id: u8, n: u8) -> Visible {
    let Ok(Some(conversation)) = world.model.conversation(conversation(id)) else { panic!("no conversation") };
    let Ok(Some(visible)) = visible::of(&world.model, &conversation, principal(n)) else { panic!("not visible") };
    visible
}

fn add(id: u8, n: u8, part: Part) -> Command {
    Command::AddParticipants(conversation(id), vec![(principal(n), part)])
}

fn remove(id: u8, n: u8) -> Command {
    Command::RemoveParticipant(conversation(id), principal(n))
}

fn part(world: &World, id: u8, n: u8) -> Option<Part> {
    world.model.participant(conversation(id), principal(n)).ok().flatten().and_then(|there| there.part)
}

fn confirm(world: &mut World, n: u8, id: u8, delivered: u64, displayed: u64) -> Outcome {
    let (delivered, displayed) = (Seq(delivered), Seq(displayed));
    let item = Confirmation { session: session(n), conversation: conversation(id), delivered, displayed };
    world.node(Command::Confirm(vec![item]))
}

#[test]
fn messages_are_numbered_from_one_without_gaps() {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    for expected in 1..=5 {
        assert_eq!(posted(world.by(1 + (expected % 2) as u8, post(1))), Seq(expected));
    }
    invariants::check(&world.model);
}

#[test]
fn someone_elses_conversation_answers_as_an_unknown_one() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    for id in [1, 99] {
        assert_eq!(world.by(3, post(id)), Err(Reject::NotFound));
        assert_eq!(world.by(3, add(id, 3, Part::Writer)), Err(Reject::NotFound));
        assert_eq!(world.by(3, remove(id, 3)), Err(Reject::NotFound));
        assert_eq!(world.by(3, remove(id, 1)), Err(Reject::NotFound));
    }
}

#[test]
fn an_administrator_sees_no_content() {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    posted(world.by(1, post(1)));
    let Ok(Some(admin)) = world.model.user(user(0)) else { panic!("no administrator") };
    for action in [
        Action::SeeConversation(conversation(1)),
        Action::SeeMessage(conversation(1), Seq(1)),
        Action::SeeParticipants(conversation(1)),
        Action::Post(conversation(1)),
    ] {
        assert_eq!(may(&world.model, &admin, action), Ok(Decision::Hidden));
    }
}

#[test]
fn readers_and_those_who_left_may_not_post() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    assert_eq!(world.by(1, add(1, 3, Part::Reader)), Ok(Reply::Done));
    assert_eq!(world.by(3, post(1)), Err(Reject::NotPermitted));
    assert_eq!(world.by(2, remove(1, 2)), Ok(Reply::Done));
    assert_eq!(world.by(2, post(1)), Err(Reject::NotPermitted));
}

#[test]
fn who_joins_sees_from_then_on_and_who_leaves_until_then() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    posted(world.by(1, post(1)));
    let outcome = world.outcome_by(1, add(1, 3, Part::Writer));
    let joined = outcome.events[0].number;
    assert_eq!(outcome.events[0].body, EventBody::Joined(conversation(1)));
    assert_eq!(outcome.events[1].body, EventBody::Added(principal(3)));
    posted(world.by(1, post(1)));
    let outcome = world.outcome_by(1, remove(1, 3));
    let removed = outcome.events[0].number;
    assert_eq!(outcome.events[0].body, EventBody::Removed(principal(3)));
    assert_eq!(
        (outcome.events[1].scope, outcome.events[1].body),
        (Scope::User(user(3)), EventBody::Left(conversation(1)))
    );
    posted(world.by(1, post(1)));
    let seen = visible(&world, 1, 3);
    assert_eq!(seen.seqs, [(Seq(2), Seq(2))]);
    assert_eq!(seen.events, [(joined, removed)]);
    invariants::check(&world.model);
}

#[test]
fn who_is_added_again_under_an_open_policy_sees_all_but_replays_only_their_own_times() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    posted(world.by(1, post(1)));
    world.by(1, add(1, 3, Part::Writer)).expect("adds");
    posted(world.by(1, post(1)));
    world.by(1, remove(1, 3)).expect("removes");
    posted(world.by(1, post(1)));
    let update = UpdateConversation {
        id: conversation(1),
        version: 1,
        title: None,
        history: Some(POLICY_EVERYTHING),
        open: None,
    };
    assert_eq!(world.by(1, Command::UpdateConversation(update.clone())), Ok(Reply::Version(2)));
    assert_eq!(world.by(1, Command::UpdateConversation(update)), Err(Reject::VersionMismatch(2)));
    world.by(1, add(1, 3, Part::Writer)).expect("adds again");
    posted(world.by(1, post(1)));
    let seen = visible(&world, 1, 3);
    assert_eq!(seen.seqs, [(Seq(1), Seq(4))]);
    assert_eq!(seen.events.len(), 2);
    invariants::check(&world.model);
}

#[test]
fn a_pair_has_one_direct_conversation() {
    let mut world = World::new(2);
    let first = world.by(1, create(1, ConversationKind::Direct, &[2]));
    assert_eq!(first, Ok(Reply::Conversation { id: conversation(1), created: true }));
    let second = world.by(2, create(2, ConversationKind::Direct, &[1]));
    assert_eq!(second, Ok(Reply::Conversation { id: conversation(1), created: false }));
    assert_eq!(world.by(1, remove(1, 1)), Err(Reject::NotPermitted));
    let alone = world.by(1, create(3, ConversationKind::Direct, &[1]));
    assert_eq!(alone, Err(Reject::Invalid(Field::Participants)));
}

#[test]
fn a_group_of_five_hundred_is_one_command() {
    let mut world = World::new(1);
    let people: Vec<u8> = (2..=250).collect();
    world.by(0, Command::CreateUsers(people.iter().map(|&n| new_user(n)).collect())).expect("creates");
    let more: Vec<u16> = (0..250).collect();
    let id = |n: u16| UserId([(n >> 8) as u8, n as u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    let users = more.iter().map(|&n| NewUser { id: id(n), login: format!("x{n}y"), ..new_user(1) }).collect();
    world.by(0, Command::CreateUsers(users)).expect("creates");
    let mut command = create(1, ConversationKind::Group, &people);
    if let Command::CreateConversation(create) = &mut command {
        create.participants.extend(more.iter().map(|&n| (Principal::User(id(n)), Part::Reader)));
    }
    let outcome = world.outcome_by(1, command);
    assert_eq!(outcome.reply(), Some(&Reply::Conversation { id: conversation(1), created: true }));
    assert_eq!(outcome.events.len(), 500, "each is told once");
    invariants::check(&world.model);
}

#[test]
fn when_the_last_owner_leaves_the_longest_standing_writer_takes_over() {
    let mut world = World::new(4);
    world.group(1, 1, &[]);
    world.now += 1;
    world.by(1, add(1, 4, Part::Writer)).expect("adds");
    world.now += 1;
    world.by(1, add(1, 2, Part::Writer)).expect("adds");
    assert_eq!(world.by(1, add(1, 1, Part::Reader)), Err(Reject::Invalid(Field::Part)));
    world.by(1, remove(1, 1)).expect("leaves");
    assert_eq!((part(&world, 1, 4), part(&world, 1, 2)), (Some(Part::Owner), Some(Part::Writer)));
}

#[test]
fn a_deactivated_user_is_gone_from_everywhere() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    world.by(1, create(2, ConversationKind::Direct, &[2])).expect("creates");
    world.attach(1);
    assert_eq!(world.by(1, Command::DeactivateUser(user(2))), Err(Reject::NotPermitted));
    assert_eq!(world.by(0, Command::DeactivateUser(user(0))), Err(Reject::NotPermitted), "an administrator remains");
    assert_eq!(world.by(0, Command::DeactivateUser(user(1))), Ok(Reply::Version(2)));
    assert_eq!(world.by(1, post(1)), Err(Reject::NoSession));
    assert_eq!((part(&world, 1, 1), part(&world, 1, 2)), (None, Some(Part::Owner)));
    assert_eq!(world.by(2, post(2)), Err(Reject::ConversationClosed), "nobody would read it");
    assert_eq!(world.by(2, create(3, ConversationKind::Group, &[1])), Err(Reject::Deactivated));
    invariants::check(&world.model);
}

#[test]
fn what_a_message_refers_to_must_be_there_and_visible() {
    let mut world = World::new(3);
    world.group(1, 1, &[2]);
    posted(world.by(1, post(1)));
    world.by(1, add(1, 3, Part::Writer)).expect("adds");
    let with = |change: fn(&mut Header)| {
        let mut message = message(1);
        change(&mut message.header);
        Command::Post(message)
    };
    assert_eq!(world.by(3, with(|header| header.reply_to = Some(Seq(1)))), Err(Reject::Invalid(Field::ReplyTo)));
    assert_eq!(world.by(1, with(|header| header.reply_to = Some(Seq(2)))), Err(Reject::Invalid(Field::ReplyTo)));
    assert_eq!(world.by(2, with(|header| header.supersedes = Some(Seq(1)))), Err(Reject::Invalid(Field::Supersedes)));
    let mention = |header: &mut Header| header.mentions = vec![principal(0)];
    assert_eq!(world.by(1, with(mention)), Err(Reject::Invalid(Field::Mentions)));
    let past = |header: &mut Header| header.expires_at = Some(Timestamp(1));
    assert_eq!(world.by(1, with(past)), Err(Reject::Invalid(Field::ExpiresAt)));
    assert_eq!(world.by(1, with(|header| header.kind = MessageKind(2))), Err(Reject::Invalid(Field::Kind)));
    assert_eq!(posted(world.by(1, with(|header| header.supersedes = Some(Seq(1))))), Seq(2), "nothing was stored");
}

#[test]
fn receipts_only_grow_and_never_beyond_what_there_is() {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    posted(world.by(1, post(1)));
    posted(world.by(1, post(1)));
    let outcome = confirm(&mut world, 2, 1, 1, 99);
    let EventBody::Confirmed { delivered, displayed, .. } = outcome.events[0].body else { panic!("no receipt") };
    assert_eq!((delivered, displayed), (Seq(2), Seq(2)), "what was displayed was delivered");
    assert!(outcome.records.is_empty());
    assert!(confirm(&mut world, 2, 1, 1, 1).events.is_empty(), "no step back");
    assert!(confirm(&mut world, 77, 1, 2, 2).events.is_empty());
    invariants::check(&world.model);
}

#[test]
fn partners_see_whom_they_share_a_conversation_with() {
    let mut world = World::new(2);
    let partner = NewUser { realm: Realm::Partner, ..new_user(5) };
    world.by(0, Command::CreateUsers(vec![partner])).expect("creates");
    world.node(enrol(5, 5)).answer.result.expect("enrols");
    let sees = |world: &World, n: u8| {
        let Ok(Some(partner)) = world.model.user(user(5)) else { panic!("no partner") };
        let Ok(decision) = may(&world.model, &partner, Action::SeeUser(user(n)));
        decision.is_yes()
    };
    assert!(!sees(&world, 1) && !sees(&world, 99));
    assert_eq!(world.by(5, create(1, ConversationKind::Direct, &[1])), Err(Reject::NotFound));
    world.group(1, 1, &[5]);
    assert!(sees(&world, 1) && !sees(&world, 2));
    world.by(1, remove(1, 5)).expect("removes");
    assert!(!sees(&world, 1));
}

#[test]
fn a_large_conversation_tells_of_receipts_only_the_user_themselves() {
    let mut world = World::new(1);
    let others: Vec<u8> = (2..40).collect();
    world.by(0, Command::CreateUsers(others.iter().map(|&n| new_user(n)).collect())).expect("creates");
    world.node(enrol(2, 2)).answer.result.expect("enrols");
    world.group(1, 1, &others);
    posted(world.by(1, post(1)));
    let outcome = confirm(&mut world, 2, 1, 1, 1);
    assert_eq!(outcome.events.len(), 1);
    assert_eq!(outcome.events[0].scope, Scope::User(user(2)));
    invariants::check(&world.model);
}
