use std::collections::BTreeSet;
use std::time::Duration;

use proto::v1::sync_response::Item;
use proto::v1::*;
use raft::Handle;
use tonic::Streaming;
use types::limits::{DAY_MS, EVENTS_KEPT_MS, OBSERVATIONS_MAX};
use types::row::Heads;
use types::{Author, Command, Envelope, Key, Principal, Row, Scope, Timestamp, UserId};

use crate::messages::cursor;
use crate::node::{NODE, SingleNode};
use crate::world::{Person, World, next, reason, refused};

fn number(cursor: &[u8]) -> u64 {
    u64::from_be_bytes(cursor[17..25].try_into().unwrap())
}

fn user_id(person: &Person) -> UserId {
    person.name.strip_prefix("users/").unwrap().parse().unwrap()
}

/// What someone may see after `after`, read off the rows by a rule of its own.
fn expected(node: &SingleNode, user: UserId, after: u64) -> Vec<u64> {
    let view = node.view();
    let mut visible = BTreeSet::new();
    for (key, row) in view.rows() {
        let (number, scope) = match (key, row) {
            (Key::EventScope(number), Row::EventScope((scope, _))) => (number, scope),
            (Key::Message(id, _), Row::Message(message)) => (&message.event, &Scope::Conversation(*id)),
            _ => continue,
        };
        let seen = match scope {
            Scope::User(id) => *id == user,
            Scope::Conversation(id) => view.rows().any(|(key, row)| match (key, row) {
                (Key::Participant(at, who), Row::Participant(participant)) => {
                    at == id
                        && *who == Principal::User(user)
                        && participant.intervals.iter().any(|interval| {
                            interval.from_event <= *number && interval.to_event.is_none_or(|to| *number <= to)
                        })
                }
                _ => false,
            }),
        };
        if seen && number.0 > after {
            visible.insert(number.0);
        }
    }
    visible.into_iter().collect()
}

fn is_event(item: &SyncResponse) -> bool {
    !matches!(item.item, Some(Item::Progress(_) | Item::PresenceChanged(_) | Item::Typing(_)) | None)
}

/// A small generator with a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn write(seed: u64, ito: Person, mori: Person, conversations: Vec<String>, rounds: usize) {
    let mut dice = Dice(seed);
    let mut there = vec![true; conversations.len()];
    for round in 0..rounds {
        let at = dice.roll(conversations.len() as u64) as usize;
        match dice.roll(10) {
            0 if there[at] => {
                ito.remove(&conversations[at], &mori).await;
                there[at] = false;
            }
            0 | 1 if !there[at] => {
                ito.add(&conversations[at], &mori).await;
                there[at] = true;
            }
            _ => {
                ito.send(&conversations[at], &format!("{round}")).await.unwrap();
            }
        }
    }
}

/// Reads with streams that are given up at random points until the writer is done and all of it was received.
async fn read(seed: u64, mori: &Person, node: &SingleNode, done: &mut tokio::task::JoinHandle<()>) -> Vec<u64> {
    let mut dice = Dice(seed ^ 0x5DEE_CE66);
    let (mut at, mut received, mut finished) = (mori.cursor.clone(), Vec::new(), false);
    loop {
        let mut stream = mori.sync(&at, &[]).await.unwrap();
        let items = if finished { usize::MAX } else { 1 + dice.roll(40) as usize };
        for _ in 0..items {
            let item = next(&mut stream).await.unwrap().unwrap();
            if is_event(&item) {
                received.push(number(&item.cursor));
                at = item.cursor;
            } else if let Some(Item::Progress(_)) = item.item {
                assert!(number(&item.cursor) >= number(&at));
                at = item.cursor;
            }
            finished = finished || done.is_finished();
            if finished && number(&at) >= node.heads().borrow().event.0 {
                return received;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_resume_without_gap_or_repeat_while_others_write() {
    for seed in 1..=8 {
        let world = World::start().await;
        let admin = world.admin().await;
        let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
        let mut conversations = Vec::new();
        for at in 0..4 {
            conversations.push(ito.group(&format!("Ward {at}"), &[&mori]).await);
        }
        let writer = write(seed, ito, mori.clone(), conversations, 120);
        let mut writer = tokio::spawn(writer);
        let received = tokio::time::timeout(Duration::from_secs(60), read(seed, &mori, &world.node, &mut writer));
        let received = received.await.expect("everything arrives in time");
        writer.await.unwrap();
        let expected = expected(&world.node, user_id(&mori), number(&mori.cursor));
        assert_eq!(received, expected, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_before_what_is_live() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward", &[&mori]).await;
    for at in 0..700 {
        ito.send(&ward, &format!("{at}")).await.unwrap();
    }
    let mut stream = mori.sync(&mori.cursor, &[]).await.unwrap();
    assert!(matches!(next(&mut stream).await.unwrap().unwrap().item, Some(Item::ConversationJoined(_))));
    for at in 0..700 {
        let Some(Item::MessagePosted(posted)) = next(&mut stream).await.unwrap().unwrap().item else { panic!("{at}") };
        assert_eq!(posted.message.unwrap().text, format!("{at}"));
    }
    let progress = next(&mut stream).await.unwrap().unwrap();
    assert!(matches!(progress.item, Some(Item::Progress(Progress { live: true, stale: None, .. }))));
    ito.send(&ward, "live").await.unwrap();
    let Some(Item::MessagePosted(posted)) = next(&mut stream).await.unwrap().unwrap().item else { panic!("live") };
    assert_eq!(posted.message.unwrap().text, "live");
}

async fn end_of(stream: &mut Streaming<SyncResponse>) -> (Vec<SyncResponse>, tonic::Status) {
    let mut items = Vec::new();
    loop {
        assert!(items.len() < 10_000, "it goes on");
        match next(stream).await {
            Ok(Some(item)) if matches!(item.item, Some(Item::Progress(_))) && items.len() > 1 => panic!("it goes on"),
            Ok(Some(item)) => items.push(item),
            Ok(None) => panic!("ended without a reason"),
            Err(status) => return (items, status),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_off_and_resumes_without_loss() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward", &[&mori]).await;
    let mut stream = mori.sync(&[], &[]).await.unwrap();
    let live = next(&mut stream).await.unwrap().unwrap().cursor;
    let text = "x".repeat(2_000);
    // More than the queue, what is taken from it at once, and what HTTP/2 buffers on a slow machine hold together.
    for _ in 0..2_000 {
        ito.send(&ward, &text).await.unwrap();
    }
    let (items, status) = end_of(&mut stream).await;
    assert_eq!(reason(&status), "SLOW_READER");
    let mut received: Vec<u64> = items.iter().map(|item| number(&item.cursor)).collect();
    let at = items.last().map_or(live.clone(), |item| item.cursor.clone());
    let mut stream = mori.sync(&at, &[]).await.unwrap();
    let newest = world.node.heads().borrow().event.0;
    while received.last().copied().unwrap_or(0) < newest {
        let item = next(&mut stream).await.unwrap().unwrap();
        if is_event(&item) {
            received.push(number(&item.cursor));
        }
    }
    assert_eq!(received, expected(&world.node, user_id(&mori), number(&live)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_session() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let other = world.again("ito").await;
    let (mut first, mut second) = (ito.sync(&[], &[]).await.unwrap(), other.sync(&[], &[]).await.unwrap());
    next(&mut first).await.unwrap();
    next(&mut second).await.unwrap();
    ito.sessions().sign_out(ito.with(SignOutRequest { request_id: ito.id() })).await.unwrap();
    let ended = next(&mut first).await.unwrap().unwrap();
    assert!(matches!(&ended.item, Some(Item::SessionEnded(over)) if over.session == ito.session));
    assert!(next(&mut first).await.unwrap().is_none(), "nothing comes after");
    let ended = next(&mut second).await.unwrap().unwrap();
    assert!(matches!(ended.item, Some(Item::SessionEnded(_))));

    let deactivate = DeactivateUserRequest { name: other.name.clone(), request_id: admin.id() };
    admin.directory().deactivate_user(admin.with(deactivate)).await.unwrap();
    while let Some(item) = next(&mut second).await.unwrap() {
        assert!(matches!(item.item, Some(Item::SessionEnded(_))), "{item:?}");
    }
}

#[tokio::test]
async fn cursors_that_cannot_be_resumed_are_told_apart() {
    let world = World::start().await;
    let admin = world.admin().await;
    assert_eq!(refused(admin.sync(b"nonsense", &[]).await), "CURSOR_INVALID");
    assert_eq!(refused(admin.sync(&cursor([0x22; 16], 1), &[]).await), "LINEAGE_CHANGED");
    assert_eq!(refused(admin.sync(&cursor([0x11; 16], 1_000_000), &[]).await), "BEHIND");
}

#[tokio::test]
async fn a_cursor_older_than_what_is_kept_has_expired() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ward = admin.group("Ward", &[]).await;
    let first = admin.send(&ward, "first").await.unwrap().cursor;
    let last = admin.send(&ward, "last").await.unwrap().cursor;
    admin.rename(&ward, "Ward 4").await; // Not a message: its event goes.
    // The test knows the clock: a month later, all events there were are dropped.
    let later = Timestamp(crate::node::now().0 + EVENTS_KEPT_MS + DAY_MS);
    let heads = *world.node.heads().borrow();
    world.node.insert(vec![(Key::Heads(), Row::Heads(Heads { clock: later, ..heads }))]); // It passed without a step.
    let tick = Envelope { origin: NODE, author: Author::Node, command: Command::Tick };
    world.node.apply_at(tick, later).await.result.unwrap();
    let dropped = world.node.heads().borrow().events_dropped.0;
    assert!(dropped > number(&last), "{dropped}");
    let admin = world.again("admin").await; // The session has expired meanwhile, too.
    for old in [&first, &cursor([0x11; 16], dropped - 1)] {
        let status = admin.sync(old, &[]).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (tonic::Code::OutOfRange, "CURSOR_EXPIRED"));
    }
    let mut stream = admin.sync(&cursor([0x11; 16], dropped), &[]).await.unwrap();
    next(&mut stream).await.unwrap();
    let list = ListMessagesRequest { parent: ward, ..ListMessagesRequest::default() };
    let list = admin.messages().list_messages(admin.with(list)).await.unwrap().into_inner();
    assert_eq!(list.messages.len(), 2, "messages stay");
}

#[tokio::test]
async fn what_was_missed_in_more_conversations_than_one_command_records_is_told_and_recorded() {
    let world = World::start().await;
    let admin = world.admin().await;
    let before = admin.group("Before", &[]).await;
    let start = admin.send(&before, "x").await.expect("sent").cursor;
    let count = OBSERVATIONS_MAX + 10;
    for number in 0..count {
        let ward = admin.group(&format!("Ward {number}"), &[]).await;
        admin.send(&ward, "x").await.expect("sent");
    }
    let mut stream = admin.sync(&start, &[]).await.expect("opened");
    let mut posted = 0;
    while posted < count {
        let item = next(&mut stream).await.expect("told").expect("not the end");
        posted += usize::from(matches!(item.item, Some(Item::MessagePosted(_))));
    }
    let view = world.node.view();
    let fetched = view.rows().filter(|(_, row)| match row {
        Row::Record(record) => record.action == types::record::Action::FetchMessages,
        _ => false,
    });
    assert_eq!(fetched.count(), count, "a record for each conversation");
}

#[tokio::test]
async fn streams_of_one_session_are_limited_and_free_their_place() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut first = admin.sync(&[], &[]).await.unwrap();
    let _second = admin.sync(&[], &[]).await.unwrap();
    assert_eq!(refused(admin.sync(&[], &[]).await), "TOO_MANY_STREAMS");
    next(&mut first).await.unwrap();
    drop(first);
    let freed = async {
        while admin.sync(&[], &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("a place");
}

#[tokio::test]
async fn a_replaced_state_makes_readers_resume() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut stream = admin.sync(&[], &[]).await.unwrap();
    next(&mut stream).await.unwrap();
    world.node.replace().await;
    assert_eq!(reason(&end_of(&mut stream).await.1), "SHUTTING_DOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_says_at_once_when_what_is_shown_may_be_old() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut stream = admin.sync(&[], &[]).await.unwrap();
    next(&mut stream).await.unwrap();
    for age in [Some(Duration::from_secs(2)), None] {
        world.node.set_stale(age);
        let Some(Item::Progress(progress)) = next(&mut stream).await.unwrap().unwrap().item else { panic!("a mark") };
        assert_eq!(progress.stale.is_some(), age.is_some());
    }
}
