//! Clients: they write, read and note what they saw. Each asks one node until it fails them, then the next.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use checker::{Answer, Asked, Freshness, Request, Row};
use hyper_util::rt::TokioIo;
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::{
    Conversation, ConversationKind, CreateConversationRequest, Credentials, EnrolRequest, ListMessagesRequest,
    OutgoingMessage, ReadOptions, RequestId, SendMessageRequest, SignInRequest, UnlockSessionRequest,
    unlock_session_request,
};
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use types::Slot;

use crate::cluster::{ADMIN_CODE, CLIENT_PORT, Phase, Sim};

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Conversations that are written to.
const CONVERSATIONS: u64 = 2;
/// As clients do: so long for one node, then the next.
pub(crate) const ATTEMPT: Duration = Duration::from_millis(500);
/// In the end nothing is written for so long, and all nodes are seen at one place.
const QUIET: Duration = Duration::from_millis(2_200);
/// Attempts of one write before a client gives up on it.
const ATTEMPTS_MAX: u64 = 30;
/// Messages one read asks for.
const READ_MAX: u64 = 400;

/// The conversations everybody writes to.
#[derive(Clone)]
pub(crate) struct Door(Vec<String>);

/// A client's life.
pub(crate) async fn live(sim: Arc<Sim>, number: u64) -> turmoil::Result {
    let mut client = Client::new(sim.clone(), number);
    client.sign_in().await;
    sim.ready[client.place()].store(true, Ordering::Relaxed);
    while sim.phase() == Phase::Begin {
        sleep(Duration::from_millis(20)).await;
    }
    while sim.phase() < Phase::Settle {
        match sim.below(10) {
            0..7 => client.write().await,
            7 => client.read(Freshness::Own).await,
            _ => client.read(Freshness::Linearizable).await,
        }
        sleep(Duration::from_millis(sim.below(120))).await;
    }
    client.list_all().await;
    sim.listed[client.place()].store(true, Ordering::Relaxed);
    sleep(QUIET).await;
    Ok(())
}

struct Client {
    sim: Arc<Sim>,
    number: u64,
    node: usize,
    channels: Vec<Channel>,
    token: String,
    /// The number of the next write.
    next: u64,
    /// Numbers above it that unlocking has used up.
    unlocks: u64,
    posted: u64,
    cursor: Vec<u8>,
    heads: Vec<u64>,
}

impl Client {
    fn new(sim: Arc<Sim>, number: u64) -> Self {
        let channels = Slot::ALL.map(|slot| channel(slot.letter())).to_vec();
        let (token, cursor) = (String::new(), Vec::new());
        let heads = vec![1; CONVERSATIONS as usize];
        let node = (number % 3) as usize;
        Self { sim, number, node, channels, token, next: 1, unlocks: 0, posted: 0, cursor, heads }
    }

    fn place(&self) -> usize {
        self.number as usize
    }

    fn channel(&self) -> Channel {
        self.channels[self.node].clone()
    }

    fn with<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Ok(token) = format!("Bearer {}", self.token).parse() {
            request.metadata_mut().insert("authorization", token);
        }
        request.set_timeout(ATTEMPT);
        request
    }

    fn door(&self) -> Option<Door> {
        self.sim.door.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until this client has a session and there is something to write to.
    async fn sign_in(&mut self) {
        let mut enrolled = self.number != 0;
        loop {
            sleep(Duration::from_millis(50 + self.sim.below(50))).await;
            let mut sessions = SessionServiceClient::new(self.channel());
            let credentials = if enrolled {
                let request =
                    SignInRequest { login: "admin".into(), password: PASSWORD.into(), ..SignInRequest::default() };
                let answer = timeout(ATTEMPT * 4, sessions.sign_in(request)).await;
                answer.ok().and_then(Result::ok).and_then(|answer| answer.into_inner().credentials)
            } else {
                let request = EnrolRequest {
                    login: "admin".into(),
                    code: ADMIN_CODE.to_lowercase(),
                    password: PASSWORD.into(),
                    ..EnrolRequest::default()
                };
                let answer = timeout(ATTEMPT * 4, sessions.enrol(request)).await;
                // The code was used: the answer that was lost had said so. Not that there is no cluster yet.
                enrolled = matches!(&answer, Ok(Err(status)) if status.code() == Code::Unauthenticated);
                answer.ok().and_then(Result::ok).and_then(|answer| answer.into_inner().credentials)
            };
            let Some(Credentials { token, next_number, cursor, .. }) = credentials else { continue };
            (self.token, self.next, self.cursor) = (token, next_number, cursor);
            break;
        }
        if self.number == 0 {
            let mut names = Vec::new();
            while names.len() < CONVERSATIONS as usize {
                names.extend(self.create().await);
            }
            *self.sim.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(Door(names));
        }
        while self.door().is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        self.sim.say(&format!("client {} is ready", self.number));
    }

    /// The name of a new conversation; with the same number until there is one.
    async fn create(&mut self) -> Option<String> {
        let conversation =
            Conversation { kind: ConversationKind::Group.into(), title: "ward".into(), ..Conversation::default() };
        let request_id = Some(RequestId { number: self.next, settled: self.next });
        let request =
            CreateConversationRequest { conversation: Some(conversation), participants: Vec::new(), request_id };
        let request = self.with(request);
        let answer = ConversationServiceClient::new(self.channel()).create_conversation(request).await;
        let Ok(answer) = answer else {
            self.move_on();
            sleep(Duration::from_millis(50)).await;
            return None;
        };
        self.next += 1;
        answer.into_inner().conversation.map(|conversation| conversation.name)
    }

    fn move_on(&mut self) {
        self.node = (self.node + 1) % self.channels.len();
    }

    async fn write(&mut self) {
        let Some(Door(names)) = self.door() else { return };
        let place = self.sim.below(CONVERSATIONS);
        self.posted += 1;
        let body = self.number * 1_000_000 + self.posted;
        let request = Request { client: self.number, number: self.next };
        for attempt in 0..ATTEMPTS_MAX {
            let asked = Asked::Post { request, conversation: place, body };
            let call = self.sim.recorder.begin(self.sim.now(), self.node, asked);
            let message = OutgoingMessage {
                conversation: names[place as usize].clone(),
                text: body.to_string().into(),
                ..OutgoingMessage::default()
            };
            let request_id = Some(RequestId { number: self.next, settled: self.next });
            let send = self.with(SendMessageRequest { message: Some(message), request_id });
            let mut messages = MessageServiceClient::new(self.channel());
            let answer = timeout(ATTEMPT, messages.send_message(send)).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
            let now = self.sim.now();
            match answer {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    self.sim.recorder.end(call, now, Answer::Posted(answer.seq));
                    self.sim.say(&format!("client {} wrote {body} as {place}/{}", self.number, answer.seq));
                    self.cursor = answer.cursor;
                    if self.sim.phase() == Phase::Liveness {
                        self.sim.healed_acks[self.place()].fetch_add(1, Ordering::Relaxed);
                    }
                    break;
                }
                Err(status) => {
                    self.sim.recorder.end(call, now, Answer::Unknown);
                    if attempt == 0 {
                        self.sim.say(&format!("client {} had {:?} for {body}", self.number, status.code()));
                    }
                    self.mend(&status).await;
                    sleep(Duration::from_millis(20 + self.sim.below(80))).await;
                }
            }
            if self.sim.phase() == Phase::Settle {
                break; // Whether it was done is not known.
            }
        }
        self.next += 1 + self.unlocks;
        self.unlocks = 0;
    }

    /// Does what a person does about a refusal: unlocks a session that was locked, as an hour's step of cluster time does to
    /// all, and otherwise asks another node.
    async fn mend(&mut self, status: &Status) {
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        if reason != "SESSION_LOCKED" {
            return self.move_on();
        }
        self.unlocks += 1;
        let request_id = Some(RequestId { number: self.next + self.unlocks, settled: self.next });
        let proof = Some(unlock_session_request::Proof::Password(PASSWORD.into()));
        let request = self.with(UnlockSessionRequest { proof, request_id });
        let mut locks = LockServiceClient::new(self.channel());
        match timeout(ATTEMPT, locks.unlock_session(request)).await {
            Ok(Ok(_)) => self.sim.say(&format!("client {} unlocked its session", self.number)),
            _ => self.move_on(),
        }
    }

    async fn read(&mut self, freshness: Freshness) {
        let place = self.sim.below(CONVERSATIONS);
        let first = self.heads[place as usize].saturating_sub(20).max(1);
        let asked = Asked::Read { client: self.number, conversation: place, freshness };
        let call = self.sim.recorder.begin(self.sim.now(), self.node, asked);
        let page = self.page(place, first, freshness).await;
        let now = self.sim.now();
        match page {
            Ok((rows, None)) => {
                self.heads[place as usize] = rows.last().map_or(first, |row| row.seq);
                self.sim.say(&format!("client {} read {place} from {first}: {}", self.number, rows.len()));
                self.sim.recorder.end(call, now, Answer::Page { first, rows });
            }
            Ok((rows, Some(_))) => {
                self.heads[place as usize] = rows.last().map_or(first, |row| row.seq);
                self.sim.recorder.end(call, now, Answer::Unknown);
            }
            Err(status) => {
                self.sim.recorder.end(call, now, Answer::Unknown);
                self.mend(&status).await;
            }
        }
    }

    /// Messages from `first`, and where to go on if there are more.
    async fn page(&mut self, place: u64, first: u64, freshness: Freshness) -> Result<(Vec<Row>, Option<u64>), Status> {
        let Some(Door(names)) = self.door() else { return Err(Status::unavailable("not yet")) };
        let read = match freshness {
            Freshness::Linearizable => ReadOptions { linearizable: true, ..ReadOptions::default() },
            _ => ReadOptions { at_least: self.cursor.clone(), ..ReadOptions::default() },
        };
        let request = ListMessagesRequest {
            parent: names[place as usize].clone(),
            start_seq: first,
            direction: proto::v1::Direction::Forward.into(),
            page_size: READ_MAX as i32,
            read: Some(read),
        };
        let mut messages = MessageServiceClient::new(self.channel());
        let answer = timeout(ATTEMPT, messages.list_messages(self.with(request))).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))?.into_inner();
        let rows: Vec<Row> = answer
            .messages
            .iter()
            .map(|message| Row { seq: message.seq, body: message.text.parse().unwrap_or(u64::MAX) })
            .collect();
        Ok((rows, Some(answer.next_seq).filter(|next| *next != 0 && *next <= answer.last_seq)))
    }

    /// Reads all of every conversation from one node: client n from node n.
    async fn list_all(&mut self) {
        if self.place() >= self.channels.len() {
            return;
        }
        self.node = self.place();
        for place in 0..CONVERSATIONS {
            let (mut rows, mut first) = (Vec::new(), 1);
            loop {
                match self.page(place, first, Freshness::Linearizable).await {
                    Ok((more, next)) => {
                        rows.extend(more);
                        match next {
                            Some(next) => first = next,
                            None => break,
                        }
                    }
                    Err(_) if self.sim.places[self.node].refused().is_some() => return,
                    Err(status) => {
                        self.mend(&status).await;
                        self.node = self.place();
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            self.sim.say(&format!("{} holds {} of {place}", Slot::ALL[self.node].letter(), rows.len()));
            self.sim.recorder.listed(self.node, place, rows);
        }
    }
}

pub(crate) fn channel(host: &'static str) -> Channel {
    let endpoint = Endpoint::from_static("http://tricord.sim")
        .connect_timeout(ATTEMPT)
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: http::Uri| async move {
        turmoil::net::TcpStream::connect((host, CLIENT_PORT)).await.map(TokioIo::new)
    }))
}
