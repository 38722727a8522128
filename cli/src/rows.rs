//! Values of the wire as documents with stable field names, and in words.

use std::collections::BTreeMap;

use proto::v1;
use serde::Serialize;

use crate::when::rfc3339;

/// `users/{id}` without its collection.
pub fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A user.
#[derive(Serialize, Clone)]
pub struct User {
    pub id: String,
    pub login: String,
    pub display_name: String,
    pub unit: String,
    pub kind: &'static str,
    pub realm: &'static str,
    pub external_ids: Vec<String>,
    pub messaging: bool,
    pub permissions: Vec<&'static str>,
    pub created: Option<String>,
    pub deactivated: Option<String>,
    pub version: u64,
}

impl From<&v1::User> for User {
    fn from(user: &v1::User) -> Self {
        Self {
            id: id_of(&user.name).into(),
            login: user.login.clone(),
            display_name: user.display_name.clone(),
            unit: user.unit.clone(),
            kind: kind_word(user.kind()),
            realm: realm_word(user.realm()),
            external_ids: user.external_ids.iter().map(|id| format!("{}={}", id.system, id.value)).collect(),
            messaging: !user.messaging_disabled,
            permissions: user.permission_sets().map(permission_word).collect(),
            created: rfc3339(user.create_time.as_ref()),
            deactivated: rfc3339(user.deactivate_time.as_ref()),
            version: user.version,
        }
    }
}

/// `Dr Ito (Cardiology)`.
pub fn with_unit(user: &v1::User) -> String {
    if user.unit.is_empty() { user.display_name.clone() } else { format!("{} ({})", user.display_name, user.unit) }
}

/// The word for a kind of user.
pub fn kind_word(kind: v1::UserKind) -> &'static str {
    match kind {
        v1::UserKind::Unspecified | v1::UserKind::Person => "person",
        v1::UserKind::Location => "location",
        v1::UserKind::Service => "service",
        v1::UserKind::Patient => "patient",
    }
}

/// The word for a realm.
pub fn realm_word(realm: v1::Realm) -> &'static str {
    match realm {
        v1::Realm::Unspecified | v1::Realm::Staff => "staff",
        v1::Realm::Partner => "partner",
        v1::Realm::Patient => "patient",
    }
}

/// The word for a permission set.
pub fn permission_word(set: v1::PermissionSet) -> &'static str {
    match set {
        v1::PermissionSet::Unspecified => "unknown",
        v1::PermissionSet::Admin => "admin",
        v1::PermissionSet::Auditor => "auditor",
        v1::PermissionSet::Helpdesk => "helpdesk",
        v1::PermissionSet::Integrator => "integrator",
        v1::PermissionSet::Viewer => "viewer",
        v1::PermissionSet::Discloser => "discloser",
        v1::PermissionSet::Keyholder => "keyholder",
    }
}

/// The word for a part; empty for one who has left.
pub fn part_word(part: v1::Part) -> &'static str {
    match part {
        v1::Part::Unspecified => "left",
        v1::Part::Reader => "reader",
        v1::Part::Writer => "writer",
        v1::Part::Owner => "owner",
    }
}

/// The word for a kind of conversation.
pub fn conversation_word(kind: v1::ConversationKind) -> &'static str {
    match kind {
        v1::ConversationKind::Unspecified => "unknown",
        v1::ConversationKind::Direct => "direct",
        v1::ConversationKind::Group => "group",
        v1::ConversationKind::Channel => "channel",
        v1::ConversationKind::CareTeam => "care-team",
    }
}

/// The word for an urgency.
pub fn priority_word(priority: v1::Priority) -> &'static str {
    match priority {
        v1::Priority::Unspecified | v1::Priority::Routine => "routine",
        v1::Priority::Urgent => "urgent",
        v1::Priority::Asap => "asap",
        v1::Priority::Stat => "stat",
    }
}

/// The words for a presence.
pub fn presence_word(state: v1::PresenceState) -> &'static str {
    match state {
        v1::PresenceState::Unspecified => "unknown",
        v1::PresenceState::Available => "available",
        v1::PresenceState::Busy => "busy",
        v1::PresenceState::Dnd => "do not disturb",
        v1::PresenceState::Away => "away",
        v1::PresenceState::Idle => "idle",
        v1::PresenceState::Reconnecting => "reconnecting",
        v1::PresenceState::Offline => "offline",
        v1::PresenceState::Locked => "locked, alerts get through",
    }
}

/// A conversation.
#[derive(Serialize, Clone)]
pub struct Conversation {
    pub id: String,
    pub kind: &'static str,
    pub title: String,
    pub peer: Option<String>,
    pub peer_login: Option<String>,
    pub subject: Option<String>,
    pub part: &'static str,
    pub participants: i32,
    pub unread: i32,
    pub last_seq: u64,
    pub last_time: Option<String>,
    pub displayed_seq: u64,
    pub closed: bool,
    pub history_policy: u32,
    pub created: Option<String>,
    pub version: u64,
}

impl Conversation {
    /// A conversation, titled by the other's name if it is direct.
    pub fn new(conversation: &v1::Conversation, people: &People) -> Self {
        let some = |name: &String| (!name.is_empty()).then(|| id_of(name).to_owned());
        Self {
            id: id_of(&conversation.name).into(),
            kind: conversation_word(conversation.kind()),
            title: title(conversation, people),
            peer: some(&conversation.peer),
            peer_login: people.get(&conversation.peer).map(|user| user.login.clone()),
            subject: some(&conversation.subject),
            part: part_word(conversation.part()),
            participants: conversation.participant_count,
            unread: conversation.unread_count,
            last_seq: conversation.last_seq,
            last_time: rfc3339(conversation.last_time.as_ref()),
            displayed_seq: conversation.displayed_seq,
            closed: conversation.closed,
            history_policy: conversation.history_policy.map_or(0, |policy| policy.id),
            created: rfc3339(conversation.create_time.as_ref()),
            version: conversation.version,
        }
    }
}

/// A conversation's title, or the name of the other.
pub fn title(conversation: &v1::Conversation, people: &People) -> String {
    if conversation.kind() == v1::ConversationKind::Direct {
        return people.name(&conversation.peer);
    }
    conversation.title.clone()
}

/// Users by `users/{id}`.
#[derive(Default, Clone)]
pub struct People(pub BTreeMap<String, v1::User>);

impl People {
    /// A user, if known.
    pub fn get(&self, name: &str) -> Option<&v1::User> {
        self.0.get(name)
    }

    /// `Dr Ito (Cardiology)`, or the beginning of an unknown one's id.
    pub fn name(&self, name: &str) -> String {
        self.get(name).map_or_else(|| format!("unknown user {}", id_of(name).get(..8).unwrap_or("")), with_unit)
    }
}

/// A message.
#[derive(Serialize, Clone)]
pub struct Message {
    pub conversation: String,
    pub seq: u64,
    pub time: Option<String>,
    pub sender: String,
    pub sender_login: Option<String>,
    pub sender_name: Option<String>,
    pub sender_unit: Option<String>,
    pub kind: u32,
    pub priority: &'static str,
    pub reply_to: Option<u64>,
    pub supersedes: Option<u64>,
    pub mentions: Vec<String>,
    pub text: Option<String>,
}

impl Message {
    /// A message of a conversation.
    pub fn new(message: &v1::Message, people: &People) -> Self {
        let sender = people.get(&message.sender);
        let known = message.kind <= v1::MessageKind::Text as u32;
        Self {
            conversation: message.name.split('/').nth(1).unwrap_or_default().into(),
            seq: message.seq,
            time: rfc3339(message.create_time.as_ref()),
            sender: id_of(&message.sender).into(),
            sender_login: sender.map(|user| user.login.clone()),
            sender_name: sender.map(|user| user.display_name.clone()),
            sender_unit: sender.map(|user| user.unit.clone()),
            kind: message.kind,
            priority: priority_word(message.priority()),
            reply_to: (message.reply_to > 0).then_some(message.reply_to),
            supersedes: (message.supersedes > 0).then_some(message.supersedes),
            mentions: message.mentions.iter().map(|name| id_of(name).into()).collect(),
            text: known.then(|| message.text.clone()),
        }
    }
}

/// What to show for a message's text.
pub fn body(message: &v1::Message) -> String {
    if message.kind > v1::MessageKind::Text as u32 {
        return format!("[newer client needed: a message of kind {}]", message.kind);
    }
    crate::text::lines(&message.text)
}

/// A message in lines of at most [`crate::output::COLUMNS`]: seq, time, sender, urgency, text.
pub fn message_lines(message: &v1::Message, people: &People, conversation: Option<&str>) -> Vec<String> {
    let time = crate::when::clock(message.create_time.as_ref());
    let mut head = format!("{:>6}  {time}  {}", message.seq, crate::text::line(&people.name(&message.sender)));
    if let Some(conversation) = conversation {
        head += &format!("  in {}", crate::text::line(conversation));
    }
    if message.priority() > v1::Priority::Routine {
        head += &format!("  {}", priority_word(message.priority()).to_uppercase());
    }
    if message.reply_to > 0 {
        head += &format!("  answers {}", message.reply_to);
    }
    if message.supersedes > 0 {
        head += &format!("  in place of {}", message.supersedes);
    }
    let columns = usize::from(crate::output::COLUMNS);
    let mut lines = vec![crate::text::shorten(&head, columns)];
    let text = crate::text::wrap(&body(message), columns - 8);
    lines.extend(text.into_iter().map(|row| format!("        {row}").trim_end().to_owned()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_without_its_escapes_and_within_80_columns() {
        let message = v1::Message {
            seq: 7,
            kind: 1,
            text: format!("\x1b[2Jhello {}", "word ".repeat(60)),
            priority: v1::Priority::Stat as i32,
            ..Default::default()
        };
        let lines = message_lines(&message, &People::default(), Some("evil\x1b]0;x\x07"));
        assert!(lines[0].ends_with("STAT"), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains('\x1b') && crate::text::width(line) <= 80), "{lines:?}");
    }

    #[test]
    fn a_kind_of_a_later_release_is_said_to_be_one() {
        let message = v1::Message { kind: 9, text: "x".into(), ..Default::default() };
        assert!(body(&message).contains("newer client needed"));
        assert_eq!(Message::new(&message, &People::default()).text, None);
    }
}
