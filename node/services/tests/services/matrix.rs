//! Every call against everyone: what a session, a permission set or a part in a conversation is good for.
//!
//! The calls come from the descriptors: one without a line here fails the test. So does a line without its call.

use std::time::Duration;

use futures::stream;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use proto::v1::*;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use crate::world::{PASSWORD, Person, World, outgoing, participant, reason};

/// The columns of the table.
const CALLERS: [&str; 11] = [
    "nobody",
    "person",
    "member",
    "location",
    "helpdesk",
    "integrator",
    "auditor",
    "viewer",
    "admin",
    "keyholder",
    "locked",
];

/// One call: its body, and what becomes of it for each caller.
///
/// `y` it is answered; `*` it is refused for what it says, not for who says it; `-` no session; `n` not permitted;
/// `h` answered as what does not exist; `l` the session is locked: as `member`'s is, but for that.
struct Line {
    call: &'static str,
    body: fn(&Caller) -> Vec<u8>,
    decisions: &'static str,
}

/// Someone, and what they try it on.
struct Caller {
    name: &'static str,
    person: Option<Person>,
    /// Another user, signed in, without permission sets.
    victim: Person,
    /// Another user, not signed in.
    gone: String,
    /// A group in which only `member` and `extra` take part; `member` owns it.
    ward: String,
    extra: String,
}

impl Caller {
    fn id(&self) -> Option<RequestId> {
        self.person.as_ref().map_or(Some(RequestId { number: 1, settled: 1 }), Person::id)
    }

    fn login(&self, prefix: &str) -> User {
        User { login: format!("{prefix}-{}", self.name), display_name: "New".into(), ..User::default() }
    }
}

macro_rules! line {
    ($call:literal, $decisions:literal, $caller:ident => $body:expr) => {
        Line { call: $call, body: |$caller| $body.encode_to_vec(), decisions: $decisions }
    };
}

/// Who may do what. Columns as in `CALLERS`.
#[rustfmt::skip]
fn table() -> Vec<Line> {
    vec![
        //                                                            nob per mem loc hel int aud vie adm key loc
        line!("SessionService/SignIn",                               "*   *   *   *   *   *   *   *   *   *   *", _c => SignInRequest { login: "nobody".into(), password: "not the one".into(), ..SignInRequest::default() }),
        line!("SessionService/Enrol",                                "*   *   *   *   *   *   *   *   *   *   *", _c => EnrolRequest { login: "nobody".into(), code: "0000-0000-0000-0000".into(), password: PASSWORD.into(), ..EnrolRequest::default() }),
        line!("SessionService/RefreshSession",                       "*   *   *   *   *   *   *   *   *   *   *", c => RefreshSessionRequest { session: c.victim.session.clone(), number: 1, signature: vec![0; 64] }),
        line!("SessionService/GetSelf",                              "-   y   y   y   y   y   y   y   y   y   y", _c => GetSelfRequest::default()),
        line!("SessionService/ListSessions",                         "-   n   n   n   y   n   n   n   y   n   l", c => ListSessionsRequest { parent: c.victim.name.clone(), read: None }),
        line!("DirectoryService/CreateUser",                         "-   n   n   n   n   y   n   n   y   n   l", c => CreateUserRequest { user: Some(c.login("one")), without_enrolment_code: false, request_id: c.id() }),
        line!("DirectoryService/BatchCreateUsers",                   "-   n   n   n   n   y   n   n   y   n   l", c => BatchCreateUsersRequest { users: vec![c.login("many")], without_enrolment_codes: true, request_id: c.id() }),
        line!("DirectoryService/GetUser",                            "-   y   y   y   y   y   y   y   y   y   l", c => GetUserRequest { name: c.victim.name.clone(), read: None }),
        line!("DirectoryService/BatchGetUsers",                      "-   y   y   y   y   y   y   y   y   y   l", c => BatchGetUsersRequest { names: vec![c.victim.name.clone()], read: None }),
        line!("DirectoryService/ListUsers",                          "-   y   y   y   y   y   y   y   y   y   l", _c => ListUsersRequest::default()),
        line!("DirectoryService/SearchUsers",                        "-   y   y   y   y   y   y   y   y   y   l", _c => SearchUsersRequest { query: "vic".into(), page_size: 0, read: None }),
        line!("DirectoryService/UpdateUser",                         "-   n   n   n   n   y   n   n   y   n   l", c => UpdateUserRequest { user: Some(User { name: c.victim.name.clone(), display_name: "Other".into(), ..User::default() }), update_paths: vec!["display_name".into()], request_id: c.id() }),
        line!("DirectoryService/SetPassword",                        "-   *   *   *   *   *   *   *   *   *   l", c => SetPasswordRequest { old_password: "not the one".into(), new_password: PASSWORD.into(), request_id: c.id() }),
        line!("DirectoryService/CreateEnrolmentCode",                "-   n   n   n   y   y   n   n   y   n   l", c => CreateEnrolmentCodeRequest { name: c.gone.clone(), request_id: c.id() }),
        line!("DirectoryService/DeactivateUser",                     "-   n   n   n   n   y   n   n   y   n   l", c => DeactivateUserRequest { name: c.gone.clone(), request_id: c.id() }),
        // No permission set shows content: an administrator is told what a stranger is told.
        line!("ConversationService/CreateConversation",              "-   y   y   y   y   y   y   y   y   y   l", c => CreateConversationRequest { conversation: Some(Conversation { kind: ConversationKind::Group.into(), title: "Own".into(), ..Conversation::default() }), participants: vec![], request_id: c.id() }),
        line!("ConversationService/GetConversation",                 "-   h   y   h   h   h   h   h   h   h   l", c => GetConversationRequest { name: c.ward.clone(), read: None }),
        line!("ConversationService/ListConversations",               "-   y   y   y   y   y   y   y   y   y   l", _c => ListConversationsRequest::default()),
        line!("ConversationService/UpdateConversation",              "-   h   y   h   h   h   h   h   h   h   l", c => UpdateConversationRequest { conversation: Some(Conversation { name: c.ward.clone(), title: "Ward 4".into(), ..Conversation::default() }), update_paths: vec!["title".into()], request_id: c.id() }),
        line!("ConversationService/AddParticipants",                 "-   h   y   h   h   h   h   h   h   h   l", c => AddParticipantsRequest { name: c.ward.clone(), participants: vec![participant(&c.victim.name)], request_id: c.id() }),
        line!("ConversationService/RemoveParticipant",               "-   h   y   h   h   h   h   h   h   h   l", c => RemoveParticipantRequest { name: c.ward.clone(), user: c.extra.clone(), request_id: c.id() }),
        line!("ConversationService/ListParticipants",                "-   h   y   h   h   h   h   h   h   h   l", c => ListParticipantsRequest { name: c.ward.clone(), ..ListParticipantsRequest::default() }),
        line!("ConversationService/CreateHistoryPolicy",             "-   n   n   n   n   n   n   n   y   n   l", c => CreateHistoryPolicyRequest { r#ref: Some(HistoryPolicyRef { id: 9, version: 1 }), policy: Some(HistoryPolicy { shows: Some(history_policy::Shows::Newest(5)) }), request_id: c.id() }),
        line!("MessageService/SendMessage",                          "-   h   y   h   h   h   h   h   h   h   l", c => SendMessageRequest { message: Some(outgoing(&c.ward, b"K 4.1")), request_id: c.id() }),
        line!("MessageService/StreamMessages",                       "-   y   y   y   y   y   y   y   y   y   l", c => StreamMessagesRequest { message: Some(outgoing(&c.ward, b"K 4.2")), request_id: c.id() }),
        line!("MessageService/ListMessages",                         "-   h   y   h   h   h   h   h   h   h   l", c => ListMessagesRequest { parent: c.ward.clone(), ..ListMessagesRequest::default() }),
        line!("MessageService/GetMessage",                           "-   h   y   h   h   h   h   h   h   h   l", c => GetMessageRequest { name: format!("{}/messages/1", c.ward), read: None }),
        line!("MessageService/ConfirmMessages",                      "-   h   y   h   h   h   h   h   h   h   l", c => ConfirmMessagesRequest { confirmations: vec![Confirmation { conversation: c.ward.clone(), delivered_seq: 1, displayed_seq: 0 }] }),
        line!("MessageService/ListReceipts",                         "-   h   y   h   h   h   h   h   h   h   l", c => ListReceiptsRequest { parent: format!("{}/messages/1", c.ward), ..ListReceiptsRequest::default() }),
        line!("PresenceService/SetPresence",                         "-   y   y   y   y   y   y   y   y   y   l", c => SetPresenceRequest { state: PresenceState::Busy.into(), request_id: c.id(), ..SetPresenceRequest::default() }),
        line!("PresenceService/BatchGetPresence",                    "-   y   y   y   y   y   y   y   y   y   l", c => BatchGetPresenceRequest { users: vec![c.victim.name.clone()], read: None }),
        line!("PresenceService/ReportActivity",                      "-   y   y   y   y   y   y   y   y   y   l", _c => ReportActivityRequest::default()),
        line!("PresenceService/SendTyping",                          "-   h   y   h   h   h   h   h   h   h   l", c => SendTypingRequest { conversation: c.ward.clone() }),
        line!("SyncService/Sync",                                    "-   y   y   y   y   y   y   y   y   y   y", _c => SyncRequest::default()),
        line!("ClusterService/GetClusterStatus",                     "-   n   n   n   n   n   y   y   y   n   l", _c => GetClusterStatusRequest::default()),
        line!("ClockService/ConfirmClock",                           "-   n   n   n   n   n   n   n   h   n   l", c => ConfirmClockRequest { step_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }), request_id: c.id() }),
        line!("AuditService/ListRecords",                            "-   n   n   n   n   n   y   n   n   n   l", _c => ListRecordsRequest::default()),
        line!("AuditService/GetHead",                                "-   n   n   n   n   n   y   n   n   n   l", _c => GetHeadRequest::default()),
        line!("AuditService/ProveMessage",                           "-   n   n   n   n   n   *   n   n   n   l", c => ProveMessageRequest { name: format!("{}/messages/1", c.ward), ..ProveMessageRequest::default() }),
        line!("AuditService/ProveConsistency",                       "-   n   n   n   n   n   *   n   n   n   l", _c => ProveConsistencyRequest { old_size: 1, new_size: 0 }),
        line!("AuditService/ExportRecords",                          "-   n   n   n   n   n   *   n   n   n   l", _c => ExportRecordsRequest::default()),
        line!("AuditService/ResolveDivergence",                      "-   n   n   n   n   n   n   n   h   n   l", c => ResolveDivergenceRequest { size: 1, root: vec![0; 32], request_id: c.id() }),
        line!("SecurityService/CreateTotp",                          "-   *   *   *   *   *   *   *   *   *   l", c => CreateTotpRequest { password: "not the one".into(), request_id: c.id() }),
        line!("SecurityService/ConfirmTotp",                         "-   h   h   h   h   h   h   h   h   h   l", c => ConfirmTotpRequest { code: "123456".into(), request_id: c.id() }),
        // Nobody of those it is tried on has any: who may take it away is told that, the others nothing.
        line!("SecurityService/DeleteTotp",                          "-   n   n   n   h   n   n   n   h   n   l", c => DeleteTotpRequest { name: c.victim.name.clone(), password: String::new(), request_id: c.id() }),
        line!("SecurityService/GetSettings",                         "-   n   n   n   y   n   y   y   y   n   l", _c => GetSettingsRequest::default()),
        line!("SecurityService/UpdateSettings",                      "-   n   n   n   n   n   n   n   y   n   l", c => UpdateSettingsRequest { settings: Some(Settings::default()), request_id: c.id() }),
        line!("KeyService/ListKeys",                                 "-   n   n   n   n   n   y   y   y   n   l", _c => ListKeysRequest::default()),
        line!("KeyService/GetRecoveryEnvelope",                      "-   n   n   n   n   n   n   n   y   n   l", _c => GetRecoveryEnvelopeRequest {}),
        line!("KeyService/ApproveKeyHolder",                         "-   n   n   n   n   n   n   n   *   n   l", c => ApproveKeyHolderRequest { node: "z9".into(), public_key: String::new(), request_id: c.id() }),
        line!("KeyService/RotateClusterKey",                         "-   n   n   n   n   n   n   n   y   n   l", c => RotateClusterKeyRequest { request_id: c.id() }),
        line!("LockService/LockSession",                             "-   h   h   h   h   h   h   h   h   h   l", c => LockSessionRequest { name: c.victim.session.clone(), request_id: c.id() }),
        line!("LockService/UnlockSession",                           "-   *   *   *   *   *   *   *   *   *   *", c => UnlockSessionRequest { proof: Some(unlock_session_request::Proof::Password("not the one".into())), request_id: c.id() }),
        line!("PlaceService/TapIn",                                  "-   n   n   *   n   n   n   n   n   n   l", _c => TapInRequest { login: "nobody".into(), secret: Some(tap_in_request::Secret::Pin("473920".into())), code: String::new() }),
        line!("PlaceService/TapOut",                                 "-   n   n   y   n   n   n   n   n   n   l", c => TapOutRequest { request_id: c.id() }),
        line!("PlaceService/SetPin",                                 "-   *   *   n   *   *   *   *   *   *   l", c => SetPinRequest { pin: "473920".into(), password: "not the one".into(), request_id: c.id() }),
        // Nobody of those it is tried on has any, as with DeleteTotp.
        line!("PlaceService/ClearPin",                               "-   n   n   n   h   n   n   n   h   n   l", c => ClearPinRequest { name: c.victim.name.clone(), request_id: c.id() }),
        line!("EmergencyService/OpenEmergency",                      "-   n   n   n   n   n   n   n   n   y   l", c => OpenEmergencyRequest { reason: "a test".into(), duration: None, request_id: c.id() }),
        line!("EmergencyService/ApproveEmergency",                   "-   n   n   n   n   n   n   n   n   h   l", c => ApproveEmergencyRequest { name: "emergencies/77".into(), request_id: c.id() }),
        line!("EmergencyService/EndEmergency",                       "-   n   n   n   n   n   n   n   h   h   l", c => EndEmergencyRequest { name: "emergencies/77".into(), request_id: c.id() }),
        line!("EmergencyService/ReviewEmergency",                    "-   n   n   n   n   n   h   n   n   n   l", c => ReviewEmergencyRequest { name: "emergencies/77".into(), note: "a test".into(), request_id: c.id() }),
        line!("EmergencyService/ListEmergencies",                    "-   n   n   n   n   n   y   y   y   y   l", _c => ListEmergenciesRequest::default()),
        line!("CertificateService/RevokeCertificate",                "-   n   n   n   n   n   n   n   y   n   l", c => RevokeCertificateRequest { what: Some(revoke_certificate_request::What::Serial("5e".into())), reason: "a test".into(), request_id: c.id() }),
        line!("CertificateService/ListCertificates",                 "-   n   n   n   n   n   y   y   y   n   l", _c => ListCertificatesRequest::default()),
        line!("RecoveryService/CancelKit",                           "-   n   n   n   n   n   n   n   h   n   l", c => CancelKitRequest { request_id: c.id() }),
        line!("RecoveryService/ConfirmKit",                          "-   n   n   n   n   n   n   n   h   n   l", c => ConfirmKitRequest { fingerprint: "7".repeat(32), request_id: c.id() }),
        line!("RecoveryService/ProposeKit",                          "-   n   n   n   n   n   n   n   y   n   l", c => ProposeKitRequest { public_key: "77".repeat(32), reason: "a test".into(), request_id: c.id() }),
        line!("RecoveryService/ListKits",                            "-   n   n   n   n   n   y   y   y   n   l", _c => ListKitsRequest::default()),
        // Last: what ends sessions. Of three scopes the one that a help desk has; see `everybody_is_for_administrators`.
        line!("SecurityService/LogOff",                              "-   n   n   n   y   n   n   n   y   n   l", c => LogOffRequest { scope: Some(log_off_request::Scope::User(c.extra.clone())), reason: "a test".into(), request_id: c.id() }),
        line!("SessionService/EndSession",                           "-   h   h   h   y   h   h   h   y   h   l", c => EndSessionRequest { name: c.victim.session.clone(), request_id: c.id() }),
        line!("SessionService/SignOut",                              "-   y   y   y   y   y   y   y   y   y   y", c => SignOutRequest { request_id: c.id() }),
    ]
}

#[tokio::test]
async fn every_call_has_a_decision_for_everyone() {
    let (table, calls) = (table(), calls());
    let undecided: Vec<_> = calls.iter().filter(|call| !table.iter().any(|line| line.call == *call)).collect();
    assert!(undecided.is_empty(), "calls without a line in the table of who may do what: {undecided:?}");
    let unknown: Vec<_> =
        table.iter().map(|line| line.call).filter(|call| !calls.iter().any(|one| one == call)).collect();
    assert!(unknown.is_empty(), "lines without a call: {unknown:?}");

    let world = World::start().await;
    let callers = callers(&world).await;
    let mut wrong = Vec::new();
    for line in &table {
        let expected: Vec<&str> = line.decisions.split_whitespace().collect();
        assert_eq!(expected.len(), CALLERS.len(), "{}", line.call);
        for (caller, expected) in callers.iter().zip(expected) {
            let result = ask(&world, caller, line).await;
            let decision = decision(&result);
            if decision != expected {
                wrong.push(format!("{} by {}: {decision}, not {expected} ({result:?})", line.call, caller.name));
            }
        }
    }
    assert!(wrong.is_empty(), "decisions that differ from the table:\n{}", wrong.join("\n"));
}

/// All calls of `tricord.v1`, as `Service/Method`.
fn calls() -> Vec<String> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTORS).expect("descriptors");
    let files = set.file.iter().filter(|file| file.package() == "tricord.v1");
    files
        .flat_map(|file| &file.service)
        .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
        .collect()
}

fn decision(result: &Result<(), Status>) -> &'static str {
    let Err(status) = result else { return "y" };
    match reason(status).as_str() {
        "NO_SESSION" => "-",
        "SESSION_LOCKED" => "l",
        "NOT_PERMITTED" => "n",
        "NOT_FOUND" => "h",
        "" => "no reason",
        _ if matches!(status.code(), Code::Internal | Code::Unknown | Code::Unimplemented) => "a defect",
        _ => "*",
    }
}

async fn callers(world: &World) -> Vec<Caller> {
    let admin = world.admin().await;
    let (member, extra) = (world.person(&admin, "member").await, world.person(&admin, "extra").await);
    let ward = member.group("Ward 3", &[&extra]).await;
    member.send(&ward, "first").await.expect("sent");
    let mut callers = Vec::new();
    for name in CALLERS {
        let person = match name {
            "nobody" => None,
            "admin" => Some(admin.clone()),
            "member" => Some(member.clone()),
            "locked" => Some(locked(world, &admin, &member, &ward).await),
            _ => Some(someone(world, &admin, name).await),
        };
        let victim = world.person(&admin, &format!("victim-{name}")).await;
        let user = User { login: format!("gone-{name}"), display_name: "Gone".into(), ..User::default() };
        let create = CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: admin.id() };
        let gone = admin.directory().create_user(admin.with(create)).await.expect("created").into_inner();
        let gone = gone.user.expect("a user").name;
        callers.push(Caller { name, person, victim, gone, ward: ward.clone(), extra: extra.name.clone() });
    }
    callers
}

/// Someone who takes part in the ward, may do everything, and whose session is locked.
async fn locked(world: &World, admin: &Person, member: &Person, ward: &str) -> Person {
    let person = world.person(admin, "locked").await;
    member.add(ward, &person).await;
    let sets = [PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Discloser, PermissionSet::Keyholder];
    let user = User { name: person.name.clone(), permission_sets: sets.map(Into::into).to_vec(), ..User::default() };
    let update_paths = vec!["permission_sets".into()];
    let update = UpdateUserRequest { user: Some(user), update_paths, request_id: admin.id() };
    admin.directory().update_user(admin.with(update)).await.expect("granted");
    let lock = LockSessionRequest { name: String::new(), request_id: person.id() };
    let mut locks = lock_service_client::LockServiceClient::new(world.channel.clone());
    locks.lock_session(person.with(lock)).await.expect("locked");
    person
}

async fn someone(world: &World, admin: &Person, name: &str) -> Person {
    let kind = if name == "location" { UserKind::Location } else { UserKind::Person };
    let set = match name {
        "helpdesk" => Some(PermissionSet::Helpdesk),
        "integrator" => Some(PermissionSet::Integrator),
        "auditor" => Some(PermissionSet::Auditor),
        "viewer" => Some(PermissionSet::Viewer),
        "keyholder" => Some(PermissionSet::Keyholder),
        _ => None,
    };
    let user = User {
        login: name.into(),
        display_name: name.into(),
        kind: kind.into(),
        permission_sets: set.into_iter().map(Into::into).collect(),
        ..User::default()
    };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create)).await.expect("created").into_inner();
    world.enrol(name, &made.enrolment_code).await
}

/// Makes the call; a stream has answered with its first item.
async fn ask(world: &World, caller: &Caller, line: &Line) -> Result<(), Status> {
    let path = format!("/tricord.v1.{}", line.call);
    let body = stream::iter([(line.body)(caller)]);
    let request = match &caller.person {
        Some(person) => person.with(body),
        None => Request::new(body),
    };
    let mut grpc = Grpc::new(world.channel.clone());
    grpc.ready().await.map_err(|_| Status::unknown("not connected"))?;
    let path: PathAndQuery = path.parse().expect("a path");
    let asked = async { grpc.streaming(request, path, Bytes).await?.into_inner().message().await.map(|_| ()) };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an answer in time")
}

/// Messages as they are on the wire.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(out, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; bytes::Buf::remaining(from)];
        bytes::Buf::copy_to_slice(from, &mut bytes);
        Ok(Some(bytes))
    }
}
