//! What administrators set for the whole cluster.

use types::identity::{Method, Settings};
use types::limits::{LOCK_MS_MAX, LOCK_MS_MIN, SESSION_MS_MAX, SESSION_MS_MIN};
use types::reply::Field;
use types::{Key, Reject, Reply, Row};

use super::locking;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Replaces the settings, if they are still those of the version named.
pub(crate) fn change<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, settings: &Settings) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ChangeSettings)?.check()?;
    let before = tx.settings()?.unwrap_or_default();
    if settings.version != before.version {
        return Err(Reject::VersionMismatch(before.version).into());
    }
    let sets = &settings.second_factor;
    if !sets.iter().zip(sets.iter().skip(1)).all(|(one, next)| one < next) {
        return Err(Reject::Invalid(Field::Settings).into());
    }
    let within = |ms: Option<u64>, min, max| ms.is_none_or(|ms| (min..=max).contains(&ms));
    let times = within(settings.lock_ms.filter(|ms| *ms > 0), LOCK_MS_MIN, LOCK_MS_MAX)
        && within(settings.part_ms, LOCK_MS_MIN, LOCK_MS_MAX)
        && within(settings.idle_ms, SESSION_MS_MIN, SESSION_MS_MAX)
        && within(settings.longest_ms, SESSION_MS_MIN, SESSION_MS_MAX);
    if !times {
        return Err(Reject::Invalid(Field::Times).into());
    }
    let unlock = &settings.unlock;
    let known = unlock.iter().all(|method| matches!(method, Method::Password | Method::Pin | Method::DeviceKey));
    if !known || !unlock.iter().zip(unlock.iter().skip(1)).all(|(one, next)| one < next) {
        return Err(Reject::Invalid(Field::Settings).into());
    }
    let version = before.version.saturating_add(1);
    tx.put(Key::Settings(), Row::Settings(Settings { version, ..settings.clone() }));
    let times = |settings: &Settings| (settings.lock_ms, settings.part_ms, settings.idle_ms, settings.longest_ms);
    if times(&before) != times(settings) {
        locking::times_changed(tx)?;
    }
    Ok(Reply::Version(version))
}
