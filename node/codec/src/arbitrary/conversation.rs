//! Conversations, participants, messages, events.

use proptest::prelude::*;
use types::conversation::{
    Cause, Conversation, ConversationKind, HistoryPolicy, Interval, Part, Participant, PolicyRef,
};
use types::message::{Header, Message, MessageKind, Priority, Sealed, Sender};
use types::session::Receipt;
use types::{EventBody, Scope};

use super::primitive::*;

one_of!(kind: ConversationKind { Direct, Group, Channel, CareTeam });
one_of!(part: Part { Reader, Writer, Owner });
one_of!(priority: Priority { Routine, Urgent, Asap, Stat });

structs!(
    /// Any conversation.
    pub conversation: Conversation {
        id: conversation_id(), kind: kind(), title: bytes(), created_by: user_id(), created: timestamp(),
        last_seq: seq(), last_at: timestamp();
        last_event: event_number(), participants: number32(), history: policy_ref(), subject: maybe(user_id()),
        open: any::<bool>(), version: number(),
    }
);
structs!(pub(super) policy_ref: PolicyRef { id: number32(), version: number32() });
structs!(interval: Interval {
    from: seq(), to: maybe(seq()), from_event: event_number(), to_event: maybe(event_number()),
    cause: Just(Cause::Joined),
});
structs!(
    /// A participant of up to three intervals.
    pub participant: Participant {
        part: maybe(part()), intervals: list(interval()), displayed: seq(), joined: timestamp(),
    }
);
structs!(sender: Sender {
    user: user_id(), acting_role: maybe(role_id()), location: maybe(user_id()), service: maybe(user_id()),
    device: device_id(),
});
structs!(pub(super) header: Header {
    kind: number32().prop_map(MessageKind), priority: priority(), reply_to: maybe(seq()), supersedes: maybe(seq()),
    expires_at: maybe(timestamp()), mentions: list(principal()),
});
structs!(pub(super) sealed: Sealed { key_id: number(), commitment: bytes32(), bytes: bytes() });
structs!(
    /// Any message.
    pub message: Message {
        seq: seq(), at: timestamp(), event: event_number(), sender: sender(), header: header(), sealed: sealed(),
    }
);
structs!(pub(super) receipt: Receipt {
    delivered: seq(), delivered_at: timestamp(), displayed: seq(), displayed_at: timestamp(),
});

pub(super) fn history_policy() -> BoxedStrategy<HistoryPolicy> {
    prop_oneof![
        Just(HistoryPolicy::FromJoining),
        Just(HistoryPolicy::Everything),
        number32().prop_map(HistoryPolicy::Newest)
    ]
    .boxed()
}

pub(super) fn scope() -> BoxedStrategy<Scope> {
    prop_oneof![conversation_id().prop_map(Scope::Conversation), user_id().prop_map(Scope::User)].boxed()
}

/// What any event can say.
pub fn event_body() -> BoxedStrategy<EventBody> {
    prop_oneof![
        seq().prop_map(EventBody::Posted),
        (principal(), device_id(), conversation_id(), seq(), seq()).prop_map(
            |(principal, device, conversation, delivered, displayed)| EventBody::Confirmed {
                principal,
                device,
                conversation,
                delivered,
                displayed
            }
        ),
        principal().prop_map(EventBody::Added),
        principal().prop_map(EventBody::Removed),
        Just(EventBody::ConversationChanged),
        conversation_id().prop_map(EventBody::Joined),
        conversation_id().prop_map(EventBody::Left),
        session_id().prop_map(EventBody::SessionEnded),
        Just(EventBody::UserChanged),
        user_id().prop_map(EventBody::PasswordReset),
        session_id().prop_map(EventBody::SessionLocked),
        session_id().prop_map(EventBody::SessionUnlocked),
        user_id().prop_map(EventBody::PinCleared),
    ]
    .boxed()
}
