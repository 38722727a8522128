//! Sessions ended from outside: of a user, of a device, of everybody.

use types::identity::{LogOff, LogOffScope};
use types::limits::{LOG_OFF_AT_ONCE, RECORD_REASON_BYTES_MAX};
use types::reply::Field;
use types::row::Timer;
use types::session::SessionEnd;
use types::text::check_name;
use types::{Key, Reject, Reply, Row, SessionId, Timestamp};

use super::sessions;
use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Ends them. Of everybody, a bounded number at once and the rest by timer, every second as many as it fires.
pub(crate) fn log_off<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, log_off: &LogOff) -> Step<Reply, V> {
    may(tx, &actor.user, Action::LogOff(log_off.scope))?.check()?;
    check_name(&log_off.reason, RECORD_REASON_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Reason))?;
    match log_off.scope {
        LogOffScope::User(id) => {
            sessions::end_all(tx, id, None, SessionEnd::LoggedOff)?;
            Ok(Reply::Done)
        }
        LogOffScope::Device(id) => {
            let device = found::<_, V>(tx.device(id)?)?;
            for session in sessions::sessions(tx, device.user)? {
                if session.device == id {
                    sessions::end(tx, session, SessionEnd::LoggedOff)?;
                }
            }
            Ok(Reply::LoggedOff(device.user))
        }
        LogOffScope::Everybody => {
            let mut budget = LOG_OFF_AT_ONCE;
            go_on(tx, tx.now, SessionId([0; 16]), &mut budget)?;
            Ok(Reply::Done)
        }
    }
}

/// Ends sessions that began up to `before`, from this one on, as many as the budget allows; a timer has the rest.
pub(crate) fn go_on<V: View>(
    tx: &mut Tx<'_, V>,
    before: Timestamp,
    from: SessionId,
    budget: &mut usize,
) -> Step<(), V> {
    let (from, to) = keys::sessions_from(from);
    for (key, row) in tx.scan(&from, &to, false, budget.saturating_add(1))? {
        let (Key::Session(id), Row::Session(session)) = (key, row) else { continue };
        if *budget == 0 {
            tx.put(Key::Timer(before, Timer::LogOff(id)), Row::Timer(()));
            return Ok(());
        }
        *budget = budget.saturating_sub(1);
        if session.created <= before {
            sessions::end(tx, session, SessionEnd::LoggedOff)?;
        }
    }
    Ok(())
}
