//! Rates: calls of a session, and sign-ins that fail.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use types::SessionId;

use crate::errors::Error;
use crate::limits::ClientLimits;

/// Most sessions whose rate one node keeps in mind.
const SESSIONS_MAX: usize = 65_536;
/// Most logins and most addresses whose failures one node keeps in mind.
const FAILURES_MAX: usize = 65_536;
/// One failure, or success, is forgotten in this time.
const FAILURE_FORGOTTEN: Duration = Duration::from_secs(6);

/// What a poisoned lock protects is still sound here: each change is a single assignment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Bucket {
    left: f64,
    at: Instant,
    first: Instant,
}

/// Token buckets, one a session; and since when a session has been in use on this node.
#[derive(Default)]
pub(crate) struct CallRates {
    buckets: Mutex<HashMap<SessionId, Bucket>>,
}

impl CallRates {
    /// Takes one call out of the session's bucket.
    ///
    /// Errors: [`Error::RateLimited`] with the time until there is one again.
    pub(crate) fn take(&self, session: SessionId, now: Instant, limits: &ClientLimits) -> Result<(), Error> {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= SESSIONS_MAX && !buckets.contains_key(&session) {
            // A bucket that has filled up again says nothing any more.
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < Duration::from_secs(60));
            if buckets.len() >= SESSIONS_MAX {
                return Err(Error::Overloaded("too many sessions at once"));
            }
        }
        let (full, rate) = (f64::from(limits.burst()), f64::from(limits.calls_per_second));
        let bucket = buckets.entry(session).or_insert(Bucket { left: full, at: now, first: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * rate;
        bucket.left = (bucket.left + gained).min(full);
        bucket.at = now;
        if bucket.left < 1.0 {
            let wait = (1.0 - bucket.left) / rate;
            return Err(Error::RateLimited(Duration::from_secs_f64(wait).max(Duration::from_millis(1))));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Whether this session was in use on this node before `moment`.
    pub(crate) fn used_before(&self, session: SessionId, moment: Instant) -> bool {
        lock(&self.buckets).get(&session).is_some_and(|bucket| bucket.first < moment)
    }
}

/// Sign-ins that succeed, counted on this node for each login, and those that fail for each address; they fade with time.
/// What fails for a login is counted in replicated state (`state::lockout`).
#[derive(Default)]
pub(crate) struct SignIns {
    successes: Mutex<HashMap<String, (f64, Instant)>>,
    addresses: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl SignIns {
    /// Whether another try may be made now. A ward may share an address; each sign-in leaves rows and a record.
    ///
    /// Errors: [`Error::SignInsLimited`] with the time to wait.
    pub(crate) fn admit(
        &self,
        login: &str,
        address: Option<IpAddr>,
        now: Instant,
        limits: &ClientLimits,
    ) -> Result<(), Error> {
        check(&lock(&self.successes), login, f64::from(limits.sign_ins_per_login), now)?;
        match address {
            Some(address) => check(&lock(&self.addresses), &address, f64::from(limits.failures_per_address), now),
            None => Ok(()),
        }
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, address: Option<IpAddr>, now: Instant) {
        if let Some(address) = address {
            note(&mut lock(&self.addresses), address, now);
        }
    }

    /// Notes that a login signed in.
    pub(crate) fn succeeded(&self, login: &str, now: Instant) {
        note(&mut lock(&self.successes), login.to_owned(), now);
    }
}

fn faded(&(count, at): &(f64, Instant), now: Instant) -> f64 {
    (count - now.duration_since(at).as_secs_f64() / FAILURE_FORGOTTEN.as_secs_f64()).max(0.0)
}

fn check<K, Q>(table: &HashMap<K, (f64, Instant)>, key: &Q, max: f64, now: Instant) -> Result<(), Error>
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    let count = table.get(key).map_or(0.0, |entry| faded(entry, now));
    let over = count + 1.0 - max; // They fade from the first moment on: `max` in a row are just below it.
    if over <= 0.0 { Ok(()) } else { Err(Error::SignInsLimited(FAILURE_FORGOTTEN.mul_f64(over))) }
}

fn note<K: Eq + Hash>(table: &mut HashMap<K, (f64, Instant)>, key: K, now: Instant) {
    if table.len() >= FAILURES_MAX {
        table.retain(|_, entry| faded(entry, now) > 0.0);
        if table.len() >= FAILURES_MAX {
            table.clear(); // A flood of names: better to forget than to hold memory or lock everybody out.
        }
    }
    let entry = table.entry(key).or_insert((0.0, now));
    *entry = (faded(entry, now) + 1.0, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_burst_and_then_its_rate() {
        let (rates, start, session) = (CallRates::default(), Instant::now(), SessionId([1; 16]));
        let limits = ClientLimits::default();
        let take = |session, at| rates.take(session, at, &limits);
        for _ in 0..limits.burst() {
            assert!(take(session, start).is_ok());
        }
        assert!(matches!(take(session, start), Err(Error::RateLimited(_))));
        assert!(take(SessionId([2; 16]), start).is_ok(), "others are not slowed down");
        let later = start + Duration::from_secs(1);
        for _ in 0..limits.calls_per_second {
            assert!(take(session, later).is_ok());
        }
        assert!(take(session, later).is_err());
        assert!(rates.used_before(session, later));
        assert!(!rates.used_before(session, start));
    }

    #[test]
    fn a_lower_limit_holds_at_once_for_sessions_that_have_calls_left() {
        let (rates, now, session) = (CallRates::default(), Instant::now(), SessionId([1; 16]));
        assert!(rates.take(session, now, &ClientLimits::default()).is_ok());
        let fewer = ClientLimits { calls_per_second: 10, ..ClientLimits::default() };
        let taken = (0..1_000).take_while(|_| rates.take(session, now, &fewer).is_ok()).count();
        assert_eq!(taken, 40);
        let (sign_ins, desk) = (SignIns::default(), Some(IpAddr::from([10, 0, 0, 1])));
        for _ in 0..5 {
            sign_ins.failed(desk, now);
        }
        assert!(sign_ins.admit("ito", desk, now, &ClientLimits::default()).is_ok());
        let fewer = ClientLimits { failures_per_address: 5, ..fewer };
        assert!(matches!(sign_ins.admit("ito", desk, now, &fewer), Err(Error::SignInsLimited(_))));
    }

    #[test]
    fn failures_from_an_address_make_it_wait_and_fade() {
        let (failures, start, limits) = (SignIns::default(), Instant::now(), ClientLimits::default());
        let (desk, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        for _ in 0..100 {
            assert!(failures.admit("ito", desk, start, &limits).is_ok());
            failures.failed(desk, start);
        }
        assert!(matches!(failures.admit("mori", desk, start, &limits), Err(Error::SignInsLimited(_))));
        assert!(failures.admit("mori", other, start, &limits).is_ok());
        assert!(failures.admit("mori", desk, start + Duration::from_secs(7), &limits).is_ok());
    }

    #[test]
    fn one_login_cannot_sign_in_without_end() {
        let (sign_ins, start, limits) = (SignIns::default(), Instant::now(), ClientLimits::default());
        for _ in 0..100 {
            assert!(sign_ins.admit("ito", None, start, &limits).is_ok());
            sign_ins.succeeded("ito", start);
        }
        assert!(matches!(sign_ins.admit("ito", None, start, &limits), Err(Error::SignInsLimited(_))));
        assert!(sign_ins.admit("mori", None, start, &limits).is_ok());
        assert!(sign_ins.admit("ito", None, start + FAILURE_FORGOTTEN, &limits).is_ok());
    }
}
