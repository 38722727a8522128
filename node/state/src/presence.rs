//! What others see of a user: a function of sessions, node leases and status.

use types::limits::{GRACE_MS, SESSIONS_PER_USER_MAX};
use types::presence::{Availability, Presence, Status};
use types::session::{Session, SessionState};
use types::{Key, Timestamp, UserId};

use crate::keys;
use crate::view::{Rows, View};

/// Rows that a user's sessions take at most: those open, and as many that have ended.
pub(crate) const SESSION_ROWS_MAX: usize = 2 * SESSIONS_PER_USER_MAX;

/// How one session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Connected, and its user is there.
    Active,
    /// Connected, its user inactive since then.
    Idle(Timestamp),
    /// Connected, and locked since then.
    Locked(Timestamp),
    /// Its node has gone, and it may come back.
    Grace,
    /// Not connected; last seen then, 0 if never.
    Gone(Timestamp),
}

/// The presence of a user at `now`: all sessions combined. One whose node is gone never makes a user available.
pub fn of<V: View>(view: &V, now: Timestamp, user: UserId) -> Result<Presence, V::Fault> {
    let (from, to) = keys::user_sessions(user);
    let (mut active, mut grace) = (false, false);
    let (mut idle, mut locked, mut seen) = (None, None, Timestamp(0));
    for (key, _) in view.scan(&from, &to, false, SESSION_ROWS_MAX)? {
        let Key::UserSession(_, id) = key else { continue };
        let Some(session) = view.session(id)? else { continue };
        match reach(view, now, &session)? {
            Reach::Active => active = true,
            Reach::Idle(since) => idle = idle.max(Some(since)),
            Reach::Locked(since) => locked = locked.max(Some(since)),
            Reach::Grace => grace = true,
            Reach::Gone(last) => seen = seen.max(last),
        }
    }
    if active {
        return Ok(said(now, view.status(user)?.as_ref()));
    }
    Ok(match (idle, locked) {
        (Some(since), _) => Presence::Idle(since),
        (None, Some(since)) => Presence::Locked(since),
        (None, None) if grace => Presence::Reconnecting,
        (None, None) => Presence::Offline((seen.0 > 0).then_some(seen)),
    })
}

/// How a session stands at `now`.
pub fn reach<V: View>(view: &V, now: Timestamp, session: &Session) -> Result<Reach, V::Fault> {
    let open = !matches!(session.state, SessionState::Ended(..)) && crate::view::steady(view, now)? < session.expires;
    let Some(attachment) = session.attached.filter(|_| open) else { return Ok(Reach::Gone(session.last_seen)) };
    let Some(lease) = view.node_lease(attachment.node)? else { return Ok(Reach::Gone(session.last_seen)) };
    if lease.epoch != attachment.epoch {
        return Ok(Reach::Grace); // The node started anew; the timer of its old epoch detaches what did not come back.
    }
    Ok(match (lease.expired, session.idle_since) {
        (None, since) if session.state == SessionState::Locked => Reach::Locked(since.unwrap_or(session.active)),
        (None, None) => Reach::Active,
        (None, Some(since)) => Reach::Idle(since),
        (Some(expired), _) if now < expired.plus_ms(GRACE_MS) => Reach::Grace,
        (Some(expired), _) => Reach::Gone(expired.max(session.last_seen)),
    })
}

fn said(now: Timestamp, status: Option<&Status>) -> Presence {
    let valid = status.filter(|status| status.expires.is_none_or(|expires| now < expires));
    match valid.and_then(|status| status.availability) {
        None | Some(Availability::Available) => Presence::Available,
        Some(Availability::Busy) => Presence::Busy,
        Some(Availability::Dnd) => Presence::Dnd,
        Some(Availability::Away) => Presence::Away,
    }
}
