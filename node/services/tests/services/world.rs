//! A founded cluster of one, its services on a loopback port, and people who use them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::v1::audit_service_client::AuditServiceClient;
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::*;
use record::note::Signer;
use services::{Config, Metrics, PasswordCost, Services};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;
use types::command::{AddDataKey, Found, Lease, NewUser};
use types::key::{Envelope as KeyEnvelope, Holder, NewClusterKey};
use types::user::{PermissionSet as StoredSet, Realm as StoredRealm, UserKind as StoredKind};
use types::{Author, ClusterId, Command, Envelope, Incarnation, Lineage, NodeId, Slot, UserId};

use crate::node::{NODE, SingleNode};

pub const CLUSTER: ClusterId = ClusterId([0xC1; 16]);
pub const EPOCH: u64 = 1;
pub const PASSWORD: &str = "correct horse battery";
const ADMIN_CODE: &str = "ABCD-EFGH-JKMN-PQRS";

pub struct World {
    pub node: SingleNode,
    pub services: Services<SingleNode>,
    pub channel: Channel,
    pub typing: mpsc::Sender<raft::Typing>,
    /// The services' port.
    address: SocketAddr,
}

pub async fn own(node: &SingleNode, command: Command) {
    let answer = node.apply(Envelope { origin: NODE, author: Author::Node, command }).await;
    answer.result.expect("a node's command");
}

fn serving(
    node: &SingleNode,
    pair: seal::NodeKey,
    cost: PasswordCost,
    batches: mpsc::Receiver<raft::Applied>,
    notices: mpsc::Receiver<raft::Typing>,
) -> Services<SingleNode> {
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("metrics");
    let audit_key = Some(Arc::new(signer(Slot::A)));
    let config = Config { epoch: EPOCH, password_cost: cost, audit_key, audit_spool: None };
    Services::start(node.clone(), config, pair, metrics, batches, notices).expect("a cost")
}

async fn listening(services: &Services<SingleNode>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Server::builder().add_routes(services.routes());
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(PasswordCost { memory_kib: 8, passes: 1, lanes: 1 }).await
    }

    /// With passwords that cost so much.
    pub async fn start_with(cost: PasswordCost) -> Self {
        let (applied, batches) = mpsc::channel(64);
        let (typing, notices) = mpsc::channel(64);
        let node = SingleNode::new(applied);
        let pair = seal::NodeKey::generate().expect("a pair");
        let keys = first_keys(&pair);
        let services = serving(&node, pair, cost, batches, notices);
        own(&node, Command::Found(founding(keys))).await;
        own(&node, Command::RenewLease(Lease { epoch: EPOCH })).await;
        let address = listening(&services).await;
        // A small window, so that a reader who does not read is soon felt by the server.
        let endpoint = Endpoint::new(format!("http://{address}")).expect("an address");
        let channel = endpoint.initial_stream_window_size(65_535).connect().await.expect("up");
        Self { node, services, channel, typing, address }
    }

    /// A connection to services of the same node that hold none of the cluster's keys.
    pub async fn channel_without_keys(&self) -> Channel {
        let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
        let pair = seal::NodeKey::generate().expect("a pair");
        let services = serving(&self.node, pair, cost, mpsc::channel(1).1, mpsc::channel(1).1);
        let address = listening(&services).await;
        Endpoint::new(format!("http://{address}")).expect("an address").connect().await.expect("up")
    }

    /// A connection from another address of this machine.
    pub async fn channel_from(&self, from: Ipv4Addr) -> Channel {
        let endpoint = Endpoint::new(format!("http://{}", self.address)).expect("an address");
        endpoint.local_address(Some(from.into())).connect().await.expect("up")
    }

    /// The administrator, signed in.
    pub async fn admin(&self) -> Person {
        let enrol = EnrolRequest {
            login: "admin".into(),
            code: ADMIN_CODE.to_lowercase(),
            password: PASSWORD.into(),
            ..EnrolRequest::default()
        };
        let answer = SessionServiceClient::new(self.channel.clone()).enrol(enrol).await.expect("enrolled");
        Person::new(self.channel.clone(), answer.into_inner().credentials.expect("credentials"))
    }

    /// A new user, signed in.
    pub async fn person(&self, admin: &Person, login: &str) -> Person {
        let user = User { login: login.into(), display_name: format!("Dr {login}"), ..User::default() };
        let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
        let made = admin.directory().create_user(admin.with(create)).await.expect("created").into_inner();
        self.enrol(login, &made.enrolment_code).await
    }

    /// Someone signed in with a one-time code.
    pub async fn enrol(&self, login: &str, code: &str) -> Person {
        let enrol = EnrolRequest {
            login: login.into(),
            code: code.into(),
            password: PASSWORD.into(),
            ..EnrolRequest::default()
        };
        let answer = SessionServiceClient::new(self.channel.clone()).enrol(enrol).await.expect("enrolled");
        Person::new(self.channel.clone(), answer.into_inner().credentials.expect("credentials"))
    }

    /// The same user in another session, on a new device.
    pub async fn again(&self, login: &str) -> Person {
        Person::new(self.channel.clone(), self.sign_in(login, PASSWORD, "").await.expect("signed in"))
    }

    pub async fn sign_in(&self, login: &str, password: &str, device: &str) -> Result<Credentials, Status> {
        let (login, password, device) = (login.into(), password.into(), device.into());
        let request = SignInRequest { login, password, device, ..SignInRequest::default() };
        let answer = SessionServiceClient::new(self.channel.clone()).sign_in(request).await?;
        Ok(answer.into_inner().credentials.expect("credentials"))
    }
}

/// What the first node of a slot signs the audit log with.
pub fn signer(slot: Slot) -> Signer {
    let name = record::checkpoint::key_name(CLUSTER, NodeId::new(slot, Incarnation(1)));
    Signer::from_seed(&name, [slot.number(); 32]).expect("a key")
}

/// The first cluster key and the key of requests under it, sealed to this one node and to a recovery kit that is thrown away.
fn first_keys(pair: &seal::NodeKey) -> (NewClusterKey, AddDataKey) {
    let key = seal::ClusterKey::generate(1).expect("a key");
    let kit = seal::NodeKey::generate().expect("a pair");
    let envelope = |holder, pair: &seal::NodeKey| {
        let public = pair.public().expect("a public key");
        KeyEnvelope { holder, public: public.0, sealed: key.envelope(&public).expect("sealed") }
    };
    let envelopes = vec![envelope(Holder::Recovery, &kit), envelope(Holder::Node(NODE), pair)];
    let requests = seal::RequestKey::mint(&key).expect("a key");
    (NewClusterKey { version: 1, check: key.check_value(), envelopes }, requests)
}

fn founding((cluster_key, request_key): (NewClusterKey, AddDataKey)) -> Found {
    let admin = NewUser {
        id: UserId([0xAD; 16]),
        kind: StoredKind::Person,
        realm: StoredRealm::Staff,
        login: "admin".into(),
        display_name: "Administrator".into(),
        unit: String::new(),
        words: vec!["admin".into(), "administrator".into()],
        external_ids: vec![],
        may_message: true,
        permissions: vec![StoredSet::Admin],
        enrolment: Some(Sha256::digest(ADMIN_CODE.replace('-', "")).into()),
        sealed_name: Vec::new(),
        key: None,
    };
    Found {
        cluster: CLUSTER,
        lineage: Lineage([0x11; 16]),
        name: "St. Test".into(),
        feature_level: 1,
        admin,
        audit_keys: Slot::ALL.map(|slot| *signer(slot).verifier().key()).to_vec(),
        cluster_key: Some(cluster_key),
        request_key: Some(request_key),
    }
}

/// Someone signed in.
#[derive(Clone)]
pub struct Person {
    pub channel: Channel,
    pub token: String,
    pub session: String,
    pub device: String,
    /// `users/{id}`.
    pub name: String,
    pub cursor: Vec<u8>,
    number: Arc<AtomicU64>,
}

impl Person {
    pub fn new(channel: Channel, credentials: Credentials) -> Self {
        Self {
            channel,
            token: credentials.token,
            session: credentials.session,
            device: credentials.device,
            name: credentials.user.expect("a user").name,
            cursor: credentials.cursor,
            number: Arc::new(AtomicU64::new(credentials.next_number)),
        }
    }

    /// The request in this person's session.
    pub fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().expect("ASCII"));
        request
    }

    /// The next number; everything before it is settled.
    pub fn id(&self) -> Option<RequestId> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Some(RequestId { number, settled: number.saturating_sub(500).max(1) })
    }

    pub fn directory(&self) -> DirectoryServiceClient<Channel> {
        DirectoryServiceClient::new(self.channel.clone())
    }

    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    pub fn conversations(&self) -> ConversationServiceClient<Channel> {
        ConversationServiceClient::new(self.channel.clone())
    }

    pub fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
    }

    pub fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }

    pub async fn group(&self, title: &str, others: &[&Person]) -> String {
        let conversation =
            Conversation { kind: ConversationKind::Group.into(), title: title.into(), ..Conversation::default() };
        let participants = others.iter().map(|other| participant(&other.name)).collect();
        let request =
            CreateConversationRequest { conversation: Some(conversation), participants, request_id: self.id() };
        let answer = self.conversations().create_conversation(self.with(request)).await.expect("created");
        answer.into_inner().conversation.expect("a conversation").name
    }

    pub async fn rename(&self, conversation: &str, title: &str) {
        let conversation = Conversation { name: conversation.into(), title: title.into(), ..Conversation::default() };
        let request = UpdateConversationRequest {
            conversation: Some(conversation),
            update_paths: vec!["title".into()],
            request_id: self.id(),
        };
        self.conversations().update_conversation(self.with(request)).await.expect("renamed");
    }

    pub async fn add(&self, conversation: &str, other: &Person) {
        let participants = vec![participant(&other.name)];
        let request = AddParticipantsRequest { name: conversation.into(), participants, request_id: self.id() };
        self.conversations().add_participants(self.with(request)).await.expect("added");
    }

    pub async fn remove(&self, conversation: &str, other: &Person) {
        let request =
            RemoveParticipantRequest { name: conversation.into(), user: other.name.clone(), request_id: self.id() };
        self.conversations().remove_participant(self.with(request)).await.expect("removed");
    }

    pub async fn send(&self, conversation: &str, text: &str) -> Result<SendMessageResponse, Status> {
        let message = outgoing(conversation, text.as_bytes());
        let request = SendMessageRequest { message: Some(message), request_id: self.id() };
        Ok(self.messages().send_message(self.with(request)).await?.into_inner())
    }

    pub async fn sync(&self, cursor: &[u8], watch: &[&Person]) -> Result<Streaming<SyncResponse>, Status> {
        let request = SyncRequest {
            cursor: cursor.into(),
            with_messages: true,
            watch_presence: watch.iter().map(|person| person.name.clone()).collect(),
        };
        Ok(SyncServiceClient::new(self.channel.clone()).sync(self.with(request)).await?.into_inner())
    }
}

pub fn participant(user: &str) -> Participant {
    Participant { user: user.into(), ..Participant::default() }
}

pub fn outgoing(conversation: &str, text: &[u8]) -> OutgoingMessage {
    OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() }
}

/// The stable reason of an error.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The reason of what must be an error.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
    reason(&result.expect_err("refused"))
}

/// The next item, within a time that is bounded.
pub async fn next(stream: &mut Streaming<SyncResponse>) -> Result<Option<SyncResponse>, Status> {
    tokio::time::timeout(Duration::from_secs(20), stream.message()).await.expect("an item in time")
}
