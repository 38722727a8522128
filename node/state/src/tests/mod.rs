//! A small hospital to try commands on.

mod addresses;
mod audit;
mod backups;
mod clock;
mod conversations;
mod emergency;
mod exactly_once;
mod identity;
mod invariants;
mod keys;
mod locking;
mod places;
mod presence;
mod properties;
mod refusals;
mod seats;
mod sessions;
mod trust;
mod tx;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use types::command::{AddDataKey, Connections, CreateConversation, Enrol, Found, Lease, NewUser, Once, Post, SignIn};
use types::conversation::{ConversationKind, POLICY_FROM_JOINING, Part};
use types::identity::Method;
use types::key::{Envelope as KeyEnvelope, Holder, KeyScope, Month, NewClusterKey};
use types::message::{Header, MessageKind, Priority, Sealed};
use types::presence::Connection;
use types::user::{PermissionSet, Realm, UserKind};
use types::{
    Author, ClusterId, Command, ConversationId, DeviceId, Envelope, Key, Lineage, NodeId, Principal, Reject, Reply,
    Request, Row, Seq, SessionId, Timestamp, UserId,
};

use crate::Outcome;
use crate::model::Model;

pub(super) const NODE: NodeId = NodeId(1);
pub(super) const OTHER_NODE: NodeId = NodeId(2);

pub(super) const fn user(n: u8) -> UserId {
    UserId([n; 16])
}

pub(super) const fn session(n: u8) -> SessionId {
    SessionId([n; 16])
}

pub(super) const fn device(n: u8) -> DeviceId {
    DeviceId([n; 16])
}

pub(super) const fn conversation(n: u8) -> ConversationId {
    ConversationId([n; 16])
}

pub(super) const fn principal(n: u8) -> Principal {
    Principal::User(user(n))
}

/// A state, the time, and each session's next number. User 0 is the administrator; session and device n are user n's.
#[derive(Clone)]
pub(super) struct World {
    pub(super) model: Model,
    pub(super) now: u64,
    pub(super) numbers: BTreeMap<SessionId, u64>,
    /// The next number of a command of `NODE`.
    pub(super) next: u64,
}

impl World {
    /// Founded, with a live lease of `NODE`, and users 0 to `people` signed in.
    pub(super) fn new(people: u8) -> Self {
        let mut world = Self { model: Model::default(), now: 1_000_000, numbers: BTreeMap::new(), next: 1 };
        let admin = NewUser { permissions: vec![PermissionSet::Admin], ..new_user(0) };
        let found = Found {
            cluster: ClusterId([1; 16]),
            lineage: Lineage([1; 16]),
            name: "St. Elsewhere".to_string(),
            feature_level: 1,
            admin,
            audit_keys: vec![[1; 32], [2; 32], [3; 32]],
            cluster_key: Some(cluster_key(1)),
            request_key: Some(request_key()),
        };
        world.node(Command::Found(found)).answer.result.expect("founds");
        world.node(Command::RenewLease(Lease { epoch: 1 })).answer.result.expect("a lease");
        world.node(enrol(0, 0)).answer.result.expect("the administrator enrols");
        let others: Vec<_> = (1..=people).map(new_user).collect();
        if !others.is_empty() {
            world.by(0, Command::CreateUsers(others)).expect("creates users");
        }
        (0..10).for_each(|id| world.data_key(id));
        for n in 1..=people {
            world.node(enrol(n, n)).answer.result.expect("enrols");
        }
        world
    }

    pub(super) fn node(&mut self, command: Command) -> Outcome {
        self.put(Envelope { origin: NODE, author: Author::Node, command })
    }

    /// Time passes between two commands as it does in a cluster that lives: without a step.
    pub(super) fn put(&mut self, envelope: Envelope) -> Outcome {
        if let Some(Row::Heads(heads)) = self.model.rows.get_mut(&Key::Heads()) {
            heads.clock = heads.clock.max(Timestamp(self.now));
        }
        self.step(envelope)
    }

    /// Time since the command before has stepped.
    pub(super) fn step(&mut self, envelope: Envelope) -> Outcome {
        self.model.apply(Timestamp(self.now), &envelope)
    }

    /// The next number of a command of `NODE` that would count twice.
    pub(super) fn once(&mut self) -> Once {
        self.next += 1;
        Once { epoch: 1, number: self.next - 1, settled: self.next - 1 }
    }

    /// The next command of a session, everything before it settled.
    pub(super) fn by(&mut self, n: u8, command: Command) -> Result<Reply, Reject> {
        self.outcome_by(n, command).answer.result
    }

    pub(super) fn outcome_by(&mut self, n: u8, command: Command) -> Outcome {
        let next = self.numbers.entry(session(n)).or_insert(1);
        let number = *next;
        *next += 1;
        self.put(request(n, number, number, command))
    }

    /// Gives a conversation the key that [`message`] is sealed with.
    pub(super) fn data_key(&mut self, id: u8) {
        let (scope, now) = (KeyScope::Conversation(conversation(id)), Timestamp(self.now));
        let key = AddDataKey { id: key_of(id), scope, month: Month::of(now), version: 1, wrapped: vec![1] };
        self.node(Command::AddDataKey(key)).answer.result.expect("a key");
    }

    /// A group of user `owner` with others as writers.
    pub(super) fn group(&mut self, id: u8, owner: u8, others: &[u8]) {
        self.by(owner, create(id, ConversationKind::Group, others)).expect("creates a group");
    }

    /// From here on no session is locked because nothing is done in it.
    pub(super) fn never_lock(&mut self) {
        let settings = types::identity::Settings { lock_ms: Some(0), ..types::identity::Settings::default() };
        self.by(0, Command::ChangeSettings(settings)).expect("set");
    }

    pub(super) fn attach(&mut self, n: u8) {
        let changes = vec![(session(n), Connection::Active)];
        self.node(Command::Connections(Connections { epoch: 1, changes })).answer.result.expect("attaches");
    }
}

/// A request of session `n` whose content is told by its number alone.
pub(super) fn request(n: u8, number: u64, settled: u64, command: Command) -> Envelope {
    let request = Request { session: session(n), number, settled, content: [7; 16] };
    Envelope { origin: NODE, author: Author::Session(request), command }
}

pub(super) fn new_user(n: u8) -> NewUser {
    NewUser {
        id: user(n),
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: format!("user{n}"),
        display_name: format!("User {n}"),
        unit: String::new(),
        words: vec!["user".to_string(), n.to_string()],
        external_ids: Vec::new(),
        may_message: true,
        permissions: Vec::new(),
        enrolment: Some([n; 32]),
        sealed_name: Vec::new(),
        key: None,
    }
}

pub(super) fn sign_in(person: u8, n: u8, credential_version: u64) -> SignIn {
    SignIn {
        user: user(person),
        session: session(n),
        token: [n; 32],
        device: device(n),
        credential_version,
        rehashed: None,
        attempt: None,
        key: Some([n; 32]),
        methods: vec![Method::Password],
        second: None,
        address: None,
    }
}

pub(super) fn enrol(person: u8, n: u8) -> Command {
    let password = "$argon2id$x".to_string();
    Command::Enrol(Enrol { code: [person; 32], password, sign_in: sign_in(person, n, 0) })
}

pub(super) fn create(id: u8, kind: ConversationKind, others: &[u8]) -> Command {
    Command::CreateConversation(CreateConversation {
        id: conversation(id),
        kind,
        title: Vec::new(),
        history: POLICY_FROM_JOINING,
        subject: None,
        participants: others.iter().map(|&n| (principal(n), Part::Writer)).collect(),
        key: None,
    })
}

pub(super) fn message(id: u8) -> Post {
    Post {
        conversation: conversation(id),
        location: None,
        header: Header {
            kind: MessageKind::TEXT,
            priority: Priority::Routine,
            reply_to: None,
            supersedes: None,
            expires_at: None,
            mentions: Vec::new(),
        },
        sealed: Sealed { key_id: key_of(id), commitment: [0; 32], bytes: payload(key_of(id)) },
    }
}

/// The id of the key of a conversation's texts.
pub(super) fn key_of(id: u8) -> u64 {
    u64::from(id) + 1
}

/// Bytes that say they are sealed with this key.
pub(super) fn payload(key: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&key.to_be_bytes());
    bytes.push(9);
    bytes
}

/// The key of requests, as the founding brings it.
pub(super) fn request_key() -> AddDataKey {
    AddDataKey { id: 9_999, scope: KeyScope::Requests, month: Month(0), version: 1, wrapped: vec![1] }
}

pub(super) fn holders() -> Vec<Holder> {
    vec![Holder::Recovery, Holder::Node(NODE), Holder::Node(OTHER_NODE)]
}

pub(super) fn cluster_key(version: u32) -> NewClusterKey {
    let sealed = |holder| KeyEnvelope { holder, public: [5; 32], sealed: vec![version as u8] };
    NewClusterKey { version, check: [version as u8; 32], envelopes: holders().into_iter().map(sealed).collect() }
}

pub(super) fn post(id: u8) -> Command {
    Command::Post(message(id))
}

pub(super) fn posted(result: Result<Reply, Reject>) -> Seq {
    match result {
        Ok(Reply::Posted { seq, .. }) => seq,
        other => panic!("not posted: {other:?}"),
    }
}
