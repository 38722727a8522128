//! Audit records. Their bytes are hashed: what is written here is proven by what was published.

use types::record::{Action, Agent, Entity, Record, Result as RecordResult};

use crate::declare::{choices, messages, numbers};

messages! {
    Record { 1: at, 2: origin, 3: agent, 4: action, 5: entities, 6: result, 7: commitment }
}

choices! {
    Agent { 1: User { 1: user, 2: acting_role, 3: device, 4: session }, 2: Unknown, 3: Cluster }
    Entity {
        1: User(id),
        2: Session(id),
        3: Conversation(id),
        4: Messages(1: conversation, 2: first, 3: last),
        5: Policy(id),
        6: Node(id),
    }
    RecordResult { 1: Done, 2: Refused(number) }
}

numbers! {
    Action {
        1: Found, 2: SignIn, 3: EndSession, 4: CreateUser, 5: UpdateUser, 6: DeactivateUser, 7: SetPassword,
        8: IssueEnrolment, 9: CreateConversation, 10: UpdateConversation, 11: AddParticipant, 12: RemoveParticipant,
        13: Post, 14: DefinePolicy, 15: SetStatus, 16: RaiseFeatureLevel,
    }
}
