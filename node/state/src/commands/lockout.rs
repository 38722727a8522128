//! Sign-ins that fail, counted in replicated state: a failover forgets none.

use types::identity::{Attempt, Failing, Failures, LoginKey, RefuseSignIn, Source};
use types::limits::{FAILURE_LOGINS_MAX, FAILURE_SOURCES_MAX, FAILURES_KEPT_MS};
use types::row::Timer;
use types::{Key, Reject, Reply, Row};

use super::keys::check_address;
use super::once;
use crate::lockout::{is_faded, wait_ms};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Counts a try that failed; once, however often it is put.
pub(crate) fn refuse<V: View>(tx: &mut Tx<'_, V>, refuse: &RefuseSignIn) -> Step<Reply, V> {
    if !once::first(tx, refuse.once)? {
        tx.repeat();
        return Ok(Reply::Done);
    }
    check_address(tx, refuse.address.as_ref())?;
    let Attempt { login, source } = refuse.attempt;
    let mut failures = match tx.failures(login)? {
        Some(failures) => {
            // Many at once: whoever had to wait already is told that, as a right guess would be.
            if let Some(wait) = wait_ms(&failures, source, tx.now) {
                return Err(Reject::LockedOut(wait).into());
            }
            failures
        }
        None => {
            let count = tx.failures_count()?.unwrap_or(0);
            // A flood of names that nobody has must not fill the state; those of users are always counted.
            if count >= FAILURE_LOGINS_MAX && refuse.user.is_none() {
                return Ok(Reply::Done);
            }
            tx.put(Key::FailuresCount(), Row::FailuresCount(count.saturating_add(1)));
            tx.put(Key::Timer(tx.now.plus_ms(FAILURES_KEPT_MS), Timer::FailuresFade(login)), Row::Timer(()));
            Failures::default()
        }
    };
    count(&mut failures, source, tx);
    count_pin(tx, refuse)?;
    tx.put(Key::Failures(login), Row::Failures(failures));
    Ok(Reply::Done)
}

/// Few digits are soon tried from many devices: whoever has them is told to set others.
fn count_pin<V: View>(tx: &mut Tx<'_, V>, refuse: &RefuseSignIn) -> Step<(), V> {
    if refuse.pin
        && let Some(user) = refuse.user
        && let Some(mut credential) = tx.credential(user)?
        && let Some(pin) = &mut credential.pin
    {
        pin.failed = pin.failed.saturating_add(1);
        tx.put(Key::Credential(user), Row::Credential(credential));
    }
    Ok(())
}

fn count<V: View>(failures: &mut Failures, source: Source, tx: &Tx<'_, V>) {
    let now = tx.now;
    drop_faded(failures, tx);
    if let Source::Address(_) = source {
        failures.strange = failures.strange.saturating_add(1);
        failures.strange_last = now;
    }
    if let Some(failing) = failures.sources.iter_mut().find(|failing| failing.source == source) {
        failing.count = failing.count.saturating_add(1);
        failing.last = now;
        return;
    }
    if failures.sources.len() >= FAILURE_SOURCES_MAX {
        // The address that was longest quiet gives way; what came from it still counts among the strange ones. The
        // user's own devices stay: there are never more of them than fit.
        let quiet = failures.sources.iter().filter(|failing| matches!(failing.source, Source::Address(_)));
        let quiet = quiet.min_by_key(|failing| (failing.last, failing.source)).map(|failing| failing.source);
        let quiet = quiet.or_else(|| failures.sources.first().map(|failing| failing.source));
        failures.sources.retain(|failing| Some(failing.source) != quiet);
    }
    failures.sources.push(Failing { source, count: 1, last: now });
    failures.sources.sort_by_key(|failing| failing.source);
}

fn drop_faded<V: View>(failures: &mut Failures, tx: &Tx<'_, V>) {
    failures.sources.retain(|failing| !is_faded(failing.last, tx.now));
    if is_faded(failures.strange_last, tx.now) {
        failures.strange = 0;
    }
}

/// Lets a proof that was checked pass, unless it has to wait; what failed from its source before is forgotten.
pub(crate) fn pass<V: View>(tx: &mut Tx<'_, V>, attempt: Option<Attempt>) -> Step<(), V> {
    let Some(attempt) = attempt else { return Ok(()) };
    let Some(mut failures) = tx.failures(attempt.login)? else { return Ok(()) };
    if let Some(wait) = wait_ms(&failures, attempt.source, tx.now) {
        return Err(Reject::LockedOut(wait).into());
    }
    let known = failures.sources.len();
    failures.sources.retain(|failing| failing.source != attempt.source);
    if failures.sources.len() < known {
        tx.put(Key::Failures(attempt.login), Row::Failures(failures));
    }
    Ok(())
}

/// The timer of a login's failures: it goes on while one of them still says something.
pub(crate) fn fade<V: View>(tx: &mut Tx<'_, V>, login: LoginKey) -> Step<(), V> {
    let Some(mut failures) = tx.failures(login)? else { return Ok(()) };
    drop_faded(&mut failures, tx);
    let newest = failures.sources.iter().map(|failing| failing.last).max();
    let newest = newest.max((failures.strange > 0).then_some(failures.strange_last));
    if let Some(last) = newest {
        tx.put(Key::Timer(last.plus_ms(FAILURES_KEPT_MS), Timer::FailuresFade(login)), Row::Timer(()));
        tx.put(Key::Failures(login), Row::Failures(failures));
        return Ok(());
    }
    let count = tx.failures_count()?.unwrap_or(0);
    tx.put(Key::FailuresCount(), Row::FailuresCount(count.saturating_sub(1)));
    tx.remove(Key::Failures(login));
    Ok(())
}
