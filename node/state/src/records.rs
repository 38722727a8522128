//! What goes into the audit log: one decision for each command, and the fixed numbers of refusals.

use alloc::vec;
use alloc::vec::Vec;

use types::backup::BackupDeed;
use types::certificate::Revocation;
use types::command::Found;
use types::identity::LogOffScope;
use types::key::Holder;
use types::limits::SEALED_ADDRESS_BYTES_MAX;
use types::record::{Action, Agent, AuditKey, Entity, Purpose, Record, Result as End};
use types::{Command, Incarnation, NodeId, Principal, Reject, Reply, Slot, Timestamp, UserId};

/// The action a command is recorded as; none for what leaves no record.
#[must_use]
pub const fn action_of(command: &Command) -> Option<Action> {
    match command {
        Command::RenewLease(_) | Command::ExpireLease(..) | Command::Tick => None,
        Command::Connections(_) | Command::Confirm(_) => None,
        Command::Found(_) => Some(Action::Found),
        Command::RaiseFeatureLevel(_) => Some(Action::RaiseFeatureLevel),
        Command::SignIn(_) => Some(Action::SignIn),
        Command::Enrol(_) => Some(Action::SetPassword),
        Command::EndSession(_) => Some(Action::EndSession),
        Command::CreateUsers(_) => Some(Action::CreateUser),
        Command::UpdateUser(_) => Some(Action::UpdateUser),
        Command::DeactivateUser(_) => Some(Action::DeactivateUser),
        Command::SetPassword(_) => Some(Action::SetPassword),
        Command::IssueEnrolment(..) => Some(Action::IssueEnrolment),
        Command::CreateConversation(_) => Some(Action::CreateConversation),
        Command::UpdateConversation(_) => Some(Action::UpdateConversation),
        Command::AddParticipants(..) => Some(Action::AddParticipant),
        Command::RemoveParticipant(..) => Some(Action::RemoveParticipant),
        Command::DefinePolicy(..) => Some(Action::DefinePolicy),
        Command::Post(_) => Some(Action::Post),
        Command::SetStatus(_) => Some(Action::SetStatus),

        Command::MarkHead | Command::SignHead(_) => None,
        Command::Observe(..) => None, // Each of what was observed leaves one.
        Command::SetSigner(_) => Some(Action::AddSigner),
        Command::ResolveDivergence(_) => Some(Action::ResolveDivergence),
        Command::RefuseSignIn(_) => Some(Action::SignIn),
        Command::Refresh(_) => Some(Action::RefreshSession),
        Command::AddSecondFactor(_) => Some(Action::AddSecondFactor),
        Command::ConfirmSecondFactor(_) => Some(Action::ConfirmSecondFactor),
        Command::RemoveSecondFactor(_) => Some(Action::RemoveSecondFactor),
        Command::ChangeSettings(_) => Some(Action::ChangeSettings),
        Command::LogOff(_) => Some(Action::LogOff),
        Command::AddDataKey(_) | Command::RewrapDataKeys(_) => None,
        Command::RetireClusterKey(_) => Some(Action::RetireClusterKey),
        Command::RotateClusterKey(..) => Some(Action::RotateClusterKey),
        Command::ApproveHolder(_) => Some(Action::ApproveHolder),

        Command::ConfirmClock(_) => Some(Action::ConfirmClock),
        Command::AdmitNode(_) => Some(Action::AdmitNode),
        Command::SeatNode(_) => Some(Action::SeatNode),
        Command::Refound(_) => Some(Action::Refound),
        Command::NoteBackup(note) => Some(match note.deed {
            BackupDeed::Create => Action::CreateBackup,
            BackupDeed::Fail => Action::FailBackup,
            BackupDeed::Verify => Action::VerifyBackup,
            BackupDeed::Refute => Action::RefuteBackup,
            BackupDeed::Restore => Action::RestoreBackup,
        }),

        Command::LockSession(_) => Some(Action::LockSession),
        Command::UnlockSession(_) => Some(Action::UnlockSession),
        Command::TapIn(_) => Some(Action::TapIn),
        Command::SetPin(_) => Some(Action::SetPin),
        Command::ClearPin(_) => Some(Action::ClearPin),
        Command::OpenEmergency(_) => Some(Action::OpenEmergency),
        Command::ApproveEmergency(_) => Some(Action::ApproveEmergency),
        Command::EndEmergency(_) => Some(Action::EndEmergency),
        Command::ReviewEmergency(_) => Some(Action::ReviewEmergency),

        Command::NoteCertificates(_) => Some(Action::ChangeCertificates),
        Command::RevokeCertificates(_) => Some(Action::RevokeCertificates),
        Command::ProposeKit(_) => Some(Action::ProposeKit),
        Command::ConfirmKit(_) => Some(Action::ConfirmKit),
        Command::CancelKit => Some(Action::CancelKit),
    }
}

/// The number of a refusal in the audit log: part of its format, never reused.
#[must_use]
pub const fn reject_number(reject: &Reject) -> u16 {
    match reject {
        Reject::NoSession => 1,
        Reject::NotFound => 2,
        Reject::NotPermitted => 3,
        Reject::RequestIdReused => 4,
        Reject::DedupExpired => 5,
        Reject::WindowExceeded => 6,
        Reject::Taken(_) => 7,
        Reject::Invalid(_) => 8,
        Reject::Limit(_) => 9,
        Reject::VersionMismatch(_) => 10,
        Reject::ConversationClosed => 11,
        Reject::BadCode => 12,
        Reject::CredentialChanged => 13,
        Reject::Deactivated => 14,
        Reject::NotEntitled => 15,
        Reject::WrongPhase => 16,
        Reject::LeaseOver => 17,

        Reject::StateDiverged => 32,
        Reject::LockedOut(_) => 48,
        Reject::BadProof => 49,
        Reject::SecondFactorNeeded => 51,
        Reject::BadSecondFactor => 52,
        Reject::UnknownKey => 40,

        Reject::SessionLocked => 88,
        Reject::PinBlocked => 89,
        Reject::MethodNotTaken => 90,
        Reject::EmergencyState => 91,
        Reject::ProofTooOld => 92,

        Reject::CertificateInUse(_) => 144,
        Reject::MajorityCutOff => 145,
    }
}

/// The number of a sign-in refused for a wrong password or code: a node says so, no command does.
const WRONG_CREDENTIALS: u16 = 50;
/// The number of refusals that were folded into one record, whatever they were for.
pub(crate) const SEVERAL_REFUSALS: u16 = 53;

/// Who put a command, and how.
pub(crate) struct Putting {
    /// Who.
    pub(crate) agent: Agent,
    /// The device's number of the request.
    pub(crate) request: Option<u64>,
    /// At which place.
    pub(crate) location: Option<UserId>,
    /// Whether by emergency access.
    pub(crate) emergency: bool,
}

impl Putting {
    /// By nobody who could be named.
    pub(crate) const fn unknown(request: Option<u64>) -> Self {
        Self { agent: Agent::Unknown, request, location: None, emergency: false }
    }
}

/// The record of a command and what came of it; none if it leaves none.
pub(crate) fn of(
    command: &Command,
    at: Timestamp,
    origin: NodeId,
    putting: Putting,
    result: &Result<Reply, Reject>,
) -> Option<Record> {
    let Putting { agent, request, location, emergency } = putting;
    let action = match (action_of(command)?, result) {
        (Action::IssueEnrolment, Ok(Reply::PasswordReset)) => Action::ResetPassword,
        (Action::ClearPin, Ok(Reply::PinReset)) => Action::ResetPin,
        (Action::LockSession, Ok(Reply::PartEnded)) => Action::EndSession,
        (action, _) => action,
    };
    let end = match result {
        Ok(_) if matches!(command, Command::RefuseSignIn(_)) => End::Refused(WRONG_CREDENTIALS),
        Ok(_) if matches!(command, Command::Refresh(_)) => return None, // Where it came from elsewhere it has recorded that itself.
        Ok(_) => End::Done,
        Err(reject) => End::Refused(reject_number(reject)),
    };
    let commitment = match (command, result) {
        (Command::Post(post), Ok(_)) => Some(post.sealed.commitment),
        _ => None,
    };
    let policy = match command {
        Command::CreateConversation(create) => Some(create.history),
        Command::UpdateConversation(update) => update.history,
        Command::DefinePolicy(policy, _) => Some(*policy),
        _ => None,
    };
    let address = match command {
        Command::SignIn(sign_in) => sign_in.address.as_ref(),
        Command::Enrol(enrol) => enrol.sign_in.address.as_ref(),
        Command::TapIn(tap) => tap.address.as_ref(),
        Command::RefuseSignIn(refuse) => refuse.address.as_ref(),
        Command::Refresh(refresh) => refresh.address.as_ref(),
        _ => None,
    };
    let address = address.filter(|address| address.len() <= SEALED_ADDRESS_BYTES_MAX).cloned().unwrap_or_default();
    let reason = match command {
        // Cut to what a record may hold: the words of a refused one were not checked.
        Command::LogOff(log_off) if result.is_ok() => Some(log_off.reason.clone()),
        Command::NoteBackup(note) if result.is_ok() => note.reason.clone(),
        Command::OpenEmergency(open) if result.is_ok() => Some(open.reason.clone()),
        Command::ReviewEmergency(review) if result.is_ok() => Some(review.note.clone()),
        Command::RevokeCertificates(revoke) if result.is_ok() => Some(revoke.reason.clone()),
        Command::ProposeKit(propose) if result.is_ok() => Some(propose.reason.clone()),
        _ => None,
    };
    let broken = emergency
        || matches!(
            command,
            Command::OpenEmergency(_)
                | Command::ApproveEmergency(_)
                | Command::EndEmergency(_)
                | Command::ReviewEmergency(_)
        );
    let purpose = broken.then_some(Purpose::BreakGlass);
    let agent = agent_of(command, agent, result);
    let record = Record::new(at, origin, agent, action, entities(command, origin, result));
    Some(Record { result: end, commitment, location, policy, request, purpose, reason, address, ..record })
}

/// A sign-in is put by a node and done by the user whose session it opens.
fn agent_of(command: &Command, agent: Agent, result: &Result<Reply, Reject>) -> Agent {
    match (command, result) {
        (
            Command::SignIn(_) | Command::Enrol(_) | Command::TapIn(_),
            Ok(Reply::SignedIn { user, session, device, .. }),
        ) => Agent::User { user: *user, acting_role: None, device: *device, session: *session },
        (Command::Found(_) | Command::RaiseFeatureLevel(_) | Command::SetSigner(_), _) => Agent::Cluster,
        (Command::RetireClusterKey(_) | Command::SeatNode(_) | Command::NoteCertificates(_), _) => Agent::Cluster,
        (Command::NoteBackup(_), _) => Agent::Cluster, // The schedule, or somebody at the machine whom it does not know.
        _ => agent,
    }
}

fn entities(command: &Command, origin: NodeId, result: &Result<Reply, Reject>) -> Vec<Entity> {
    match command {
        Command::RenewLease(_) | Command::Tick | Command::Connections(_) | Command::Confirm(_) => Vec::new(),
        Command::RaiseFeatureLevel(_) => Vec::new(),
        Command::ExpireLease(node, _) => vec![Entity::Node(*node)],
        Command::Found(found) => {
            let signers = founding_signers(found).map(|(node, key)| Entity::Signer(node, key));
            core::iter::once(Entity::User(found.admin.id)).chain(signers).collect()
        }

        Command::AddDataKey(_) | Command::RewrapDataKeys(_) | Command::RetireClusterKey(_) => Vec::new(),
        Command::RotateClusterKey(_, dropped) => {
            let nodes = dropped.iter().filter_map(|holder| match holder {
                Holder::Node(node) => Some(Entity::Node(*node)),
                Holder::Recovery => None,
            });
            nodes.take(types::limits::KEY_HOLDERS_MAX).collect()
        }
        Command::ConfirmClock(_) => Vec::new(),
        Command::ApproveHolder(approve) => match approve.holder {
            Holder::Node(node) => vec![Entity::Node(node)],
            Holder::Recovery => Vec::new(),
        },

        Command::SignIn(sign_in) => vec![Entity::User(sign_in.user), Entity::Session(sign_in.session)],
        Command::Enrol(enrol) => vec![Entity::User(enrol.sign_in.user), Entity::Session(enrol.sign_in.session)],
        Command::EndSession(session) => vec![Entity::Session(*session)],
        Command::CreateUsers(users) => {
            // As many as a command may have: one that has more is refused, and its record stays small.
            users.iter().take(types::limits::USERS_PER_COMMAND_MAX).map(|user| Entity::User(user.id)).collect()
        }
        Command::UpdateUser(update) => vec![Entity::User(update.id)],
        Command::DeactivateUser(user) | Command::IssueEnrolment(user, _) => vec![Entity::User(*user)],
        Command::SetPassword(_) | Command::SetStatus(_) => Vec::new(), // One's own: the agent.
        Command::RefuseSignIn(refuse) => refuse.user.map(Entity::User).into_iter().collect(),
        Command::Refresh(refresh) => vec![Entity::Session(refresh.session)],
        Command::AddSecondFactor(_) | Command::ConfirmSecondFactor(_) | Command::ChangeSettings(_) => Vec::new(),
        Command::RemoveSecondFactor(user) => vec![Entity::User(*user)],
        Command::LogOff(log_off) => match (log_off.scope, result) {
            (LogOffScope::User(user), _) => vec![Entity::User(user)],
            (LogOffScope::Device(_), Ok(Reply::LoggedOff(user))) => vec![Entity::User(*user)],
            (LogOffScope::Device(_) | LogOffScope::Everybody, _) => Vec::new(),
        },
        Command::CreateConversation(create) => {
            let id = match result {
                Ok(Reply::Conversation { id, .. }) => *id,
                _ => create.id,
            };
            with_principals(Entity::Conversation(id), create.participants.iter().map(|&(principal, _)| principal))
        }
        Command::UpdateConversation(update) => vec![Entity::Conversation(update.id)],
        Command::AddParticipants(id, participants) => {
            with_principals(Entity::Conversation(*id), participants.iter().map(|&(principal, _)| principal))
        }
        Command::RemoveParticipant(id, principal) => {
            with_principals(Entity::Conversation(*id), core::iter::once(*principal))
        }
        Command::DefinePolicy(policy, _) => vec![Entity::Policy(policy.id)],
        Command::Post(post) => match result {
            Ok(Reply::Posted { seq, .. }) => vec![Entity::Messages(post.conversation, *seq, *seq)],
            _ => vec![Entity::Conversation(post.conversation)],
        },

        Command::LockSession(session) => vec![Entity::Session(*session)],
        Command::UnlockSession(_) | Command::SetPin(_) => Vec::new(), // One's own: the agent.
        Command::TapIn(tap) => vec![Entity::User(tap.user), Entity::Session(tap.session), Entity::Session(tap.at)],
        Command::ClearPin(user) => vec![Entity::User(*user)],
        Command::OpenEmergency(_) => match result {
            Ok(Reply::Emergency(number)) => vec![Entity::Emergency(*number)],
            _ => Vec::new(),
        },
        Command::ApproveEmergency(number) | Command::EndEmergency(number) => vec![Entity::Emergency(*number)],
        Command::ReviewEmergency(review) => vec![Entity::Emergency(review.number)],

        Command::MarkHead | Command::SignHead(_) | Command::Observe(..) => Vec::new(),
        Command::SetSigner(key) if result.is_ok() => vec![Entity::Signer(origin, *key), Entity::Node(origin)],
        Command::SetSigner(_) => vec![Entity::Node(origin)], // A key that was refused is named nowhere.
        Command::ResolveDivergence(decision) => vec![Entity::Head(decision.size)],

        Command::AdmitNode(admit) => vec![Entity::Node(admit.node)],
        Command::SeatNode(node) => vec![Entity::Node(*node)],
        Command::Refound(refound) => vec![Entity::Node(refound.node)],
        Command::NoteBackup(note) if note.records > 0 => vec![Entity::Node(origin), Entity::Head(note.records)],
        Command::NoteBackup(_) => vec![Entity::Node(origin)],

        Command::NoteCertificates(note) => {
            let serials = note.serials.iter().take(types::limits::CERTIFICATES_NOTED_MAX);
            core::iter::once(Entity::Node(origin)).chain(serials.map(|serial| Entity::Certificate(*serial))).collect()
        }
        Command::RevokeCertificates(revoke) => match revoke.what {
            Revocation::Certificate(serial) => vec![Entity::Certificate(serial)],
            Revocation::Node(node) => vec![Entity::Node(node)],
        },
        Command::ProposeKit(propose) => vec![Entity::RecoveryKit(propose.public)],
        Command::ConfirmKit(confirm) => vec![Entity::RecoveryKit(confirm.public)],
        Command::CancelKit => Vec::new(),
    }
}

/// Who signs from the first record on: the first to fill each slot.
pub(crate) fn founding_signers(found: &Found) -> impl Iterator<Item = (NodeId, AuditKey)> {
    Slot::ALL.into_iter().zip(&found.audit_keys).map(|(slot, key)| (NodeId::new(slot, Incarnation(1)), *key))
}

fn with_principals(first: Entity, principals: impl Iterator<Item = Principal>) -> Vec<Entity> {
    let users = principals.filter_map(|principal| match principal {
        Principal::User(id) => Some(Entity::User(id)),
        Principal::Role(_) => None, // None exists yet.
    });
    core::iter::once(first).chain(users.take(types::limits::PARTICIPANTS_PER_COMMAND_MAX)).collect()
}
