//! Names of resources: `users/{id}`, `conversations/{id}/messages/{seq}` and the like.

use types::{ConversationId, DeviceId, Seq, SessionId, UserId};

use crate::errors::Error;

/// A user as requests name one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserName {
    /// `users/{id}`.
    Id(UserId),
    /// `users/@login`.
    Login(String),
}

/// `users/{id}`.
pub(crate) fn of_user(id: UserId) -> String {
    format!("users/{id}")
}

/// `users/{id}/sessions/{id}`.
pub(crate) fn of_session(user: UserId, session: SessionId) -> String {
    format!("users/{user}/sessions/{session}")
}

/// `conversations/{id}`.
pub(crate) fn of_conversation(id: ConversationId) -> String {
    format!("conversations/{id}")
}

/// `conversations/{id}/messages/{seq}`.
pub(crate) fn of_message(id: ConversationId, seq: Seq) -> String {
    format!("conversations/{id}/messages/{seq}")
}

/// `emergencies/{number}`.
pub(crate) fn of_emergency(number: u64) -> String {
    format!("emergencies/{number}")
}

/// Parses `emergencies/{number}`.
pub(crate) fn emergency(field: &str, name: &str) -> Result<u64, Error> {
    let number = name.strip_prefix("emergencies/").and_then(parse_seq).map(|Seq(number)| number);
    number.ok_or_else(|| Error::invalid(field, "expected emergencies/{number}"))
}

/// Parses `users/{id}`.
pub(crate) fn user(field: &str, name: &str) -> Result<UserId, Error> {
    let id = name.strip_prefix("users/").and_then(|id| id.parse().ok());
    id.ok_or_else(|| Error::invalid(field, "expected users/{id} with an id of 32 lower-case hexadecimal digits"))
}

/// Parses `users/{id}` or `users/@login`.
pub(crate) fn user_or_login(field: &str, name: &str) -> Result<UserName, Error> {
    if let Some(login) = name.strip_prefix("users/@") {
        let checked = types::text::check_login(login);
        return checked
            .map(|()| UserName::Login(login.into()))
            .map_err(|error| Error::invalid(field, format!("the login name after @: {error}")));
    }
    user(field, name).map(UserName::Id).map_err(|_| {
        Error::invalid(field, "expected users/{id} with an id of 32 lower-case hexadecimal digits, or users/@login")
    })
}

/// Parses `users/{id}`, or nothing.
pub(crate) fn optional_user(field: &str, name: &str) -> Result<Option<UserId>, Error> {
    if name.is_empty() { Ok(None) } else { user(field, name).map(Some) }
}

/// Parses `users/{user}/sessions/{session}`.
pub(crate) fn session(field: &str, name: &str) -> Result<(UserId, SessionId), Error> {
    let parsed = name
        .strip_prefix("users/")
        .and_then(|rest| rest.split_once("/sessions/"))
        .and_then(|(user, session)| Some((user.parse().ok()?, session.parse().ok()?)));
    parsed.ok_or_else(|| Error::invalid(field, "expected users/{id}/sessions/{id}"))
}

/// Parses `conversations/{id}`.
pub(crate) fn conversation(field: &str, name: &str) -> Result<ConversationId, Error> {
    let id = name.strip_prefix("conversations/").and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Error::invalid(field, "expected conversations/{id} with an id of 32 lower-case hexadecimal digits")
    })
}

/// Parses `conversations/{id}/messages/{seq}`.
pub(crate) fn message(field: &str, name: &str) -> Result<(ConversationId, Seq), Error> {
    let parsed = name
        .strip_prefix("conversations/")
        .and_then(|rest| rest.split_once("/messages/"))
        .and_then(|(conversation, seq)| Some((conversation.parse().ok()?, parse_seq(seq)?)));
    parsed.ok_or_else(|| Error::invalid(field, "expected conversations/{id}/messages/{seq} with a seq from 1"))
}

/// Parses a device's id; one that is not an id is as good as an unknown one.
pub(crate) fn device(id: &str) -> Option<DeviceId> {
    id.parse().ok()
}

fn parse_seq(text: &str) -> Option<Seq> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok().map(Seq)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let id = UserId([0xAB; 16]);
        assert_eq!(user("name", &of_user(id)).ok(), Some(id));
        assert!(user("name", &of_user(id).to_uppercase()).is_err());
        assert!(user("name", "users/").is_err());
        assert_eq!(user_or_login("name", "users/@j.ito").ok(), Some(UserName::Login("j.ito".into())));
        assert!(user_or_login("name", "users/@J.Ito").is_err());
    }

    #[test]
    fn a_seq_is_a_number_from_1() {
        let name = of_message(ConversationId([1; 16]), Seq(17));
        assert_eq!(message("name", &name).ok(), Some((ConversationId([1; 16]), Seq(17))));
        for bad in ["0", "01", "-1", "+1", "", "1/", "99999999999999999999"] {
            let name = format!("conversations/{}/messages/{bad}", ConversationId([1; 16]));
            assert!(message("name", &name).is_err(), "{bad:?}");
            assert!(emergency("name", &format!("emergencies/{bad}")).is_err(), "{bad:?}");
        }
        assert_eq!(emergency("name", &of_emergency(17)).ok(), Some(17));
    }
}
