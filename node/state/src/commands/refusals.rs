//! What is refused in a session is recorded, and above some a minute as one record with a count (DESIGN 3, "Audit"): whoever
//! tries over and over must not fill the log, nor what they did be missing in it.

use alloc::vec;

use types::limits::REFUSALS_PER_MINUTE_MAX;
use types::record::{Action, Agent, Entity, Record, Result as End};
use types::session::{Refusals, Session};
use types::{Key, Row, SessionId, Timestamp};

use crate::records::SEVERAL_REFUSALS;
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

const MINUTE_MS: u64 = 60_000;

/// Counts a refusal; whether it leaves a record of its own.
pub(crate) fn count<V: View>(tx: &mut Tx<'_, V>, id: SessionId) -> Step<bool, V> {
    let Some(mut session) = tx.session(id)? else { return Ok(true) };
    let minute = minute(tx.now);
    let count = match session.refusals {
        Some(last) if last.minute == minute => last.count.saturating_add(1),
        _ => {
            fold(tx, &mut session);
            1
        }
    };
    session.refusals = Some(Refusals { minute, count });
    tx.put(Key::Session(id), Row::Session(session));
    Ok(count <= REFUSALS_PER_MINUTE_MAX)
}

/// Records those that have left no record of their own; the caller writes the session's row.
pub(crate) fn fold<V: View>(tx: &mut Tx<'_, V>, session: &mut Session) {
    let Some(Refusals { count, .. }) = session.refusals.take() else { return };
    let folded = count.saturating_sub(REFUSALS_PER_MINUTE_MAX);
    if folded == 0 {
        return;
    }
    let agent = Agent::User { user: session.user, acting_role: None, device: session.device, session: session.id };
    let record = Record::new(tx.now, tx.origin, agent, Action::Look, vec![Entity::Session(session.id)]);
    let location = session.place.map(|place| place.location);
    tx.record(Record { result: End::Refused(SEVERAL_REFUSALS), count: Some(folded), location, ..record });
}

const fn minute(at: Timestamp) -> u64 {
    at.0 / MINUTE_MS
}
