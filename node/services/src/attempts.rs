//! Tries to prove to be someone: from where, whether one may be made now, and how one that failed is counted.

use std::net::IpAddr;
use std::time::Instant;

use raft::Handle;
use state::lockout;
use state::view::{Rows, heads};
use types::command::Once;
use types::identity::{Attempt, LoginKey, RefuseSignIn, SecondProof, Source};
use types::limits::PIN_FAILURES_MAX;
use types::user::Credential;
use types::{Command, DeviceId, Reject, UserId};

use crate::addresses::NOBODYS;
use crate::call::{Call, Visitor};
use crate::errors::Error;
use crate::passwords::Verdict;
use crate::{Services, totp};

impl<H: Handle> Services<H> {
    /// A login as its failures are counted under it.
    pub(crate) fn login_key(&self, login: &str) -> Result<LoginKey, Error> {
        self.keyed(b"login", login.as_bytes())
    }

    /// A try by this login: on one of the user's own devices, else from a network address.
    pub(crate) fn attempt(
        &self,
        login: &str,
        device: Option<DeviceId>,
        address: Option<IpAddr>,
    ) -> Result<Attempt, Error> {
        let source = match (device, address) {
            (Some(device), _) => Source::Device(device),
            (None, Some(IpAddr::V4(address))) => Source::Address(self.keyed(b"address", &address.octets())?),
            // Whoever has one IPv6 address has 2^64 of them.
            (None, Some(IpAddr::V6(address))) => Source::Address(self.keyed(b"address", &address.octets()[..8])?),
            (None, None) => Source::Address(self.keyed(b"address", b"")?),
        };
        Ok(Attempt { login: self.login_key(login)?, source })
    }

    /// Whether a try may be made now; asked before a password is hashed.
    ///
    /// Errors: `LOCKED_OUT`. It leaves no record: that is the point of it, for a flood of them costs the cluster nothing.
    pub(crate) fn may_try(&self, attempt: Attempt) -> Result<(), Error> {
        let view = self.inner.handle.view();
        let now = heads(&view)?.clock;
        let failures = view.failures(attempt.login)?;
        match failures.and_then(|failures| lockout::wait_ms(&failures, attempt.source, now)) {
            Some(wait) => Err(Reject::LockedOut(wait).into()),
            None => Ok(()),
        }
    }

    /// Counts a try that failed, for all nodes; for a login that nobody has as for one that somebody has.
    pub(crate) async fn count_failure(
        &self,
        user: Option<UserId>,
        attempt: Attempt,
        visitor: Visitor,
    ) -> Result<(), Error> {
        let once = Once::default();
        self.count(RefuseSignIn { user, attempt, pin: false, once, address: None }, visitor).await
    }

    /// The same for a PIN, which is good for nothing any more once it was wrong too often.
    pub(crate) async fn count_wrong_pin(
        &self,
        user: Option<UserId>,
        attempt: Attempt,
        visitor: Visitor,
    ) -> Result<(), Error> {
        let once = Once::default();
        self.count(RefuseSignIn { user, attempt, pin: true, once, address: None }, visitor).await
    }

    async fn count(&self, refuse: RefuseSignIn, visitor: Visitor) -> Result<(), Error> {
        let Visitor { address, deadline, counted } = visitor;
        self.inner.sign_ins.failed(address.filter(|_| counted), Instant::now());
        self.inner.metrics.sign_ins_refused.inc();
        let put = |address: Option<Vec<u8>>| {
            let refuse = RefuseSignIn { address, ..refuse.clone() };
            self.put_once(move |once| Command::RefuseSignIn(RefuseSignIn { once, ..refuse }), deadline)
        };
        self.put_from((NOBODYS, address), deadline, put).await?;
        Ok(())
    }

    /// Checks a PIN against someone's; none of theirs takes as long and is wrong.
    ///
    /// Errors: `BAD_CREDENTIALS`, counted; `PIN_BLOCKED` for one that was wrong too often, whatever is typed.
    pub(crate) async fn verify_pin(
        &self,
        known: Option<(UserId, &Credential)>,
        pin: String,
        attempt: Attempt,
        visitor: Visitor,
    ) -> Result<(), Error> {
        let kept = known.and_then(|(_, credential)| credential.pin.as_ref());
        if kept.is_some_and(|pin| pin.failed >= PIN_FAILURES_MAX) {
            return Err(Reject::PinBlocked.into());
        }
        let verdict = self.inner.passwords.verify(pin, kept.map(|pin| pin.hash.clone())).await?;
        if matches!(verdict, Verdict::Wrong) {
            self.count_wrong_pin(known.map(|(user, _)| user), attempt, visitor).await?;
            return Err(Error::BadCredentials);
        }
        Ok(())
    }

    /// The proof of the second factor that came with a sign-in; none where the account has none.
    ///
    /// Errors: `SECOND_FACTOR_NEEDED`, `BAD_SECOND_FACTOR`; the latter is counted as a wrong password is.
    pub(crate) async fn second_proof(
        &self,
        credential: &Credential,
        user: UserId,
        attempt: Attempt,
        typed: &str,
        visitor: Visitor,
    ) -> Result<Option<SecondProof>, Error> {
        let Some(second) = credential.second.as_ref().filter(|second| second.confirmed) else { return Ok(None) };
        // Guesses that were made at once, before the first had failed, must not tell which one was right.
        self.may_try(attempt)?;
        if typed.is_empty() {
            return Err(Reject::SecondFactorNeeded.into());
        }
        let (now, secret) = {
            let view = self.inner.handle.view();
            (heads(&view)?.clock, self.inner.keyring.secret(&view, user, &second.secret)?)
        };
        let proof = totp::prove(second, &secret, typed, now);
        if proof.is_none() {
            self.count_failure(Some(user), attempt, visitor).await?;
            return Err(Reject::BadSecondFactor.into());
        }
        Ok(proof)
    }

    /// Whether someone signed in knows their password; a wrong one is counted against the device it was typed on.
    ///
    /// Errors: `BAD_CREDENTIALS`, `LOCKED_OUT`.
    pub(crate) async fn verify_own(&self, call: &Call, password: String) -> Result<Credential, Error> {
        self.inner.handle.read_barrier(call.deadline).await?;
        let view = self.inner.handle.view();
        let user = view.user(call.user)?.ok_or(Reject::NoSession)?;
        let credential = view.credential(call.user)?.ok_or(Error::BadCredentials)?;
        drop(view);
        let attempt = Attempt { login: self.login_key(&user.login)?, source: Source::Device(call.device) };
        self.may_try(attempt)?;
        let verdict = self.inner.passwords.verify(password, credential.password.clone()).await?;
        if matches!(verdict, Verdict::Wrong) {
            self.count_failure(Some(call.user), attempt, call.visitor()).await?;
            return Err(Error::BadCredentials);
        }
        Ok(credential)
    }

    fn keyed(&self, what: &[u8], bytes: &[u8]) -> Result<[u8; 16], Error> {
        self.keyed_hash(&[what, &[0], bytes].concat())
    }
}
