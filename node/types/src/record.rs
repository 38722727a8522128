//! Audit records as values; `codec` gives them their canonical bytes, `record` hashes those.

use alloc::string::String;
use alloc::vec::Vec;

use crate::certificate::Serial;
use crate::conversation::PolicyRef;
use crate::id::{ConversationId, DeviceId, NodeId, RoleId, Seq, SessionId, Timestamp, UserId};

/// Who did it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Agent {
    /// A signed-in user.
    User {
        /// Who.
        user: UserId,
        /// In which duty.
        acting_role: Option<RoleId>,
        /// On which device.
        device: DeviceId,
        /// In which session.
        session: SessionId,
    },
    /// Nobody who could be named: a failed sign-in, a forged session.
    Unknown,
    /// The cluster itself: a timer, the founding.
    Cluster,
}

/// What it was done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entity {
    /// An account.
    User(UserId),
    /// A session.
    Session(SessionId),
    /// A conversation.
    Conversation(ConversationId),
    /// Messages of a conversation: first and last seq.
    Messages(ConversationId, Seq, Seq),
    /// A document of policy.
    Policy(u32),
    /// A node.
    Node(NodeId),
    /// A head of the audit tree, by its size.
    Head(u64),
    /// A node with the key it signs heads with from here on.
    Signer(NodeId, AuditKey),
    /// Records of the audit log: first and last.
    Records(u64, u64),
    /// Emergency access, by its number.
    Emergency(u64),
    /// A certificate.
    Certificate(Serial),
    /// A recovery kit, by its public key.
    RecoveryKit([u8; 32]),
}

/// What was done. The numbers are part of the format and never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Action {
    /// The cluster was founded.
    Found = 1,
    /// A user signed in.
    SignIn = 2,
    /// A session ended.
    EndSession = 3,
    /// An account was created.
    CreateUser = 4,
    /// An account was changed.
    UpdateUser = 5,
    /// An account was deactivated.
    DeactivateUser = 6,
    /// A password was set.
    SetPassword = 7,
    /// A one-time code was issued.
    IssueEnrolment = 8,
    /// A conversation was created.
    CreateConversation = 9,
    /// Title, policy or state of a conversation was changed.
    UpdateConversation = 10,
    /// A participant was added.
    AddParticipant = 11,
    /// A participant was removed or left.
    RemoveParticipant = 12,
    /// A message was posted, which makes it available to the participants.
    Post = 13,
    /// A document of policy was defined.
    DefinePolicy = 14,
    /// A user set their status.
    SetStatus = 15,
    /// The feature level was raised.
    RaiseFeatureLevel = 16,

    /// A node signs heads of the audit log from here on; whoever signed for its slot before does not.
    AddSigner = 32,
    /// Texts of messages were fetched.
    FetchMessages = 33,
    /// A stream was opened that brings messages as they come.
    OpenStream = 34,
    /// The audit log was looked at.
    ReadAudit = 35,
    /// A message was proven.
    ProveMessage = 36,
    /// The text of a message was given away with its proof.
    RevealMessage = 37,
    /// The audit log was exported.
    ExportAudit = 38,
    /// Nodes were found to hold different audit logs.
    FindDivergence = 39,
    /// An operator said which of them is right.
    ResolveDivergence = 40,
    /// Something else was asked for, and refused.
    Look = 41,
    /// The audit log was looked at, and with it from which addresses sessions were used.
    ShowAddresses = 42,
    /// The cluster key was replaced by a new version.
    RotateClusterKey = 48,
    /// A cluster key that nothing is wrapped under any more was removed.
    RetireClusterKey = 49,
    /// A node was let hold the cluster key.
    ApproveHolder = 50,
    /// A password was taken away and a one-time code issued in its place.
    ResetPassword = 64,
    /// A session was given a new token; recorded where it was refused.
    RefreshSession = 65,
    /// A second factor was set up, and does not count yet.
    AddSecondFactor = 66,
    /// A second factor was confirmed.
    ConfirmSecondFactor = 67,
    /// A second factor was taken away.
    RemoveSecondFactor = 68,
    /// What holds for the whole cluster was changed.
    ChangeSettings = 69,
    /// A user, a device or everybody was signed out.
    LogOff = 70,

    /// Titles of conversations were fetched.
    FetchTitles = 112,
    /// Names of patients were fetched.
    FetchNames = 113,
    /// Status texts of users were fetched.
    FetchStatuses = 114,
    /// Cluster time stepped: what is irreversible waits.
    StepClock = 115,
    /// An operator said that cluster time is right after a step.
    ConfirmClock = 116,

    /// A new node was let into a slot.
    AdmitNode = 160,
    /// A node that was let in counts as one of three.
    SeatNode = 161,
    /// A new history was begun with what one node had.
    Refound = 162,
    /// A backup was made.
    CreateBackup = 176,
    /// A backup was to be made, and was not.
    FailBackup = 177,
    /// A backup was restored in isolation, and holds what it says.
    VerifyBackup = 178,
    /// A backup was to be verified, and does not hold what it says.
    RefuteBackup = 179,
    /// The cluster goes on from a backup.
    RestoreBackup = 180,

    /// A session was locked.
    LockSession = 128,
    /// A session was unlocked.
    UnlockSession = 129,
    /// A person began a part at a place.
    TapIn = 130,
    /// Someone else took a person's part at a place, or it was idle for too long.
    TapOut = 131,
    /// A user set a PIN.
    SetPin = 132,
    /// A user gave their PIN up.
    ClearPin = 133,
    /// A PIN was taken away by someone who looks after accounts.
    ResetPin = 134,
    /// Emergency access was asked for.
    OpenEmergency = 136,
    /// A second person approved it: it is in force.
    ApproveEmergency = 137,
    /// It ended.
    EndEmergency = 138,
    /// An auditor signed its review off.
    ReviewEmergency = 139,

    /// A node shows other certificates from here on.
    ChangeCertificates = 216,
    /// Certificates were revoked.
    RevokeCertificates = 217,
    /// A new recovery kit was proposed.
    ProposeKit = 218,
    /// A second person confirmed it: it is the cluster's from here on.
    ConfirmKit = 219,
    /// It was withdrawn.
    CancelKit = 220,
    /// Nobody confirmed it in time.
    LapseKit = 221,
    /// A node took up its configuration file while it ran.
    LoadConfiguration = 192,
}

impl Action {
    /// Every action.
    pub const ALL: &[Self] = &[
        Self::Found,
        Self::SignIn,
        Self::EndSession,
        Self::CreateUser,
        Self::UpdateUser,
        Self::DeactivateUser,
        Self::SetPassword,
        Self::IssueEnrolment,
        Self::CreateConversation,
        Self::UpdateConversation,
        Self::AddParticipant,
        Self::RemoveParticipant,
        Self::Post,
        Self::DefinePolicy,
        Self::SetStatus,
        Self::RaiseFeatureLevel,
        Self::AddSigner,
        Self::FetchMessages,
        Self::OpenStream,
        Self::ReadAudit,
        Self::ProveMessage,
        Self::RevealMessage,
        Self::ExportAudit,
        Self::FindDivergence,
        Self::ResolveDivergence,
        Self::Look,
        Self::ShowAddresses,
        Self::RotateClusterKey,
        Self::RetireClusterKey,
        Self::ApproveHolder,
        Self::ResetPassword,
        Self::RefreshSession,
        Self::AddSecondFactor,
        Self::ConfirmSecondFactor,
        Self::RemoveSecondFactor,
        Self::ChangeSettings,
        Self::LogOff,
        Self::FetchTitles,
        Self::FetchNames,
        Self::FetchStatuses,
        Self::StepClock,
        Self::ConfirmClock,
        Self::AdmitNode,
        Self::SeatNode,
        Self::Refound,
        Self::CreateBackup,
        Self::FailBackup,
        Self::VerifyBackup,
        Self::RefuteBackup,
        Self::RestoreBackup,
        Self::LockSession,
        Self::UnlockSession,
        Self::TapIn,
        Self::TapOut,
        Self::SetPin,
        Self::ClearPin,
        Self::ResetPin,
        Self::OpenEmergency,
        Self::ApproveEmergency,
        Self::EndEmergency,
        Self::ReviewEmergency,
        Self::ChangeCertificates,
        Self::RevokeCertificates,
        Self::ProposeKit,
        Self::ConfirmKit,
        Self::CancelKit,
        Self::LapseKit,
        Self::LoadConfiguration,
    ];
}

/// Why one looked or acted: the codes of HL7's value set PurposeOfUse. The numbers are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Purpose {
    /// TREAT: care of a patient.
    Treatment = 1,
    /// ETREAT: care in an emergency.
    Emergency = 2,
    /// HOPERAT: running the hospital.
    Operations = 3,
    /// HCOMPL: an audit, a review, a court.
    Compliance = 4,
    /// BTG: done by emergency access.
    BreakGlass = 5,
}

/// A public key that heads of the audit tree are checked with: Ed25519.
pub type AuditKey = [u8; 32];

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Result {
    /// It was done.
    Done,
    /// It was refused; `Reject::number` says why.
    Refused(u16),
}

/// One audit entry. Ids, never names; no content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Cluster time.
    pub at: Timestamp,
    /// Which node took the request.
    pub origin: NodeId,
    /// Who.
    pub agent: Agent,
    /// What.
    pub action: Action,
    /// To what; the first is the main one.
    pub entities: Vec<Entity>,
    /// How it ended.
    pub result: Result,
    /// With a message: its commitment, so that the message can be proven from the record.
    pub commitment: Option<[u8; 32]>,
    /// From which place, an account of kind location.
    pub location: Option<UserId>,
    /// The device's number of the request: with the device it names the request for ever.
    pub request: Option<u64>,
    /// The document of policy that it was done under, or that it put in force.
    pub policy: Option<PolicyRef>,
    /// Why, as a code.
    pub purpose: Option<Purpose>,
    /// Why, in the words of who did it. At most `RECORD_REASON_BYTES_MAX`; they are asked to name nobody.
    pub reason: Option<String>,
    /// That so many alike were folded into this one.
    pub count: Option<u32>,
    /// When it happened by the clock of the node that saw it, if that was before there was a majority to record it.
    pub seen: Option<Timestamp>,
    /// From which network address, sealed; of what begins a session, moves it elsewhere or tries to. At most
    /// `SEALED_ADDRESS_BYTES_MAX`; empty: none. Of other records, that of the session they name tells.
    pub address: Vec<u8>,
}

impl Record {
    /// A record of what was done, with nothing said that need not be.
    #[must_use]
    pub const fn new(at: Timestamp, origin: NodeId, agent: Agent, action: Action, entities: Vec<Entity>) -> Self {
        Self {
            at,
            origin,
            agent,
            action,
            entities,
            result: Result::Done,
            commitment: None,
            location: None,
            request: None,
            policy: None,
            purpose: None,
            reason: None,
            count: None,
            seen: None,
            address: Vec::new(),
        }
    }
}
