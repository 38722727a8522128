//! Fields of requests, checked before anything is proposed.

use proto::v1;
use types::command::UpdateUser;
use types::conversation::{ConversationKind, POLICY_EVERYTHING, POLICY_FROM_JOINING, Part, PolicyRef};
use types::limits::{
    DISPLAY_NAME_BYTES_MAX, EXTERNAL_ID_BYTES_MAX, EXTERNAL_IDS_MAX, MENTIONS_MAX, MESSAGE_TEXT_BYTES_MAX,
    STATUS_TEXT_BYTES_MAX, TITLE_BYTES_MAX, UNIT_BYTES_MAX,
};
use types::message::Priority;
use types::user::{ExternalId, PermissionSet, Realm, UserKind};
use types::{Principal, UserId};

use crate::convert::unknown;
use crate::errors::{Error, Violation};
use crate::names;

/// Most wrong fields one answer names.
pub(crate) const VIOLATIONS_MAX: usize = 100;

/// What is wrong so far; all of it is told at once.
#[derive(Default)]
struct Wrong(Vec<Violation>);

impl Wrong {
    fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Error::Invalid(violations)) => {
                self.0.extend(violations);
                None
            }
            Err(_) => None,
        }
    }

    fn end(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Checks how many items a list has.
pub(crate) fn count(field: &str, count: usize, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&count) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("it has {count} items, {min} to {max} are allowed")))
}

fn name(field: String, text: &str, max: usize) -> Result<(), Error> {
    types::text::check_name(text, max).map_err(|error| Error::invalid(field, error.to_string()))
}

/// A user's fields that are not taken as they are.
pub(crate) struct NewUserFields {
    pub(crate) kind: UserKind,
    pub(crate) realm: Realm,
    pub(crate) external_ids: Vec<ExternalId>,
    pub(crate) permissions: Vec<PermissionSet>,
}

/// Checks a user to create.
pub(crate) fn new_user(at: &str, user: &v1::User) -> Result<NewUserFields, Error> {
    let mut wrong = Wrong::default();
    let login = types::text::check_login(&user.login);
    wrong.take(login.map_err(|error| Error::invalid(format!("{at}.login"), error.to_string())));
    wrong.take(name(format!("{at}.display_name"), &user.display_name, DISPLAY_NAME_BYTES_MAX));
    wrong.take(unit(at, &user.unit));
    let kind = wrong.take(user_kind(&format!("{at}.kind"), user.kind));
    let realm = wrong.take(realm(&format!("{at}.realm"), user.realm, kind));
    let external_ids = wrong.take(external_ids(at, &user.external_ids));
    let permissions = wrong.take(permissions(at, &user.permission_sets));
    wrong.end()?;
    match (kind, realm, external_ids, permissions) {
        (Some(kind), Some(realm), Some(external_ids), Some(permissions)) => {
            Ok(NewUserFields { kind, realm, external_ids, permissions })
        }
        _ => Err(Error::Internal("a field was neither right nor wrong")),
    }
}

fn unit(at: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() { Ok(()) } else { name(format!("{at}.unit"), text, UNIT_BYTES_MAX) }
}

fn user_kind(field: &str, kind: i32) -> Result<UserKind, Error> {
    Ok(match v1::UserKind::try_from(kind).map_err(|_| unknown(field, kind))? {
        v1::UserKind::Unspecified | v1::UserKind::Person => UserKind::Person,
        v1::UserKind::Location => UserKind::Location,
        v1::UserKind::Service => UserKind::Service,
        v1::UserKind::Patient => UserKind::Patient,
    })
}

fn realm(field: &str, realm: i32, kind: Option<UserKind>) -> Result<Realm, Error> {
    Ok(match v1::Realm::try_from(realm).map_err(|_| unknown(field, realm))? {
        v1::Realm::Unspecified if kind == Some(UserKind::Patient) => Realm::Patient,
        v1::Realm::Unspecified | v1::Realm::Staff => Realm::Staff,
        v1::Realm::Partner => Realm::Partner,
        v1::Realm::Patient => Realm::Patient,
    })
}

fn external_ids(at: &str, ids: &[v1::ExternalId]) -> Result<Vec<ExternalId>, Error> {
    count(&format!("{at}.external_ids"), ids.len(), 0, EXTERNAL_IDS_MAX)?;
    for (number, id) in ids.iter().enumerate() {
        name(format!("{at}.external_ids[{number}].system"), &id.system, EXTERNAL_ID_BYTES_MAX)?;
        name(format!("{at}.external_ids[{number}].value"), &id.value, EXTERNAL_ID_BYTES_MAX)?;
    }
    let mut ids: Vec<ExternalId> =
        ids.iter().map(|id| ExternalId { system: id.system.clone(), value: id.value.clone() }).collect();
    ids.sort();
    if ids.windows(2).any(|two| two[0].system == two[1].system) {
        return Err(Error::invalid(format!("{at}.external_ids"), "two of one system"));
    }
    Ok(ids)
}

fn permissions(at: &str, sets: &[i32]) -> Result<Vec<PermissionSet>, Error> {
    permission_sets(format!("{at}.permission_sets"), sets)
}

/// Permission sets, sorted, none twice.
pub(crate) fn permission_sets(field: String, sets: &[i32]) -> Result<Vec<PermissionSet>, Error> {
    let mut permissions = Vec::new();
    for &set in sets.iter().take(VIOLATIONS_MAX) {
        permissions.push(match v1::PermissionSet::try_from(set) {
            Ok(v1::PermissionSet::Admin) => PermissionSet::Admin,
            Ok(v1::PermissionSet::Auditor) => PermissionSet::Auditor,
            Ok(v1::PermissionSet::Helpdesk) => PermissionSet::Helpdesk,
            Ok(v1::PermissionSet::Integrator) => PermissionSet::Integrator,
            Ok(v1::PermissionSet::Viewer) => PermissionSet::Viewer,
            Ok(v1::PermissionSet::Discloser) => PermissionSet::Discloser,
            Ok(v1::PermissionSet::Keyholder) => PermissionSet::Keyholder,
            Ok(v1::PermissionSet::Unspecified) | Err(_) => return Err(unknown(&field, set)),
        });
    }
    permissions.sort();
    permissions.dedup();
    Ok(permissions)
}

/// Checks which fields of a user change, and to what.
pub(crate) fn user_update(id: UserId, user: &v1::User, paths: &[String]) -> Result<UpdateUser, Error> {
    let mut update = UpdateUser {
        id,
        version: user.version,
        display_name: None,
        unit: None,
        words: None,
        external_ids: None,
        may_message: None,
        permissions: None,
        sealed_name: None,
    };
    count("update_paths", paths.len(), 1, 5)?;
    for path in paths {
        match path.as_str() {
            "display_name" => {
                name("user.display_name".into(), &user.display_name, DISPLAY_NAME_BYTES_MAX)?;
                update.display_name = Some(user.display_name.clone());
            }
            "unit" => {
                unit("user", &user.unit)?;
                update.unit = Some(user.unit.clone());
            }
            "external_ids" => update.external_ids = Some(external_ids("user", &user.external_ids)?),
            "messaging_disabled" => update.may_message = Some(!user.messaging_disabled),
            "permission_sets" => update.permissions = Some(permissions("user", &user.permission_sets)?),
            other => {
                let allowed = "display_name, unit, external_ids, messaging_disabled, permission_sets";
                return Err(Error::invalid(
                    "update_paths",
                    format!("{other:?} cannot be changed; any of {allowed} can"),
                ));
            }
        }
    }
    Ok(update)
}

/// A kind of conversation.
pub(crate) fn conversation_kind(field: &str, kind: i32) -> Result<ConversationKind, Error> {
    Ok(match v1::ConversationKind::try_from(kind).map_err(|_| unknown(field, kind))? {
        v1::ConversationKind::Unspecified => {
            return Err(Error::invalid(field, "is missing: direct, group, channel or care team"));
        }
        v1::ConversationKind::Direct => ConversationKind::Direct,
        v1::ConversationKind::Group => ConversationKind::Group,
        v1::ConversationKind::Channel => ConversationKind::Channel,
        v1::ConversationKind::CareTeam => ConversationKind::CareTeam,
    })
}

/// A title: none for direct conversations, one for all others.
pub(crate) fn title(field: &str, kind: Option<ConversationKind>, title: &str) -> Result<(), Error> {
    match kind {
        Some(ConversationKind::Direct) if title.is_empty() => Ok(()),
        Some(ConversationKind::Direct) => Err(Error::invalid(field, "a direct conversation has no title")),
        _ => name(field.into(), title, TITLE_BYTES_MAX),
    }
}

/// A reference to a policy, or the default of the kind.
pub(crate) fn policy_ref(
    field: &str,
    at: Option<v1::HistoryPolicyRef>,
    kind: ConversationKind,
) -> Result<PolicyRef, Error> {
    match at {
        None if kind == ConversationKind::CareTeam => Ok(POLICY_EVERYTHING),
        None => Ok(POLICY_FROM_JOINING),
        Some(at) => policy_named(field, at),
    }
}

/// A reference to a policy.
pub(crate) fn policy_named(field: &str, at: v1::HistoryPolicyRef) -> Result<PolicyRef, Error> {
    if at.id == 0 || at.version == 0 {
        return Err(Error::invalid(field, "id and version are numbers from 1"));
    }
    Ok(PolicyRef { id: at.id, version: at.version })
}

/// Participants to admit: users and their parts, none twice.
pub(crate) fn participants(
    participants: &[v1::Participant],
    unspecified: Part,
) -> Result<Vec<(Principal, Part)>, Error> {
    let mut admitted = Vec::with_capacity(participants.len());
    for (at, participant) in participants.iter().enumerate() {
        let user = names::user(&format!("participants[{at}].user"), &participant.user)?;
        let field = format!("participants[{at}].part");
        let part = match v1::Part::try_from(participant.part).map_err(|_| unknown(&field, participant.part))? {
            v1::Part::Unspecified => unspecified,
            v1::Part::Reader => Part::Reader,
            v1::Part::Writer => Part::Writer,
            v1::Part::Owner => Part::Owner,
        };
        admitted.push((Principal::User(user), part));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (at, (principal, _)) in admitted.iter().enumerate() {
        if !seen.insert(*principal) {
            return Err(Error::invalid(format!("participants[{at}].user"), "is named twice"));
        }
    }
    Ok(admitted)
}

/// The text of a message: 1 byte to 16 KiB of UTF-8.
pub(crate) fn message_text<'a>(field: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    if bytes.is_empty() {
        return Err(Error::invalid(field, "it is empty"));
    }
    if let Some(over) = bytes.len().checked_sub(MESSAGE_TEXT_BYTES_MAX).filter(|&over| over > 0) {
        let (over, max) = (grouped(over), grouped(MESSAGE_TEXT_BYTES_MAX));
        return Err(Error::invalid(field, format!("too long by {over} bytes: at most {max} are allowed")));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::invalid(field, format!("it is not UTF-8: the byte at offset {at} does not belong to any character"))
    })
}

/// The text of a status: empty, or visible characters up to 256 bytes.
pub(crate) fn status_text(field: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() { Ok(()) } else { name(field.into(), text, STATUS_TEXT_BYTES_MAX) }
}

/// How urgent a message is.
pub(crate) fn priority(field: &str, priority: i32) -> Result<Priority, Error> {
    Ok(match v1::Priority::try_from(priority).map_err(|_| unknown(field, priority))? {
        v1::Priority::Unspecified | v1::Priority::Routine => Priority::Routine,
        v1::Priority::Urgent => Priority::Urgent,
        v1::Priority::Asap => Priority::Asap,
        v1::Priority::Stat => Priority::Stat,
    })
}

/// Whom a message mentions: sorted, without repeats.
pub(crate) fn mentions(field: &str, mentioned: &[String]) -> Result<Vec<Principal>, Error> {
    count(field, mentioned.len(), 0, MENTIONS_MAX)?;
    let users = mentioned.iter().enumerate().map(|(at, name)| names::user(&format!("{field}[{at}]"), name));
    let mut mentions: Vec<Principal> = users.map(|user| user.map(Principal::User)).collect::<Result<_, _>>()?;
    mentions.sort();
    mentions.dedup();
    Ok(mentions)
}

/// A number with its thousands set apart: `1,204`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_told_by_how_much() {
        let error = message_text("message.text", &vec![b'x'; MESSAGE_TEXT_BYTES_MAX + 1_204]).expect_err("too long");
        assert_eq!(error.to_string(), "message.text: too long by 1,204 bytes: at most 16,384 are allowed");
        assert!(message_text("message.text", &vec![b'x'; MESSAGE_TEXT_BYTES_MAX]).is_ok());
        assert!(message_text("message.text", b"").is_err());
    }

    #[test]
    fn text_that_is_not_utf8_is_told_where() {
        let error = message_text("message.text", b"caf\xE9!").expect_err("not UTF-8");
        assert!(error.to_string().contains("not UTF-8"), "{error}");
        assert!(error.to_string().contains("offset 3"), "{error}");
    }

    #[test]
    fn all_wrong_fields_of_a_user_are_named_at_once() {
        let user = v1::User {
            login: "J Ito".into(),
            display_name: "Dr\u{202E} Ito".into(),
            unit: "a\nb".into(),
            kind: 77,
            permission_sets: vec![99],
            ..v1::User::default()
        };
        let Err(Error::Invalid(violations)) = new_user("user", &user) else { panic!("refused") };
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["user.login", "user.display_name", "user.unit", "user.kind", "user.permission_sets"]);
    }

    #[test]
    fn only_known_paths_are_updated() {
        let user = v1::User { display_name: "Ito".into(), ..v1::User::default() };
        let update = |paths: &[&str]| {
            user_update(UserId([1; 16]), &user, &paths.iter().map(|&path| path.into()).collect::<Vec<String>>())
        };
        assert!(update(&[]).is_err());
        assert!(update(&["login"]).is_err());
        let update = update(&["display_name"]).expect("valid");
        assert_eq!((update.display_name.as_deref(), update.unit), (Some("Ito"), None));
    }
}
