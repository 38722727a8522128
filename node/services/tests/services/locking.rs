use std::time::Duration;

use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::place_service_client::PlaceServiceClient;
use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::unlock_session_request::Proof;
use proto::v1::*;
use raft::Handle;
use state::view::Rows;
use tonic::{Status, Streaming};
use types::limits::LOCK_MS_DEFAULT;
use types::locking::unlock_statement;
use types::{ClusterId, DeviceId, SessionId};

use crate::identity::{Keyed, id16, me, pass};
use crate::world::{PASSWORD, Person, World, next, outgoing, reason, refused};

pub async fn lock(person: &Person) {
    let lock = LockSessionRequest { name: String::new(), request_id: person.id() };
    LockServiceClient::new(person.channel.clone()).lock_session(person.with(lock)).await.expect("locked");
}

pub async fn unlock(person: &Person, proof: Proof) -> Result<UnlockSessionResponse, Status> {
    let unlock = UnlockSessionRequest { proof: Some(proof), request_id: person.id() };
    Ok(LockServiceClient::new(person.channel.clone()).unlock_session(person.with(unlock)).await?.into_inner())
}

fn password() -> Proof {
    Proof::Password(PASSWORD.into())
}

async fn urgent(person: &Person, conversation: &str, text: &str) {
    let message = OutgoingMessage { priority: Priority::Stat.into(), ..outgoing(conversation, text.as_bytes()) };
    let send = SendMessageRequest { message: Some(message), request_id: person.id() };
    person.messages().send_message(person.with(send)).await.expect("sent");
}

/// What a stream tells up to its end, which must be one without an error.
async fn rest(stream: &mut Streaming<SyncResponse>) -> Vec<Item> {
    let mut items = Vec::new();
    while let Some(item) = next(stream).await.expect("an end") {
        items.extend(item.item);
    }
    items
}

async fn presence_of(watcher: &Person, of: &Person) -> PresenceState {
    let ask = BatchGetPresenceRequest { users: vec![of.name.clone()], read: None };
    let mut presence = PresenceServiceClient::new(watcher.channel.clone());
    presence.batch_get_presence(watcher.with(ask)).await.expect("asked").into_inner().presences[0].state()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("not yet: {what}"));
}

fn session_id(person: &Person) -> SessionId {
    SessionId(id16(person.session.rsplit('/').next().expect("an id")))
}

#[tokio::test]
async fn a_locked_session_hears_that_something_urgent_waits_and_nothing_of_it() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = mori.group("Ward", &[&ito]).await;
    let mut stream = ito.sync(&ito.cursor, &[&mori]).await.expect("a stream");
    next(&mut stream).await.expect("open").expect("an item");
    lock(&ito).await;
    let told = rest(&mut stream).await;
    assert!(matches!(told.last(), Some(Item::SessionLocked(locked)) if locked.session == ito.session), "{told:?}");
    let session = me(&ito).await.expect("it says who it is").session.expect("a session");
    assert_eq!(session.state(), SessionState::Locked);
    assert_eq!(refused(ito.send(&ward, "K 4.1").await), "SESSION_LOCKED");

    urgent(&mori, &ward, "before").await;
    let mut stream = ito.sync(&ito.cursor, &[&mori]).await.expect("reachable by alert");
    let alert = next(&mut stream).await.expect("open").expect("what waits");
    assert!(matches!(&alert.item, Some(Item::MessageAlert(alert)) if alert.priority() == Priority::Stat), "{alert:?}");
    assert!(alert.cursor.is_empty(), "it leads past nothing");
    until("reachable", async || presence_of(&mori, &ito).await == PresenceState::Locked).await;
    mori.send(&ward, "in its turn").await.expect("sent");
    urgent(&mori, &ward, "come at once").await;
    let told = loop {
        let item = next(&mut stream).await.expect("open").expect("an item");
        assert!(item.cursor.is_empty());
        match item.item {
            Some(Item::Progress(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(told, Some(Item::MessageAlert(_))), "not the one in its turn, and no message: {told:?}");

    assert_eq!(refused(unlock(&ito, Proof::Password("not the one".into())).await), "BAD_CREDENTIALS");
    unlock(&ito, password()).await.expect("unlocked");
    let told = rest(&mut stream).await;
    assert!(matches!(told.last(), Some(Item::SessionUnlocked(_))), "{told:?}");
    let mut stream = ito.sync(&ito.cursor, &[]).await.expect("a stream");
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let item = next(&mut stream).await.expect("open").expect("an item");
        if let Some(Item::MessagePosted(posted)) = item.item {
            texts.push(posted.message.expect("a message").text);
        }
    }
    assert_eq!(texts, ["before", "in its turn", "come at once"], "nothing is missing afterwards");
    ito.send(&ward, "K 4.1").await.expect("sent");
}

#[tokio::test]
async fn what_waited_for_a_slow_reader_is_not_told_after_the_lock() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = mori.group("Ward", &[&ito]).await;
    let mut stream = ito.sync(&ito.cursor, &[&mori]).await.expect("a stream");
    next(&mut stream).await.expect("open").expect("an item");
    let text = "x".repeat(16 * 1024);
    for _ in 0..20 {
        mori.send(&ward, &text).await.expect("sent"); // More than fits on the way: the rest waits in the node.
    }
    lock(&ito).await;
    let told = rest(&mut stream).await;
    let messages = told.iter().filter(|item| matches!(item, Item::MessagePosted(_))).count();
    assert!(messages < 20, "{messages} messages after the lock");
    assert!(matches!(told.last(), Some(Item::SessionLocked(_))));
}

#[tokio::test]
async fn a_session_locks_by_itself_unless_something_is_done_in_it() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let mut stream = mori.sync(&mori.cursor, &[&mori]).await.expect("a stream");
    next(&mut stream).await.expect("open").expect("an item");
    pass(&world, LOCK_MS_DEFAULT - 60_000).await;
    let before = world.node.view().session(session_id(&ito)).expect("reads").expect("a session").active;
    let mut presence = PresenceServiceClient::new(world.channel.clone());
    for _ in 0..50 {
        presence.report_activity(ito.with(ReportActivityRequest::default())).await.expect("reported");
    }
    // Mori's client is there as well, and nobody before it.
    me(&mori).await.expect("asked");
    until("told", async || {
        world.node.view().session(session_id(&ito)).expect("reads").expect("a session").active > before
    })
    .await;
    pass(&world, LOCK_MS_DEFAULT).await;
    assert_eq!(me(&ito).await.expect("asked").session.expect("one").state(), SessionState::Active);
    let told = rest(&mut stream).await;
    assert!(matches!(told.last(), Some(Item::SessionLocked(_))), "{told:?}");
    assert_eq!(me(&mori).await.expect("asked").session.expect("one").state(), SessionState::Locked);
    let list = ListConversationsRequest::default();
    assert_eq!(refused(mori.conversations().list_conversations(mori.with(list)).await), "SESSION_LOCKED");
}

#[tokio::test]
async fn it_is_unlocked_by_what_the_settings_say() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let keyed = Keyed::sign_in(&world, "ito").await;
    let ito = keyed.person(&world);
    let proof = |number: u64| {
        let ids = (ClusterId(id16(&keyed.credentials.cluster)), DeviceId(id16(&keyed.credentials.device)));
        let statement = unlock_statement(ids.0, session_id(&ito), ids.1, number);
        Proof::Device(DeviceProof { number, signature: keyed.key.sign(&statement).as_ref().to_vec() })
    };
    let set = SetPinRequest { pin: "473920".into(), password: PASSWORD.into(), request_id: ito.id() };
    PlaceServiceClient::new(world.channel.clone()).set_pin(ito.with(set)).await.expect("a PIN");
    lock(&ito).await;
    assert_eq!(refused(unlock(&ito, proof(1)).await), "METHOD_NOT_TAKEN");
    assert_eq!(refused(unlock(&ito, Proof::Pin("905133".into())).await), "BAD_CREDENTIALS");
    assert_eq!(refused(unlock(&ito, Proof::Pin("12".into())).await), "INVALID");
    unlock(&ito, Proof::Pin("473920".into())).await.expect("the PIN");

    let settings = Settings { unlock_methods: vec![UnlockMethod::DeviceKey.into()], ..Settings::default() };
    let update = UpdateSettingsRequest { settings: Some(settings), request_id: admin.id() };
    let mut security = SecurityServiceClient::new(world.channel.clone());
    security.update_settings(admin.with(update)).await.expect("set");
    lock(&ito).await;
    assert_eq!(refused(unlock(&ito, Proof::Pin("473920".into())).await), "METHOD_NOT_TAKEN");
    unlock(&ito, proof(1)).await.expect("the device");
    lock(&ito).await;
    assert_eq!(refused(unlock(&ito, proof(1)).await), "BAD_PROOF", "used before");
    for _ in 0..5 {
        let status = unlock(&ito, Proof::Password("not the one".into())).await.unwrap_err();
        assert_eq!(reason(&status), "BAD_CREDENTIALS");
    }
    assert_eq!(refused(unlock(&ito, password()).await), "LOCKED_OUT", "this screen waits");
    world.again("ito").await;
    pass(&world, 31_000).await;
    unlock(&ito, password()).await.expect("after the wait");
}

async fn list(person: &Person, conversation: &str) -> Result<ListMessagesResponse, Status> {
    let request = ListMessagesRequest { parent: conversation.into(), ..ListMessagesRequest::default() };
    Ok(person.messages().list_messages(person.with(request)).await?.into_inner())
}

#[tokio::test]
async fn without_a_leader_a_session_locks_where_nothing_is_done_in_it_and_stays_so_until_it_is_unlocked() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = mori.group("Ward", &[&ito]).await;
    mori.send(&ward, "K 5.9, please call").await.expect("sent");
    let mut idle = ito.sync(&ito.cursor, &[]).await.expect("a stream");
    let mut busy = mori.sync(&mori.cursor, &[]).await.expect("a stream");
    next(&mut idle).await.expect("open").expect("an item");
    next(&mut busy).await.expect("open").expect("an item");

    world.node.set_stale(Some(Duration::from_millis(LOCK_MS_DEFAULT + 60_000)));
    let told = rest(&mut idle).await;
    assert!(matches!(told.last(), Some(Item::SessionLocked(locked)) if locked.session == ito.session), "{told:?}");
    assert_eq!(refused(list(&ito, &ward).await), "SESSION_LOCKED");
    assert_ne!(refused(list(&mori, &ward).await), "SESSION_LOCKED", "something was done in that one just now");
    let row = world.node.view().session(session_id(&ito)).expect("read").expect("there");
    assert!(row.idle_due.is_some(), "the state knows nothing of it");

    world.node.set_stale(None);
    assert_eq!(refused(list(&ito, &ward).await), "SESSION_LOCKED", "until the state has caught up");
    assert_eq!(list(&mori, &ward).await.expect("listed").messages.len(), 1);
    unlock(&ito, password()).await.expect("unlocked");
    assert_eq!(list(&ito, &ward).await.expect("listed").messages.len(), 1);
    mori.send(&ward, "again").await.expect("sent");
    while !matches!(next(&mut busy).await.expect("still open").expect("an item").item, Some(Item::MessagePosted(_))) {}
}

#[tokio::test]
async fn what_locked_without_a_leader_is_locked_by_the_state_once_there_is_one() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let mut idle = ito.sync(&ito.cursor, &[]).await.expect("a stream");
    next(&mut idle).await.expect("open").expect("an item");
    world.node.set_stale(Some(Duration::from_millis(LOCK_MS_DEFAULT + 60_000)));
    rest(&mut idle).await;
    world.node.set_stale(None);
    let due = world.node.view().session(session_id(&ito)).expect("read").and_then(|row| row.idle_due).expect("due");
    let tick =
        types::Envelope { origin: crate::node::NODE, author: types::Author::Node, command: types::Command::Tick };
    world.node.apply_at(tick, due.plus_ms(1)).await.result.expect("a tick");
    let row = world.node.view().session(session_id(&ito)).expect("read").expect("there");
    assert_eq!(row.state, types::session::SessionState::Locked);
    unlock(&ito, password()).await.expect("unlocked");
    me(&ito).await.expect("it says who it is");
}
