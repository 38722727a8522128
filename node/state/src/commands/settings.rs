//! What administrators set for the whole cluster.

use types::identity::Settings;
use types::reply::Field;
use types::{Key, Reject, Reply, Row};

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
    let version = before.version.saturating_add(1);
    tx.put(Key::Settings(), Row::Settings(Settings { version, ..settings.clone() }));
    Ok(Reply::Version(version))
}
