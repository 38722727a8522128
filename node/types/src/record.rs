//! Audit records as values; `codec` gives them their canonical bytes, `record` hashes those.

use alloc::vec::Vec;

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
}

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
}
