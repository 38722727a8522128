//! A device in a ward where two people tap in and out in turns, and the phone that one of them locks: what they were told about
//! who is there, and what is locked, must hold on every node, whatever goes wrong.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::place_service_client::PlaceServiceClient;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::tap_in_request::Secret;
use proto::v1::unlock_session_request::Proof;
use proto::v1::*;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use types::Slot;
use types::limits::LOCK_MS_MIN;

use crate::cluster::{Phase, Sim};
use crate::people::{ATTEMPT, PASSWORD, channel};
use crate::place::Place;

const PIN: &str = "473920";
/// Who taps in.
const PEOPLE: [&str; 2] = ["ito", "mori"];
/// Attempts at tapping in before somebody gives up.
const ATTEMPTS_MAX: u32 = 30;
/// Longest after a part's idle time until it has ended everywhere, once all is healed.
const ENDED_BY_MS: u64 = LOCK_MS_MIN + 6_000;

/// The ward's life.
pub(crate) async fn live(sim: Arc<Sim>) -> turmoil::Result {
    let mut ward = Ward::begin(sim.clone()).await;
    sim.say("the ward is ready");
    sim.ward_ready.store(true, Ordering::Relaxed);
    while sim.phase() == Phase::Begin {
        sleep(Duration::from_millis(20)).await;
    }
    while sim.phase() < Phase::Settle {
        match sim.below(4) {
            0 | 1 => ward.tap_in(sim.below(2) as usize).await,
            2 => ward.tap_out().await,
            _ => ward.lock().await,
        }
        sleep(Duration::from_millis(sim.below(300))).await;
    }
    ward.tap_in(0).await;
    let clock = |place: &Place| place.node().map_or(0, |node| node.state().heads().clock.0);
    // As the furthest node knows it: one that is just starting knows none.
    let before = sim.places.iter().map(clock).max().unwrap_or_default();
    sleep(Duration::from_millis(ENDED_BY_MS)).await;
    for place in sim.places.iter().filter(|place| place.refused().is_none()) {
        let Some(node) = place.node() else { continue };
        if clock(place).saturating_sub(before) < LOCK_MS_MIN + 1_000 {
            continue; // Cluster time has stepped ahead before, and stands until the clocks have come there.
        }
        match crate::invariants::parts::open(&node) {
            Ok(open) => open.iter().for_each(|part| {
                sim.found(&format!("{}: {part:?} is open though nothing was done in it for long", place.host()));
            }),
            Err(why) => sim.found(&format!("{}: the sessions cannot be read: {why}", place.host())),
        }
    }
    Ok(())
}

/// A session as its client has it.
#[derive(Clone, Default)]
struct Session {
    name: String,
    token: String,
    next: u64,
    cursor: Vec<u8>,
}

impl From<Credentials> for Session {
    fn from(credentials: Credentials) -> Self {
        let Credentials { token, session, next_number, cursor, .. } = credentials;
        Self { name: session, token, next: next_number, cursor }
    }
}

impl Session {
    /// This message in this session.
    fn with<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Ok(token) = format!("Bearer {}", self.token).parse() {
            request.metadata_mut().insert("authorization", token);
        }
        request.set_timeout(ATTEMPT);
        request
    }

    fn id(&self) -> Option<RequestId> {
        Some(RequestId { number: self.next, settled: self.next })
    }
}

struct Ward {
    sim: Arc<Sim>,
    channels: Vec<Channel>,
    node: usize,
    /// The location's, on the device in the corridor.
    room: Session,
    /// Ito's phone.
    phone: Session,
    /// The part of whoever is there, as far as known.
    part: Option<Session>,
    conversation: String,
}

impl Ward {
    async fn begin(sim: Arc<Sim>) -> Self {
        let channels = Slot::ALL.map(|slot| channel(slot.letter())).to_vec();
        let (room, phone) = (Session::default(), Session::default());
        let mut ward = Self { sim, channels, node: 0, room, phone, part: None, conversation: String::new() };
        let mut admin = ward.sign_in("admin").await;
        let settings = Settings {
            part_idle: Some(prost_types::Duration { seconds: (LOCK_MS_MIN / 1_000) as i64, nanos: 0 }),
            ..Settings::default()
        };
        ward.numbered(&mut admin, |channel, session| {
            let settings = Some(settings.clone());
            async move {
                let request = UpdateSettingsRequest { settings, request_id: session.id() };
                SecurityServiceClient::new(channel).update_settings(session.with(request)).await
            }
        })
        .await;
        ward.room = ward.enrol(&mut admin, "room", UserKind::Location).await;
        let mut people = Vec::new();
        for login in PEOPLE {
            people.push(ward.enrol(&mut admin, login, UserKind::Person).await);
        }
        for person in &mut people {
            ward.numbered(person, |channel, session| async move {
                let request = SetPinRequest { pin: PIN.into(), password: PASSWORD.into(), request_id: session.id() };
                PlaceServiceClient::new(channel).set_pin(session.with(request)).await
            })
            .await;
        }
        let other = people[1].name.split("/sessions/").next().unwrap_or_default().to_owned();
        ward.phone = people.swap_remove(0);
        ward.fill(other).await;
        ward
    }

    /// Something to see: a conversation of both, and a message in it.
    async fn fill(&mut self, other: String) {
        let mut phone = self.phone.clone();
        let made = self.numbered(&mut phone, |channel, session| {
            let participants = vec![Participant { user: other.clone(), ..Participant::default() }];
            let kind = ConversationKind::Group.into();
            let conversation = Some(Conversation { kind, title: "ward".into(), ..Conversation::default() });
            async move {
                let request = CreateConversationRequest { conversation, participants, request_id: session.id() };
                ConversationServiceClient::new(channel).create_conversation(session.with(request)).await
            }
        });
        self.conversation = made.await.and_then(|made| made.conversation).map_or_else(String::new, |made| made.name);
        let conversation = self.conversation.clone();
        self.numbered(&mut phone, |channel, session| {
            let message =
                Some(OutgoingMessage { conversation: conversation.clone(), text: "x".into(), ..Default::default() });
            async move {
                let request = SendMessageRequest { message, request_id: session.id() };
                MessageServiceClient::new(channel).send_message(session.with(request)).await
            }
        })
        .await;
        self.phone = phone;
    }

    /// Whoever it is taps in; whoever was there before is out.
    async fn tap_in(&mut self, who: usize) {
        for _ in 0..ATTEMPTS_MAX {
            let secret = Some(Secret::Pin(PIN.into()));
            let request = self.room.with(TapInRequest { login: PEOPLE[who].into(), secret, code: String::new() });
            let mut places = PlaceServiceClient::new(self.channels[self.node].clone());
            match self.attempt(places.tap_in(request)).await {
                Ok(answer) => {
                    self.sim.say(&format!("{} is there", PEOPLE[who]));
                    let Some(part) = answer.credentials.map(Session::from) else { return };
                    if let Some(before) = self.part.replace(part.clone()) {
                        self.sees_nothing(&before, &part.cursor, "whoever was there before").await;
                    }
                    return;
                }
                Err(status) if self.is_final(&status) => return self.sim.found(&format!("tapping in: {status}")),
                Err(_) => self.pause().await,
            }
        }
    }

    /// Whoever is there goes.
    async fn tap_out(&mut self) {
        let mut room = self.room.clone();
        let gone = self.numbered(&mut room, |channel, session| async move {
            let request = TapOutRequest { request_id: session.id() };
            PlaceServiceClient::new(channel).tap_out(session.with(request)).await
        });
        let gone = gone.await;
        self.room = room;
        if let (Some(gone), Some(part)) = (gone, self.part.take()) {
            self.sim.say("nobody is there");
            self.sees_nothing(&part, &gone.cursor, "whoever has tapped out").await;
        }
    }

    /// Ito locks the phone, and unlocks it again.
    async fn lock(&mut self) {
        let mut phone = self.phone.clone();
        let locked = self.numbered(&mut phone, |channel, session| async move {
            let request = LockSessionRequest { name: String::new(), request_id: session.id() };
            LockServiceClient::new(channel).lock_session(session.with(request)).await
        });
        if let Some(locked) = locked.await {
            self.sim.say("the phone is locked");
            self.sees_nothing(&phone, &locked.cursor, "a locked session").await;
        }
        self.numbered(&mut phone, |channel, session| async move {
            let proof = Some(Proof::Pin(PIN.into()));
            let request = UnlockSessionRequest { proof, request_id: session.id() };
            LockServiceClient::new(channel).unlock_session(session.with(request)).await
        })
        .await;
        self.phone = phone;
    }

    /// No node shows this session anything from this cursor on.
    async fn sees_nothing(&mut self, session: &Session, cursor: &[u8], who: &str) {
        for (node, channel) in self.channels.clone().into_iter().enumerate() {
            let read = Some(ReadOptions { at_least: cursor.to_vec(), ..ReadOptions::default() });
            let list =
                ListMessagesRequest { parent: self.conversation.clone(), read, ..ListMessagesRequest::default() };
            let mut messages = MessageServiceClient::new(channel);
            let answer = self.attempt(messages.list_messages(session.with(list))).await;
            let letter = Slot::ALL[node].letter();
            match answer {
                Ok(_) => self.sim.found(&format!("{letter} shows messages to {who}")),
                Err(status) => self.sim.say(&format!("{letter} shows nothing to {who}: {:?}", status.code())),
            }
        }
    }

    /// Someone new, signed in.
    async fn enrol(&mut self, admin: &mut Session, login: &str, kind: UserKind) -> Session {
        let user = User { login: login.into(), display_name: login.into(), kind: kind.into(), ..User::default() };
        let made = self.numbered(admin, |channel, session| {
            let user = Some(user.clone());
            async move {
                let request = CreateUserRequest { user, without_enrolment_code: false, request_id: session.id() };
                DirectoryServiceClient::new(channel).create_user(session.with(request)).await
            }
        });
        let code = made.await.map(|made| made.enrolment_code).unwrap_or_default();
        let (login, password) = (login.to_owned(), PASSWORD.to_owned());
        let enrol = EnrolRequest { login: login.clone(), code, password, ..EnrolRequest::default() };
        let mut sessions = SessionServiceClient::new(self.channels[self.node].clone());
        match timeout(4 * ATTEMPT, sessions.enrol(enrol)).await {
            Ok(Ok(answer)) => answer.into_inner().credentials.map(Session::from).unwrap_or_default(),
            _ => self.sign_in(&login).await, // If it was carried out, the password is right.
        }
    }

    async fn sign_in(&mut self, login: &str) -> Session {
        // Until there is something to write to, the administrator has no password.
        while self.sim.door.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        loop {
            let (login, password) = (login.to_owned(), PASSWORD.to_owned());
            let request = SignInRequest { login, password, ..SignInRequest::default() };
            let mut sessions = SessionServiceClient::new(self.channels[self.node].clone());
            let answer = timeout(4 * ATTEMPT, sessions.sign_in(request)).await;
            let credentials = answer.ok().and_then(Result::ok).and_then(|answer| answer.into_inner().credentials);
            match credentials {
                Some(credentials) => return credentials.into(),
                None => self.pause().await,
            }
        }
    }

    /// Puts something numbered until it is done; none where it was refused for good, or the run is over.
    async fn numbered<R, F>(&mut self, session: &mut Session, call: impl Fn(Channel, Session) -> F) -> Option<R>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let done = loop {
            match self.attempt(call(self.channels[self.node].clone(), session.clone())).await {
                Ok(answer) => break Some(answer),
                Err(status) if self.is_final(&status) => {
                    self.sim.found(&format!("the ward was refused: {status}"));
                    break None;
                }
                // A step of cluster time locks every session: it is unlocked next.
                Err(status) if status.code() == Code::FailedPrecondition && self.sim.phase() > Phase::Begin => {
                    break None;
                }
                Err(_) if self.sim.phase() == Phase::Settle => break None,
                Err(_) => self.pause().await,
            }
        };
        session.next += 1;
        done
    }

    async fn attempt<R>(&self, call: impl Future<Output = Result<Response<R>, Status>>) -> Result<R, Status> {
        let answer = timeout(ATTEMPT, call).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))).map(Response::into_inner)
    }

    /// What no fault explains: who acts here has a session, and the right PIN.
    fn is_final(&self, status: &Status) -> bool {
        let refused = [Code::Unauthenticated, Code::PermissionDenied, Code::InvalidArgument, Code::NotFound];
        self.sim.phase() > Phase::Begin && refused.contains(&status.code())
    }

    /// To the next node, in a moment.
    async fn pause(&mut self) {
        self.node = (self.node + 1) % self.channels.len();
        sleep(Duration::from_millis(20 + self.sim.below(80))).await;
    }
}
