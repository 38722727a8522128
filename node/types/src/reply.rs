//! What comes of a command.

use alloc::vec::Vec;

use crate::id::{ConversationId, DeviceId, EventNumber, NodeId, Seq, SessionId, Timestamp, UserId};

/// A reply and the cursor it reflects. Kept for the device, so that a retry gets the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What came of it.
    pub result: Result<Reply, Reject>,
    /// The newest event when it was applied: reads that wait for it see its effect.
    pub cursor: EventNumber,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It was done; there is nothing to say.
    Done,
    /// A message has its place.
    Posted {
        /// Its seq.
        seq: Seq,
        /// Its cluster time.
        at: Timestamp,
    },
    /// A session is open.
    SignedIn {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
        /// On which device: the one asked for, or a new one.
        device: DeviceId,
        /// When it ends if it is not used.
        expires: Timestamp,
        /// The device's lowest free number: it goes on from here.
        next_number: u64,
        /// When the token ceases to be good.
        token_expires: Timestamp,
    },
    /// A conversation exists; a direct one may have existed before.
    Conversation {
        /// Which.
        id: ConversationId,
        /// Whether this command created it.
        created: bool,
    },
    /// Users exist, in the order asked for.
    Users(Vec<UserId>),
    /// Something changed and has this version now.
    Version(u64),
    /// It is in the audit log, which has so many records now.
    Recorded(u64),
    /// A password was taken away, and a code issued.
    PasswordReset,
    /// The sessions on a device of this user have ended.
    LoggedOff(UserId),
    /// A session has a new token.
    Refreshed {
        /// When the token ceases to be good.
        token_expires: Timestamp,
        /// When the session ends if it is not used.
        expires: Timestamp,
    },

    /// The data key of a scope and month: the one put, or the one that came before it.
    DataKey(u64),

    /// Emergency access has this number.
    Emergency(u64),
    /// A PIN of someone else was taken away.
    PinReset,
    /// A part at a place has ended instead of being locked.
    PartEnded,
}

/// A refusal: deterministic, replicated, the client's to handle. Every variant has a number and a stable reason.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// No such session, or it has ended.
    #[error("the session has ended or never was; sign in again")]
    NoSession,
    /// Absent, or not theirs to know of.
    #[error("not found")]
    NotFound,
    /// Known to them, but not theirs to do.
    #[error("not permitted")]
    NotPermitted,
    /// The number was used for other content.
    #[error("this request number was used before with other content; use a new number")]
    RequestIdReused,
    /// The number is below what the device has settled: whether it was carried out cannot be told any more.
    #[error("this request number is too old to tell whether it was carried out")]
    DedupExpired,
    /// The number is too far ahead.
    #[error("too many unsettled requests; settle answered numbers first")]
    WindowExceeded,
    /// A user name, or a device or conversation id, is taken.
    #[error("already taken: item {0} of the request")]
    Taken(u32),
    /// Something in the request is not valid; the field says what.
    #[error("not valid: {0}")]
    Invalid(Field),
    /// The limit is reached.
    #[error("the limit is reached: {0}")]
    Limit(Field),
    /// It was changed since the version named.
    #[error("changed meanwhile; its version is now {0}")]
    VersionMismatch(u64),
    /// The conversation takes no messages.
    #[error("the conversation is closed")]
    ConversationClosed,
    /// The one-time code is wrong, used up or too old.
    #[error("the code is wrong, was used, or has expired")]
    BadCode,
    /// The password was changed while it was checked.
    #[error("the password was changed meanwhile")]
    CredentialChanged,
    /// The account is deactivated.
    #[error("the account is deactivated")]
    Deactivated,
    /// The account is not entitled to message.
    #[error("the account is not entitled to message")]
    NotEntitled,
    /// The cluster has been founded already, or not yet.
    #[error("the cluster is not in a state for this")]
    WrongPhase,
    /// A node spoke with an epoch that is over.
    #[error("the node's lease is over")]
    LeaseOver,

    /// The nodes hold different audit logs, and none of them is known to be right.
    #[error("the nodes disagree about the audit log; nothing is written until that is decided")]
    StateDiverged,
    /// Too many sign-ins failed, from there or altogether; the milliseconds to wait.
    #[error("too many sign-ins failed; try again in {} s", .0.div_ceil(1_000))]
    LockedOut(u64),
    /// The proof of the device is not good, or was used before.
    #[error("the proof of the device is not good, or was used before")]
    BadProof,
    /// A payload is sealed with a key that is not there, or not of its scope: the node seals anew, with the same number.
    #[error("the key is not known; seal with another")]
    UnknownKey,
    /// The account has a second factor, and none was given.
    #[error("a one-time password is needed as well")]
    SecondFactorNeeded,
    /// The one-time password or recovery code is wrong, or was used before.
    #[error("the one-time password is wrong or was used before; wait for the next one")]
    BadSecondFactor,

    /// The session is locked: it shows nothing and does nothing until it is unlocked.
    #[error("the session is locked; unlock it first")]
    SessionLocked,
    /// The PIN was wrong too often.
    #[error("the PIN was wrong too often and is good for nothing any more; use the password, and set another PIN")]
    PinBlocked,
    /// The settings do not let this unlock a session.
    #[error("sessions are not unlocked by this here; use the password")]
    MethodNotTaken,
    /// Emergency access waits, is in force, is over or was reviewed; this is for another moment.
    #[error("the emergency access is not in a state for this; look at the list of them")]
    EmergencyState,
    /// The session's user proved who they are too long ago for this.
    #[error("this needs a fresh proof of who you are; give your password again first")]
    ProofTooOld,

    /// A node shows the certificate: revoking it would cut that node off, which must be asked for as such.
    #[error(
        "node {0} shows this certificate; give it another first ('tricord node renew-certificates' there), or cut it off \
         ('tricord cluster certificate cut-off {0}')"
    )]
    CertificateInUse(NodeId),
    /// With that node cut off there would be no majority of nodes with good certificates.
    #[error("both other nodes must have good certificates, and answer, before this one is cut off")]
    MajorityCutOff,
}

/// The part of a request that a refusal is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
#[expect(missing_docs, reason = "each is the name of a field")]
pub enum Field {
    Login = 1,
    DisplayName = 2,
    Unit = 3,
    ExternalIds = 4,
    Permissions = 5,
    Participants = 6,
    Conversations = 7,
    Title = 8,
    History = 9,
    Subject = 10,
    Mentions = 11,
    ReplyTo = 12,
    Supersedes = 13,
    ExpiresAt = 14,
    Payload = 15,
    Kind = 16,
    Sessions = 17,
    Devices = 18,
    Users = 19,
    StatusText = 20,
    Location = 21,
    Intervals = 22,
    Password = 23,
    Part = 24,
    Batch = 25,

    AuditKeys = 32,
    Observations = 33,
    Head = 34,
    Key = 40,
    Envelopes = 41,

    SecondFactor = 48,
    Settings = 49,
    Reason = 50,

    Node = 104,
    Address = 105,
    Backup = 112,

    Pin = 88,
    Times = 89,
    Emergency = 90,
    Place = 91,

    Certificate = 144,
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Login => "login name",
            Self::DisplayName => "display name",
            Self::Unit => "unit",
            Self::ExternalIds => "external ids",
            Self::Permissions => "permission sets",
            Self::Participants => "participants",
            Self::Conversations => "conversations of one user",
            Self::Title => "title",
            Self::History => "history policy",
            Self::Subject => "patient",
            Self::Mentions => "mentions",
            Self::ReplyTo => "message replied to",
            Self::Supersedes => "message superseded",
            Self::ExpiresAt => "expiry",
            Self::Payload => "payload",
            Self::Kind => "kind",
            Self::Sessions => "sessions of one user",
            Self::Devices => "devices of one user",
            Self::Users => "users",
            Self::StatusText => "status text",
            Self::Location => "location",
            Self::Intervals => "times of joining and leaving",
            Self::Password => "password",
            Self::Part => "part in the conversation",
            Self::Batch => "items in one request",
            Self::SecondFactor => "second factor",
            Self::Settings => "settings",
            Self::Reason => "reason",
            Self::Backup => "word on a backup",
            Self::Pin => "PIN",
            Self::Times => "times after which sessions lock and end",
            Self::Emergency => "emergency access",
            Self::Place => "place",

            Self::AuditKeys => "audit keys",
            Self::Observations => "observations",
            Self::Head => "head of the audit log",
            Self::Key => "key",
            Self::Envelopes => "envelopes of the cluster key",

            Self::Node => "node",
            Self::Address => "address",

            Self::Certificate => "certificate",
        })
    }
}
