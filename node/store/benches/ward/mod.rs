//! The log of a ward that writes: for the benchmark of apply, and for tests of it with real commands.

use store::{LogId, Payload};
use types::command::{AddDataKey, CreateConversation, Enrol, Found, Lease, NewUser, Post, SignIn};
use types::conversation::{ConversationKind, POLICY_FROM_JOINING, Part};
use types::identity::Method;
use types::key::{Envelope as KeyEnvelope, Holder, KeyScope, Month, NewClusterKey};
use types::message::{Header, MessageKind, Priority, Sealed};
use types::user::{PermissionSet, Realm, UserKind};
use types::{
    Author, ClusterId, Command, ConversationId, DeviceId, Entry, Envelope, Lineage, NodeId, Principal, Request,
    SessionId, Timestamp, UserId,
};

const NODE: NodeId = NodeId(1);
const KEY: u64 = 7;

/// Commands of people `0..people`, each with a session of its own, in a group of them all.
pub struct Ward {
    people: u64,
    index: u64,
    at: u64,
    numbers: Vec<u64>,
}

fn id(kind: u8, number: u64) -> [u8; 16] {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

/// Their ids.
pub fn person(number: u64) -> UserId {
    UserId(id(1, number))
}

fn group() -> ConversationId {
    ConversationId(id(4, 0))
}

fn code(number: u64) -> [u8; 32] {
    [u8::try_from(number).expect("few people"); 32]
}

fn new_user(number: u64) -> NewUser {
    NewUser {
        id: person(number),
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: format!("user{number}"),
        display_name: format!("User {number}"),
        unit: String::new(),
        words: vec![format!("user{number}")],
        external_ids: Vec::new(),
        may_message: true,
        permissions: if number == 0 { vec![PermissionSet::Admin] } else { Vec::new() },
        enrolment: Some(code(number)),
        sealed_name: Vec::new(),
        key: None,
    }
}

fn enrol(number: u64) -> Command {
    let sign_in = SignIn {
        user: person(number),
        session: SessionId(id(2, number)),
        token: code(number),
        device: DeviceId(id(3, number)),
        credential_version: 0,
        rehashed: None,
        attempt: None,
        key: Some([1; 32]),
        methods: vec![Method::Password],
        second: None,
        address: None,
    };
    Command::Enrol(Enrol { code: code(number), password: String::from("$argon2id$x"), sign_in })
}

fn post(bytes: usize) -> Command {
    let mut sealed = vec![9; bytes];
    sealed[0] = 1;
    sealed[1..9].copy_from_slice(&KEY.to_be_bytes());
    Command::Post(Post {
        conversation: group(),
        location: None,
        header: Header {
            kind: MessageKind::TEXT,
            priority: Priority::Routine,
            reply_to: None,
            supersedes: None,
            expires_at: None,
            mentions: Vec::new(),
        },
        sealed: Sealed { key_id: KEY, commitment: [3; 32], bytes: sealed },
    })
}

fn key(id: u64, scope: KeyScope, month: Month) -> AddDataKey {
    AddDataKey { id, scope, month, version: 1, wrapped: vec![1; 48] }
}

fn by_node(command: Command) -> Envelope {
    Envelope { origin: NODE, author: Author::Node, command }
}

impl Ward {
    /// With the entry that founds it.
    pub fn founded(people: u64) -> (Self, (LogId, Payload)) {
        let numbers = vec![1; usize::try_from(people).expect("few people")];
        let mut ward = Self { people, index: 0, at: 1_760_000_000_000, numbers };
        let found = Found {
            cluster: ClusterId([1; 16]),
            lineage: Lineage([1; 16]),
            name: String::from("St. Elsewhere"),
            feature_level: 1,
            admin: new_user(0),
            audit_keys: vec![[1; 32], [2; 32], [3; 32]],
            cluster_key: Some(NewClusterKey {
                version: 1,
                check: [1; 32],
                envelopes: [Holder::Recovery, Holder::Node(NODE), Holder::Node(NodeId(2))]
                    .map(|holder| KeyEnvelope { holder, public: [5; 32], sealed: vec![1] })
                    .to_vec(),
            }),
            request_key: Some(key(9_999, KeyScope::Requests, Month(0))),
        };
        let mut envelopes: Vec<_> =
            [Command::Found(found), Command::RenewLease(Lease { epoch: 1 }), enrol(0)].map(by_node).into();
        envelopes.push(ward.by(0, Command::CreateUsers((1..people).map(new_user).collect())));
        envelopes.extend((1..people).map(|number| by_node(enrol(number))));
        let month = Month::of(Timestamp(ward.at));
        envelopes.push(by_node(Command::AddDataKey(key(KEY, KeyScope::Conversation(group()), month))));
        let create = CreateConversation {
            id: group(),
            kind: ConversationKind::Group,
            title: Vec::new(),
            history: POLICY_FROM_JOINING,
            subject: None,
            participants: (1..people).map(|number| (Principal::User(person(number)), Part::Writer)).collect(),
            key: None,
        };
        envelopes.push(ward.by(0, Command::CreateConversation(create)));
        let entry = ward.entry(envelopes);
        (ward, entry)
    }

    /// An entry with so many messages of so many sealed bytes, by one after the other.
    pub fn posts(&mut self, count: u64, bytes: usize) -> (LogId, Payload) {
        let envelopes = (0..count).map(|number| self.by(number % self.people, post(bytes))).collect();
        self.entry(envelopes)
    }

    /// The next command of one of them.
    pub fn by(&mut self, person: u64, command: Command) -> Envelope {
        let number = &mut self.numbers[usize::try_from(person).expect("few people")];
        let request =
            Request { session: SessionId(id(2, person)), number: *number, settled: *number, content: id(5, *number) };
        *number += 1;
        Envelope { origin: NODE, author: Author::Session(request), command }
    }

    /// The next entry.
    pub fn entry(&mut self, envelopes: Vec<Envelope>) -> (LogId, Payload) {
        self.index += 1;
        self.at += 5;
        let bytes = codec::encode_entry(&Entry { at: Timestamp(self.at), envelopes });
        (LogId { term: 1, node: NODE, index: self.index }, Payload::Commands(bytes.into()))
    }
}
