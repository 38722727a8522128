//! What clients can see change.

use alloc::sync::Arc;

use crate::id::{ConversationId, DeviceId, EventNumber, Seq, SessionId, Timestamp, UserId};
use crate::message::Message;
use crate::principal::Principal;

/// Who can see an event: those who see the conversation then, or one user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// A conversation's participants, over their intervals.
    Conversation(ConversationId),
    /// All sessions of one user.
    User(UserId),
}

/// What changed: references, no content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventBody {
    /// A message came.
    Posted(Seq),
    /// A device has delivered or displayed further.
    Confirmed {
        /// Whose device.
        principal: Principal,
        /// Which.
        device: DeviceId,
        /// In which conversation (the scope may be the user).
        conversation: ConversationId,
        /// It has everything up to here.
        delivered: Seq,
        /// It showed everything up to here.
        displayed: Seq,
    },
    /// Someone was added.
    Added(Principal),
    /// Someone left or was removed.
    Removed(Principal),
    /// Title, policy or state changed.
    ConversationChanged,
    /// To the user: they take part in this conversation from this event on.
    Joined(ConversationId),
    /// To the user: they do not take part in it any more; this is the last event of it they see.
    Left(ConversationId),
    /// To the user: one of their sessions ended.
    SessionEnded(SessionId),
    /// To the user: their own account changed.
    UserChanged,
    /// To the user: their password was taken away by this user.
    PasswordReset(UserId),
    /// To the user: one of their sessions was locked.
    SessionLocked(SessionId),
    /// To the user: one of their sessions was unlocked.
    SessionUnlocked(SessionId),
    /// To the user: their PIN was taken away by this user.
    PinCleared(UserId),
}

/// One change a client can see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its place in the cluster's one order.
    pub number: EventNumber,
    /// Who can see it.
    pub scope: Scope,
    /// Cluster time.
    pub at: Timestamp,
    /// What changed.
    pub body: EventBody,
    /// With `Posted` straight from `apply`: the message, so that live streams need not read it again.
    pub message: Option<Arc<Message>>,
}
