//! Passwords: Argon2id on a bounded number of threads; which new ones are taken.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use types::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAITING_MAX};

use crate::errors::Error;

/// What a hash costs. Stored with each hash; older ones are made anew at the next sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PasswordCost {
    /// 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet).
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A cost that Argon2 does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cost of password hashes is not valid")]
pub struct CostError;

/// Whether a password fits, and its hash anew where the cost has changed.
pub(crate) enum Verdict {
    Wrong,
    Right { rehashed: Option<String> },
}

/// Hashes passwords, a few at a time; the rest waits, and more are refused.
pub(crate) struct Passwords {
    hashing: ArcSwap<Hashing>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// How passwords are hashed now.
struct Hashing {
    argon2: Argon2<'static>,
    params: Params,
    /// The hash of no password: an unknown login costs the same time as a known one.
    dummy: String,
}

impl Hashing {
    fn new(cost: PasswordCost) -> Result<Self, CostError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).map_err(|_| CostError)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let dummy = argon2.hash_password(b"no password").map_err(|_| CostError)?.to_string();
        Ok(Self { argon2, params, dummy })
    }
}

impl Passwords {
    /// How many wait, and are hashed.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Makes the hash of no password, which takes the time of one.
    pub(crate) fn new(cost: PasswordCost) -> Result<Self, CostError> {
        let hashing = ArcSwap::from_pointee(Hashing::new(cost)?);
        let places = Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE));
        Ok(Self { hashing, places, waiting: AtomicUsize::new(0) })
    }

    /// Hashes at another cost from now on. Takes the time of a hash.
    pub(crate) fn set_cost(&self, cost: PasswordCost) -> Result<(), CostError> {
        self.hashing.store(Arc::new(Hashing::new(cost)?));
        Ok(())
    }

    /// Checks a password against a hash; against none it takes as long and is wrong.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<Verdict, Error> {
        let known = hash.is_some();
        let hashing = self.hashing.load_full();
        let hash = hash.unwrap_or_else(|| hashing.dummy.clone());
        self.work(move || {
            let Hashing { argon2, params, .. } = hashing.as_ref();
            let Ok(parsed) = PasswordHash::new(&hash) else { return Ok(Verdict::Wrong) };
            let right = argon2.verify_password(password.as_bytes(), &parsed).is_ok() && known;
            if !right {
                return Ok(Verdict::Wrong);
            }
            let outdated = Params::try_from(&parsed).is_ok_and(|used| !same_cost(&used, params));
            let rehashed = if outdated { Some(hash_with(argon2, &password)?) } else { None };
            Ok(Verdict::Right { rehashed })
        })
        .await
    }

    /// Hashes a password as a PHC string.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        let hashing = self.hashing.load_full();
        self.work(move || hash_with(&hashing.argon2, &password)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _place_in_line = Waiting::enter(&self.waiting)?;
        let permit = Arc::clone(&self.places).acquire_owned().await;
        let permit = permit.map_err(|_| Error::Internal("password hashing is closed"))?;
        let done = raft::blocking::run(move || {
            let result = job();
            drop(permit); // Held by the thread: a caller who gives up does not free the processor.
            result
        });
        done.await.map_err(|_| Error::Internal("a password hash was not finished"))?
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Error> {
        let entered = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= PASSWORD_HASHES_WAITING_MAX + PASSWORD_HASHES_AT_ONCE {
            return Err(Error::Overloaded("too many sign-ins at once"));
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn same_cost(one: &Params, other: &Params) -> bool {
    (one.m_cost(), one.t_cost(), one.p_cost()) == (other.m_cost(), other.t_cost(), other.p_cost())
}

fn hash_with(argon2: &Argon2<'_>, password: &str) -> Result<String, Error> {
    let hash = argon2.hash_password(password.as_bytes());
    Ok(hash.map_err(|_| Error::Internal("a password could not be hashed"))?.to_string())
}

/// Checks a new password: length, and that it is not among the first to be tried, rather than composition rules
/// (NIST SP 800-63B, 3.1.1).
pub(crate) fn check_new(field: &str, password: &str, login: &str) -> Result<(), Error> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(Error::invalid(
            field,
            format!("it has {chars} characters, at least {PASSWORD_CHARS_MIN} are needed"),
        ));
    }
    check_length(field, password)?;
    match common::why_weak(password, login) {
        Some(why) => Err(Error::invalid(field, why)),
        None => Ok(()),
    }
}

/// Checks that a password is no longer than one may be.
pub(crate) fn check_length(field: &str, password: &str) -> Result<(), Error> {
    if password.len() > PASSWORD_BYTES_MAX {
        let what = format!("it is {} bytes, at most {PASSWORD_BYTES_MAX} are allowed", password.len());
        return Err(Error::invalid(field, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: PasswordCost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(CHEAP).expect("a cost");
        let hash = passwords.hash("correct horse".into()).await.expect("a hash");
        let right = passwords.verify("correct horse".into(), Some(hash.clone())).await.expect("an answer");
        assert!(matches!(right, Verdict::Right { rehashed: None }));
        let wrong = passwords.verify("correct house".into(), Some(hash)).await.expect("an answer");
        assert!(matches!(wrong, Verdict::Wrong));
        let unknown = passwords.verify("no password".into(), None).await.expect("an answer");
        assert!(matches!(unknown, Verdict::Wrong));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_made_anew() {
        let old = Passwords::new(CHEAP).expect("a cost").hash("correct horse".into()).await.expect("a hash");
        let passwords = Passwords::new(CHEAP).expect("a cost");
        passwords.set_cost(PasswordCost { passes: 2, ..CHEAP }).expect("a cost");
        let verdict = passwords.verify("correct horse".into(), Some(old)).await.expect("an answer");
        assert!(matches!(verdict, Verdict::Right { rehashed: Some(_) }));
    }

    #[tokio::test]
    async fn of_forty_at_once_two_are_hashed_and_other_work_goes_on() {
        let passwords = Arc::new(Passwords::new(CHEAP).expect("a cost"));
        let begun = Arc::new(AtomicUsize::new(0));
        let go = Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
        let mut arriving = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (passwords, begun, go) = (Arc::clone(&passwords), Arc::clone(&begun), Arc::clone(&go));
            arriving.spawn(async move {
                let job = move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let closed = go.0.lock().expect("a lock");
                    drop(go.1.wait_while(closed, |open| !*open).expect("a lock"));
                    Ok(())
                };
                passwords.work(job).await
            });
        }
        while begun.load(Ordering::SeqCst) < PASSWORD_HASHES_AT_ONCE {
            tokio::task::yield_now().await; // Which goes on here, on the thread that everything else runs on.
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), PASSWORD_HASHES_AT_ONCE);
        assert_eq!(passwords.waiting.load(Ordering::SeqCst), 40);
        *go.0.lock().expect("a lock") = true;
        go.1.notify_all();
        while let Some(done) = arriving.join_next().await {
            done.expect("no panic").expect("hashed in its turn");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 40);
    }

    #[tokio::test]
    async fn once_as_many_wait_as_may_the_next_is_refused_and_told_when_to_try_again() {
        use tonic_types::StatusExt;

        let passwords = Passwords::new(CHEAP).expect("a cost");
        passwords.waiting.store(PASSWORD_HASHES_WAITING_MAX + PASSWORD_HASHES_AT_ONCE, Ordering::SeqCst);
        let status = passwords.verify("x".into(), None).await.err().expect("refused").status();
        let details = status.get_error_details();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("OVERLOADED"));
        assert!(details.retry_info().is_some_and(|info| info.retry_delay.is_some()));
        passwords.waiting.fetch_sub(1, Ordering::SeqCst);
        assert!(passwords.verify("x".into(), None).await.is_ok(), "there is room again");
    }

    #[test]
    fn short_passwords_are_refused_with_their_length() {
        let error = check_new("password", "kurz", "ito").expect_err("too short");
        assert_eq!(error.to_string(), "password: it has 4 characters, at least 10 are needed");
    }
}
