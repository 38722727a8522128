//! Conversations as such, and the history policies they refer to.

use alloc::collections::BTreeMap;

use types::command::{CreateConversation, UpdateConversation};
use types::conversation::{Conversation, ConversationKind, HistoryPolicy, Part, PolicyRef};
use types::key::KeyScope;
use types::limits::{
    MESSAGE_PAYLOAD_BYTES_MAX, MESSAGE_TEXT_BYTES_MAX, PARTICIPANTS_MAX, PARTICIPANTS_PER_COMMAND_MAX, TITLE_BYTES_MAX,
};
use types::reply::Field;
use types::user::{UserKind, UserState};
use types::{ConversationId, EventBody, Key, Principal, Reject, Reply, Row, Scope, Seq, UserId};

use super::keys::{self, check_key};
use super::participants::{self, admissible};
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// What sealing may add to a text.
pub(crate) const SEALING_BYTES_MAX: usize = MESSAGE_PAYLOAD_BYTES_MAX - MESSAGE_TEXT_BYTES_MAX;

/// Creates a conversation with its participants; of a pair of users there is one direct conversation.
pub(crate) fn create<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, create: &CreateConversation) -> Step<Reply, V> {
    may(tx, &actor.user, Action::CreateConversation)?.check()?;
    if create.participants.len() > PARTICIPANTS_PER_COMMAND_MAX {
        return Err(Reject::Limit(Field::Participants).into());
    }
    check_title(&create.title)?;
    check_policy(tx, create.history)?;
    check_subject(tx, actor, create)?;
    let me = Principal::User(actor.user.id);
    let mut others: BTreeMap<Principal, Part> = BTreeMap::new();
    for &(principal, part) in create.participants.iter().filter(|&&(principal, _)| principal != me) {
        admissible(tx, &actor.user, principal)?;
        others.entry(principal).and_modify(|known| *known = part.max(*known)).or_insert(part);
    }
    let direct = match (create.kind, others.keys().next()) {
        (ConversationKind::Direct, Some(&Principal::User(other))) if others.len() == 1 => Some(other),
        (ConversationKind::Direct, _) => return Err(Reject::Invalid(Field::Participants).into()),
        (ConversationKind::Group | ConversationKind::Channel | ConversationKind::CareTeam, _) => None,
    };
    if let Some(other) = direct {
        if !create.title.is_empty() {
            return Err(Reject::Invalid(Field::Title).into());
        }
        if let Some(id) = tx.direct(actor.user.id, other)? {
            return Ok(Reply::Conversation { id, created: false });
        }
        let pair = Key::Direct(actor.user.id.min(other), actor.user.id.max(other));
        tx.put(pair, Row::Direct(create.id));
    }
    if others.len() >= PARTICIPANTS_MAX {
        return Err(Reject::Limit(Field::Participants).into());
    }
    if tx.conversation(create.id)?.is_some() {
        return Err(Reject::Taken(0).into());
    }
    keys::bring(tx, KeyScope::Conversation(create.id), create.key.as_ref())?;
    check_title_key(tx, create.id, &create.title)?;
    let mut conversation = new(tx, actor.user.id, create);
    let mine = if direct.is_some() { Part::Writer } else { Part::Owner };
    participants::found(tx, &mut conversation, me, mine)?;
    for (principal, part) in others {
        let part = if direct.is_some() { Part::Writer } else { part };
        participants::found(tx, &mut conversation, principal, part)?;
    }
    tx.put(Key::Conversation(conversation.id), Row::Conversation(conversation));
    Ok(Reply::Conversation { id: create.id, created: true })
}

fn new<V: View>(tx: &Tx<'_, V>, created_by: UserId, create: &CreateConversation) -> Conversation {
    Conversation {
        id: create.id,
        kind: create.kind,
        title: create.title.clone(),
        created_by,
        created: tx.now,
        last_seq: Seq(0),
        last_at: tx.now,
        last_event: tx.cursor(),
        participants: 0,
        history: create.history,
        subject: create.subject,
        open: true,
        version: 1,
    }
}

/// Changes title, policy or state.
pub(crate) fn update<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, update: &UpdateConversation) -> Step<Reply, V> {
    may(tx, &actor.user, Action::UpdateConversation(update.id))?.check()?;
    let mut conversation = found::<_, V>(tx.conversation(update.id)?)?;
    if update.version != 0 && update.version != conversation.version {
        return Err(Reject::VersionMismatch(conversation.version).into());
    }
    if let Some(title) = &update.title {
        check_title(title)?;
        conversation.title.clone_from(title);
    }
    if let Some(history) = update.history {
        check_policy(tx, history)?;
        conversation.history = history;
    }
    if let Some(open) = update.open {
        conversation.open = open;
    }
    check_title_key(tx, update.id, update.title.as_deref().unwrap_or_default())?;
    changed(tx, &mut conversation);
    let version = conversation.version;
    tx.put(Key::Conversation(conversation.id), Row::Conversation(conversation));
    Ok(Reply::Version(version))
}

/// Counts a change and tells the participants; the caller writes the row.
pub(crate) fn changed<V: View>(tx: &mut Tx<'_, V>, conversation: &mut Conversation) {
    conversation.version = conversation.version.saturating_add(1);
    conversation.last_event = tx.event(Scope::Conversation(conversation.id), EventBody::ConversationChanged);
}

/// Adds the next version of a document of history policy.
pub(crate) fn define_policy<V: View>(
    tx: &mut Tx<'_, V>,
    actor: &Actor,
    at: PolicyRef,
    policy: HistoryPolicy,
) -> Step<Reply, V> {
    may(tx, &actor.user, Action::DefinePolicy)?.check()?;
    if tx.policy(at)?.is_some() {
        return Err(Reject::Taken(0).into());
    }
    let before = PolicyRef { version: at.version.saturating_sub(1), ..at };
    let follows = at.version == 1 || (at.version > 1 && tx.policy(before)?.is_some());
    if at.id == 0 || !follows {
        return Err(Reject::Invalid(Field::History).into());
    }
    tx.put(Key::Policy(at.id, at.version), Row::Policy(policy));
    Ok(Reply::Version(u64::from(at.version)))
}

fn check_title(sealed: &[u8]) -> Result<(), Reject> {
    let valid = sealed.len() <= TITLE_BYTES_MAX + SEALING_BYTES_MAX;
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::Title)) }
}

fn check_title_key<V: View>(tx: &Tx<'_, V>, id: ConversationId, title: &[u8]) -> Step<(), V> {
    if title.is_empty() { Ok(()) } else { check_key(tx, KeyScope::Conversation(id), title) }
}

fn check_policy<V: View>(tx: &Tx<'_, V>, at: PolicyRef) -> Step<(), V> {
    match tx.policy(at)? {
        Some(_) => Ok(()),
        None => Err(Reject::Invalid(Field::History).into()),
    }
}

/// A care team is about a patient, and nothing else is.
fn check_subject<V: View>(tx: &Tx<'_, V>, actor: &Actor, create: &CreateConversation) -> Step<(), V> {
    let valid = match (create.kind, create.subject) {
        (ConversationKind::CareTeam, Some(id)) => {
            may(tx, &actor.user, Action::SeeUser(id))?.is_yes()
                && tx.user(id)?.is_some_and(|user| user.kind == UserKind::Patient && user.state == UserState::Active)
        }
        (ConversationKind::CareTeam, None) => false,
        (ConversationKind::Direct | ConversationKind::Group | ConversationKind::Channel, subject) => subject.is_none(),
    };
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::Subject).into()) }
}
