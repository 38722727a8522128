//! Another recovery kit in place of the one there is: proposed by one administrator, confirmed by another, within an hour.

use alloc::vec;

use types::key::Holder;
use types::kit::{ConfirmKit, FormerKit, KitProposal, ProposeKit};
use types::limits::{FORMER_KITS_MAX, KIT_PROOF_MS_MAX, KIT_PROPOSAL_MS, RECORD_REASON_BYTES_MAX};
use types::record::{Action as Recorded, Agent, Entity, Record};
use types::reply::Field;
use types::row::Timer;
use types::text::check_name;
use types::user::{PermissionSet, UserState};
use types::{Key, Reject, Reply, Row};

use super::keys as key_commands;
use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View, newest_cluster_key};

/// Proposes a kit: nothing is sealed to it until a second person confirms.
pub(crate) fn propose<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, propose: &ProposeKit) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ProposeKit)?.check()?;
    check_name(&propose.reason, RECORD_REASON_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Reason))?;
    check_proof(tx, actor)?;
    let current = tx.key_holder(Holder::Recovery)?.ok_or(Reject::WrongPhase)?;
    if propose.public == [0; 32] || propose.public == current.public || was_one(tx, &propose.public)? {
        return Err(Reject::Invalid(Field::Key).into());
    }
    if let Some(other) = tx.kit_proposal()? {
        if tx.now < other.until {
            return Err(Reject::Taken(0).into());
        }
        lapse(tx)?; // Its timer has not fired yet.
    }
    let until = tx.now.plus_ms(KIT_PROPOSAL_MS);
    let row =
        KitProposal { public: propose.public, by: actor.user.id, at: tx.now, until, reason: propose.reason.clone() };
    tx.put(Key::Timer(until, Timer::KitLapse), Row::Timer(()));
    tx.put(Key::KitProposal(), Row::KitProposal(row));
    Ok(Reply::Done)
}

/// A screen that someone left unlocked makes no kit.
fn check_proof<V: View>(tx: &Tx<'_, V>, actor: &Actor) -> Result<(), Reject> {
    let fresh = tx.now.since_ms(actor.session.authenticated) <= KIT_PROOF_MS_MAX;
    if fresh { Ok(()) } else { Err(Reject::ProofTooOld) }
}

fn was_one<V: View>(tx: &Tx<'_, V>, public: &[u8; 32]) -> Step<bool, V> {
    let (from, to) = keys::former_kits();
    let rows = tx.scan(&from, &to, true, FORMER_KITS_MAX)?;
    Ok(rows.into_iter().any(|(_, row)| matches!(row, Row::FormerKit(kit) if kit.public == *public)))
}

/// Takes it, as the second person: every cluster key that is in use is sealed to it, and the next one is to it alone.
///
/// What holders or versions have become meanwhile makes the node make the command anew, as with a rotation.
pub(crate) fn confirm<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, confirm: &ConfirmKit) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ConfirmKit)?.check()?;
    check_proof(tx, actor)?;
    let proposal = found::<_, V>(tx.kit_proposal()?)?;
    let first = tx
        .user(proposal.by)?
        .is_some_and(|user| user.state == UserState::Active && user.permissions.contains(&PermissionSet::Admin));
    if tx.now >= proposal.until || proposal.public != confirm.public || !first {
        return Err(Reject::NotFound.into());
    }
    let before = found::<_, V>(tx.key_holder(Holder::Recovery)?)?;
    let Some((last_version, _)) = newest_cluster_key(tx)? else { return Err(Reject::WrongPhase.into()) };
    key_commands::check_no_rotation(tx)?;
    if !key_commands::are_live(tx, &confirm.envelopes)? {
        return Err(Reject::UnknownKey.into()); // Rotated or retired meanwhile: the node seals the versions of now.
    }
    key_commands::seal_to(tx, Holder::Recovery, confirm.public, &confirm.envelopes)?;
    key_commands::turn(tx, &confirm.key, &confirm.dropped)?;
    let former = FormerKit {
        public: before.public,
        since: before.since,
        until: tx.now,
        last_version,
        proposed_by: proposal.by,
        confirmed_by: actor.user.id,
    };
    let number = next_number(tx)?;
    tx.put(Key::FormerKit(number), Row::FormerKit(former));
    remove(tx, &proposal);
    Ok(Reply::Version(u64::from(confirm.key.version)))
}

fn next_number<V: View>(tx: &Tx<'_, V>) -> Step<u32, V> {
    let (from, to) = keys::former_kits();
    let last = tx.scan(&from, &to, true, 1)?.into_iter().find_map(|(key, _)| match key {
        Key::FormerKit(number) => Some(number),
        _ => None,
    });
    Ok(last.unwrap_or(0).saturating_add(1))
}

/// Withdraws it: by any administrator, whoever proposed it.
pub(crate) fn cancel<V: View>(tx: &mut Tx<'_, V>, actor: &Actor) -> Step<Reply, V> {
    may(tx, &actor.user, Action::CancelKit)?.check()?;
    let proposal = found::<_, V>(tx.kit_proposal()?)?;
    remove(tx, &proposal);
    Ok(Reply::Done)
}

/// The timer of it: nobody has confirmed it.
pub(crate) fn lapse<V: View>(tx: &mut Tx<'_, V>) -> Step<(), V> {
    let Some(proposal) = tx.kit_proposal()?.filter(|proposal| tx.now >= proposal.until) else { return Ok(()) };
    let entities = vec![Entity::RecoveryKit(proposal.public)];
    tx.record(Record::new(tx.now, tx.origin, Agent::Cluster, Recorded::LapseKit, entities));
    remove(tx, &proposal);
    Ok(())
}

fn remove<V: View>(tx: &mut Tx<'_, V>, proposal: &KitProposal) {
    tx.remove(Key::Timer(proposal.until, Timer::KitLapse));
    tx.remove(Key::KitProposal());
}
