//! Conversations, participants, messages, events.

use types::conversation::{
    Cause, Conversation, ConversationKind, HistoryPolicy, Interval, Part, Participant, PolicyRef,
};
use types::message::{Header, Message, Priority, Sealed, Sender};
use types::session::Receipt;
use types::{EventBody, Scope};

use crate::declare::{choices, messages, numbers};

messages! {
    Conversation {
        1: id, 2: kind, 3: title, 4: created_by, 5: created, 6: last_seq, 7: last_at, 8: last_event, 9: participants,
        10: history, 11: subject, 12: open, 13: version,
    }
    PolicyRef { 1: id, 2: version }
    Interval { 1: from, 2: to, 3: from_event, 4: to_event, 5: cause }
    Participant { 1: part, 2: intervals, 3: displayed, 4: joined }
    Sender { 1: user, 2: acting_role, 3: location, 4: service, 5: device }
    Header { 1: kind, 2: priority, 3: reply_to, 4: supersedes, 5: expires_at, 6: mentions }
    Sealed { 1: key_id, 2: commitment, 3: bytes }
    Message { 1: seq, 2: at, 3: event, 4: sender, 5: header, 6: sealed }
    Receipt { 1: delivered, 2: delivered_at, 3: displayed, 4: displayed_at }
}

choices! {
    HistoryPolicy { 1: FromJoining, 2: Everything, 3: Newest(count) }
    Scope { 1: Conversation(id), 2: User(id) }
    EventBody {
        1: Posted(seq),
        2: Confirmed { 1: principal, 2: device, 3: conversation, 4: delivered, 5: displayed },
        3: Added(principal),
        4: Removed(principal),
        5: ConversationChanged,
        6: Joined(conversation),
        7: Left(conversation),
        8: SessionEnded(session),
        9: UserChanged,
        16: PasswordReset(by),

        88: SessionLocked(session),
        89: SessionUnlocked(session),
        90: PinCleared(by),
    }
}

numbers! {
    ConversationKind { 1: Direct, 2: Group, 3: Channel, 4: CareTeam }
    Part { 1: Reader, 2: Writer, 3: Owner }
    Cause { 1: Joined }
    Priority { 1: Routine, 2: Urgent, 3: Asap, 4: Stat }
}
