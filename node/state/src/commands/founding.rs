//! The first command of the log, and what new releases may do.

use types::command::Found;
use types::conversation::{HistoryPolicy, POLICY_EVERYTHING, POLICY_FROM_JOINING};
use types::limits::{DISPLAY_NAME_BYTES_MAX, EVENTS_KEPT_MS};
use types::reply::Field;
use types::row::{Cluster, Timer};
use types::text::check_name;
use types::user::PermissionSet;
use types::{Key, Reject, Reply, Row};

use super::{audit, directory, keys};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Founds the cluster: its name, the documents every cluster begins with, and the first administrator.
pub(crate) fn found<V: View>(tx: &mut Tx<'_, V>, found: &Found) -> Step<Reply, V> {
    check_name(&found.name, DISPLAY_NAME_BYTES_MAX).map_err(|_| Reject::Invalid(Field::DisplayName))?;
    if !found.admin.permissions.contains(&PermissionSet::Admin) {
        return Err(Reject::Invalid(Field::Permissions).into());
    }
    tx.put(
        Key::Cluster(),
        Row::Cluster(Cluster {
            id: found.cluster,
            lineage: found.lineage,
            name: found.name.clone(),
            feature_level: found.feature_level,
            founded: tx.now,
        }),
    );
    for (at, policy) in
        [(POLICY_FROM_JOINING, HistoryPolicy::FromJoining), (POLICY_EVERYTHING, HistoryPolicy::Everything)]
    {
        tx.put(Key::Policy(at.id, at.version), Row::Policy(policy));
    }
    tx.put(Key::Timer(tx.now.plus_ms(EVENTS_KEPT_MS), Timer::EventsExpiry), Row::Timer(()));
    audit::found(tx, found)?;
    if let Some(key) = &found.cluster_key {
        keys::found(tx, key, found.request_key.as_ref())?;
    }
    directory::add_user(tx, &found.admin, 0)?;
    Ok(Reply::Done)
}

/// Raises the feature level; never lowers it.
pub(crate) fn raise_feature_level<V: View>(tx: &mut Tx<'_, V>, level: u32) -> Step<Reply, V> {
    let Some(mut cluster) = tx.cluster()? else { return Err(Reject::WrongPhase.into()) };
    if level <= cluster.feature_level {
        tx.repeat();
        return Ok(Reply::Done);
    }
    cluster.feature_level = level;
    tx.put(Key::Cluster(), Row::Cluster(cluster));
    Ok(Reply::Done)
}
