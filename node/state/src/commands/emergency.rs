//! Emergency access: sealed until two keyholders open it together, for a time; reviewed afterwards by an auditor.

use alloc::string::String;
use alloc::vec;

use types::emergency::{Emergency, OpenEmergency, ReviewEmergency};
use types::limits::{
    EMERGENCIES_OPEN_MAX, EMERGENCY_APPROVAL_MS, EMERGENCY_MS_MAX, EMERGENCY_MS_MIN, EMERGENCY_PROOF_MS_MAX,
    RECORD_REASON_BYTES_MAX,
};
use types::record::{Action as Recorded, Agent, Entity, Purpose, Record};
use types::reply::Field;
use types::row::Timer;
use types::text::check_name;
use types::user::{PermissionSet, UserState};
use types::{EventBody, Key, Reject, Reply, Row, Scope, UserId};

use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Asks for it: nothing is in force until a second person approves.
pub(crate) fn open<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, open: &OpenEmergency) -> Step<Reply, V> {
    may(tx, &actor.user, Action::OpenEmergency)?.check()?;
    check_name(&open.reason, RECORD_REASON_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Reason))?;
    if !(EMERGENCY_MS_MIN..=EMERGENCY_MS_MAX).contains(&open.lasts_ms) {
        return Err(Reject::Invalid(Field::Times).into());
    }
    check_proof(tx, actor)?;
    let (from, to) = keys::emergencies_open();
    let waiting = tx.scan(&from, &to, false, EMERGENCIES_OPEN_MAX)?;
    if waiting.len() >= EMERGENCIES_OPEN_MAX {
        return Err(Reject::Limit(Field::Emergency).into());
    }
    for (key, _) in waiting {
        if let Key::EmergencyOpen(number) = key
            && let Some(other) = tx.emergency(number)?
            && other.opened_by == actor.user.id
            && other.is_pending(tx.now)
        {
            return Err(Reject::Taken(0).into());
        }
    }
    let number = next_number(tx)?;
    let emergency = Emergency {
        opened_by: actor.user.id,
        opened: tx.now,
        reason: open.reason.clone(),
        lasts_ms: open.lasts_ms,
        approved: None,
        until: tx.now.plus_ms(EMERGENCY_APPROVAL_MS),
        ended: None,
        records_from: tx.records(),
        records_to: None,
        reviewed: None,
        note: String::new(),
    };
    tx.put(Key::Timer(emergency.until, Timer::EmergencyEnd(number)), Row::Timer(()));
    tx.put(Key::EmergencyOpen(number), Row::EmergencyOpen(()));
    tx.put(Key::Emergency(number), Row::Emergency(emergency));
    Ok(Reply::Emergency(number))
}

fn next_number<V: View>(tx: &Tx<'_, V>) -> Step<u64, V> {
    let (from, to) = keys::emergencies(0);
    let last = tx.scan(&from, &to, true, 1)?.into_iter().find_map(|(key, _)| match key {
        Key::Emergency(number) => Some(number),
        _ => None,
    });
    Ok(last.unwrap_or(0).saturating_add(1))
}

/// A screen that someone left unlocked opens nothing.
fn check_proof<V: View>(tx: &Tx<'_, V>, actor: &Actor) -> Result<(), Reject> {
    let fresh = tx.now.since_ms(actor.session.authenticated) <= EMERGENCY_PROOF_MS_MAX;
    if fresh { Ok(()) } else { Err(Reject::ProofTooOld) }
}

/// Approves it as the second person: both act by it from here on.
pub(crate) fn approve<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, number: u64) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ApproveEmergency(number))?.check()?;
    check_proof(tx, actor)?;
    let mut emergency = found::<_, V>(tx.emergency(number)?)?;
    let holds = |user: &types::user::User| {
        user.state == UserState::Active && user.permissions.contains(&PermissionSet::Keyholder)
    };
    let first = tx.user(emergency.opened_by)?.is_some_and(|user| holds(&user));
    if !emergency.is_pending(tx.now) || !first {
        return Err(Reject::EmergencyState.into());
    }
    tx.remove(Key::Timer(emergency.until, Timer::EmergencyEnd(number)));
    emergency.approved = Some((actor.user.id, tx.now));
    emergency.until = tx.now.plus_ms(emergency.lasts_ms);
    tx.put(Key::Timer(emergency.until, Timer::EmergencyEnd(number)), Row::Timer(()));
    grant(tx, number, &emergency, emergency.opened_by)?;
    grant(tx, number, &emergency, actor.user.id)?;
    tx.put(Key::Emergency(number), Row::Emergency(emergency));
    Ok(Reply::Emergency(number))
}

/// Lets one of the two act by it, unless they act by another that lasts longer.
fn grant<V: View>(tx: &mut Tx<'_, V>, number: u64, emergency: &Emergency, user: UserId) -> Step<(), V> {
    let other = tx.emergency_grant(user)?.map(|other| tx.emergency(other)).transpose()?.flatten();
    if !other.is_some_and(|other| other.is_in_force(tx.now) && other.until > emergency.until) {
        tx.put(Key::EmergencyGrant(user), Row::EmergencyGrant(number));
    }
    tx.event(Scope::User(user), EventBody::UserChanged);
    Ok(())
}

/// Ends it before its time, or withdraws it. One that is over stays as it ended.
pub(crate) fn end<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, number: u64) -> Step<Reply, V> {
    may(tx, &actor.user, Action::EndEmergency(number))?.check()?;
    let emergency = found::<_, V>(tx.emergency(number)?)?;
    if emergency.ended.is_none() {
        over(tx, number, emergency)?;
    }
    Ok(Reply::Emergency(number))
}

/// The timer of one: it lapses, or its time is over.
pub(crate) fn lapse<V: View>(tx: &mut Tx<'_, V>, number: u64) -> Step<(), V> {
    let Some(emergency) = tx.emergency(number)? else { return Ok(()) };
    if emergency.ended.is_some() || tx.now < emergency.until {
        return Ok(()); // It has another timer.
    }
    let record =
        Record::new(tx.now, tx.origin, Agent::Cluster, Recorded::EndEmergency, vec![Entity::Emergency(number)]);
    tx.record(Record { purpose: Some(Purpose::BreakGlass), ..record });
    over(tx, number, emergency)
}

/// What nobody approved needs no review; the rest stays open until it has one.
fn over<V: View>(tx: &mut Tx<'_, V>, number: u64, mut emergency: Emergency) -> Step<(), V> {
    tx.remove(Key::Timer(emergency.until, Timer::EmergencyEnd(number)));
    emergency.ended = Some(tx.now);
    emergency.records_to = Some(tx.records());
    let approved = emergency.approved.map(|(by, _)| by);
    if approved.is_none() {
        tx.remove(Key::EmergencyOpen(number));
    }
    for user in [Some(emergency.opened_by).filter(|_| approved.is_some()), approved].into_iter().flatten() {
        if tx.emergency_grant(user)? == Some(number) {
            tx.remove(Key::EmergencyGrant(user));
        }
        tx.event(Scope::User(user), EventBody::UserChanged);
    }
    tx.put(Key::Emergency(number), Row::Emergency(emergency));
    Ok(())
}

/// Signs the review of one that is over off.
pub(crate) fn review<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, review: &ReviewEmergency) -> Step<Reply, V> {
    let number = review.number;
    may(tx, &actor.user, Action::ReviewEmergency(number))?.check()?;
    check_name(&review.note, RECORD_REASON_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Reason))?;
    let mut emergency = found::<_, V>(tx.emergency(number)?)?;
    if emergency.ended.is_none() || emergency.approved.is_none() || emergency.reviewed.is_some() {
        return Err(Reject::EmergencyState.into());
    }
    emergency.reviewed = Some((actor.user.id, tx.now));
    emergency.note.clone_from(&review.note);
    tx.remove(Key::EmergencyOpen(number));
    tx.put(Key::Emergency(number), Row::Emergency(emergency));
    Ok(Reply::Emergency(number))
}
