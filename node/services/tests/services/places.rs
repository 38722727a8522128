use proto::v1::place_service_client::PlaceServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::tap_in_request::Secret;
use proto::v1::*;
use tonic::Status;
use types::limits::PART_MS_DEFAULT;

use crate::identity::{me, pass};
use crate::locking::lock;
use crate::world::{PASSWORD, Person, World, next, outgoing, refused};

const PIN: &str = "473920";

async fn room(world: &World, admin: &Person, login: &str) -> Person {
    let kind = UserKind::Location.into();
    let user = User { login: login.into(), display_name: "Room 1".into(), kind, ..User::default() };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create)).await.expect("created").into_inner();
    world.enrol(login, &made.enrolment_code).await
}

fn places(person: &Person) -> PlaceServiceClient<tonic::transport::Channel> {
    PlaceServiceClient::new(person.channel.clone())
}

async fn set_pin(person: &Person, pin: &str) -> Result<(), Status> {
    let set = SetPinRequest { pin: pin.into(), password: PASSWORD.into(), request_id: person.id() };
    places(person).set_pin(person.with(set)).await.map(drop)
}

async fn with(room: &Person, login: &str, secret: Secret) -> Result<Credentials, Status> {
    let tap = TapInRequest { login: login.into(), secret: Some(secret), code: String::new() };
    Ok(places(room).tap_in(room.with(tap)).await?.into_inner().credentials.expect("credentials"))
}

async fn tap_in(room: &Person, login: &str) -> Person {
    let credentials = with(room, login, Secret::Pin(PIN.into())).await.expect("tapped in");
    assert_eq!((&credentials.location, &credentials.device), (&room.name, &room.device));
    Person::new(room.channel.clone(), credentials)
}

#[tokio::test]
async fn one_after_another_taps_in_and_every_message_names_person_and_place() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let room = room(&world, &admin, "room1").await;
    for person in [&ito, &mori] {
        set_pin(person, PIN).await.expect("a PIN");
    }
    let ward = ito.group("Ward", &[&mori]).await;
    let there = tap_in(&room, "ito").await;
    there.send(&ward, "from the room").await.expect("sent");
    let get = GetMessageRequest { name: format!("{ward}/messages/1"), read: None };
    let message = mori.messages().get_message(mori.with(get)).await.expect("there").into_inner();
    let message = message.message.expect("a message");
    assert_eq!((&message.sender, &message.location), (&ito.name, &room.name));
    assert_eq!(me(&there).await.expect("there").session.expect("a session").location, room.name);

    let claimed = OutgoingMessage { location: room.name.clone(), ..outgoing(&ward, b"x") };
    let send = SendMessageRequest { message: Some(claimed), request_id: ito.id() };
    assert_eq!(refused(ito.messages().send_message(ito.with(send)).await), "INVALID", "from a phone");
    let list = ListMessagesRequest { parent: ward.clone(), ..ListMessagesRequest::default() };
    assert_eq!(refused(room.messages().list_messages(room.with(list)).await), "NOT_FOUND", "the room sees its own");

    let mut stream = there.sync(&there.cursor, &[&ito]).await.expect("a stream");
    next(&mut stream).await.expect("open").expect("an item");
    let next_there = tap_in(&room, "mori").await;
    let mut last = None;
    while let Some(item) = next(&mut stream).await.expect("an end") {
        last = item.item;
    }
    assert!(matches!(last, Some(Item::SessionEnded(_))), "whoever was there is out: {last:?}");
    assert_eq!(refused(there.send(&ward, "x").await), "NO_SESSION");
    next_there.send(&ward, "the next").await.expect("sent");

    // The device numbers its writes, whoever stands before it: one person's number is not another's answer.
    let number = there.id();
    let send = |text: &[u8]| SendMessageRequest { message: Some(outgoing(&ward, text)), request_id: number };
    next_there.messages().send_message(next_there.with(send(b"same"))).await.expect("sent");
    let third = tap_in(&room, "ito").await;
    assert_eq!(refused(third.messages().send_message(third.with(send(b"same"))).await), "REQUEST_ID_REUSED");

    pass(&world, PART_MS_DEFAULT).await;
    assert_eq!(refused(me(&third).await), "NO_SESSION", "left alone, it ends");
    assert!(me(&room).await.expect("the place stays").session.is_some());
}

#[tokio::test]
async fn whoever_guesses_blocks_that_person_at_that_device_only() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let (one, other) = (room(&world, &admin, "room1").await, room(&world, &admin, "room2").await);
    for weak in ["123456", "111111", "240681", "12ab56", "1234"] {
        assert_eq!(refused(set_pin(&ito, weak).await), "INVALID", "{weak}");
    }
    for person in [&ito, &mori] {
        set_pin(person, PIN).await.expect("a PIN");
    }
    for _ in 0..5 {
        assert_eq!(refused(with(&one, "ito", Secret::Pin("905133".into())).await), "BAD_CREDENTIALS");
    }
    assert_eq!(refused(with(&one, "ito", Secret::Pin(PIN.into())).await), "LOCKED_OUT");
    assert_eq!(refused(with(&one, "nobody", Secret::Pin(PIN.into())).await), "BAD_CREDENTIALS", "as a known one");
    tap_in(&one, "mori").await;
    let there = tap_in(&other, "ito").await;
    ito.group("Ward", &[&mori]).await;
    lock(&there).await;
    assert_eq!(refused(me(&there).await), "NO_SESSION", "a part ends instead of being locked");
    assert_eq!(refused(with(&ito, "mori", Secret::Pin(PIN.into())).await), "NOT_PERMITTED", "not on a phone");
    let wrong = with(&other, "ito", Secret::Password("not the one".into())).await;
    assert_eq!(refused(wrong), "BAD_CREDENTIALS");
    assert_eq!(refused(world.sign_in("ito", PIN, "").await), "BAD_CREDENTIALS", "a PIN signs nobody in");
    for row in raft::Handle::view(&world.node).rows() {
        assert!(!format!("{row:?}").contains(PIN), "in no log line");
    }
}

#[tokio::test]
async fn a_pin_gives_no_permission_set_and_a_place_taps_out_who_left() {
    let world = World::start().await;
    let admin = world.admin().await;
    let room = room(&world, &admin, "room1").await;
    set_pin(&admin, PIN).await.expect("a PIN");
    let create = |person: &Person| {
        let user = User { login: "new".into(), display_name: "New".into(), ..User::default() };
        CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: person.id() }
    };
    let by_pin = tap_in(&room, "admin").await;
    assert_eq!(refused(by_pin.directory().create_user(by_pin.with(create(&by_pin))).await), "NOT_PERMITTED");
    let by_password = with(&room, "admin", Secret::Password(PASSWORD.into())).await.expect("tapped in");
    let by_password = Person::new(world.channel.clone(), by_password);
    by_password.directory().create_user(by_password.with(create(&by_password))).await.expect("in force");
    let out = TapOutRequest { request_id: by_password.id() };
    places(&room).tap_out(room.with(out)).await.expect("tapped out");
    assert_eq!(refused(me(&by_password).await), "NO_SESSION");
    let out = TapOutRequest { request_id: by_password.id() };
    places(&room).tap_out(room.with(out)).await.expect("nobody is there");
}

#[tokio::test]
async fn a_pin_taken_away_is_told_at_once_and_at_the_next_sign_in() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    set_pin(&ito, PIN).await.expect("a PIN");
    let mut stream = ito.sync(&ito.cursor, &[]).await.expect("a stream");
    let clear = ClearPinRequest { name: ito.name.clone(), request_id: admin.id() };
    places(&admin).clear_pin(admin.with(clear)).await.expect("taken away");
    loop {
        let item = next(&mut stream).await.expect("open").expect("an item").item;
        if let Some(Item::PinCleared(cleared)) = item {
            assert_eq!(cleared.user, admin.name);
            break;
        }
    }
    let told = world.sign_in("ito", PASSWORD, "").await.expect("signed in").pin_cleared;
    assert_eq!(told.map(|cleared| cleared.user), Some(admin.name.clone()));
    set_pin(&ito, PIN).await.expect("another");
    assert!(world.sign_in("ito", PASSWORD, "").await.expect("signed in").pin_cleared.is_none());
}
