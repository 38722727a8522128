//! Accounts.

use alloc::string::String;

use types::command::{NewUser, UpdateUser};
use types::key::KeyScope;
use types::limits::{
    CONVERSATIONS_PER_USER_MAX, DISPLAY_NAME_BYTES_MAX, ENROLMENT_MS_MAX, EXTERNAL_ID_BYTES_MAX, EXTERNAL_IDS_MAX,
    UNIT_BYTES_MAX, USERS_PER_COMMAND_MAX,
};
use types::reply::Field;
use types::session::SessionEnd;
use types::text::{check_login, check_name};
use types::user::{Credential, ExternalId, PermissionSet, User, UserKind, UserState};
use types::{EventBody, Key, Principal, Reject, Reply, Row, Scope, UserId};

use super::conversations::SEALING_BYTES_MAX;
use super::keys::{bring, check_key};
use super::{participants, sessions};
use crate::keys;
use crate::policy::{self, Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Most words a user is found by.
const WORDS_MAX: usize = 16;
/// Longest of them.
const WORD_BYTES_MAX: usize = 64;

/// Creates users, all or none.
pub(crate) fn create<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, users: &[NewUser]) -> Step<Reply, V> {
    let permissions = users.iter().any(|user| !user.permissions.is_empty());
    may(tx, &actor.user, Action::CreateUsers { permissions })?.check()?;
    if users.is_empty() || users.len() > USERS_PER_COMMAND_MAX {
        return Err(Reject::Invalid(Field::Users).into());
    }
    for (index, user) in users.iter().enumerate() {
        policy::spares(actor, &user.permissions)?;
        add_user(tx, user, u32::try_from(index).unwrap_or(u32::MAX))?;
    }
    Ok(Reply::Users(users.iter().map(|user| user.id).collect()))
}

/// Adds one user; `index` is its place in the request.
pub(crate) fn add_user<V: View>(tx: &mut Tx<'_, V>, new: &NewUser, index: u32) -> Step<(), V> {
    check_login(&new.login).map_err(|_| Reject::Invalid(Field::Login))?;
    if new.kind == UserKind::Patient {
        check_patient(new)?;
    } else {
        check_display_name(&new.display_name)?;
        check_no_sealed_name(&new.sealed_name)?;
    }
    check_unit(&new.unit)?;
    check_external_ids(&new.external_ids)?;
    check_permissions(&new.permissions)?;
    check_words(&new.words)?;
    if tx.login(&new.login)?.is_some() || tx.user(new.id)?.is_some() {
        return Err(Reject::Taken(index).into());
    }
    bring(tx, KeyScope::User(new.id), new.key.as_ref())?;
    if !new.sealed_name.is_empty() {
        check_key(tx, KeyScope::User(new.id), &new.sealed_name)?;
    }
    tx.put(Key::Login(new.login.clone()), Row::Login(new.id));
    add_words(tx, new.id, &new.words);
    let enrolment = new.enrolment.map(|code| (code, tx.now.plus_ms(ENROLMENT_MS_MAX)));
    tx.put(Key::Credential(new.id), Row::Credential(Credential { enrolment, version: 1, ..Credential::default() }));
    tx.put(
        Key::User(new.id),
        Row::User(User {
            id: new.id,
            kind: new.kind,
            realm: new.realm,
            login: new.login.clone(),
            display_name: new.display_name.clone(),
            unit: new.unit.clone(),
            external_ids: new.external_ids.clone(),
            may_message: new.may_message,
            permissions: new.permissions.clone(),
            created: tx.now,
            state: UserState::Active,
            version: 1,
            sealed_name: new.sealed_name.clone(),
        }),
    );
    Ok(())
}

/// A patient's name is sealed, and no word of it is there to be searched.
fn check_patient(new: &NewUser) -> Result<(), Reject> {
    if !new.display_name.is_empty() || !new.words.is_empty() {
        return Err(Reject::Invalid(Field::DisplayName));
    }
    check_sealed_name(&new.sealed_name)
}

fn check_sealed_name(name: &[u8]) -> Result<(), Reject> {
    let valid = !name.is_empty() && name.len() <= DISPLAY_NAME_BYTES_MAX + SEALING_BYTES_MAX;
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::DisplayName)) }
}

fn check_no_sealed_name(name: &[u8]) -> Result<(), Reject> {
    if name.is_empty() { Ok(()) } else { Err(Reject::Invalid(Field::DisplayName)) }
}

/// Changes a user: what is none stays.
pub(crate) fn update<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, update: &UpdateUser) -> Step<Reply, V> {
    let permissions = update.permissions.is_some();
    may(tx, &actor.user, Action::UpdateUser { user: update.id, permissions })?.check()?;
    let mut user = found::<_, V>(tx.user(update.id)?)?;
    if update.version != 0 && update.version != user.version {
        return Err(Reject::VersionMismatch(user.version).into());
    }
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    let patient = user.kind == UserKind::Patient;
    if patient && (update.display_name.is_some() || update.words.as_ref().is_some_and(|words| !words.is_empty())) {
        return Err(Reject::Invalid(Field::DisplayName).into()); // A patient's name is sealed, and found by nobody.
    }
    if let Some(display_name) = &update.display_name {
        check_display_name(display_name)?;
        user.display_name.clone_from(display_name);
    }
    if let Some(unit) = &update.unit {
        check_unit(unit)?;
        user.unit.clone_from(unit);
    }
    if let Some(external_ids) = &update.external_ids {
        check_external_ids(external_ids)?;
        user.external_ids.clone_from(external_ids);
    }
    if let Some(may_message) = update.may_message {
        user.may_message = may_message;
    }
    if let Some(permissions) = &update.permissions {
        check_permissions(permissions)?;
        policy::spares(actor, permissions)?;
        policy::spares(actor, &user.permissions)?;
        // Nobody takes it from themselves, so that one active administrator always remains.
        if user.id == actor.user.id && !permissions.contains(&PermissionSet::Admin) {
            return Err(Reject::NotPermitted.into());
        }
        user.permissions.clone_from(permissions);
    }
    if let Some(words) = &update.words {
        check_words(words)?;
        remove_words(tx, user.id)?;
        add_words(tx, user.id, words);
    }
    if let Some(name) = &update.sealed_name {
        if patient {
            check_sealed_name(name)?;
            check_key(tx, KeyScope::User(user.id), name)?;
        } else {
            check_no_sealed_name(name)?;
        }
        user.sealed_name.clone_from(name);
    }
    user.version = user.version.saturating_add(1);
    let version = user.version;
    tx.event(Scope::User(user.id), EventBody::UserChanged);
    tx.put(Key::User(user.id), Row::User(user));
    Ok(Reply::Version(version))
}

/// Ends an account: its sessions, its participations and what proves it end with it.
pub(crate) fn deactivate<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, id: UserId) -> Step<Reply, V> {
    may(tx, &actor.user, Action::DeactivateUser(id))?.check()?;
    let mut user = found::<_, V>(tx.user(id)?)?;
    policy::spares(actor, &user.permissions)?;
    if user.state != UserState::Active {
        return Ok(Reply::Version(user.version));
    }
    user.state = UserState::Deactivated(tx.now);
    user.version = user.version.saturating_add(1);
    let version = user.version;
    tx.put(Key::User(id), Row::User(user));
    let credential = tx.credential(id)?.unwrap_or_default();
    let cleared = Credential { version: credential.version.saturating_add(1), ..Credential::default() };
    tx.put(Key::Credential(id), Row::Credential(cleared));
    sessions::end_all(tx, id, None, SessionEnd::Revoked)?;
    tx.remove(Key::Status(id));
    leave_all(tx, id)?;
    tx.event(Scope::User(id), EventBody::UserChanged);
    tx.signal(id);
    Ok(Reply::Version(version))
}

fn leave_all<V: View>(tx: &mut Tx<'_, V>, id: UserId) -> Step<(), V> {
    let principal = Principal::User(id);
    let mut budget = participants::SUCCESSION_ROWS_MAX;
    let (mut from, to) = keys::participations(principal);
    loop {
        let page = tx.scan(&from, &to, false, CONVERSATIONS_PER_USER_MAX)?;
        let whole = page.len() < CONVERSATIONS_PER_USER_MAX;
        for (key, row) in page {
            if let (Key::Participation(_, conversation), Row::Participation(true)) = (&key, row) {
                participants::leave(tx, *conversation, principal, &mut budget)?;
            }
            from = key; // Seen again at the head of the next page, by then as left.
        }
        // Rows of conversations left earlier stay, so there may be more of them than one takes part in.
        if whole {
            return Ok(());
        }
    }
}

fn add_words<V: View>(tx: &mut Tx<'_, V>, id: UserId, words: &[String]) {
    for word in words {
        tx.put(Key::Word(word.clone(), id), Row::Word(()));
        tx.put(Key::UserWord(id, word.clone()), Row::UserWord(()));
    }
}

fn remove_words<V: View>(tx: &mut Tx<'_, V>, id: UserId) -> Step<(), V> {
    let (from, to) = keys::user_words(id);
    for (key, _) in tx.scan(&from, &to, false, WORDS_MAX)? {
        if let Key::UserWord(_, word) = &key {
            tx.remove(Key::Word(word.clone(), id));
        }
        tx.remove(key);
    }
    Ok(())
}

// A node checks all of this before it proposes; bad input must not get in by a faulty node either.

fn check_display_name(name: &str) -> Result<(), Reject> {
    check_name(name, DISPLAY_NAME_BYTES_MAX).map_err(|_| Reject::Invalid(Field::DisplayName))
}

fn check_unit(unit: &str) -> Result<(), Reject> {
    if unit.is_empty() {
        return Ok(());
    }
    check_name(unit, UNIT_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Unit))
}

fn check_external_ids(ids: &[ExternalId]) -> Result<(), Reject> {
    let ascending = ids.iter().zip(ids.iter().skip(1)).all(|(one, next)| one.system < next.system);
    let sound = |text: &str| check_name(text, EXTERNAL_ID_BYTES_MAX).is_ok();
    let valid = ids.len() <= EXTERNAL_IDS_MAX
        && ascending
        && ids.iter().all(|external| sound(&external.system) && sound(&external.value));
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::ExternalIds)) }
}

fn check_permissions(sets: &[PermissionSet]) -> Result<(), Reject> {
    let ascending = sets.iter().zip(sets.iter().skip(1)).all(|(one, next)| one < next);
    if ascending { Ok(()) } else { Err(Reject::Invalid(Field::Permissions)) }
}

fn check_words(words: &[String]) -> Result<(), Reject> {
    let sound = |word: &String| check_name(word, WORD_BYTES_MAX).is_ok() && !word.starts_with(keys::WORD_END);
    let valid = words.len() <= WORDS_MAX && words.iter().all(sound);
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::DisplayName)) }
}
