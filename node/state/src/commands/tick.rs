//! Fires what is due: a bounded amount at a time, the rest at the next tick.

use types::limits::{ANSWERS_KEPT_MS, DAY_MS, EVENTS_KEPT_MS, GRACE_MS, TIMERS_PER_TICK_MAX};
use types::row::Timer;
use types::session::Attachment;
use types::{DeviceId, Key, Reply, Row, Scope, Timestamp};

use super::{emergency, kits, locking, lockout, log_off, presence, sessions};
use crate::apply::drop_answers;
use crate::keys;
use crate::tx::{Step, Tx};
use crate::view::{Rows, View, heads};

/// Old events are dropped at most this often, many together.
const EVENTS_EXPIRY_STEP_MS: u64 = 60 * 60 * 1000;

/// Fires due timers, the earliest first, `TIMERS_PER_TICK_MAX` units of work at most.
pub(crate) fn tick<V: View>(tx: &mut Tx<'_, V>) -> Step<Reply, V> {
    let mut budget = TIMERS_PER_TICK_MAX;
    let (from, to) = keys::timers_due(tx.now);
    for (key, _) in tx.scan(&from, &to, false, TIMERS_PER_TICK_MAX)? {
        if budget == 0 {
            break;
        }
        let Key::Timer(due, timer) = key else { continue };
        if due > tx.now {
            break;
        }
        budget = budget.saturating_sub(1);
        tx.remove(key);
        match timer {
            Timer::SessionExpiry(id) => sessions::expire(tx, id)?,
            Timer::AnswersExpiry(id) => expire_answers(tx, id)?,
            Timer::StatusExpiry(id) => presence::expire_status(tx, id)?,
            Timer::GraceEnd(attachment) => end_grace(tx, attachment, &mut budget)?,
            Timer::EventsExpiry => expire_events(tx, &mut budget)?,
            Timer::FailuresFade(login) => lockout::fade(tx, login)?,
            Timer::LogOff(from) => log_off::go_on(tx, due, from, &mut budget)?,

            Timer::IdleDue(id) => locking::idle_due(tx, due, id)?,
            Timer::TimesChanged(from) => locking::go_on(tx, from, &mut budget)?,
            Timer::EmergencyEnd(number) => emergency::lapse(tx, number)?,
            Timer::KitLapse => kits::lapse(tx)?,
        }
    }
    Ok(Reply::Done)
}

/// Drops the answers of a device that has not written for long; else the timer goes on.
fn expire_answers<V: View>(tx: &mut Tx<'_, V>, id: DeviceId) -> Step<(), V> {
    let Some(mut device) = tx.device(id)? else { return Ok(()) };
    if device.settled > device.highest {
        return Ok(()); // None are left; the next write starts a timer.
    }
    let due = device.last_write.plus_ms(ANSWERS_KEPT_MS);
    if tx.steady() < due {
        tx.set_steady_timer(due, Timer::AnswersExpiry(id));
        return Ok(());
    }
    let settled = device.highest.saturating_add(1);
    drop_answers(tx, &device, settled)?;
    device.settled = settled;
    tx.put(Key::Device(id), Row::Device(device));
    Ok(())
}

/// Detaches sessions whose node did not come back, in slices.
fn end_grace<V: View>(tx: &mut Tx<'_, V>, attachment: Attachment, budget: &mut usize) -> Step<(), V> {
    let mut seen = Timestamp(tx.now.0.saturating_sub(GRACE_MS));
    if let Some(lease) = tx.node_lease(attachment.node)?
        && lease.epoch == attachment.epoch
    {
        let Some(expired) = lease.expired else { return Ok(()) }; // It came back in time.
        let end = expired.plus_ms(GRACE_MS);
        if tx.now < end {
            tx.put(Key::Timer(end, Timer::GraceEnd(attachment)), Row::Timer(()));
            return Ok(());
        }
        seen = expired;
    }
    let (from, to) = keys::attached(attachment);
    let rows = tx.scan(&from, &to, false, budget.saturating_add(1))?;
    if rows.len() > *budget {
        tx.put(Key::Timer(tx.now, Timer::GraceEnd(attachment)), Row::Timer(()));
    }
    for (key, _) in rows.into_iter().take(*budget) {
        *budget = budget.saturating_sub(1);
        let Key::Attached(_, id) = key else { continue };
        match tx.session(id)? {
            Some(mut session) if session.attached == Some(attachment) => {
                sessions::detach(tx, &mut session, seen);
                tx.signal(session.user);
                tx.put(Key::Session(id), Row::Session(session));
            }
            _ => tx.remove(key),
        }
    }
    Ok(())
}

/// Drops events that have been kept long enough, in slices.
fn expire_events<V: View>(tx: &mut Tx<'_, V>, budget: &mut usize) -> Step<(), V> {
    let (from, to) = keys::events_after(heads(tx)?.events_dropped);
    let mut again = tx.now.plus_ms(DAY_MS.min(EVENTS_KEPT_MS)); // When nothing is left.
    for (key, row) in tx.scan(&from, &to, false, budget.saturating_add(1))? {
        let (Key::EventScope(number), Row::EventScope((scope, at))) = (&key, row) else { continue };
        let due = at.plus_ms(EVENTS_KEPT_MS);
        if tx.steady() < due {
            again = tx.steady_due(due).max(tx.now.plus_ms(EVENTS_EXPIRY_STEP_MS));
            break;
        }
        if *budget == 0 {
            again = tx.now;
            break;
        }
        *budget = budget.saturating_sub(1);
        let number = *number;
        tx.remove(match scope {
            Scope::Conversation(id) => Key::ConversationEvent(id, number),
            Scope::User(id) => Key::UserEvent(id, number),
        });
        tx.remove(key);
        tx.set_events_dropped(number);
    }
    tx.put(Key::Timer(again, Timer::EventsExpiry), Row::Timer(()));
    Ok(())
}
