//! What goes into the audit log: one decision for each command, and the fixed numbers of refusals.

use alloc::vec;
use alloc::vec::Vec;

use types::record::{Action, Agent, Entity, Record, Result as End};
use types::{Command, NodeId, Principal, Reject, Reply, Timestamp};

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
    }
}

/// The record of a command and what came of it; none if it leaves none.
pub(crate) fn of(
    command: &Command,
    at: Timestamp,
    origin: NodeId,
    agent: Agent,
    result: &Result<Reply, Reject>,
) -> Option<Record> {
    let action = action_of(command)?;
    let end = match result {
        Ok(_) => End::Done,
        Err(reject) => End::Refused(reject_number(reject)),
    };
    let commitment = match (command, result) {
        (Command::Post(post), Ok(_)) => Some(post.sealed.commitment),
        _ => None,
    };
    let agent = agent_of(command, agent, result);
    Some(Record { at, origin, agent, action, entities: entities(command, result), result: end, commitment })
}

/// A sign-in is put by a node and done by the user whose session it opens.
fn agent_of(command: &Command, agent: Agent, result: &Result<Reply, Reject>) -> Agent {
    match (command, result) {
        (Command::SignIn(_) | Command::Enrol(_), Ok(Reply::SignedIn { user, session, device, .. })) => {
            Agent::User { user: *user, acting_role: None, device: *device, session: *session }
        }
        (Command::Found(_) | Command::RaiseFeatureLevel(_), _) => Agent::Cluster,
        _ => agent,
    }
}

fn entities(command: &Command, result: &Result<Reply, Reject>) -> Vec<Entity> {
    match command {
        Command::RenewLease(_) | Command::Tick | Command::Connections(_) | Command::Confirm(_) => Vec::new(),
        Command::RaiseFeatureLevel(_) => Vec::new(),
        Command::ExpireLease(node, _) => vec![Entity::Node(*node)],
        Command::Found(found) => vec![Entity::User(found.admin.id)],
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
    }
}

fn with_principals(first: Entity, principals: impl Iterator<Item = Principal>) -> Vec<Entity> {
    let users = principals.filter_map(|principal| match principal {
        Principal::User(id) => Some(Entity::User(id)),
        Principal::Role(_) => None, // None exists yet.
    });
    core::iter::once(first).chain(users.take(types::limits::PARTICIPANTS_PER_COMMAND_MAX)).collect()
}
