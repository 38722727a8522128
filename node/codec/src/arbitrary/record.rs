//! Audit records.

use proptest::prelude::*;
use types::record::{Action, Agent, Entity, Record, Result as RecordResult};

use super::primitive::*;

structs!(
    /// Any audit record.
    pub record: Record {
        at: timestamp(), origin: node_id(), agent: agent(), action: action(), entities: list(entity()),
        result: prop_oneof![Just(RecordResult::Done), any::<u16>().prop_map(RecordResult::Refused)],
        commitment: maybe(bytes32()),
    }
);

fn agent() -> BoxedStrategy<Agent> {
    prop_oneof![
        (user_id(), maybe(role_id()), device_id(), session_id())
            .prop_map(|(user, acting_role, device, session)| Agent::User { user, acting_role, device, session }),
        Just(Agent::Unknown),
        Just(Agent::Cluster),
    ]
    .boxed()
}

fn entity() -> BoxedStrategy<Entity> {
    prop_oneof![
        user_id().prop_map(Entity::User),
        session_id().prop_map(Entity::Session),
        conversation_id().prop_map(Entity::Conversation),
        (conversation_id(), seq(), seq()).prop_map(|(id, first, last)| Entity::Messages(id, first, last)),
        number32().prop_map(Entity::Policy),
        node_id().prop_map(Entity::Node),
    ]
    .boxed()
}

one_of!(action: Action {
    Found, SignIn, EndSession, CreateUser, UpdateUser, DeactivateUser, SetPassword, IssueEnrolment, CreateConversation,
    UpdateConversation, AddParticipant, RemoveParticipant, Post, DefinePolicy, SetStatus, RaiseFeatureLevel,
});
