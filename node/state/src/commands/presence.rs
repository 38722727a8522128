//! What users say of themselves, and what nodes say of their connections.

use types::command::{Connections, SetStatus};
use types::key::KeyScope;
use types::limits::{PRESENCE_CHANGES_MAX, STATUS_TEXT_BYTES_MAX};
use types::presence::{Connection, Status};
use types::reply::Field;
use types::row::Timer;
use types::session::{Attachment, Session, SessionState};
use types::{Key, Reject, Reply, Row, SessionId, Timestamp, UserId};

use super::conversations::SEALING_BYTES_MAX;
use super::keys::check_key;
use super::sessions;
use crate::policy::{Action, Actor, may, standing};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Sets one's status; without any it is cleared.
pub(crate) fn set_status<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, set: &SetStatus) -> Step<Reply, V> {
    may(tx, &actor.user, Action::SetStatus)?.check()?;
    if set.text.len() > STATUS_TEXT_BYTES_MAX + SEALING_BYTES_MAX {
        return Err(Reject::Invalid(Field::StatusText).into());
    }
    if set.expires.is_some_and(|expires| expires <= tx.now) {
        return Err(Reject::Invalid(Field::ExpiresAt).into());
    }
    let id = actor.user.id;
    if !set.text.is_empty() {
        check_key(tx, KeyScope::User(id), &set.text)?;
    }
    if let Some(before) = tx.status(id)?.and_then(|status| status.expires) {
        tx.remove(Key::Timer(before, Timer::StatusExpiry(id)));
    }
    if set.availability.is_none() && set.text.is_empty() {
        tx.remove(Key::Status(id));
    } else {
        let status =
            Status { availability: set.availability, text: set.text.clone(), expires: set.expires, set: tx.now };
        tx.put(Key::Status(id), Row::Status(status));
        if let Some(expires) = set.expires {
            tx.put(Key::Timer(expires, Timer::StatusExpiry(id)), Row::Timer(()));
        }
    }
    tx.signal(id);
    Ok(Reply::Done)
}

/// The timer of a status.
pub(crate) fn expire_status<V: View>(tx: &mut Tx<'_, V>, id: UserId) -> Step<(), V> {
    let over = tx.status(id)?.and_then(|status| status.expires).is_some_and(|expires| expires <= tx.now);
    if over {
        tx.remove(Key::Status(id));
        tx.signal(id);
    }
    Ok(())
}

/// Takes what a node says of the sessions connected to it. Sessions that are over are passed over.
pub(crate) fn connections<V: View>(tx: &mut Tx<'_, V>, connections: &Connections) -> Step<Reply, V> {
    if connections.changes.len() > PRESENCE_CHANGES_MAX {
        return Err(Reject::Invalid(Field::Batch).into());
    }
    let attachment = Attachment { node: tx.origin, epoch: connections.epoch };
    let live =
        tx.node_lease(attachment.node)?.is_some_and(|lease| lease.epoch == attachment.epoch && lease.expired.is_none());
    if !live {
        return Err(Reject::LeaseOver.into());
    }
    for &(id, connection) in &connections.changes {
        connect(tx, attachment, id, connection)?;
    }
    Ok(Reply::Done)
}

fn connect<V: View>(tx: &mut Tx<'_, V>, here: Attachment, id: SessionId, connection: Connection) -> Step<(), V> {
    let Some(actor) = standing(tx, tx.now, id)? else { return Ok(()) }; // One that is locked is connected too.
    let mut session = actor.session;
    let before = session.clone();
    match connection {
        Connection::Active => attach(tx, here, &mut session),
        // Only an attachment of this node, in this epoch, may be idled or undone: the session may have moved on.
        Connection::Idle(_) | Connection::Gone if session.attached != Some(here) => return Ok(()),
        Connection::Idle(_) if session.state == SessionState::Locked => return Ok(()),
        Connection::Idle(since) => session.idle_since = Some(since.min(tx.now)),
        // What was done before it was locked does not unlock it.
        Connection::Used(_) if session.state == SessionState::Locked => return Ok(()),
        Connection::Used(ago) => session.active = session.active.max(Timestamp(tx.now.0.saturating_sub(ago))),
        Connection::Gone => sessions::detach(tx, &mut session, tx.now),
    }
    if session != before {
        if !matches!(connection, Connection::Used(_)) {
            tx.signal(session.user);
        }
        tx.put(Key::Session(id), Row::Session(session));
    }
    Ok(())
}

fn attach<V: View>(tx: &mut Tx<'_, V>, here: Attachment, session: &mut Session) {
    if session.attached != Some(here) {
        sessions::detach(tx, session, tx.now);
        session.attached = Some(here);
        session.last_seen = tx.now;
        tx.put(Key::Attached(here, session.id), Row::Attached(()));
    }
    if session.state == SessionState::Active {
        session.idle_since = None;
        sessions::move_expiry(session, tx.now);
    }
}
