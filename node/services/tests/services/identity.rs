use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use futures::stream::{FuturesUnordered, StreamExt};
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::*;
use raft::Handle;
use state::view::Rows;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;
use types::identity::refresh_statement;
use types::limits::{TOKEN_BEFORE_MS, TOKEN_MS};
use types::{Author, ClusterId, Command, DeviceId, Envelope, SessionId, Timestamp, UserId};

use crate::node::{NODE, now};
use crate::world::{PASSWORD, Person, World, next, reason, refused};

/// Someone on a device with a key.
pub struct Keyed {
    pub key: Ed25519KeyPair,
    pub credentials: Credentials,
}

impl Keyed {
    pub async fn sign_in(world: &World, login: &str) -> Self {
        let key = Ed25519KeyPair::generate().expect("a key");
        let credentials = sign_in_on(world, login, "", &key).await.expect("signed in");
        Self { key, credentials }
    }

    async fn again(&self, world: &World, login: &str) -> Result<Credentials, Status> {
        sign_in_on(world, login, &self.credentials.device, &self.key).await
    }

    pub fn person(&self, world: &World) -> Person {
        Person::new(world.channel.clone(), self.credentials.clone())
    }

    fn proof(&self, number: u64) -> RefreshSessionRequest {
        let session = self.credentials.session.clone();
        let id = session.rsplit('/').next().expect("an id");
        let statement = refresh_statement(
            ClusterId(id16(&self.credentials.cluster)),
            SessionId(id16(id)),
            DeviceId(id16(&self.credentials.device)),
            number,
        );
        RefreshSessionRequest { session, number, signature: self.key.sign(&statement).as_ref().to_vec() }
    }

    /// A new token, over this connection.
    pub async fn refresh_from(&self, channel: Channel, number: u64) -> Result<RefreshSessionResponse, Status> {
        Ok(SessionServiceClient::new(channel).refresh_session(self.proof(number)).await?.into_inner())
    }

    async fn refresh(&self, world: &World, request: RefreshSessionRequest) -> Result<RefreshSessionResponse, Status> {
        Ok(SessionServiceClient::new(world.channel.clone()).refresh_session(request).await?.into_inner())
    }
}

async fn sign_in_on(world: &World, login: &str, device: &str, key: &Ed25519KeyPair) -> Result<Credentials, Status> {
    let request = SignInRequest {
        login: login.into(),
        password: PASSWORD.into(),
        device: device.into(),
        device_key: key.public_key().as_ref().to_vec(),
        ..SignInRequest::default()
    };
    let answer = SessionServiceClient::new(world.channel.clone()).sign_in(request).await?;
    Ok(answer.into_inner().credentials.expect("credentials"))
}

pub fn id16(hex: &str) -> [u8; 16] {
    u128::from_str_radix(hex, 16).expect("hexadecimal").to_be_bytes()
}

/// Lets cluster time go on, until after a session's token or a wait is over.
pub async fn pass(world: &World, ms: u64) -> Timestamp {
    let at = now().plus_ms(ms);
    world.node.apply_at(Envelope { origin: NODE, author: Author::Node, command: Command::Tick }, at).await;
    at
}

/// From here on no session locks because nothing is done in it.
pub async fn never_lock(world: &World, admin: &Person) {
    let mut security = security_service_client::SecurityServiceClient::new(world.channel.clone());
    let settings = Settings { lock_after: Some(prost_types::Duration::default()), ..Settings::default() };
    let update = UpdateSettingsRequest { settings: Some(settings), request_id: admin.id() };
    security.update_settings(admin.with(update)).await.expect("set");
}

pub async fn me(person: &Person) -> Result<GetSelfResponse, Status> {
    Ok(person.sessions().get_self(person.with(GetSelfRequest::default())).await?.into_inner())
}

#[tokio::test]
async fn a_token_dies_soon_and_the_devices_proof_gives_the_next_once() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let ito = Keyed::sign_in(&world, "ito").await;
    let mut person = ito.person(&world);
    let session = me(&person).await.expect("signed in").session.expect("a session");
    assert_eq!(session.auth_methods, ["password"]);
    let lifetime = ito.credentials.token_lifetime.expect("a lifetime");
    assert!(lifetime.seconds <= TOKEN_MS as i64 / 1_000, "{lifetime:?}");

    let renewed = ito.refresh(&world, ito.proof(1)).await.expect("renewed");
    assert_ne!(renewed.token, ito.credentials.token);
    me(&person).await.expect("calls under way still go through");
    assert_eq!(refused(ito.refresh(&world, ito.proof(1)).await), "BAD_PROOF", "replayed");
    assert_eq!(refused(ito.refresh(&world, ito.proof(0)).await), "BAD_PROOF", "older");

    pass(&world, TOKEN_BEFORE_MS + 1_000).await;
    assert_eq!(refused(me(&person).await), "TOKEN_EXPIRED", "the token before it");
    person.token = renewed.token;
    me(&person).await.expect("the new token");
    pass(&world, TOKEN_MS + TOKEN_BEFORE_MS).await;
    assert_eq!(refused(me(&person).await), "TOKEN_EXPIRED");
    person.token = ito.refresh(&world, ito.proof(2)).await.expect("renewed without any token").token;
    me(&person).await.expect("it goes on");
}

#[tokio::test]
async fn a_thief_without_the_key_gets_no_token_and_learns_nothing() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let ito = Keyed::sign_in(&world, "ito").await;
    let thief = Keyed { key: Ed25519KeyPair::generate().expect("a key"), credentials: ito.credentials.clone() };
    let forged = thief.refresh(&world, thief.proof(5)).await.unwrap_err();
    let mut unknown = ito.proof(5);
    unknown.session =
        format!("{}/sessions/{}", unknown.session.split("/sessions/").next().expect("a user"), "0".repeat(32));
    let unknown = ito.refresh(&world, unknown).await.unwrap_err();
    assert_eq!((reason(&forged).as_str(), forged.message()), ("BAD_PROOF", unknown.message()));
    assert_eq!(forged.details(), unknown.details());
    let mut other_number = ito.proof(6);
    other_number.number = 7;
    assert_eq!(refused(ito.refresh(&world, other_number).await), "BAD_PROOF", "a number nobody signed");
    let keyless = world.again("ito").await;
    let of_keyless = RefreshSessionRequest { session: keyless.session.clone(), ..ito.proof(8) };
    assert_eq!(refused(ito.refresh(&world, of_keyless).await), "BAD_PROOF", "a session of a device without a key");
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_with() {
    let world = World::start().await;
    let admin = world.admin().await;
    never_lock(&world, &admin).await;
    let mori = world.person(&admin, "mori").await;
    world.person(&admin, "ito").await;
    let ito = Keyed::sign_in(&world, "ito").await;
    let person = ito.person(&world);
    let ward = mori.group("Ward", &[&person]).await;
    let mut stream = person.sync(&person.cursor, &[]).await.expect("a stream");
    ito.refresh(&world, ito.proof(1)).await.expect("renewed");
    pass(&world, TOKEN_MS + 1_000).await;
    mori.send(&ward, "K 4.1").await.expect("sent");
    let end = loop {
        match next(&mut stream).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&end), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn what_is_ready_on_a_stream_is_not_told_once_its_token_has_expired() {
    let world = World::start().await;
    let admin = world.admin().await;
    never_lock(&world, &admin).await;
    let mori = world.person(&admin, "mori").await;
    world.person(&admin, "ito").await;
    let person = Keyed::sign_in(&world, "ito").await.person(&world);
    let ward = mori.group("Ward", &[&person]).await;
    let count = 60; // Some times what the reader's machine takes without reading.
    for _ in 0..count {
        mori.send(&ward, &"x".repeat(8_000)).await.expect("sent");
    }
    let mut stream = person.sync(&person.cursor, &[]).await.expect("a stream");
    let mut told = 0;
    let end = loop {
        match next(&mut stream).await {
            Ok(Some(item)) => told += usize::from(matches!(item.item, Some(sync_response::Item::MessagePosted(_)))),
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
        if told == 3 {
            pass(&world, TOKEN_MS + 1_000).await;
        }
        assert!(told < count, "all of it was told");
    };
    assert_eq!(reason(&end), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn failures_of_strangers_do_not_lock_out_the_users_own_device() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let own = Keyed::sign_in(&world, "ito").await;
    for _ in 0..5 {
        // Colleagues see the device's id; its failures are not theirs to make.
        assert_eq!(refused(world.sign_in("ito", "something else", &own.credentials.device).await), "BAD_CREDENTIALS");
    }
    assert_eq!(refused(world.sign_in("ito", PASSWORD, "").await), "LOCKED_OUT");
    assert_eq!(refused(world.sign_in("ito", PASSWORD, &own.credentials.device).await), "LOCKED_OUT", "without its key");
    let again = own.again(&world, "ito").await.expect("on the device itself");
    assert_eq!(again.device, own.credentials.device);
    let stranger = Keyed { key: Ed25519KeyPair::generate().expect("a key"), credentials: own.credentials.clone() };
    pass(&world, 31_000).await;
    let other = stranger.again(&world, "ito").await.expect("the password is right");
    assert_ne!(other.device, own.credentials.device, "another key is another device");
    world.sign_in("ito", PASSWORD, "").await.expect("after the wait");
}

#[tokio::test]
async fn a_reset_is_told_to_the_user_who_signs_in_next() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let anew = CreateEnrolmentCodeRequest { name: ito.name.clone(), request_id: admin.id() };
    let code = admin.directory().create_enrolment_code(admin.with(anew)).await.expect("a code").into_inner();
    assert!(code.reset);
    assert_eq!(refused(me(&ito).await), "NO_SESSION", "sessions end");
    let enrol = EnrolRequest {
        login: "ito".into(),
        code: code.enrolment_code,
        password: PASSWORD.into(),
        ..EnrolRequest::default()
    };
    let answer = SessionServiceClient::new(world.channel.clone()).enrol(enrol).await.expect("enrolled").into_inner();
    let credentials = answer.credentials.expect("credentials");
    assert_eq!(credentials.password_reset.clone().map(|reset| reset.user), Some(admin.name.clone()));
    let ito = Person::new(world.channel.clone(), credentials);
    let mut stream = ito.sync(&admin.cursor, &[]).await.expect("a stream");
    loop {
        let item = next(&mut stream).await.expect("an item").expect("an item").item;
        if let Some(sync_response::Item::PasswordReset(reset)) = item {
            assert_eq!(reset.user, admin.name);
            break;
        }
    }
}

#[tokio::test]
async fn common_passwords_are_refused_with_a_reason() {
    let world = World::start().await;
    let admin = world.admin().await;
    for weak in ["Password1234!", "qwertyuiop", "admin admin 1"] {
        let set =
            SetPasswordRequest { old_password: PASSWORD.into(), new_password: weak.into(), request_id: admin.id() };
        let status = admin.directory().set_password(admin.with(set)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID", "{weak}");
        assert!(!status.message().contains(weak), "never the password itself");
    }
}

/// What an authenticator shows at a time.
fn one_time(secret: &str, at: Timestamp) -> String {
    use aws_lc_rs::hmac;
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).expect("base 32");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &(at.0 / 30_000).to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().expect("four")) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

async fn with_code(world: &World, code: &str) -> Result<Credentials, Status> {
    let request =
        SignInRequest { login: "ito".into(), password: PASSWORD.into(), code: code.into(), ..SignInRequest::default() };
    let answer = SessionServiceClient::new(world.channel.clone()).sign_in(request).await?;
    Ok(answer.into_inner().credentials.expect("credentials"))
}

#[tokio::test]
async fn one_time_passwords_are_set_up_confirmed_asked_for_and_replaced_by_recovery_codes() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let security = || security_service_client::SecurityServiceClient::new(world.channel.clone());
    let create = |password: &str| CreateTotpRequest { password: password.into(), request_id: ito.id() };
    assert_eq!(refused(security().create_totp(ito.with(create("wrong one"))).await), "BAD_CREDENTIALS");
    let made = security().create_totp(ito.with(create(PASSWORD))).await.expect("set up").into_inner();
    assert!(made.uri.contains(&made.secret) && made.recovery_codes.len() == 10);
    for (_, row) in raft::Handle::view(&world.node).rows() {
        assert!(!format!("{row:?}").contains(&made.secret), "in no log line");
    }
    with_code(&world, "").await.expect("not asked for before it is confirmed");

    let confirm = |code: String| ConfirmTotpRequest { code, request_id: ito.id() };
    assert_eq!(refused(security().confirm_totp(ito.with(confirm("000000x".into()))).await), "BAD_SECOND_FACTOR");
    let at = pass(&world, 0).await;
    let code = one_time(&made.secret, at);
    security().confirm_totp(ito.with(confirm(code.clone()))).await.expect("confirmed");
    assert_eq!(refused(with_code(&world, "").await), "SECOND_FACTOR_NEEDED");
    assert_eq!(refused(with_code(&world, &code).await), "BAD_SECOND_FACTOR", "used before");
    let at = pass(&world, 61_000).await;
    let signed_in = with_code(&world, &one_time(&made.secret, at)).await.expect("with the next");
    let session = me(&Person::new(world.channel.clone(), signed_in)).await.expect("signed in").session.expect("one");
    assert_eq!(session.auth_methods, ["password", "totp"]);
    with_code(&world, &made.recovery_codes[3]).await.expect("a recovery code");
    assert_eq!(refused(with_code(&world, &made.recovery_codes[3]).await), "BAD_SECOND_FACTOR", "once");

    let delete = DeleteTotpRequest { name: ito.name.clone(), password: String::new(), request_id: admin.id() };
    security().delete_totp(admin.with(delete)).await.expect("by the help desk");
    with_code(&world, "").await.expect("not asked for any more");
}

#[tokio::test]
async fn a_permission_set_that_needs_a_second_factor_is_not_in_force_without() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut security = security_service_client::SecurityServiceClient::new(world.channel.clone());
    let settings = Settings { second_factor: vec![PermissionSet::Admin.into()], ..Settings::default() };
    let update = UpdateSettingsRequest { settings: Some(settings), request_id: admin.id() };
    security.update_settings(admin.with(update)).await.expect("set");
    let create = |login: &str| {
        let user = User { login: login.into(), display_name: "New".into(), ..User::default() };
        CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: admin.id() }
    };
    assert_eq!(refused(admin.directory().create_user(admin.with(create("mori"))).await), "NOT_PERMITTED");
    let made = CreateTotpRequest { password: PASSWORD.into(), request_id: admin.id() };
    let made = security.create_totp(admin.with(made)).await.expect("set up").into_inner();
    let at = pass(&world, 0).await;
    let confirm = ConfirmTotpRequest { code: one_time(&made.secret, at), request_id: admin.id() };
    security.confirm_totp(admin.with(confirm)).await.expect("confirmed");
    admin.directory().create_user(admin.with(create("mori"))).await.expect("in force");
}

#[tokio::test]
async fn a_stream_ends_at_once_when_its_user_is_signed_out() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let mut security = security_service_client::SecurityServiceClient::new(world.channel.clone());
    let everybody = |by: &Person| LogOffRequest {
        scope: Some(log_off_request::Scope::Everybody(true)),
        reason: "a test".into(),
        request_id: by.id(),
    };
    assert_eq!(refused(security.log_off(mori.with(everybody(&mori))).await), "NOT_PERMITTED");
    let (mut one, mut other) =
        (ito.sync(&ito.cursor, &[&ito]).await.expect("a stream"), mori.sync(&mori.cursor, &[&ito]).await.expect("one"));
    for stream in [&mut one, &mut other] {
        next(stream).await.expect("open").expect("what was watched comes first"); // A busy machine may be slow to open it.
    }
    let scope = Some(log_off_request::Scope::Device(ito.device.clone()));
    let request = LogOffRequest { scope, reason: "a phone was lost".into(), request_id: admin.id() };
    security.log_off(admin.with(request)).await.expect("signed out");
    assert!(ends_saying_so(&mut one).await);
    assert_eq!(refused(me(&ito).await), "NO_SESSION");
    me(&mori).await.expect("others go on");
    security.log_off(admin.with(everybody(&admin))).await.expect("signed out");
    assert!(ends_saying_so(&mut other).await);
    assert_eq!(refused(me(&admin).await), "NO_SESSION", "whoever asked for it among them");
}

/// Reads to the end of a stream; whether it said before that its session has ended.
async fn ends_saying_so(stream: &mut tonic::Streaming<SyncResponse>) -> bool {
    let mut said = false;
    while let Ok(Some(item)) = next(stream).await {
        said |= matches!(item.item, Some(sync_response::Item::SessionEnded(_)));
    }
    said
}

#[tokio::test]
async fn a_password_that_takes_its_time_leaves_as_much_room_for_those_who_send() {
    let slow = services::PasswordCost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    let world = World::start_with(slow).await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let ward = admin.group("Ward", &[]).await;
    let new_password = "another long one".into();
    let set = SetPasswordRequest { old_password: PASSWORD.into(), new_password, request_id: ito.id() };
    ito.directory().set_password(ito.with(set)).await.expect("set");

    let held = world.node.hold().await;
    let mut sends: FuturesUnordered<_> = (0..30).map(|_| admin.send(&ward, "x")).collect();
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), sends.next()).await;
    assert!(
        early.is_err(),
        "refused, though nobody who sends had waited: {:?}",
        early.map(|sent| sent.map(|sent| sent.err()))
    );
    drop(held);
    while let Some(sent) = sends.next().await {
        sent.expect("sent");
    }
}

/// 07:00: a shift comes, at what passwords really cost, while others send.
#[tokio::test]
async fn forty_who_sign_in_at_once_hold_up_nobody_who_sends() {
    const PEOPLE: usize = 40;
    const SENDS: usize = 20;
    let world = World::start_with(services::PasswordCost::default()).await;
    let admin = world.admin().await;
    let ward = admin.group("Ward", &[]).await;
    // All with the administrator's password: its hash is made once.
    let user = |number| User { login: format!("p{number:02}"), display_name: "P".into(), ..User::default() };
    let create = BatchCreateUsersRequest {
        users: (0..PEOPLE).map(user).collect(),
        without_enrolment_codes: true,
        request_id: admin.id(),
    };
    let made = admin.directory().batch_create_users(admin.with(create)).await.expect("created").into_inner();
    let view = world.node.view();
    let hash = view.credential(UserId(id16(admin.name.rsplit('/').next().expect("an id")))).expect("read");
    let rows = made.users.iter().map(|user| {
        let id = UserId(id16(user.name.rsplit('/').next().expect("an id")));
        let own = view.credential(id).expect("read").unwrap_or_default();
        let password = hash.as_ref().and_then(|hash| hash.password.clone());
        (types::Key::Credential(id), types::Row::Credential(types::user::Credential { password, ..own }))
    });
    world.node.insert(rows.collect());

    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = || done.load(std::sync::atomic::Ordering::SeqCst);
    let mut arriving = tokio::task::JoinSet::new();
    for number in 0..PEOPLE {
        let (channel, done) = (world.channel.clone(), std::sync::Arc::clone(&done));
        let (login, password) = (format!("p{number:02}"), PASSWORD.to_owned());
        arriving.spawn(async move {
            // Without optimisation a hash takes a second and more.
            let mut request = tonic::Request::new(SignInRequest { login, password, ..SignInRequest::default() });
            request.set_timeout(std::time::Duration::from_millis(types::limits::CALL_MS_MAX));
            let signed_in = SessionServiceClient::new(channel).sign_in(request).await;
            done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            signed_in.map(|_| ())
        });
    }
    let mut overtaken = Vec::new();
    for number in 0..SENDS {
        let before = count();
        admin.send(&ward, &format!("{number}")).await.expect("sent");
        overtaken.push(count() - before);
    }
    // One that waited in their line would see most of them pass; one that does not sees those few that are hashed meanwhile.
    overtaken.sort_unstable();
    let in_the_middle = overtaken[SENDS / 2];
    assert!(
        in_the_middle <= 2 * types::limits::PASSWORD_HASHES_AT_ONCE,
        "sign-ins that passed each send: {overtaken:?}"
    );
    assert!(count() < PEOPLE, "all had signed in before the last was sent");
    // The others need not be waited for: that each is hashed in its turn is shown where it costs less (`passwords`).
    for _ in 0..2 * types::limits::PASSWORD_HASHES_AT_ONCE {
        arriving.join_next().await.expect("one").expect("no panic").expect("who comes first gets in first");
    }
}

/// Many more sign-ins than are let wait, with right passwords and wrong ones, from many addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_sign_ins_is_refused_at_once_in_words_while_others_send_and_leaves_nothing_behind() {
    use types::limits::{PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAITING_MAX};
    const LET_IN: usize = PASSWORD_HASHES_AT_ONCE + PASSWORD_HASHES_WAITING_MAX;
    const FLOOD: usize = 2 * LET_IN;
    const SENDS: usize = 20;
    let world = World::start_with(cost_of(std::time::Duration::from_millis(20))).await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let ward = admin.group("Ward", &[]).await;
    let mut doors = Vec::new();
    for n in 1..=16 {
        doors.push(world.channel_from([127, 0, 9, n].into()).await);
    }

    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let flood: Vec<_> = (0..FLOOD)
        .map(|number| {
            let (channel, told) = (doors[number % doors.len()].clone(), told.clone());
            // One who knows the password, between people who are nobody.
            let login = if number % 10 == 0 { "ito".to_owned() } else { format!("nobody{number}") };
            let request = SignInRequest { login, password: PASSWORD.into(), ..SignInRequest::default() };
            let mut request = tonic::Request::new(request);
            request.set_timeout(std::time::Duration::from_millis(types::limits::CALL_MS_MAX));
            tokio::spawn(async move {
                let answer = SessionServiceClient::new(channel).sign_in(request).await;
                told.send(answer.map(|_| ())).ok();
            })
        })
        .collect();
    drop(told);

    // Whoever is too much is told so before those who were let in have had their turn.
    let mut early = Vec::new();
    while early.iter().filter(|answer| is_overload(answer)).count() < FLOOD / 8 {
        early.push(answers.recv().await.expect("fewer were refused than came too many"));
    }
    assert!(early.len() < FLOOD / 8 + LET_IN / 2, "the refused waited for those who were let in: {}", early.len());
    // What those who send see of it: all is taken while the flood goes on.
    for number in 0..SENDS {
        admin.send(&ward, &format!("{number}")).await.expect("sent");
    }
    assert!(flood.iter().any(|one| !one.is_finished()), "the flood was over before the last was sent");

    while let Some(answer) = answers.recv().await {
        early.push(answer);
    }
    assert_eq!(early.len(), FLOOD, "each has an answer");
    let (mut signed_in, mut refused) = (0, 0);
    for answer in &early {
        match answer {
            Ok(()) => signed_in += 1,
            Err(status) if is_overload(answer) => {
                refused += 1;
                let details = status.get_error_details();
                let info = details.error_info().expect("ErrorInfo");
                assert_eq!((status.code(), info.domain.as_str()), (tonic::Code::ResourceExhausted, "tricord"));
                let wait = details.retry_info().and_then(|info| info.retry_delay).expect("RetryInfo");
                assert_eq!(wait, std::time::Duration::from_millis(500));
            }
            Err(status) => assert_eq!(reason(status), "BAD_CREDENTIALS", "{status:?}"),
        }
    }
    assert!(signed_in > 0 && refused >= FLOOD / 8, "{signed_in} signed in, {refused} refused");
    // All that was held is free again: whoever comes now is let in.
    world.sign_in("admin", PASSWORD, "").await.expect("signed in");
    let all = list_messages(&admin, &ward).await;
    assert_eq!(all, SENDS, "nothing that was sent meanwhile is missing");
}

/// What a hash must cost here to take so long, whatever this was built with.
fn cost_of(wanted: std::time::Duration) -> services::PasswordCost {
    use argon2::password_hash::PasswordHasher;
    const KIB: u32 = 256;
    let params = argon2::Params::new(KIB, 1, 1, None).expect("a cost");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let began = std::time::Instant::now();
    argon2.hash_password(PASSWORD.as_bytes()).expect("hashed");
    let passes = wanted.as_micros().div_ceil(began.elapsed().as_micros().max(1));
    services::PasswordCost { memory_kib: KIB, passes: u32::try_from(passes).expect("few").max(1), lanes: 1 }
}

fn is_overload(answer: &Result<(), Status>) -> bool {
    answer.as_ref().is_err_and(|status| reason(status) == "OVERLOADED")
}

async fn list_messages(person: &Person, conversation: &str) -> usize {
    let request = ListMessagesRequest { parent: conversation.into(), page_size: 500, ..ListMessagesRequest::default() };
    person.messages().list_messages(person.with(request)).await.expect("listed").into_inner().messages.len()
}
