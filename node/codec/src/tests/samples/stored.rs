//! Rows and keys.

use types::backup::Backup;
use types::conversation::{
    Cause, Conversation, ConversationKind, HistoryPolicy, Interval, Part, Participant, PolicyRef,
};
use types::identity::{Failing, Failures, Method, Reset, SecondFactor, Settings, Source};
use types::key::{ClusterKey, DataKey, Holder, HolderKey, KeyScope, Month};
use types::message::{Message, Sender};
use types::presence::{Availability, NodeLease, Status};
use types::record::{Action, Agent, Entity, Purpose, Record, Result as RecordResult};
use types::row::{
    ClockHold, Cluster, Divergence, Head, HeadSignature, Heads, KeptAnswer, NodeNumbers, Signer, StoredEvent, Timer,
};
use types::seat::{Refounding, Seat};
use types::session::{Attachment, Device, Receipt, Refusals, Session, SessionEnd, SessionState};
use types::user::{Credential, PermissionSet, Realm, User, UserKind, UserState};
use types::{ClusterId, EventBody, EventNumber, Key, Lineage, NodeId, Principal, Row, Scope, Seq, Table, Timestamp};

use super::logged::answers;
use super::*;

/// Rows of this table, more than one where there are kinds of them.
pub(in crate::tests) fn rows(table: Table) -> Vec<Row> {
    match table {
        Table::Cluster => vec![Row::Cluster(cluster())],
        Table::Heads => vec![Row::Heads(Heads {
            clock: AT,
            event: EventNumber(1_000),
            events_dropped: EventNumber(900),
            records: 77,
            hold: Some(ClockHold { before: AT, after: LATER, until: Timestamp(LATER.0 + 1) }),
        })],
        Table::User => {
            let named = User { sealed_name: b"name".to_vec(), ..user(UserState::Active) };
            user_states().into_iter().map(user).chain([named]).map(Row::User).collect()
        }
        Table::Login => vec![Row::Login(ANA)],
        Table::Word => vec![Row::Word(())],
        Table::Credential => vec![
            credential(None),
            credential(Some(Reset { by: BEN, at: AT })),
            with_second_factor(),
            people::with_pin(),
        ],
        Table::Device => {
            vec![Row::Device(device()), Row::Device(Device { key: Some([0xD1; 32]), proofs: 9, ..device() })]
        }
        Table::UserDevice => vec![Row::UserDevice(())],
        Table::Answer => answers()
            .into_iter()
            .take(2)
            .map(|answer| Row::Answer(KeptAnswer { content: [0x49; 16], answer }))
            .collect(),
        Table::Session => {
            session_states().into_iter().map(session).chain([proven(), at_a_place()]).map(Row::Session).collect()
        }
        Table::UserSession => vec![Row::UserSession(())],
        Table::Attached => vec![Row::Attached(())],
        Table::Conversation => vec![Row::Conversation(conversation())],
        Table::Direct => vec![Row::Direct(TALK)],
        Table::Participant => vec![Row::Participant(participant())],
        Table::Participation => vec![Row::Participation(false), Row::Participation(true)],
        Table::Message => vec![Row::Message(message())],
        Table::Receipt => vec![Row::Receipt(Receipt {
            delivered: Seq(41),
            delivered_at: AT,
            displayed: Seq(40),
            displayed_at: LATER,
        })],
        Table::ConversationEvent => {
            bodies().into_iter().map(|body| Row::ConversationEvent(StoredEvent { at: AT, body })).collect()
        }
        Table::UserEvent => vec![Row::UserEvent(StoredEvent { at: AT, body: EventBody::UserChanged })],
        Table::EventScope => {
            vec![Row::EventScope((Scope::Conversation(TALK), AT)), Row::EventScope((Scope::User(ANA), LATER))]
        }
        Table::Status => vec![Row::Status(Status {
            availability: Some(Availability::Away),
            text: b"text".to_vec(),
            expires: Some(LATER),
            set: AT,
        })],
        Table::NodeLease => vec![Row::NodeLease(NodeLease { epoch: 3, expired: Some(AT) })],
        Table::Timer => vec![Row::Timer(())],
        Table::Policy => {
            [HistoryPolicy::FromJoining, HistoryPolicy::Everything, HistoryPolicy::Newest(0)].map(Row::Policy).to_vec()
        }
        Table::Record => records().into_iter().map(Row::Record).collect(),
        Table::ParticipationCount => vec![Row::ParticipationCount(0), Row::ParticipationCount(200)],
        Table::UserWord => vec![Row::UserWord(())],
        Table::TreeNode => vec![Row::TreeNode([0xC7; 32])],
        Table::Head => vec![Row::Head(Head {
            marked: AT,
            number: 3,
            signatures: vec![HeadSignature { node: NodeId(5), root: [0xC4; 32], signature: [0xC5; 64] }],
            sealed: Some(LATER),
            decided: Some([0xC4; 32]),
        })],
        Table::Signer => vec![Row::Signer(Signer { key: [0xC6; 32], since: 0, until: Some(78) })],
        Table::Divergence => vec![Row::Divergence(Divergence { size: 77, since: AT })],
        Table::Failures => vec![Row::Failures(Failures {
            sources: vec![
                Failing { source: Source::Device(PHONE), count: 2, last: AT },
                Failing { source: Source::Address([0x77; 16]), count: 6, last: LATER },
            ],
            strange: 6,
            strange_last: LATER,
        })],
        Table::FailuresCount => vec![Row::FailuresCount(3)],
        Table::NodeNumbers => vec![Row::NodeNumbers(NodeNumbers { epoch: 3, settled: 11, done: vec![11, 13] })],
        Table::Settings => {
            let first = Settings { version: 2, second_factor: vec![PermissionSet::Admin], ..Settings::default() };
            vec![Row::Settings(first), Row::Settings(people::settings())]
        }
        Table::Emergency => people::emergencies(),
        Table::EmergencyOpen => vec![Row::EmergencyOpen(())],
        Table::EmergencyGrant => vec![Row::EmergencyGrant(3)],

        Table::DataKey => [KeyScope::Conversation(TALK), KeyScope::User(PATIENT), KeyScope::Addresses]
            .map(|scope| {
                let wrapped = b"wrapped".to_vec();
                Row::DataKey(DataKey { scope, month: Month(682), version: 2, created: AT, wrapped })
            })
            .to_vec(),
        Table::ScopeKey => vec![Row::ScopeKey(5)],
        Table::ClusterKey => {
            vec![Row::ClusterKey(ClusterKey { check: [0xC2; 32], created: AT, data_keys: 3, retired: Some(LATER) })]
        }
        Table::KeyEnvelope => vec![Row::KeyEnvelope(key_envelope(Holder::Recovery))],
        Table::KeyHolder => vec![Row::KeyHolder(HolderKey { public: [0xD1; 32], since: AT })],

        Table::NodeCertificates => vec![trust::node_certificates()],
        Table::Revoked => vec![trust::revoked()],
        Table::KitProposal => vec![trust::proposal()],
        Table::FormerKit => vec![trust::former_kit()],

        Table::Seat => vec![Row::Seat(Seat {
            disk: [0xD2; 16],
            public: [0xD1; 32],
            peer_address: "b.example:7402".to_owned(),
            client_address: "b.example:7401".to_owned(),
            admitted: AT,
            seated: Some(LATER),
            replaced: None,
        })],
        Table::Refounding => vec![Row::Refounding(Refounding {
            before: Lineage([0x6B; 16]),
            last: AT,
            at: LATER,
            node: NodeId(7),
            single_copy: true,
            records: 77,
        })],

        Table::Backup => vec![Row::Backup(Backup {
            made: Some(AT),
            records: 77,
            bytes: 1_234,
            verified: Some(LATER),
            failed: Some(Timestamp(7)),
            reason: Some("no room".to_owned()),
        })],
    }
}

/// Keys of this table, more than one where there are kinds of them.
pub(in crate::tests) fn keys(table: Table) -> Vec<Key> {
    let attachment = Attachment { node: NodeId(5), epoch: 3 };
    let (ben, duty) = (Principal::User(BEN), Principal::Role(DUTY));
    match table {
        Table::Cluster => vec![Key::Cluster()],
        Table::Heads => vec![Key::Heads()],
        Table::User => vec![Key::User(ANA)],
        Table::Login => vec![Key::Login("ana".to_owned())],
        Table::Word => vec![Key::Word("å\0b".to_owned(), ANA), Key::Word(String::new(), ANA)],
        Table::Credential => vec![Key::Credential(ANA)],
        Table::Device => vec![Key::Device(PHONE)],
        Table::UserDevice => vec![Key::UserDevice(ANA, PHONE)],
        Table::Answer => vec![Key::Answer(PHONE, 300)],
        Table::Session => vec![Key::Session(SESSION)],
        Table::UserSession => vec![Key::UserSession(ANA, SESSION)],
        Table::Attached => vec![Key::Attached(attachment, SESSION)],
        Table::Conversation => vec![Key::Conversation(TALK)],
        Table::Direct => vec![Key::Direct(ANA, BEN)],
        Table::Participant => vec![Key::Participant(TALK, ben), Key::Participant(TALK, duty)],
        Table::Participation => vec![Key::Participation(ben, TALK), Key::Participation(duty, TALK)],
        Table::Message => vec![Key::Message(TALK, Seq(41))],
        Table::Receipt => vec![Key::Receipt(TALK, ben, PHONE)],
        Table::ConversationEvent => vec![Key::ConversationEvent(TALK, EventNumber(1_000))],
        Table::UserEvent => vec![Key::UserEvent(ANA, EventNumber(1_001))],
        Table::EventScope => vec![Key::EventScope(EventNumber(1_000))],
        Table::Status => vec![Key::Status(ANA)],
        Table::NodeLease => vec![Key::NodeLease(NodeId(5))],
        Table::Timer => [
            Timer::SessionExpiry(SESSION),
            Timer::AnswersExpiry(PHONE),
            Timer::StatusExpiry(ANA),
            Timer::GraceEnd(attachment),
            Timer::EventsExpiry,
            Timer::FailuresFade([0x10; 16]),
            Timer::LogOff(SESSION),
            Timer::IdleDue(SESSION),
            Timer::TimesChanged(SESSION),
            Timer::EmergencyEnd(3),
            Timer::KitLapse,
        ]
        .map(|timer| Key::Timer(AT, timer))
        .to_vec(),
        Table::Policy => vec![Key::Policy(9, 2)],
        Table::Record => vec![Key::Record(77)],
        Table::ParticipationCount => vec![Key::ParticipationCount(ben)],
        Table::UserWord => vec![Key::UserWord(ANA, "å\0b".to_owned())],
        Table::TreeNode => vec![Key::TreeNode(3, 77)],
        Table::Head => vec![Key::Head(77)],
        Table::Signer => vec![Key::Signer(NodeId(5))],
        Table::Divergence => vec![Key::Divergence()],
        Table::Failures => vec![Key::Failures([0x10; 16])],
        Table::FailuresCount => vec![Key::FailuresCount()],
        Table::NodeNumbers => vec![Key::NodeNumbers(NodeId(5))],
        Table::Settings => vec![Key::Settings()],
        Table::Emergency => vec![Key::Emergency(3)],
        Table::EmergencyOpen => vec![Key::EmergencyOpen(3)],
        Table::EmergencyGrant => vec![Key::EmergencyGrant(ANA)],

        Table::DataKey => vec![Key::DataKey(5)],
        Table::ScopeKey => [KeyScope::Conversation(TALK), KeyScope::User(PATIENT), KeyScope::Addresses]
            .map(|scope| Key::ScopeKey(scope, Month(682)))
            .to_vec(),
        Table::ClusterKey => vec![Key::ClusterKey(2)],
        Table::KeyEnvelope => vec![Key::KeyEnvelope(2, Holder::Recovery), Key::KeyEnvelope(2, Holder::Node(NodeId(5)))],
        Table::KeyHolder => vec![Key::KeyHolder(Holder::Recovery), Key::KeyHolder(Holder::Node(NodeId(5)))],

        Table::Seat => vec![Key::Seat(NodeId(10))],
        Table::Refounding => vec![Key::Refounding()],
        Table::Backup => vec![Key::Backup(NodeId(5))],

        Table::NodeCertificates => vec![Key::NodeCertificates(NodeId(5))],
        Table::Revoked => vec![Key::Revoked(trust::SERIAL)],
        Table::KitProposal => vec![Key::KitProposal()],
        Table::FormerKit => vec![Key::FormerKit(1)],
    }
}

fn cluster() -> Cluster {
    Cluster {
        id: ClusterId([0x5A; 16]),
        lineage: Lineage([0x6B; 16]),
        name: "St. Elsewhere".to_owned(),
        feature_level: 1,
        founded: AT,
    }
}

fn user_states() -> [UserState; 2] {
    [UserState::Active, UserState::Deactivated(LATER)]
}

fn user(state: UserState) -> User {
    User {
        id: ANA,
        kind: UserKind::Service,
        realm: Realm::Staff,
        login: "ana".to_owned(),
        display_name: "Ana Å".to_owned(),
        unit: "Ward 3".to_owned(),
        external_ids: vec![external_id()],
        may_message: true,
        permissions: vec![PermissionSet::Auditor, PermissionSet::Integrator],
        created: AT,
        state,
        version: 4,
        sealed_name: Vec::new(),
    }
}

fn session_states() -> Vec<SessionState> {
    let ends = [
        SessionEnd::SignedOut,
        SessionEnd::Ended,
        SessionEnd::Expired,
        SessionEnd::Revoked,
        SessionEnd::LoggedOff,
        SessionEnd::TappedOut,
        SessionEnd::Idle,
    ];
    let ended = ends.map(|end| SessionState::Ended(LATER, end));
    [SessionState::Active, SessionState::Locked].into_iter().chain(ended).collect()
}

fn session(state: SessionState) -> Session {
    Session {
        id: SESSION,
        user: ANA,
        device: PHONE,
        token: [0xB0; 32],
        state,
        created: AT,
        expires: LATER,
        attached: Some(Attachment { node: NodeId(5), epoch: 3 }),
        idle_since: Some(Timestamp(0)),
        last_seen: Timestamp(AT.0 + 1),
        authenticated: Timestamp(0),
        methods: Vec::new(),
        token_expires: Timestamp(0),
        previous: None,
        ends: Timestamp(0),
        active: Timestamp(0),
        idle_due: None,
        place: None,
        part: None,
        idle_ms: 0,
        address: None,
        refusals: None,
    }
}

fn proven() -> Session {
    Session {
        authenticated: AT,
        methods: vec![Method::Password, Method::Code],
        token_expires: LATER,
        address: Some(b"sealed address".to_vec()),
        previous: Some(([0xB1; 32], AT)),
        ends: LATER,
        ..session(SessionState::Active)
    }
}

fn at_a_place() -> Session {
    Session {
        active: AT,
        idle_due: Some(LATER),
        place: Some(people::place()),
        part: Some(SESSION),
        idle_ms: 86_400_000,
        refusals: Some(Refusals { minute: 29_000_000, count: 101 }),
        ..session(SessionState::Active)
    }
}

fn credential(reset: Option<Reset>) -> Row {
    let password = Some("$argon2id$".to_owned());
    Row::Credential(Credential {
        password,
        enrolment: Some(([0xAF; 32], LATER)),
        version: 6,
        reset,
        ..Credential::default()
    })
}

fn with_second_factor() -> Row {
    let second =
        SecondFactor { secret: b"sealed".to_vec(), confirmed: true, last_step: 59_843_520, recovery: vec![[0xE1; 32]] };
    Row::Credential(Credential { second: Some(second), version: 7, ..Credential::default() })
}

fn device() -> Device {
    Device { id: PHONE, user: ANA, settled: 299, highest: 301, last_write: LATER, created: AT, key: None, proofs: 0 }
}

fn conversation() -> Conversation {
    Conversation {
        id: TALK,
        kind: ConversationKind::Channel,
        title: b"title".to_vec(),
        created_by: ANA,
        created: AT,
        last_seq: Seq(41),
        last_at: LATER,
        last_event: EventNumber(1_000),
        participants: 12,
        history: PolicyRef { id: 2, version: 1 },
        subject: Some(PATIENT),
        open: true,
        version: 3,
    }
}

fn participant() -> Participant {
    let closed = Interval {
        from: Seq(1),
        to: Some(Seq(9)),
        from_event: EventNumber(10),
        to_event: Some(EventNumber(20)),
        cause: Cause::Joined,
    };
    let open = Interval { from: Seq(15), to: None, from_event: EventNumber(30), to_event: None, ..closed };
    Participant { part: Some(Part::Writer), intervals: vec![closed, open], displayed: Seq(40), joined: AT }
}

fn message() -> Message {
    let sender = Sender { user: ANA, acting_role: Some(DUTY), location: Some(WARD), service: Some(BEN), device: PHONE };
    Message { seq: Seq(41), at: AT, event: EventNumber(1_000), sender, header: header(), sealed: sealed() }
}

fn bodies() -> Vec<EventBody> {
    vec![
        EventBody::Posted(Seq(41)),
        EventBody::Confirmed {
            principal: Principal::User(BEN),
            device: PHONE,
            conversation: TALK,
            delivered: Seq(41),
            displayed: Seq(40),
        },
        EventBody::Added(Principal::Role(DUTY)),
        EventBody::Removed(Principal::User(BEN)),
        EventBody::ConversationChanged,
        EventBody::Joined(TALK),
        EventBody::Left(TALK),
        EventBody::SessionEnded(SESSION),
        EventBody::UserChanged,
        EventBody::PasswordReset(BEN),
        EventBody::SessionLocked(SESSION),
        EventBody::SessionUnlocked(SESSION),
        EventBody::PinCleared(BEN),
    ]
}

/// A record of each action, and of each purpose.
pub(in crate::tests) fn records_of_each_action() -> Vec<Record> {
    let purposes =
        [Purpose::Treatment, Purpose::Emergency, Purpose::Operations, Purpose::Compliance, Purpose::BreakGlass];
    let of = |action: &Action, purpose| {
        let agent = Agent::User { user: ANA, acting_role: None, device: PHONE, session: SESSION };
        Record { purpose, ..Record::new(AT, NodeId(6), agent, *action, vec![Entity::User(BEN)]) }
    };
    let of_purposes = purposes.map(|purpose| of(&Action::Look, Some(purpose)));
    Action::ALL.iter().map(|action| of(action, None)).chain(of_purposes).collect()
}

fn records() -> Vec<Record> {
    let done = Record {
        at: AT,
        origin: NodeId(6),
        agent: Agent::User { user: ANA, acting_role: Some(DUTY), device: PHONE, session: SESSION },
        action: Action::Post,
        entities: vec![
            Entity::Messages(TALK, Seq(41), Seq(42)),
            Entity::User(BEN),
            Entity::Session(SESSION),
            Entity::Conversation(TALK),
            Entity::Policy(9),
            Entity::Node(NodeId(7)),
        ],
        result: RecordResult::Done,
        commitment: Some([0x5C; 32]),
        location: None,
        request: None,
        policy: None,
        purpose: None,
        reason: None,
        count: None,
        seen: None,
        address: Vec::new(),
    };
    let refused = Record {
        agent: Agent::Unknown,
        action: Action::SignIn,
        address: b"sealed address".to_vec(),
        entities: Vec::new(),
        result: RecordResult::Refused(12),
        commitment: None,
        ..done.clone()
    };
    let founded = Record { agent: Agent::Cluster, action: Action::Found, ..done.clone() };
    let full = Record {
        action: Action::RevealMessage,
        entities: vec![Entity::Head(77), Entity::Signer(NodeId(5), [0xC6; 32]), Entity::Records(7, 9)],
        location: Some(WARD),
        request: Some(300),
        policy: Some(PolicyRef { id: 2, version: 1 }),
        purpose: Some(Purpose::Emergency),
        reason: Some("case 12".to_owned()),
        count: Some(101),
        seen: Some(LATER),
        ..done.clone()
    };
    let emergency = Record {
        action: Action::OpenEmergency,
        entities: vec![Entity::Emergency(3)],
        purpose: Some(Purpose::BreakGlass),
        ..done.clone()
    };
    let kit = Record {
        action: Action::ProposeKit,
        entities: vec![Entity::RecoveryKit([0xD3; 32]), Entity::Certificate(trust::SERIAL)],
        ..done.clone()
    };
    vec![done, refused, founded, full, emergency, kit]
}
