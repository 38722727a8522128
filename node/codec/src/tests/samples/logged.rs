//! What is in the log, and what comes of it.

use types::backup::{BackupDeed, NoteBackup};
use types::command::*;
use types::conversation::{ConversationKind, HistoryPolicy, Part, PolicyRef};
use types::identity::{
    AddSecondFactor, Attempt, LogOff, LogOffScope, Method, Refresh, RefuseSignIn, SecondProof, Settings, Source,
};
use types::key::{Holder, KeyScope, Month, NewClusterKey};
use types::presence::{Availability, Connection};
use types::record::{Action, Entity, Purpose};
use types::reply::{Answer, Field, Reject, Reply};
use types::seat::{AdmitNode, Refound};
use types::user::{PermissionSet, Realm, UserKind};
use types::{Author, Command, Entry, Envelope, EventNumber, NodeId, Principal, Request, Seq, Timestamp};
use types::{ClusterId, Lineage};

use super::*;

pub(in crate::tests) fn entry() -> Entry {
    Entry { at: AT, envelopes: envelopes().into_iter().take(2).collect() }
}

/// One envelope for every command.
pub(in crate::tests) fn envelopes() -> Vec<Envelope> {
    let request = Request { session: SESSION, number: 300, settled: 299, content: [0x49; 16] };
    let node = |command| Envelope { origin: NodeId(5), author: Author::Node, command };
    let user = |command| Envelope { origin: NodeId(6), author: Author::Session(request.clone()), command };
    let by_nodes = of_nodes().into_iter().chain(trust::of_nodes());
    let by_users = of_users().into_iter().chain(people::commands()).chain(trust::of_users());
    by_nodes.map(node).chain(by_users.map(user)).collect()
}

fn of_nodes() -> Vec<Command> {
    let confirmation =
        |delivered| Confirmation { session: SESSION, conversation: TALK, delivered: Seq(delivered), displayed: Seq(7) };
    vec![
        Command::Found(found()),
        Command::RenewLease(Lease { epoch: 3 }),
        Command::ExpireLease(NodeId(7), Lease { epoch: 2 }),
        Command::Tick,
        Command::Connections(Connections {
            epoch: 3,
            changes: vec![
                (SESSION, Connection::Active),
                (SESSION, Connection::Idle(Timestamp(0))),
                (SESSION, Connection::Gone),
            ],
        }),
        Command::Connections(Connections { epoch: 3, changes: vec![(SESSION, Connection::Used(1_500))] }),
        Command::Confirm(vec![confirmation(9), confirmation(10)]),
        Command::RaiseFeatureLevel(2),
        Command::SignIn(sign_in()),
        Command::Enrol(Enrol { code: [0x8D; 32], password: "$argon2id$".to_owned(), sign_in: sign_in() }),
        Command::MarkHead,
        Command::SignHead(SignHead { number: 4, size: 77, root: [0xC4; 32], signature: [0xC5; 64] }),
        Command::SetSigner([0xC6; 32]),
        Command::Observe(
            ONCE,
            vec![Observation {
                session: Some(SESSION),
                by: Some((ANA, PHONE)),
                action: Action::FetchMessages,
                entities: vec![Entity::Messages(TALK, Seq(41), Seq(42)), Entity::Records(7, 9)],
                refused: Some(2),
                purpose: Some(Purpose::Compliance),
                reason: Some("case 12".to_owned()),
                seen: Some(LATER),
                count: Some(101),
            }],
        ),
        Command::AddDataKey(data_key(KeyScope::Conversation(TALK))),
        Command::RewrapDataKeys(RewrapDataKeys {
            from: 1,
            to: 2,
            keys: vec![RewrappedKey { id: 5, wrapped: b"anew".to_vec() }],
        }),
        Command::RetireClusterKey(1),
        Command::NoteBackup(NoteBackup {
            deed: BackupDeed::Fail,
            records: 77,
            root: [0xC4; 32],
            bytes: 1_234,
            scheduled: true,
            reason: Some("no room".to_owned()),
        }),
        Command::Found(Found {
            cluster_key: Some(new_cluster_key()),
            request_key: Some(data_key(KeyScope::Requests)),
            ..found()
        }),
        Command::AdmitNode(AdmitNode {
            node: NodeId(10),
            disk: [0xD2; 16],
            public: [0xD1; 32],
            peer_address: "b.example:7402".to_owned(),
            client_address: "b.example:7401".to_owned(),
            envelopes: vec![(2, key_envelope(Holder::Node(NodeId(10))))],
        }),
        Command::SeatNode(NodeId(10)),
        Command::Refound(Refound { lineage: Lineage([0x6C; 16]), node: NodeId(7), at: LATER, single_copy: true }),
    ]
}

fn of_users() -> Vec<Command> {
    vec![
        Command::EndSession(SESSION),
        Command::CreateUsers(vec![new_user()]),
        Command::UpdateUser(update_user()),
        Command::DeactivateUser(BEN),
        Command::SetPassword(SetPassword { password: "$argon2id$".to_owned(), credential_version: 6 }),
        Command::IssueEnrolment(BEN, [0x9E; 32]),
        Command::CreateConversation(CreateConversation {
            id: TALK,
            kind: ConversationKind::CareTeam,
            title: b"title".to_vec(),
            history: PolicyRef { id: 2, version: 1 },
            subject: Some(PATIENT),
            participants: vec![(Principal::User(BEN), Part::Owner), (Principal::Role(DUTY), Part::Reader)],
            key: Some(data_key(KeyScope::Conversation(TALK))),
        }),
        Command::UpdateConversation(UpdateConversation {
            id: TALK,
            version: 0,
            title: Some(Vec::new()),
            history: Some(PolicyRef { id: 1, version: 3 }),
            open: Some(true),
        }),
        Command::AddParticipants(TALK, vec![(Principal::User(BEN), Part::Writer)]),
        Command::RemoveParticipant(TALK, Principal::User(BEN)),
        Command::DefinePolicy(PolicyRef { id: 9, version: 2 }, HistoryPolicy::Newest(50)),
        Command::Post(Post { conversation: TALK, location: Some(WARD), header: header(), sealed: sealed() }),
        Command::SetStatus(SetStatus {
            availability: Some(Availability::Dnd),
            text: b"text".to_vec(),
            expires: Some(LATER),
        }),
        Command::ResolveDivergence(ResolveDivergence { size: 77, root: [0xC4; 32] }),
        Command::SignIn(SignIn {
            attempt: Some(attempt()),
            key: Some([0xD1; 32]),
            methods: vec![Method::Password, Method::DeviceKey],
            second: Some(SecondProof::Totp(59_843_520)),
            ..sign_in()
        }),
        Command::RefuseSignIn(RefuseSignIn { address: Some(ADDRESS.to_vec()), ..refused(false) }),
        Command::Refresh(Refresh { session: SESSION, token: [0xB1; 32], key: [0xD1; 32], number: 9, address: None }),
        Command::AddSecondFactor(AddSecondFactor {
            secret: b"sealed".to_vec(),
            recovery: vec![[0xE1; 32], [0xE2; 32]],
            credential_version: 6,
        }),
        Command::ConfirmSecondFactor(59_843_520),
        Command::RemoveSecondFactor(BEN),
        Command::LogOff(LogOff { scope: LogOffScope::Device(PHONE), reason: "lost".to_owned() }),
        Command::ChangeSettings(Settings {
            version: 2,
            second_factor: vec![PermissionSet::Admin],
            ..Settings::default()
        }),
        Command::CreateUsers(vec![NewUser {
            sealed_name: b"name".to_vec(),
            key: Some(data_key(KeyScope::User(ANA))),
            ..new_user()
        }]),
        Command::UpdateUser(UpdateUser { sealed_name: Some(b"name".to_vec()), ..update_user() }),
        Command::RotateClusterKey(new_cluster_key(), vec![Holder::Node(NodeId(6))]),
        Command::ApproveHolder(ApproveHolder {
            holder: Holder::Node(NodeId(9)),
            public: [0xD1; 32],
            envelopes: vec![(2, key_envelope(Holder::Node(NodeId(9))))],
        }),
        Command::ConfirmClock(LATER),
    ]
}

pub(super) fn attempt() -> Attempt {
    Attempt { login: [0x10; 16], source: Source::Device(PHONE) }
}

fn found() -> Found {
    Found {
        cluster: ClusterId([0x5A; 16]),
        lineage: Lineage([0x6B; 16]),
        name: "St. Elsewhere".to_owned(),
        feature_level: 1,
        admin: new_user(),
        audit_keys: vec![[0xC1; 32], [0xC2; 32], [0xC3; 32]],
        cluster_key: None,
        request_key: None,
    }
}

fn update_user() -> UpdateUser {
    UpdateUser {
        id: BEN,
        version: 4,
        display_name: Some("Ben".to_owned()),
        unit: Some(String::new()),
        words: Some(vec!["ben".to_owned()]),
        external_ids: Some(Vec::new()),
        may_message: Some(false),
        permissions: Some(vec![PermissionSet::Helpdesk]),
        sealed_name: None,
    }
}

fn new_user() -> NewUser {
    NewUser {
        id: ANA,
        kind: UserKind::Person,
        realm: Realm::Partner,
        login: "ana".to_owned(),
        display_name: "Ana Å".to_owned(),
        unit: "Ward 3".to_owned(),
        words: vec!["ana".to_owned(), "ward".to_owned()],
        external_ids: vec![external_id()],
        may_message: true,
        permissions: vec![PermissionSet::Admin, PermissionSet::Viewer],
        enrolment: Some([0xAF; 32]),
        sealed_name: Vec::new(),
        key: None,
    }
}

fn data_key(scope: KeyScope) -> AddDataKey {
    AddDataKey { id: 5, scope, month: Month(682), version: 1, wrapped: b"wrapped".to_vec() }
}

pub(super) const ONCE: Once = Once { epoch: 3, number: 12, settled: 11 };

pub(super) fn new_cluster_key() -> NewClusterKey {
    let envelopes = vec![key_envelope(Holder::Recovery), key_envelope(Holder::Node(NodeId(5)))];
    NewClusterKey { version: 2, check: [0xC2; 32], envelopes }
}

/// A sealed network address.
const ADDRESS: &[u8] = b"sealed address";

pub(super) fn refused(pin: bool) -> RefuseSignIn {
    RefuseSignIn { user: Some(ANA), attempt: attempt(), pin, once: ONCE, address: None }
}

fn sign_in() -> SignIn {
    SignIn {
        user: ANA,
        session: SESSION,
        token: [0xB0; 32],
        device: PHONE,
        credential_version: 6,
        rehashed: Some("$argon2id$v=19$".to_owned()),
        attempt: None,
        key: None,
        methods: Vec::new(),
        second: None,
        address: None,
    }
}

/// One answer for every reply and every refusal.
pub(in crate::tests) fn answers() -> Vec<Answer> {
    let replies = [
        Reply::Done,
        Reply::Posted { seq: Seq(41), at: AT },
        Reply::SignedIn {
            user: ANA,
            session: SESSION,
            device: PHONE,
            expires: LATER,
            next_number: 1,
            token_expires: Timestamp(0),
        },
        Reply::Conversation { id: TALK, created: true },
        Reply::Users(vec![ANA, BEN]),
        Reply::Version(5),
        Reply::Recorded(78),
        Reply::SignedIn {
            user: ANA,
            session: SESSION,
            device: PHONE,
            expires: LATER,
            next_number: 1,
            token_expires: AT,
        },
        Reply::PasswordReset,
        Reply::LoggedOff(ANA),
        Reply::Refreshed { token_expires: AT, expires: LATER },
        Reply::DataKey(5),
        Reply::Emergency(3),
        Reply::PinReset,
        Reply::PartEnded,
    ];
    let rejects = [
        Reject::NoSession,
        Reject::NotFound,
        Reject::NotPermitted,
        Reject::RequestIdReused,
        Reject::DedupExpired,
        Reject::WindowExceeded,
        Reject::Taken(0),
        Reject::Invalid(Field::Mentions),
        Reject::Limit(Field::Batch),
        Reject::VersionMismatch(8),
        Reject::ConversationClosed,
        Reject::BadCode,
        Reject::CredentialChanged,
        Reject::Deactivated,
        Reject::NotEntitled,
        Reject::WrongPhase,
        Reject::LeaseOver,
        Reject::StateDiverged,
        Reject::LockedOut(30_000),
        Reject::BadProof,
        Reject::SecondFactorNeeded,
        Reject::BadSecondFactor,
        Reject::UnknownKey,
        Reject::SessionLocked,
        Reject::PinBlocked,
        Reject::MethodNotTaken,
        Reject::EmergencyState,
        Reject::ProofTooOld,
        Reject::Limit(Field::Emergency),
        Reject::CertificateInUse(NodeId(6)),
        Reject::MajorityCutOff,
        Reject::Invalid(Field::Certificate),
    ];
    let results = replies.into_iter().map(Ok).chain(rejects.into_iter().map(Err));
    results.map(|result| Answer { result, cursor: EventNumber(1_000) }).collect()
}
