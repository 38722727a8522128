//! Places: a person taps in on a device on which a location is signed in, and taps whoever was there out. PINs.

use alloc::vec;

use types::identity::{Method, Reset};
use types::limits::{PART_MS_MAX, PIN_FAILURES_MAX, TOKEN_MS};
use types::place::{Pin, Place, SetPin, TapIn};
use types::record::{Action as Recorded, Agent, Entity, Record};
use types::reply::Field;
use types::session::{Session, SessionEnd, SessionState};
use types::user::{Credential, User, UserKind, UserState};
use types::{EventBody, Key, Reject, Reply, Row, Scope, Timestamp, UserId};

use super::keys::check_address;
use super::{lockout, second_factor, sessions};
use crate::policy::{self, Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Opens a person's part at a place. Of two who tap in at once the later one in the log is there.
pub(crate) fn tap_in<V: View>(tx: &mut Tx<'_, V>, tap: &TapIn) -> Step<Reply, V> {
    if let Some(reply) = sessions::opened_before(tx, tap.session, tap.user, tap.token)? {
        return Ok(reply);
    }
    let (at, location) = place(tx, tap)?;
    let user = found::<_, V>(tx.user(tap.user)?)?;
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    if user.kind != UserKind::Person {
        return Err(Reject::NotPermitted.into());
    }
    prove(tx, tap)?;
    lockout::pass(tx, tap.attempt)?;
    tap_out(tx, tap, &at)?;
    sessions::make_room(tx, user.id)?;
    open(tx, tap, &location)
}

/// The location's session it is asked in, and the location.
fn place<V: View>(tx: &Tx<'_, V>, tap: &TapIn) -> Step<(Session, User), V> {
    // By steady time, as everywhere a session ends: a step of the clock puts nobody out for good.
    let open = |session: &Session| session.state == SessionState::Active && tx.steady() < session.expires;
    let session = tx.session(tap.at)?.filter(open).ok_or(Reject::NoSession)?;
    let location = found::<_, V>(tx.user(session.user)?)?;
    if location.kind != UserKind::Location || location.state != UserState::Active {
        return Err(Reject::NotPermitted.into());
    }
    Ok((session, location))
}

/// That what the node checked is what counts now.
fn prove<V: View>(tx: &mut Tx<'_, V>, tap: &TapIn) -> Step<(), V> {
    let mut credential = tx.credential(tap.user)?.unwrap_or_default();
    if credential.version != tap.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    let before = credential.clone();
    match tap.methods.first() {
        Some(Method::Pin) => use_pin(&mut credential)?,
        Some(Method::Password) if credential.password.is_some() => second_factor::prove(&mut credential, tap.second)?,
        _ => return Err(Reject::CredentialChanged.into()),
    }
    if credential != before {
        tx.put(Key::Credential(tap.user), Row::Credential(credential));
    }
    Ok(())
}

fn use_pin(credential: &mut Credential) -> Result<(), Reject> {
    let pin = credential.pin.as_mut().ok_or(Reject::CredentialChanged)?;
    if pin.failed >= PIN_FAILURES_MAX {
        return Err(Reject::PinBlocked);
    }
    pin.failed = 0;
    Ok(())
}

/// Ends the part of whoever was there.
fn tap_out<V: View>(tx: &mut Tx<'_, V>, tap: &TapIn, at: &Session) -> Step<(), V> {
    let Some(part) = at.part else { return Ok(()) };
    if let Some(before) = tx.session(part)? {
        let agent = Agent::User { user: tap.user, acting_role: None, device: at.device, session: tap.session };
        let entities = vec![Entity::Session(before.id), Entity::User(before.user)];
        let record = Record::new(tx.now, tx.origin, agent, Recorded::TapOut, entities);
        tx.record(Record { location: Some(at.user), ..record });
    }
    sessions::end_part(tx, Some(part), SessionEnd::TappedOut)
}

fn open<V: View>(tx: &mut Tx<'_, V>, tap: &TapIn, location: &User) -> Step<Reply, V> {
    check_address(tx, tap.address.as_ref())?;
    let mut at = found::<_, V>(tx.session(tap.at)?)?; // Anew: whoever was there has left it.
    let device = found::<_, V>(tx.device(at.device)?)?;
    let idle_ms = tx.settings()?.unwrap_or_default().session_idle_ms();
    let ends = tx.now.plus_ms(PART_MS_MAX).min(at.ends);
    let token_expires = if device.key.is_some() { tx.now.plus_ms(TOKEN_MS).min(ends) } else { ends };
    let session = Session {
        id: tap.session,
        user: tap.user,
        device: device.id,
        token: tap.token,
        state: SessionState::Active,
        created: tx.now,
        expires: tx.now.plus_ms(idle_ms).min(ends),
        attached: None,
        idle_since: None,
        last_seen: Timestamp(0),
        authenticated: tx.now,
        methods: tap.methods.clone(),
        token_expires,
        previous: None,
        ends,
        active: tx.now,
        idle_due: None,
        place: Some(Place { session: at.id, location: location.id }),
        part: None,
        idle_ms,
        address: tap.address.clone(),
        refusals: None,
    };
    at.part = Some(session.id);
    tx.put(Key::Session(at.id), Row::Session(at));
    sessions::begin(tx, session, &device)
}

/// Sets one's own PIN.
pub(crate) fn set_pin<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, set: &SetPin) -> Step<Reply, V> {
    may(tx, &actor.user, Action::SetPin)?.check()?;
    sessions::check_hash(&set.hash).map_err(|_| Reject::Invalid(Field::Pin))?;
    let mut credential = tx.credential(actor.user.id)?.unwrap_or_default();
    if credential.password.is_none() || credential.version != set.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    credential.pin = Some(Pin { hash: set.hash.clone(), set: tx.now, failed: 0 });
    credential.pin_cleared = None;
    credential.version = credential.version.saturating_add(1);
    let version = credential.version;
    tx.put(Key::Credential(actor.user.id), Row::Credential(credential));
    Ok(Reply::Version(version))
}

/// Takes a PIN away: one's own, or with permission someone's, who is told.
pub(crate) fn clear_pin<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, id: UserId) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ClearPin(id))?.check()?;
    let user = found::<_, V>(tx.user(id)?)?;
    policy::spares(actor, &user.permissions)?;
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    let mut credential = tx.credential(id)?.unwrap_or_default();
    if credential.pin.take().is_none() {
        return Err(Reject::NotFound.into());
    }
    credential.version = credential.version.saturating_add(1);
    let own = id == actor.user.id;
    if !own {
        credential.pin_cleared = Some(Reset { by: actor.user.id, at: tx.now });
        tx.event(Scope::User(id), EventBody::PinCleared(actor.user.id));
    }
    tx.put(Key::Credential(id), Row::Credential(credential));
    Ok(if own { Reply::Done } else { Reply::PinReset })
}
