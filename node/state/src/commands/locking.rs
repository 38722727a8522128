//! Locked is not logged off: sessions that nothing is done in are locked, and parts at a place end.
//!
//! Nodes tell of activity now and then (`Connection::Used`); a timer of each session looks whether enough was told. So a
//! keystroke costs nothing, the lock comes from the cluster, and it comes once, whichever node leads.

use alloc::vec;

use types::identity::{Method, Settings};
use types::limits::{LOG_OFF_AT_ONCE, PIN_FAILURES_MAX};
use types::locking::UnlockSession;
use types::record::{Action as Recorded, Agent, Entity, Record};
use types::row::Timer;
use types::session::{Session, SessionEnd, SessionState};
use types::user::UserKind;
use types::{EventBody, Key, Reject, Reply, Row, Scope, SessionId, Timestamp};

use super::{lockout, sessions};
use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Locks a session of one's own. A part at a place is not locked, it ends: others stand there next.
pub(crate) fn lock_session<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, id: SessionId) -> Step<Reply, V> {
    may(tx, &actor.user, Action::LockSession(id))?.check()?;
    let session = found::<_, V>(tx.session(id)?)?;
    match session.state {
        SessionState::Ended(..) => Err(Reject::NotFound.into()),
        SessionState::Locked => Ok(Reply::Done),
        SessionState::Active if session.place.is_some() => {
            let why = if id == actor.session.id { SessionEnd::SignedOut } else { SessionEnd::Ended };
            sessions::end(tx, session, why)?;
            Ok(Reply::PartEnded)
        }
        SessionState::Active => {
            lock(tx, session)?;
            Ok(Reply::Done)
        }
    }
}

/// Unlocks the session it is put in. In one that is not locked, its user has proved who they are anew.
pub(crate) fn unlock_session<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, unlock: &UnlockSession) -> Step<Reply, V> {
    may(tx, &actor.user, Action::Unlock)?.check()?;
    if !tx.settings()?.unwrap_or_default().unlocks(unlock.method) {
        return Err(Reject::MethodNotTaken.into());
    }
    prove(tx, actor, unlock)?;
    lockout::pass(tx, unlock.attempt)?;
    let mut session = found::<_, V>(tx.session(actor.session.id)?)?;
    if unlock.method == Method::Password {
        session.authenticated = tx.now;
    }
    if session.state == SessionState::Locked {
        session.state = SessionState::Active;
        session.idle_since = None;
        session.active = tx.now;
        sessions::move_expiry(&mut session, tx.now);
        arm(tx, &mut session)?;
        tx.event(Scope::User(session.user), EventBody::SessionUnlocked(session.id));
        tx.signal(session.user);
    }
    tx.put(Key::Session(session.id), Row::Session(session));
    Ok(Reply::Done)
}

/// That what the node checked is what counts now; uses a device's number up.
fn prove<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, unlock: &UnlockSession) -> Step<(), V> {
    if unlock.method == Method::DeviceKey {
        let mut device = found::<_, V>(tx.device(actor.device.id)?)?;
        let proven = unlock.proof.filter(|(key, number)| device.key == Some(*key) && *number > device.proofs);
        device.proofs = proven.ok_or(Reject::BadProof)?.1;
        tx.put(Key::Device(device.id), Row::Device(device));
        return Ok(());
    }
    let mut credential = tx.credential(actor.user.id)?.unwrap_or_default();
    if credential.version != unlock.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    match (unlock.method, &mut credential.pin) {
        (Method::Password, _) if credential.password.is_some() => Ok(()),
        (Method::Pin, Some(pin)) if pin.failed >= PIN_FAILURES_MAX => Err(Reject::PinBlocked.into()),
        (Method::Pin, Some(pin)) => {
            if pin.failed > 0 {
                pin.failed = 0;
                tx.put(Key::Credential(actor.user.id), Row::Credential(credential));
            }
            Ok(())
        }
        _ => Err(Reject::CredentialChanged.into()),
    }
}

/// Locks an active session: it stays signed in and reachable, and shows and does nothing.
fn lock<V: View>(tx: &mut Tx<'_, V>, mut session: Session) -> Step<(), V> {
    disarm(tx, &mut session);
    session.state = SessionState::Locked;
    session.idle_since = session.idle_since.or(Some(session.active));
    let part = session.part.take();
    tx.event(Scope::User(session.user), EventBody::SessionLocked(session.id));
    tx.signal(session.user);
    tx.put(Key::Session(session.id), Row::Session(session));
    sessions::end_part(tx, part, SessionEnd::Ended) // At a place that is locked nobody takes part.
}

/// Sets the timer that locks a session, or ends a part, if nothing is done in it; the caller writes its row.
pub(crate) fn arm<V: View>(tx: &mut Tx<'_, V>, session: &mut Session) -> Step<(), V> {
    let settings = tx.settings()?.unwrap_or_default();
    arm_with(tx, session, &settings)
}

fn arm_with<V: View>(tx: &mut Tx<'_, V>, session: &mut Session, settings: &Settings) -> Step<(), V> {
    disarm(tx, session);
    if session.state == SessionState::Active
        && let Some(limit) = limit(tx, session, settings)?
    {
        let due = session.active.plus_ms(limit);
        session.idle_due = Some(due);
        tx.put(Key::Timer(due, Timer::IdleDue(session.id)), Row::Timer(()));
    }
    Ok(())
}

/// Takes that timer away; the caller writes the session's row.
pub(crate) fn disarm<V: View>(tx: &mut Tx<'_, V>, session: &mut Session) {
    if let Some(due) = session.idle_due.take() {
        tx.remove(Key::Timer(due, Timer::IdleDue(session.id)));
    }
}

/// For how long nothing may be done in a session. Places and interfaces are not locked: nobody would unlock them.
fn limit<V: View>(tx: &Tx<'_, V>, session: &Session, settings: &Settings) -> Step<Option<u64>, V> {
    if session.place.is_some() {
        return Ok(Some(settings.part_ends_after()));
    }
    let kind = tx.user(session.user)?.map(|user| user.kind);
    Ok(match kind {
        Some(UserKind::Person | UserKind::Patient) => settings.locks_after(),
        Some(UserKind::Location | UserKind::Service) | None => None,
    })
}

/// The timer of a session: looks whether something was done in it since.
pub(crate) fn idle_due<V: View>(tx: &mut Tx<'_, V>, due: Timestamp, id: SessionId) -> Step<(), V> {
    let Some(mut session) = tx.session(id)? else { return Ok(()) };
    if session.idle_due != Some(due) {
        return Ok(()); // Set anew since.
    }
    session.idle_due = None;
    let settings = tx.settings()?.unwrap_or_default();
    match limit(tx, &session, &settings)? {
        Some(limit) if session.state == SessionState::Active && session.active.plus_ms(limit) <= tx.now => {
            idle(tx, session)
        }
        _ => {
            arm_with(tx, &mut session, &settings)?;
            tx.put(Key::Session(id), Row::Session(session));
            Ok(())
        }
    }
}

fn idle<V: View>(tx: &mut Tx<'_, V>, session: Session) -> Step<(), V> {
    let entities = vec![Entity::Session(session.id), Entity::User(session.user)];
    let action = if session.place.is_some() { Recorded::TapOut } else { Recorded::LockSession };
    let location = session.place.map(|place| place.location);
    tx.record(Record { location, ..Record::new(tx.now, tx.origin, Agent::Cluster, action, entities) });
    if session.place.is_some() { sessions::end(tx, session, SessionEnd::Idle) } else { lock(tx, session) }
}

/// Lets all sessions take changed times over, a bounded number at once and the rest by timer.
pub(crate) fn times_changed<V: View>(tx: &mut Tx<'_, V>) -> Step<(), V> {
    let mut budget = LOG_OFF_AT_ONCE;
    go_on(tx, SessionId([0; 16]), &mut budget)
}

/// The same from this session on, as many as the budget allows.
pub(crate) fn go_on<V: View>(tx: &mut Tx<'_, V>, from: SessionId, budget: &mut usize) -> Step<(), V> {
    let settings = tx.settings()?.unwrap_or_default();
    let (from, to) = keys::sessions_from(from);
    for (key, row) in tx.scan(&from, &to, false, budget.saturating_add(1))? {
        let (Key::Session(id), Row::Session(session)) = (key, row) else { continue };
        if *budget == 0 {
            tx.put(Key::Timer(tx.now, Timer::TimesChanged(id)), Row::Timer(()));
            return Ok(());
        }
        *budget = budget.saturating_sub(1);
        if !matches!(session.state, SessionState::Ended(..)) {
            take_over(tx, session, &settings)?;
        }
    }
    Ok(())
}

/// Shorter times count for sessions that are open; longer ones for the end of sessions only from the next sign-in on.
fn take_over<V: View>(tx: &mut Tx<'_, V>, mut session: Session, settings: &Settings) -> Step<(), V> {
    session.idle_ms = settings.session_idle_ms();
    session.ends = session.ends.min(session.created.plus_ms(settings.session_ms()));
    session.token_expires = session.token_expires.min(session.ends);
    let expires = session.expires.min(tx.now.plus_ms(session.idle_ms)).min(session.ends);
    if expires < session.expires {
        tx.remove(Key::Timer(session.expires, Timer::SessionExpiry(session.id)));
        session.expires = expires;
        tx.put(Key::Timer(expires, Timer::SessionExpiry(session.id)), Row::Timer(()));
    }
    arm_with(tx, &mut session, settings)?;
    tx.put(Key::Session(session.id), Row::Session(session));
    Ok(())
}
