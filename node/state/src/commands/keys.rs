//! Keys, wrapped and sealed: which there are, and which a payload may be sealed with. No key is ever seen here opened.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use types::command::{AddDataKey, ApproveHolder, RewrapDataKeys};
use types::key::{ClusterKey, DataKey, Envelope, Holder, HolderKey, KeyScope, Month, NewClusterKey, key_id_of};
use types::limits::{
    CLUSTER_KEYS_LIVE_MAX, KEY_ENVELOPE_BYTES_MAX, KEY_HOLDERS_MAX, REWRAPPED_KEYS_MAX, SEALED_ADDRESS_BYTES_MAX,
    WRAPPED_KEY_BYTES_MAX,
};
use types::reply::Field;
use types::{Key, NodeId, Reject, Reply, Row};

use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View, newest_cluster_key};

/// Refuses a payload whose key is not there, or not of this scope. Checked last of all, so that whoever may not do it
/// for another reason is told that one.
pub(crate) fn check_key<V: View>(tx: &Tx<'_, V>, scope: KeyScope, payload: &[u8]) -> Step<(), V> {
    let Some(id) = key_id_of(payload) else { return Err(Reject::Invalid(Field::Payload).into()) };
    match tx.data_key(id)? {
        Some(key) if key.scope == scope => Ok(()),
        Some(_) | None => Err(Reject::UnknownKey.into()),
    }
}

/// Refuses a network address that is too long, or whose key is not there.
pub(crate) fn check_address<V: View>(tx: &Tx<'_, V>, address: Option<&Vec<u8>>) -> Step<(), V> {
    let Some(address) = address else { return Ok(()) };
    if address.len() > SEALED_ADDRESS_BYTES_MAX {
        return Err(Reject::Invalid(Field::Payload).into());
    }
    check_key(tx, KeyScope::Addresses, address)
}

/// Takes the first cluster key, with those who hold it, and the key by which repeated requests are recognised under it.
pub(crate) fn found<V: View>(tx: &mut Tx<'_, V>, new: &NewClusterKey, requests: Option<&AddDataKey>) -> Step<(), V> {
    let recovery = new.envelopes.iter().any(|envelope| envelope.holder == Holder::Recovery);
    let requests = requests.filter(|key| key.scope == KeyScope::Requests && key.month == Month(0) && key.id != 0);
    let Some(requests) =
        requests.filter(|key| new.version == 1 && recovery && fits(&key.wrapped, WRAPPED_KEY_BYTES_MAX))
    else {
        return Err(Reject::Invalid(Field::Key).into());
    };
    check_envelopes(&new.envelopes)?;
    for envelope in &new.envelopes {
        admit(tx, envelope.holder, envelope.public);
    }
    take(tx, new);
    add_first(tx, requests)?;
    Ok(())
}

/// Adds the key that a command brings for what it makes. Last of all checks: where anything else refuses the command, no key
/// stays behind that nothing is sealed with.
pub(crate) fn bring<V: View>(tx: &mut Tx<'_, V>, scope: KeyScope, key: Option<&AddDataKey>) -> Step<(), V> {
    let Some(key) = key else { return Ok(()) };
    if key.scope != scope {
        return Err(Reject::Invalid(Field::Key).into());
    }
    add(tx, key)?;
    Ok(())
}

/// Adds a data key. The first of a scope and month wins.
pub(crate) fn add<V: View>(tx: &mut Tx<'_, V>, add: &AddDataKey) -> Step<Reply, V> {
    let near = Month::of(tx.now).0.abs_diff(add.month.0) <= 1; // The node's clock may be a little behind or ahead.
    let texts = add.scope != KeyScope::Requests; // Of those there is one, from the founding on.
    if add.id == 0 || !near || !texts || !fits(&add.wrapped, WRAPPED_KEY_BYTES_MAX) {
        return Err(Reject::Invalid(Field::Key).into());
    }
    add_first(tx, add)
}

fn add_first<V: View>(tx: &mut Tx<'_, V>, add: &AddDataKey) -> Step<Reply, V> {
    if let Some(first) = tx.scope_key(add.scope, add.month)? {
        return Ok(Reply::DataKey(first));
    }
    let Some((version, cluster_key)) = newest_cluster_key(tx)? else { return Err(Reject::WrongPhase.into()) };
    if add.version != version {
        return Err(Reject::UnknownKey.into()); // Rotated meanwhile: the node wraps it under the new one.
    }
    if tx.data_key(add.id)?.is_some() {
        return Err(Reject::Taken(0).into());
    }
    let (scope, month, wrapped) = (add.scope, add.month, add.wrapped.clone());
    tx.put(Key::DataKey(add.id), Row::DataKey(DataKey { scope, month, version, created: tx.now, wrapped }));
    tx.put(Key::ScopeKey(scope, month), Row::ScopeKey(add.id));
    count(tx, version, cluster_key, 1, 0);
    Ok(Reply::DataKey(add.id))
}

/// Takes a slice of data keys wrapped anew. Those that are gone, or were wrapped anew before, are passed over.
pub(crate) fn rewrap<V: View>(tx: &mut Tx<'_, V>, rewrap: &RewrapDataKeys) -> Step<Reply, V> {
    let valid = rewrap.keys.iter().all(|key| fits(&key.wrapped, WRAPPED_KEY_BYTES_MAX));
    if rewrap.keys.len() > REWRAPPED_KEYS_MAX || !valid || rewrap.from >= rewrap.to {
        return Err(Reject::Invalid(Field::Key).into());
    }
    let newest = newest_cluster_key(tx)?.filter(|(version, _)| *version == rewrap.to);
    let (Some((_, to)), Some(from)) = (newest, tx.cluster_key(rewrap.from)?) else {
        return Err(Reject::UnknownKey.into());
    };
    let mut moved: u64 = 0;
    for key in &rewrap.keys {
        let Some(row) = tx.data_key(key.id)?.filter(|row| row.version == rewrap.from) else { continue };
        let row = DataKey { version: rewrap.to, wrapped: key.wrapped.clone(), ..row };
        tx.put(Key::DataKey(key.id), Row::DataKey(row));
        moved = moved.saturating_add(1);
    }
    count(tx, rewrap.from, from, 0, moved);
    count(tx, rewrap.to, to, moved, 0);
    Ok(Reply::Done)
}

/// Removes the envelopes of a cluster key that nothing is wrapped under any more.
pub(crate) fn retire<V: View>(tx: &mut Tx<'_, V>, version: u32) -> Step<Reply, V> {
    let Some(key) = tx.cluster_key(version)? else { return Err(Reject::NotFound.into()) };
    if key.retired.is_some() {
        tx.repeat();
        return Ok(Reply::Done);
    }
    let newest = newest_cluster_key(tx)?.is_none_or(|(newest, _)| newest == version);
    if newest || key.data_keys > 0 {
        return Err(Reject::WrongPhase.into());
    }
    let (from, to) = keys::key_envelopes(version);
    for (envelope, _) in tx.scan(&from, &to, false, KEY_HOLDERS_MAX)? {
        tx.remove(envelope);
    }
    tx.put(Key::ClusterKey(version), Row::ClusterKey(ClusterKey { retired: Some(tx.now), ..key }));
    Ok(Reply::Done)
}

/// Makes a new cluster key the one in use. Holders that are named to be dropped cease to be holders; the recovery kit stays one.
///
/// Every other holder needs an envelope. One without came to be after the node had looked: then nothing is done, and the
/// node makes the command anew ([`Reject::UnknownKey`]).
pub(crate) fn rotate<V: View>(
    tx: &mut Tx<'_, V>,
    actor: &Actor,
    new: &NewClusterKey,
    dropped: &[Holder],
) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ManageKeys)?.check()?;
    turn(tx, new, dropped)
}

/// Whether a rotation has not ended: then there is room for no other.
pub(super) fn check_no_rotation<V: View>(tx: &Tx<'_, V>) -> Step<(), V> {
    if live(tx)?.len() >= CLUSTER_KEYS_LIVE_MAX { Err(Reject::WrongPhase.into()) } else { Ok(()) }
}

/// Whether these are envelopes of the versions that are not retired, ascending.
pub(super) fn are_live<V: View>(tx: &Tx<'_, V>, envelopes: &[(u32, Envelope)]) -> Step<bool, V> {
    Ok(envelopes.iter().map(|(version, _)| version).eq(live(tx)?.iter()))
}

/// The next version is the one in use from here on.
pub(super) fn turn<V: View>(tx: &mut Tx<'_, V>, new: &NewClusterKey, dropped: &[Holder]) -> Step<Reply, V> {
    let Some((newest, _)) = newest_cluster_key(tx)? else { return Err(Reject::WrongPhase.into()) };
    if Some(new.version) != newest.checked_add(1) {
        return Err(Reject::VersionMismatch(u64::from(newest)).into());
    }
    check_no_rotation(tx)?;
    check_envelopes(&new.envelopes)?;
    let mut given: BTreeMap<Holder, [u8; 32]> =
        new.envelopes.iter().map(|envelope| (envelope.holder, envelope.public)).collect();
    let (from, to) = keys::key_holders();
    for (key, row) in tx.scan(&from, &to, false, KEY_HOLDERS_MAX)? {
        let (Key::KeyHolder(holder), Row::KeyHolder(known)) = (&key, row) else { continue };
        match given.remove(holder) {
            Some(public) if public == known.public => {}
            Some(_) if *holder != Holder::Recovery => return Err(Reject::UnknownKey.into()), // It has another pair now.
            None if *holder != Holder::Recovery && dropped.contains(holder) => tx.remove(key),
            None if *holder != Holder::Recovery => return Err(Reject::UnknownKey.into()),
            Some(_) | None => return Err(Reject::Invalid(Field::Envelopes).into()),
        }
    }
    if !given.is_empty() {
        return Err(Reject::Invalid(Field::Envelopes).into()); // Nobody becomes a holder without approval.
    }
    take(tx, new);
    Ok(Reply::Version(u64::from(new.version)))
}

/// Lets a node hold the cluster key.
pub(crate) fn approve<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, approve: &ApproveHolder) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ManageKeys)?.check()?;
    if approve.holder == Holder::Recovery {
        return Err(Reject::Invalid(Field::Envelopes).into());
    }
    if !are_live(tx, &approve.envelopes)? {
        return Err(Reject::UnknownKey.into()); // Rotated or retired meanwhile: the node seals the versions of now.
    }
    seal_to(tx, approve.holder, approve.public, &approve.envelopes)?;
    Ok(Reply::Done)
}

/// Makes someone a holder: every version that is not retired must be sealed to them.
pub(super) fn seal_to<V: View>(
    tx: &mut Tx<'_, V>,
    holder: Holder,
    public: [u8; 32],
    envelopes: &[(u32, Envelope)],
) -> Step<(), V> {
    let (from, to) = keys::key_holders();
    let holders = tx.scan(&from, &to, false, KEY_HOLDERS_MAX)?.len();
    let anew = tx.key_holder(holder)?.is_none();
    if anew && holders >= KEY_HOLDERS_MAX {
        return Err(Reject::Limit(Field::Envelopes).into());
    }
    let live = live(tx)?;
    let to_them = |(_, envelope): &(u32, Envelope)| {
        envelope.holder == holder && envelope.public == public && fits(&envelope.sealed, KEY_ENVELOPE_BYTES_MAX)
    };
    let complete = envelopes.iter().map(|(version, _)| version).eq(live.iter());
    if !complete || !envelopes.iter().all(to_them) {
        return Err(Reject::Invalid(Field::Envelopes).into());
    }
    admit(tx, holder, public);
    for (version, envelope) in envelopes {
        tx.put(Key::KeyEnvelope(*version, envelope.holder), Row::KeyEnvelope(envelope.clone()));
    }
    Ok(())
}

/// A node holds no key any more. What it opened, or has on its disk, is not taken back by that: a rotation follows.
pub(super) fn dismiss<V: View>(tx: &mut Tx<'_, V>, holder: Holder) -> Step<(), V> {
    for version in live(tx)? {
        tx.remove(Key::KeyEnvelope(version, holder));
    }
    tx.remove(Key::KeyHolder(holder));
    Ok(())
}

/// The same for all that had a node's slot before it.
pub(super) fn dismiss_before<V: View>(tx: &mut Tx<'_, V>, node: NodeId) -> Step<(), V> {
    let (from, to) = keys::key_holders();
    for (key, _) in tx.scan(&from, &to, false, KEY_HOLDERS_MAX)? {
        if let Key::KeyHolder(Holder::Node(other)) = key
            && other.slot() == node.slot()
            && other < node
        {
            dismiss(tx, Holder::Node(other))?;
        }
    }
    Ok(())
}

/// The versions that are not retired, ascending.
fn live<V: View>(tx: &Tx<'_, V>) -> Step<Vec<u32>, V> {
    let (from, to) = keys::cluster_keys();
    // Those not retired are the newest.
    let rows = tx.scan(&from, &to, true, CLUSTER_KEYS_LIVE_MAX.saturating_add(1))?;
    let versions = rows.into_iter().rev().filter_map(|(key, row)| match (key, row) {
        (Key::ClusterKey(version), Row::ClusterKey(key)) if key.retired.is_none() => Some(version),
        _ => None,
    });
    Ok(versions.collect())
}

fn take<V: View>(tx: &mut Tx<'_, V>, new: &NewClusterKey) {
    let row = ClusterKey { check: new.check, created: tx.now, data_keys: 0, retired: None };
    tx.put(Key::ClusterKey(new.version), Row::ClusterKey(row));
    for envelope in &new.envelopes {
        tx.put(Key::KeyEnvelope(new.version, envelope.holder), Row::KeyEnvelope(envelope.clone()));
    }
}

fn admit<V: View>(tx: &mut Tx<'_, V>, holder: Holder, public: [u8; 32]) {
    let since = tx.now;
    tx.put(Key::KeyHolder(holder), Row::KeyHolder(HolderKey { public, since }));
}

fn count<V: View>(tx: &mut Tx<'_, V>, version: u32, key: ClusterKey, more: u64, less: u64) {
    let data_keys = key.data_keys.saturating_add(more).saturating_sub(less);
    tx.put(Key::ClusterKey(version), Row::ClusterKey(ClusterKey { data_keys, ..key }));
}

fn check_envelopes(envelopes: &[Envelope]) -> Result<(), Reject> {
    let ascending = envelopes.iter().zip(envelopes.iter().skip(1)).all(|(one, next)| one.holder < next.holder);
    let sound = envelopes.iter().all(|envelope| fits(&envelope.sealed, KEY_ENVELOPE_BYTES_MAX));
    let valid = ascending && sound && !envelopes.is_empty() && envelopes.len() <= KEY_HOLDERS_MAX;
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::Envelopes)) }
}

const fn fits(bytes: &[u8], max: usize) -> bool {
    !bytes.is_empty() && bytes.len() <= max
}
