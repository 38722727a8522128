//! Records and what they are asked by, as clients see them.

use proto::v1;
use state::policy::Action as Wish;
use types::record::{Action, Agent, Entity, Purpose, Record, Result as End};
use types::{ConversationId, NodeId, Scope, Seq};

use crate::errors::Error;
use crate::{convert, names};

/// A record on the wire.
pub(crate) fn record(index: u64, record: &Record) -> v1::AuditRecord {
    let (user, session, device) = match &record.agent {
        Agent::User { user, session, device, .. } => (names::of_user(*user), session.to_string(), device.to_string()),
        Agent::Unknown | Agent::Cluster => Default::default(),
    };
    let (outcome, refusal) = match record.result {
        End::Done => (v1::AuditOutcome::Done, 0),
        End::Refused(number) => (v1::AuditOutcome::Refused, number),
    };
    v1::AuditRecord {
        index,
        create_time: Some(convert::time(record.at)),
        user,
        session,
        device,
        action: record::code(record.action).to_owned(),
        targets: record.entities.iter().map(target).collect(),
        outcome: outcome.into(),
        refusal: refusal.into(),
        node: record.origin.to_string(),
        purpose: record.purpose.map_or("", purpose).to_owned(),
        reason: record.reason.clone().unwrap_or_default(),
        count: record.count.unwrap_or(0),
        stored: codec::encode_record(record),
        address: String::new(), // Opened only for those who ask for it.
    }
}

/// A code of HL7's PurposeOfUse.
const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "TREAT",
        Purpose::Emergency => "ETREAT",
        Purpose::Operations => "HOPERAT",
        Purpose::Compliance => "HCOMPL",
        Purpose::BreakGlass => "BTG",
    }
}

fn target(entity: &Entity) -> String {
    match entity {
        Entity::User(id) => names::of_user(*id),
        Entity::Session(id) => format!("sessions/{id}"),
        Entity::Conversation(id) => names::of_conversation(*id),
        Entity::Messages(id, first, last) if first == last => names::of_message(*id, *first),
        Entity::Messages(id, first, last) => format!("{}/messages/{}-{}", names::of_conversation(*id), first.0, last.0),
        Entity::Policy(id) => format!("policies/{id}"),
        Entity::Node(node) | Entity::Signer(node, _) => format!("nodes/{node}"),
        Entity::Head(size) => format!("heads/{size}"),
        Entity::Records(first, last) => format!("records/{first}-{last}"),
        Entity::Emergency(number) => names::of_emergency(*number),
        Entity::Certificate(serial) => format!("certificates/{serial}"),
        Entity::RecoveryKit(public) => format!("kits/{}", hex(public)),
    }
}

/// An action by its word; none for an empty one.
pub(crate) fn action_in(field: &str, word: &str) -> Result<Option<Action>, Error> {
    if word.is_empty() {
        return Ok(None);
    }
    let action = Action::ALL.iter().copied().find(|action| record::code(*action) == word);
    action.map(Some).ok_or_else(|| Error::invalid(field, "is not an action that this release knows"))
}

/// A target by its name; none for an empty one.
pub(crate) fn target_in(field: &str, name: &str) -> Result<Option<Entity>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        Error::invalid(
            field,
            "expected users/{id}, sessions/{id}, conversations/{id}[/messages/{seq}], nodes/{id}, policies/{id}, heads/{size}, emergencies/{number} or certificates/{serial}",
        )
    };
    let (kind, rest) = name.split_once('/').ok_or_else(wrong)?;
    let found = match kind {
        "users" => rest.parse().ok().map(Entity::User),
        "sessions" => rest.parse().ok().map(Entity::Session),
        "policies" => rest.parse().ok().map(Entity::Policy),
        "heads" => rest.parse().ok().map(Entity::Head),
        "emergencies" => rest.parse().ok().map(Entity::Emergency),
        "certificates" => rest.parse().ok().map(Entity::Certificate),
        "nodes" => node(rest).map(Entity::Node),
        "conversations" => conversation(rest),
        _ => None,
    };
    found.map(Some).ok_or_else(wrong)
}

fn conversation(rest: &str) -> Option<Entity> {
    let Some((id, seqs)) = rest.split_once("/messages/") else { return rest.parse().ok().map(Entity::Conversation) };
    let id: ConversationId = id.parse().ok()?;
    let (first, last) = seqs.split_once('-').unwrap_or((seqs, seqs));
    Some(Entity::Messages(id, Seq(first.parse().ok()?), Seq(last.parse().ok()?)))
}

pub(crate) fn node(text: &str) -> Option<NodeId> {
    let slot = text.get(..1)?.parse().ok()?;
    Some(NodeId::new(slot, types::Incarnation(text.get(1..)?.parse().ok()?)))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an action is about, for the record of its refusal.
pub(crate) const fn about(action: Wish) -> Option<Entity> {
    match action {
        Wish::EndSession(id) | Wish::LockSession(id) => Some(Entity::Session(id)),
        Wish::ApproveEmergency(number) | Wish::EndEmergency(number) | Wish::ReviewEmergency(number) => {
            Some(Entity::Emergency(number))
        }
        Wish::UpdateUser { user, .. }
        | Wish::DeactivateUser(user)
        | Wish::IssueEnrolment(user)
        | Wish::RemoveSecondFactor(user)
        | Wish::ClearPin(user)
        | Wish::LogOff(types::identity::LogOffScope::User(user))
        | Wish::SeePresence(user)
        | Wish::SeeUser(user)
        | Wish::SeeUserDetails(user)
        | Wish::ListSessions(user) => Some(Entity::User(user)),
        Wish::UpdateConversation(id)
        | Wish::AddParticipants(id)
        | Wish::RemoveParticipant(id, _)
        | Wish::Post(id)
        | Wish::Confirm(id)
        | Wish::Type(id)
        | Wish::SeeConversation(id)
        | Wish::SeeParticipants(id)
        | Wish::SeeEvent(Scope::Conversation(id), _) => Some(Entity::Conversation(id)),
        Wish::SeeMessage(id, seq) | Wish::SeeReceipts(id, seq) => Some(Entity::Messages(id, seq, seq)),
        _ => None,
    }
}
