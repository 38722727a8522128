//! Signing in, and how sessions end.

use alloc::vec::Vec;

use types::command::{Enrol, SetPassword, SignIn};
use types::identity::{Refresh, Reset};
use types::limits::{
    DAY_MS, DEVICES_PER_USER_MAX, ENROLMENT_MS_MAX, PASSWORD_HASH_BYTES_MAX, RESET_CODE_MS_MAX, SESSION_IDLE_MS_MAX,
    SESSION_WITHOUT_KEY_MS_MAX, SESSIONS_PER_USER_MAX, TOKEN_BEFORE_MS, TOKEN_MS,
};
use types::record::{Action as Recorded, Agent, Entity, Record};
use types::reply::Field;
use types::row::Timer;
use types::session::{Device, Session, SessionEnd, SessionState};
use types::user::{CodeHash, UserState};
use types::{EventBody, Key, Reject, Reply, Row, Scope, SessionId, Timestamp, UserId};

use super::keys::check_address;
use super::{locking, lockout, refusals, second_factor};
use crate::apply::drop_answers;
use crate::keys;
use crate::policy::{self, Action, Actor, may};
use crate::presence::SESSION_ROWS_MAX;
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// A session's expiry moves on in steps of at least this.
const EXPIRY_STEP_MS: u64 = 60 * 60 * 1000;
/// A session that has ended is kept this long, so that a late retry of its sign-in does not open it again.
const ENDED_KEPT_MS: u64 = DAY_MS;

/// Opens a session for a user whose password the node has checked.
pub(crate) fn sign_in<V: View>(tx: &mut Tx<'_, V>, sign_in: &SignIn) -> Step<Reply, V> {
    if let Some(reply) = opened_before(tx, sign_in.session, sign_in.user, sign_in.token)? {
        return Ok(reply);
    }
    let user = found::<_, V>(tx.user(sign_in.user)?)?;
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    let mut credential = tx.credential(user.id)?.unwrap_or_default();
    if credential.password.is_none() || credential.version != sign_in.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    second_factor::prove(&mut credential, sign_in.second)?;
    lockout::pass(tx, sign_in.attempt)?;
    if let Some(rehashed) = &sign_in.rehashed {
        check_hash(rehashed)?;
        credential.password = Some(rehashed.clone());
    }
    if sign_in.rehashed.is_some() || sign_in.second.is_some() {
        tx.put(Key::Credential(user.id), Row::Credential(credential));
    }
    open(tx, sign_in)
}

/// Sets a password with a one-time code, ends the user's other sessions, and opens one.
pub(crate) fn enrol<V: View>(tx: &mut Tx<'_, V>, enrol: &Enrol) -> Step<Reply, V> {
    if let Some(reply) = opened_before(tx, enrol.sign_in.session, enrol.sign_in.user, enrol.sign_in.token)? {
        return Ok(reply);
    }
    let id = enrol.sign_in.user;
    let active = tx.user(id)?.is_some_and(|user| user.state == UserState::Active);
    let mut credential = tx.credential(id)?.unwrap_or_default();
    let good = credential.enrolment.is_some_and(|(code, until)| code == enrol.code && tx.now < until);
    if !active || !good {
        return Err(Reject::BadCode.into());
    }
    check_hash(&enrol.password)?;
    second_factor::prove(&mut credential, enrol.sign_in.second)?;
    lockout::pass(tx, enrol.sign_in.attempt)?;
    credential.password = Some(enrol.password.clone());
    credential.enrolment = None;
    credential.version = credential.version.saturating_add(1);
    tx.put(Key::Credential(id), Row::Credential(credential));
    end_all(tx, id, None, SessionEnd::Revoked)?;
    open(tx, &enrol.sign_in)
}

/// Sets one's own password; one's other sessions end.
pub(crate) fn set_password<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, set: &SetPassword) -> Step<Reply, V> {
    may(tx, &actor.user, Action::SetPassword)?.check()?;
    check_hash(&set.password)?;
    let mut credential = tx.credential(actor.user.id)?.unwrap_or_default();
    if credential.password.is_none() || credential.version != set.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    credential.password = Some(set.password.clone());
    credential.enrolment = None;
    credential.version = credential.version.saturating_add(1);
    let version = credential.version;
    tx.put(Key::Credential(actor.user.id), Row::Credential(credential));
    end_all(tx, actor.user.id, Some(actor.session.id), SessionEnd::Revoked)?;
    Ok(Reply::Version(version))
}

/// Takes a user's password away and makes a one-time code good for setting another; the user's sessions end.
pub(crate) fn issue_enrolment<V: View>(
    tx: &mut Tx<'_, V>,
    actor: &Actor,
    id: UserId,
    code: CodeHash,
) -> Step<Reply, V> {
    may(tx, &actor.user, Action::IssueEnrolment(id))?.check()?;
    let user = found::<_, V>(tx.user(id)?)?;
    policy::spares(actor, &user.permissions)?;
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    let mut credential = tx.credential(id)?.unwrap_or_default();
    // Where there was a password it is a reset: a code on a note is good for a day, and the user is told.
    let reset = credential.password.take().is_some();
    let good_for = if reset { RESET_CODE_MS_MAX } else { ENROLMENT_MS_MAX };
    if reset {
        credential.reset = Some(Reset { by: actor.user.id, at: tx.now });
        credential.pin = None; // Whoever is not trusted with the one is not with the other.
    }
    credential.enrolment = Some((code, tx.now.plus_ms(good_for)));
    credential.version = credential.version.saturating_add(1);
    tx.put(Key::Credential(id), Row::Credential(credential));
    end_all(tx, id, None, SessionEnd::Revoked)?;
    if !reset {
        return Ok(Reply::Done);
    }
    tx.event(Scope::User(id), EventBody::PasswordReset(actor.user.id));
    Ok(Reply::PasswordReset)
}

/// Ends a session of one's own, or with permission someone's. One that has ended stays as it ended.
pub(crate) fn end_session<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, id: SessionId) -> Step<Reply, V> {
    may(tx, &actor.user, Action::EndSession(id))?.check()?;
    let session = found::<_, V>(tx.session(id)?)?;
    let why = if id == actor.session.id { SessionEnd::SignedOut } else { SessionEnd::Ended };
    end(tx, session, why)?;
    Ok(Reply::Done)
}

/// Ends a session: detaches it, tells its user, and keeps the row for a day.
pub(crate) fn end<V: View>(tx: &mut Tx<'_, V>, mut session: Session, why: SessionEnd) -> Step<(), V> {
    if let SessionState::Ended(..) = session.state {
        return Ok(());
    }
    detach(tx, &mut session, tx.now);
    locking::disarm(tx, &mut session);
    // There unless the expiry has moved since: then it fires once and finds nothing to do. It is not left for many to
    // pile up who sign in over and over.
    tx.remove(Key::Timer(session.expires, Timer::SessionExpiry(session.id)));
    refusals::fold(tx, &mut session);
    session.state = SessionState::Ended(tx.now, why);
    tx.event(Scope::User(session.user), EventBody::SessionEnded(session.id));
    tx.signal(session.user);
    tx.put(Key::Timer(tx.now.plus_ms(ENDED_KEPT_MS), Timer::SessionExpiry(session.id)), Row::Timer(()));
    let (id, user, place, part) = (session.id, session.user, session.place, session.part.take());
    tx.put(Key::Session(id), Row::Session(session));
    if let Some(place) = place
        && let Some(mut at) = tx.session(place.session)?
        && at.part == Some(id)
    {
        at.part = None;
        tx.put(Key::Session(at.id), Row::Session(at));
    }
    end_part(tx, part, why)?; // With the session of a place the part in it ends.
    forget_oldest(tx, user)
}

/// Ends a person's part at a place, if there is one.
pub(crate) fn end_part<V: View>(tx: &mut Tx<'_, V>, part: Option<SessionId>, why: SessionEnd) -> Step<(), V> {
    match part.map(|part| tx.session(part)).transpose()?.flatten() {
        Some(part) => end(tx, part, why),
        None => Ok(()),
    }
}

/// Ends all open sessions of a user but one.
pub(crate) fn end_all<V: View>(
    tx: &mut Tx<'_, V>,
    user: UserId,
    but: Option<SessionId>,
    why: SessionEnd,
) -> Step<(), V> {
    for session in sessions(tx, user)? {
        if Some(session.id) != but {
            end(tx, session, why)?;
        }
    }
    Ok(())
}

/// Takes a session off the node it is attached to, if it is; the caller writes its row.
pub(crate) fn detach<V: View>(tx: &mut Tx<'_, V>, session: &mut Session, seen: Timestamp) {
    if let Some(attachment) = session.attached.take() {
        tx.remove(Key::Attached(attachment, session.id));
        session.last_seen = session.last_seen.max(seen);
    }
    if session.state != SessionState::Locked {
        session.idle_since = None; // Else it is since when it is locked.
    }
}

/// Gives a session a new token, for a proof of its device that was not used before.
pub(crate) fn refresh<V: View>(tx: &mut Tx<'_, V>, refresh: &Refresh) -> Step<Reply, V> {
    let session = tx
        .session(refresh.session)?
        .filter(|session| !matches!(session.state, SessionState::Ended(..)) && tx.steady() < session.expires);
    let Some(mut session) = session else { return Err(Reject::NoSession.into()) };
    let Some(mut device) = tx.device(session.device)? else { return Err(Reject::NoSession.into()) };
    if session.token == refresh.token {
        tx.repeat(); // A node that did not hear of it tries again.
        return Ok(Reply::Refreshed { token_expires: session.token_expires, expires: session.expires });
    }
    if device.key != Some(refresh.key) || refresh.number <= device.proofs {
        return Err(Reject::BadProof.into());
    }
    check_address(tx, refresh.address.as_ref())?;
    device.proofs = refresh.number;
    tx.put(Key::Device(device.id), Row::Device(device));
    let until = session.token_expires.min(tx.now.plus_ms(TOKEN_BEFORE_MS));
    session.previous = Some((session.token, until));
    session.token = refresh.token;
    session.token_expires = tx.now.plus_ms(TOKEN_MS).min(session.ends);
    if session.state == SessionState::Active {
        move_expiry(&mut session, tx.now);
    }
    if refresh.address.is_some() {
        session.address.clone_from(&refresh.address);
        moved(tx, &session); // Of others there is no record: each device asks every quarter of an hour.
    }
    let reply = Reply::Refreshed { token_expires: session.token_expires, expires: session.expires };
    tx.put(Key::Session(session.id), Row::Session(session));
    Ok(reply)
}

/// Records from where a session is used from here on.
fn moved<V: View>(tx: &mut Tx<'_, V>, session: &Session) {
    let agent = Agent::User { user: session.user, acting_role: None, device: session.device, session: session.id };
    let entities = alloc::vec![Entity::Session(session.id)];
    let record = Record::new(tx.now, tx.origin, agent, Recorded::RefreshSession, entities);
    let location = session.place.map(|place| place.location);
    tx.record(Record { address: session.address.clone().unwrap_or_default(), location, ..record });
}

/// Moves the expiry of a session in use on.
pub(crate) fn touch<V: View>(tx: &mut Tx<'_, V>, id: SessionId) -> Step<(), V> {
    if let Some(mut session) = tx.session(id)?
        && session.state == SessionState::Active
        && move_expiry(&mut session, tx.now)
    {
        tx.put(Key::Session(id), Row::Session(session));
    }
    Ok(())
}

/// Moves the expiry on, at most once an hour or once in a tenth of the time it is idle, never beyond the longest a session lasts; says whether it moved.
pub(crate) fn move_expiry(session: &mut Session, now: Timestamp) -> bool {
    let idle_ms = if session.idle_ms == 0 { SESSION_IDLE_MS_MAX } else { session.idle_ms };
    let expires = now.plus_ms(idle_ms).min(session.ends);
    let moved = expires.since_ms(session.expires) >= EXPIRY_STEP_MS.min(idle_ms.checked_div(10).unwrap_or(0));
    if moved {
        session.expires = expires;
    }
    moved
}

/// The timer of a session: ends it if it was not used, and forgets it a day after its end.
pub(crate) fn expire<V: View>(tx: &mut Tx<'_, V>, id: SessionId) -> Step<(), V> {
    let Some(session) = tx.session(id)? else { return Ok(()) };
    match session.state {
        SessionState::Active | SessionState::Locked if tx.steady() < session.expires => {
            tx.set_steady_timer(session.expires, Timer::SessionExpiry(id));
            Ok(())
        }
        SessionState::Active | SessionState::Locked => expired(tx, session),
        SessionState::Ended(at, _) => {
            let due = at.plus_ms(ENDED_KEPT_MS);
            if tx.steady() >= due {
                forget(tx, &session);
            } else if tx.now >= due {
                tx.set_steady_timer(due, Timer::SessionExpiry(id));
            }
            Ok(()) // Else the timer set at its end is still to come.
        }
    }
}

fn expired<V: View>(tx: &mut Tx<'_, V>, session: Session) -> Step<(), V> {
    let entities = alloc::vec![Entity::Session(session.id), Entity::User(session.user)];
    tx.record(Record::new(tx.now, tx.origin, Agent::Cluster, Recorded::EndSession, entities));
    end(tx, session, SessionEnd::Expired)
}

fn forget<V: View>(tx: &mut Tx<'_, V>, session: &Session) {
    if let SessionState::Ended(at, _) = session.state {
        tx.remove(Key::Timer(at.plus_ms(ENDED_KEPT_MS), Timer::SessionExpiry(session.id)));
    }
    tx.remove(Key::Session(session.id));
    tx.remove(Key::UserSession(session.user, session.id));
}

/// Keeps at most as many ended sessions of a user as there may be open ones.
fn forget_oldest<V: View>(tx: &mut Tx<'_, V>, user: UserId) -> Step<(), V> {
    let mut ended: Vec<(Timestamp, Session)> = Vec::new();
    for session in sessions(tx, user)? {
        if let SessionState::Ended(at, _) = session.state {
            ended.push((at, session));
        }
    }
    if ended.len() > SESSIONS_PER_USER_MAX
        && let Some((_, oldest)) = ended.iter().min_by_key(|(at, session)| (*at, session.id))
    {
        forget(tx, oldest);
    }
    Ok(())
}

/// The sessions of a user, those that ended and are not forgotten among them.
pub(crate) fn sessions<V: View>(tx: &Tx<'_, V>, user: UserId) -> Step<Vec<Session>, V> {
    let (from, to) = keys::user_sessions(user);
    let mut sessions = Vec::new();
    // One more than stays: `end` adds an ended one before it forgets the oldest.
    for (key, _) in tx.scan(&from, &to, false, SESSION_ROWS_MAX.saturating_add(1))? {
        if let Key::UserSession(_, id) = key
            && let Some(session) = tx.session(id)?
        {
            sessions.push(session);
        }
    }
    Ok(sessions)
}

/// The answer to a sign-in that was carried out before: a node that did not hear of it tries again.
pub(crate) fn opened_before<V: View>(
    tx: &mut Tx<'_, V>,
    id: SessionId,
    user: UserId,
    token: CodeHash,
) -> Step<Option<Reply>, V> {
    let Some(session) = tx.session(id)? else { return Ok(None) };
    if session.token != token || session.user != user {
        return Err(Reject::Taken(0).into());
    }
    if matches!(session.state, SessionState::Ended(..)) || session.expires <= tx.steady() {
        return Err(Reject::NoSession.into());
    }
    let device = found::<_, V>(tx.device(session.device)?)?;
    tx.repeat();
    Ok(Some(signed_in(&session, &device)))
}

fn open<V: View>(tx: &mut Tx<'_, V>, sign_in: &SignIn) -> Step<Reply, V> {
    check_address(tx, sign_in.address.as_ref())?;
    make_room(tx, sign_in.user)?;
    let device = device(tx, sign_in)?;
    // A device that cannot prove itself gets one token, for a shift.
    let settings = tx.settings()?.unwrap_or_default();
    let longest = settings.session_ms();
    let lasts = if device.key.is_some() { longest } else { longest.min(SESSION_WITHOUT_KEY_MS_MAX) };
    let good_for = if device.key.is_some() { lasts.min(TOKEN_MS) } else { lasts };
    let idle_ms = settings.session_idle_ms();
    let session = Session {
        id: sign_in.session,
        user: sign_in.user,
        device: device.id,
        token: sign_in.token,
        state: SessionState::Active,
        created: tx.now,
        expires: tx.now.plus_ms(idle_ms.min(lasts)),
        attached: None,
        idle_since: None,
        last_seen: Timestamp(0),
        authenticated: tx.now,
        methods: sign_in.methods.clone(),
        token_expires: tx.now.plus_ms(good_for),
        previous: None,
        ends: tx.now.plus_ms(lasts),
        active: tx.now,
        idle_due: None,
        place: None,
        part: None,
        idle_ms,
        address: sign_in.address.clone(),
        refusals: None,
    };
    begin(tx, session, &device)
}

/// Puts a new session with its timers.
pub(crate) fn begin<V: View>(tx: &mut Tx<'_, V>, mut session: Session, device: &Device) -> Step<Reply, V> {
    locking::arm(tx, &mut session)?;
    let reply = signed_in(&session, device);
    tx.put(Key::Timer(session.expires, Timer::SessionExpiry(session.id)), Row::Timer(()));
    tx.put(Key::UserSession(session.user, session.id), Row::UserSession(()));
    tx.put(Key::Session(session.id), Row::Session(session));
    Ok(reply)
}

fn signed_in(session: &Session, device: &Device) -> Reply {
    Reply::SignedIn {
        user: session.user,
        session: session.id,
        device: device.id,
        expires: session.expires,
        next_number: device.highest.saturating_add(1).max(device.settled),
        token_expires: session.token_expires,
    }
}

/// Ends the session that was longest without a connection, if there are too many open ones.
pub(crate) fn make_room<V: View>(tx: &mut Tx<'_, V>, user: UserId) -> Step<(), V> {
    let mut open = sessions(tx, user)?;
    open.retain(|session| !matches!(session.state, SessionState::Ended(..)));
    if open.len() < SESSIONS_PER_USER_MAX {
        return Ok(());
    }
    open.retain(|session| session.attached.is_none());
    let oldest = open.into_iter().min_by_key(|session| (session.last_seen.max(session.created), session.id));
    match oldest {
        Some(session) => expired(tx, session),
        None => Err(Reject::Limit(Field::Sessions).into()),
    }
}

/// The device to sign in on: the user's own of this id, or a new one.
fn device<V: View>(tx: &mut Tx<'_, V>, sign_in: &SignIn) -> Step<Device, V> {
    let known = tx.device(sign_in.device)?;
    if known.as_ref().is_some_and(|device| device.user != sign_in.user) {
        return Err(Reject::Taken(0).into());
    }
    let index = Key::UserDevice(sign_in.user, sign_in.device);
    if tx.get(&index)?.is_none() {
        retire_oldest(tx, sign_in.user)?;
        tx.put(index, Row::UserDevice(()));
    }
    let mut device = known.unwrap_or(Device {
        id: sign_in.device,
        user: sign_in.user,
        settled: 1,
        highest: 0,
        last_write: Timestamp(0),
        created: tx.now,
        key: None,
        proofs: 0,
    });
    if device.key != sign_in.key {
        device.key = sign_in.key;
        device.proofs = 0; // What the old key signed, the new one has not.
    }
    tx.put(Key::Device(device.id), Row::Device(device.clone()));
    Ok(device)
}

/// Takes the device that was longest unused off a user who has too many, and drops its answers.
///
/// Its row stays if it has written: should it sign in again, it goes on above the numbers it has used, and none is
/// carried out twice. One that never wrote leaves nothing, or whoever signs in over and over would fill the table.
fn retire_oldest<V: View>(tx: &mut Tx<'_, V>, user: UserId) -> Step<(), V> {
    let (from, to) = keys::user_devices(user);
    let mut devices = Vec::new();
    for (key, _) in tx.scan(&from, &to, false, DEVICES_PER_USER_MAX)? {
        if let Key::UserDevice(_, id) = key
            && let Some(device) = tx.device(id)?
        {
            devices.push(device);
        }
    }
    if devices.len() < DEVICES_PER_USER_MAX {
        return Ok(());
    }
    for session in sessions(tx, user)? {
        if !matches!(session.state, SessionState::Ended(..)) {
            devices.retain(|device| device.id != session.device);
        }
    }
    let oldest = devices.into_iter().min_by_key(|device| (device.last_write.max(device.created), device.id));
    let Some(mut device) = oldest else { return Err(Reject::Limit(Field::Devices).into()) };
    tx.remove(Key::UserDevice(user, device.id));
    if device.highest == 0 {
        tx.remove(Key::Device(device.id));
        return Ok(());
    }
    let settled = device.highest.saturating_add(1);
    drop_answers(tx, &device, settled)?;
    device.settled = settled;
    tx.put(Key::Device(device.id), Row::Device(device));
    Ok(())
}

pub(crate) fn check_hash(hash: &str) -> Result<(), Reject> {
    let valid = !hash.is_empty() && hash.len() <= PASSWORD_HASH_BYTES_MAX;
    if valid { Ok(()) } else { Err(Reject::Invalid(Field::Password)) }
}
