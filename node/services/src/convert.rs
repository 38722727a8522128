//! Values as clients see them.

use std::time::Duration;

use proto::v1;
use types::conversation::{ConversationKind, HistoryPolicy, Part, PolicyRef};
use types::identity::Method;
use types::message::{Message, Priority};
use types::presence::{Availability, Presence};
use types::session::{Receipt, Session, SessionState};
use types::user::{PermissionSet, Realm, User, UserKind, UserState};
use types::{ConversationId, DeviceId, Principal, SessionId, Timestamp, UserId};

use crate::errors::Error;
use crate::names;

/// A time on the wire.
pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    prost_types::Timestamp { seconds, nanos: (at.0 % 1_000) as i32 * 1_000_000 }
}

/// A time from the wire, in whole milliseconds.
pub(crate) fn time_in(field: &str, at: prost_types::Timestamp) -> Result<Timestamp, Error> {
    let wrong = || Error::invalid(field, "is not a time from 1970 to 9999");
    let seconds = u64::try_from(at.seconds).ok().filter(|&seconds| seconds < 253_402_300_800).ok_or_else(wrong)?;
    let nanos = u64::try_from(at.nanos).ok().filter(|&nanos| nanos < 1_000_000_000).ok_or_else(wrong)?;
    Ok(Timestamp(seconds * 1_000 + nanos / 1_000_000))
}

/// A duration on the wire.
pub(crate) fn duration(of: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(of.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(of.subsec_nanos()).unwrap_or(0) }
}

/// A principal that is a user, by name; roles have none yet.
pub(crate) fn principal(principal: Principal) -> String {
    match principal {
        Principal::User(id) => names::of_user(id),
        Principal::Role(_) => String::new(),
    }
}

/// A user; with what operators see, or without.
pub(crate) fn user(user: &User, details: bool) -> v1::User {
    let external_ids = user.external_ids.iter().filter(|_| details);
    let permissions = user.permissions.iter().filter(|_| details);
    v1::User {
        name: names::of_user(user.id),
        login: user.login.clone(),
        display_name: user.display_name.clone(),
        unit: user.unit.clone(),
        kind: user_kind(user.kind).into(),
        realm: realm(user.realm).into(),
        external_ids: external_ids
            .map(|id| v1::ExternalId { system: id.system.clone(), value: id.value.clone() })
            .collect(),
        messaging_disabled: !user.may_message,
        permission_sets: permissions.map(|&set| permission_set(set).into()).collect(),
        create_time: Some(time(user.created)),
        deactivate_time: match user.state {
            UserState::Active => None,
            UserState::Deactivated(at) => Some(time(at)),
        },
        version: user.version,
    }
}

const fn user_kind(kind: UserKind) -> v1::UserKind {
    match kind {
        UserKind::Person => v1::UserKind::Person,
        UserKind::Location => v1::UserKind::Location,
        UserKind::Service => v1::UserKind::Service,
        UserKind::Patient => v1::UserKind::Patient,
    }
}

const fn realm(realm: Realm) -> v1::Realm {
    match realm {
        Realm::Staff => v1::Realm::Staff,
        Realm::Partner => v1::Realm::Partner,
        Realm::Patient => v1::Realm::Patient,
    }
}

/// A permission set.
pub(crate) const fn permission_set(set: PermissionSet) -> v1::PermissionSet {
    match set {
        PermissionSet::Admin => v1::PermissionSet::Admin,
        PermissionSet::Auditor => v1::PermissionSet::Auditor,
        PermissionSet::Helpdesk => v1::PermissionSet::Helpdesk,
        PermissionSet::Integrator => v1::PermissionSet::Integrator,
        PermissionSet::Viewer => v1::PermissionSet::Viewer,
        PermissionSet::Discloser => v1::PermissionSet::Discloser,
        PermissionSet::Keyholder => v1::PermissionSet::Keyholder,
    }
}

/// A session.
pub(crate) fn session(session: &Session, connected: bool, current: SessionId) -> v1::Session {
    v1::Session {
        name: names::of_session(session.user, session.id),
        device: session.device.to_string(),
        create_time: Some(time(session.created)),
        expire_time: Some(time(session.expires)),
        connected,
        current: session.id == current,
        auth_time: Some(time(session.authenticated)),
        auth_methods: session.methods.iter().map(|method| auth_method(*method).to_owned()).collect(),
        state: match session.state {
            SessionState::Active => v1::SessionState::Active.into(),
            SessionState::Locked => v1::SessionState::Locked.into(),
            SessionState::Ended(..) => v1::SessionState::Unspecified.into(),
        },
        location: session.place.map(|place| names::of_user(place.location)).unwrap_or_default(),
    }
}

const fn auth_method(method: Method) -> &'static str {
    match method {
        Method::Password => "password",
        Method::Code => "code",
        Method::DeviceKey => "device_key",
        Method::Totp => "totp",
        Method::RecoveryCode => "recovery_code",
        Method::Pin => "pin",
    }
}

/// A kind of conversation.
pub(crate) const fn conversation_kind(kind: ConversationKind) -> v1::ConversationKind {
    match kind {
        ConversationKind::Direct => v1::ConversationKind::Direct,
        ConversationKind::Group => v1::ConversationKind::Group,
        ConversationKind::Channel => v1::ConversationKind::Channel,
        ConversationKind::CareTeam => v1::ConversationKind::CareTeam,
    }
}

/// A part; none is unspecified.
pub(crate) const fn part(part: Option<Part>) -> v1::Part {
    match part {
        None => v1::Part::Unspecified,
        Some(Part::Reader) => v1::Part::Reader,
        Some(Part::Writer) => v1::Part::Writer,
        Some(Part::Owner) => v1::Part::Owner,
    }
}

/// A reference to a policy.
pub(crate) const fn policy_ref(at: PolicyRef) -> v1::HistoryPolicyRef {
    v1::HistoryPolicyRef { id: at.id, version: at.version }
}

/// A policy from the wire.
pub(crate) fn policy_in(policy: Option<v1::HistoryPolicy>) -> Result<HistoryPolicy, Error> {
    use v1::history_policy::Shows;
    match policy.and_then(|policy| policy.shows) {
        Some(Shows::Nothing(true)) => Ok(HistoryPolicy::FromJoining),
        Some(Shows::Everything(true)) => Ok(HistoryPolicy::Everything),
        Some(Shows::Newest(count)) if count > 0 => Ok(HistoryPolicy::Newest(count)),
        Some(Shows::Newest(_)) => Err(Error::invalid("policy.newest", "must be 1 or more; else say nothing")),
        Some(Shows::Nothing(false) | Shows::Everything(false)) | None => {
            Err(Error::invalid("policy.shows", "say one of nothing (true), everything (true), newest"))
        }
    }
}

/// A message with its opened text.
pub(crate) fn message(conversation: ConversationId, message: &Message, text: String) -> v1::Message {
    v1::Message {
        name: names::of_message(conversation, message.seq),
        seq: message.seq.0,
        create_time: Some(time(message.at)),
        sender: names::of_user(message.sender.user),
        location: message.sender.location.map(names::of_user).unwrap_or_default(),
        kind: message.header.kind.0,
        priority: priority(message.header.priority).into(),
        reply_to: message.header.reply_to.map_or(0, |seq| seq.0),
        supersedes: message.header.supersedes.map_or(0, |seq| seq.0),
        expire_time: message.header.expires_at.map(time),
        mentions: message.header.mentions.iter().map(|&mentioned| principal(mentioned)).collect(),
        text,
    }
}

pub(crate) const fn priority(priority: Priority) -> v1::Priority {
    match priority {
        Priority::Routine => v1::Priority::Routine,
        Priority::Urgent => v1::Priority::Urgent,
        Priority::Asap => v1::Priority::Asap,
        Priority::Stat => v1::Priority::Stat,
    }
}

/// How far a device has come.
pub(crate) fn receipt(of: Principal, device: DeviceId, receipt: &Receipt) -> v1::Receipt {
    let since = |at: Timestamp| (at.0 > 0).then(|| time(at));
    v1::Receipt {
        user: principal(of),
        device: device.to_string(),
        delivered_seq: receipt.delivered.0,
        deliver_time: since(receipt.delivered_at),
        displayed_seq: receipt.displayed.0,
        display_time: since(receipt.displayed_at),
    }
}

/// The presence of a user, with the text they set.
pub(crate) fn presence(user: UserId, presence: Presence, text: String, expires: Option<Timestamp>) -> v1::Presence {
    use v1::PresenceState as State;
    let (state, since) = match presence {
        Presence::Available => (State::Available, None),
        Presence::Busy => (State::Busy, None),
        Presence::Dnd => (State::Dnd, None),
        Presence::Away => (State::Away, None),
        Presence::Idle(since) => (State::Idle, Some(since)),
        Presence::Locked(since) => (State::Locked, Some(since)),
        Presence::Reconnecting => (State::Reconnecting, None),
        Presence::Offline(since) => (State::Offline, since),
    };
    v1::Presence {
        user: names::of_user(user),
        state: state.into(),
        text,
        expire_time: expires.map(time),
        since: since.map(time),
    }
}

/// What a user says of themselves, from the wire.
pub(crate) fn availability_in(field: &str, state: i32) -> Result<Option<Availability>, Error> {
    use v1::PresenceState as State;
    match State::try_from(state) {
        Ok(State::Unspecified) => Ok(None),
        Ok(State::Available) => Ok(Some(Availability::Available)),
        Ok(State::Busy) => Ok(Some(Availability::Busy)),
        Ok(State::Dnd) => Ok(Some(Availability::Dnd)),
        Ok(State::Away) => Ok(Some(Availability::Away)),
        Ok(State::Idle | State::Reconnecting | State::Offline | State::Locked) => {
            Err(Error::invalid(field, "cannot be set: it follows from the sessions"))
        }
        Err(_) => Err(unknown(field, state)),
    }
}

/// Milliseconds of a duration from the wire.
pub(crate) fn ms_in(field: &str, lasts: prost_types::Duration) -> Result<u64, Error> {
    let lasts = Duration::try_from(lasts).map_err(|_| Error::invalid(field, "may not be negative"))?;
    u64::try_from(lasts.as_millis()).map_err(|_| Error::invalid(field, "is too long"))
}

/// The error for an enum value this release does not know.
pub(crate) fn unknown(field: &str, value: i32) -> Error {
    Error::invalid(field, format!("{value} is not a value that this release knows"))
}
