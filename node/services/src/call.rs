//! What every call goes through: who calls, until when, how often, and how it ended.

use std::future::Future;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use raft::Handle;
use state::policy::{self, Action};
use state::view::Rows;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use types::limits::{CALL_MS_DEFAULT, CALL_MS_MAX};
use types::{DeviceId, Reject, SessionId, Timestamp, UserId};

use crate::Services;
use crate::activity;
use crate::audit::observe;
use crate::codes;
use crate::errors::Error;

/// A call nobody has signed in for yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// Where it comes from, as far as known.
    pub(crate) address: Option<IpAddr>,
    /// It is answered by then.
    pub(crate) deadline: Instant,
    /// Whether a proof of theirs that fails counts against the address.
    pub(crate) counted: bool,
}

/// A call in a session. Names who calls; what they may do is asked of the policy over the view that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    /// In cluster time, its token is good until then.
    pub(crate) token_until: Timestamp,
    /// Where it comes from, as far as known.
    pub(crate) address: Option<IpAddr>,
    /// It is answered by then.
    pub(crate) deadline: Instant,
    /// The place it is made at, where it is made in a person's part there.
    pub(crate) location: Option<UserId>,
    /// Whether its session was locked when it began.
    pub(crate) locked: bool,
    /// Whether it may be made in a locked session.
    pub(crate) even_locked: bool,
    /// Whether the session locks, or ends, when nothing is done in it.
    pub(crate) idles: bool,
    /// Whether what it writes waits its turn rather than being refused: it came over a stream, from which nothing more is
    /// read meanwhile.
    pub(crate) patient: bool,
}

impl Call {
    /// Who makes it, as someone who has yet to prove something: what fails counts against their device, not the address.
    pub(crate) const fn visitor(&self) -> Visitor {
        Visitor { address: self.address, deadline: self.deadline, counted: false }
    }
}

/// What a call does that may be made in a locked session, for the policy to say whether it may.
pub(crate) type WhileLocked = fn(SessionId) -> Action;

impl<H: Handle> Services<H> {
    /// Runs a call that needs no session.
    pub(crate) async fn visit<T, R, F>(
        &self,
        method: &'static str,
        request: Request<T>,
        work: impl FnOnce(Visitor, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let started = Instant::now();
        let deadline = started + time_allowed(request.metadata());
        let visitor = Visitor { address: address(&request), deadline, counted: true };
        let result = match self.serving() {
            Ok(()) => within(deadline, work(visitor, request.into_inner())).await,
            Err(error) => Err(error),
        };
        self.finish(method, started, result)
    }

    /// Runs a call in a session that is not locked.
    pub(crate) async fn call<T, R, F>(
        &self,
        method: &'static str,
        request: Request<T>,
        work: impl FnOnce(Call, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Error>>,
    {
        self.call_as(method, None, request, work).await
    }

    /// Runs a call in a session, locked or not, if the policy says that a locked one may.
    pub(crate) async fn call_even_locked<T, R, F>(
        &self,
        method: &'static str,
        wish: WhileLocked,
        request: Request<T>,
        work: impl FnOnce(Call, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Error>>,
    {
        self.call_as(method, Some(wish), request, work).await
    }

    async fn call_as<T, R, F>(
        &self,
        method: &'static str,
        wish: Option<WhileLocked>,
        request: Request<T>,
        work: impl FnOnce(Call, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let started = Instant::now();
        let deadline = started + time_allowed(request.metadata());
        let token = bearer(request.metadata());
        let from = address(&request);
        let body = request.into_inner();
        let mut session = None;
        let run = async {
            self.serving()?;
            let call = self.authenticate(token, deadline, wish, &mut session).await?;
            let call = Call { address: from, ..call };
            self.inner.rates.take(call.session, Instant::now(), &self.inner.limits.load())?;
            if call.idles && activity::is_use(method) {
                self.inner.activity.note(call.session, Instant::now());
            }
            work(call, body).await
        };
        let result = within(deadline, run).await;
        if let Err(Error::Denied(reject, about)) = &result {
            self.note_refusal(observe::refused(session, reject, *about));
        }
        self.finish(method, started, result)
    }

    /// Refuses calls once this node stops.
    pub(crate) fn serving(&self) -> Result<(), Error> {
        if self.inner.stopping.is_cancelled() { Err(Error::ShuttingDown) } else { Ok(()) }
    }

    fn finish<R>(
        &self,
        method: &'static str,
        started: Instant,
        result: Result<R, Error>,
    ) -> Result<Response<R>, Status> {
        let code = result.as_ref().map_or_else(|error| error.told().code, |_| Code::Ok);
        let refused = result.as_ref().is_err_and(Error::is_overload);
        self.inner.metrics.called(method, code, (!refused).then(|| started.elapsed()));
        let mut response = result.map(Response::new).map_err(|error| self.status(&error))?;
        if self.inner.handle.single_copy() {
            // On every answer while it is so: what was written lies on one disk alone.
            response.metadata_mut().insert("tricord-copies", tonic::metadata::MetadataValue::from_static("1"));
        }
        Ok(response)
    }

    /// The status of an error; a fault of the state is also reported to whoever stops the node.
    pub(crate) fn status(&self, error: &Error) -> Status {
        if let Error::Fault(fault) = error {
            tracing::error!(%fault, "this node cannot read its own state");
            self.inner.faults.send_replace(Some("the services could not read this node's state"));
        }
        error.status()
    }

    /// Finds the session of a token.
    ///
    /// Errors: `NO_SESSION` for no token, a forged one, a session that is unknown or over. A session that another node
    /// has only just opened is waited for. `TOKEN_EXPIRED` for a token that was good until lately.
    /// `SESSION_LOCKED` for one that is locked, unless the policy lets it do what it wishes; `known` names it then.
    pub(crate) async fn authenticate(
        &self,
        token: Option<String>,
        deadline: Instant,
        wish: Option<WhileLocked>,
        known: &mut Option<SessionId>,
    ) -> Result<Call, Error> {
        let parsed = token.as_deref().and_then(codes::parse_token);
        let (session, hash) = parsed.ok_or(Reject::NoSession)?;
        let view = self.inner.handle.view();
        let mut row = view.session(session)?;
        if row.is_none() {
            drop(view);
            // Forged, or opened on another node a moment ago: only the leader's word tells. Whoever forges many must not
            // take the places of those who wait for it with a reason.
            let asking = self.inner.unknown_sessions.try_acquire();
            let _asking = asking.map_err(|_| Error::Overloaded("too many unknown sessions are asked for"))?;
            self.inner.handle.read_barrier(deadline.min(Instant::now() + Duration::from_secs(1))).await?;
            row = self.inner.handle.view().session(session)?;
        }
        let row = row.ok_or(Error::Denied(Reject::NoSession, None))?;
        let token_until = match &row.previous {
            _ if codes::same(&row.token, &hash) => row.token_expires,
            Some((previous, until)) if codes::same(previous, &hash) => *until,
            _ => return Err(Error::Denied(Reject::NoSession, Some(types::record::Entity::Session(session)))),
        };
        let view = self.inner.handle.view();
        let heads = state::view::heads(&view)?;
        let now = heads.clock;
        let actor = self.standing(&view, now, session)?.ok_or(Reject::NoSession)?;
        // Whoever can prove themselves for the next token loses nothing by a step of time; whoever cannot would lose the session.
        let lost = if actor.device.key.is_some() { 0 } else { now.since_ms(heads.steady()) };
        let token_until = token_until.plus_ms(lost);
        if token_until <= now {
            return Err(Error::TokenExpired);
        }
        *known = Some(session);
        let even_locked = wish.is_some_and(|wish| policy::while_locked(&actor, wish(session)));
        if actor.is_locked() && !even_locked {
            return Err(Error::Denied(Reject::SessionLocked, Some(types::record::Entity::Session(session))));
        }
        Ok(Call {
            session,
            user: actor.user.id,
            device: actor.device.id,
            token_until,
            address: None,
            deadline,
            location: actor.location(),
            locked: actor.is_locked(),
            even_locked,
            idles: actor.session.idle_due.is_some(),
            patient: false,
        })
    }
}

/// What waits for consensus ends at the deadline by itself, with a reason; this is for the rest.
async fn within<R>(deadline: Instant, work: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
    tokio::time::timeout_at((deadline + Duration::from_millis(20)).into(), work).await.unwrap_or(Err(Error::Deadline))
}

/// Where a request comes from, as far as known.
fn address<T>(request: &Request<T>) -> Option<IpAddr> {
    request.remote_addr().map(|address| address.ip())
}

/// The token of `authorization: Bearer <token>`.
pub(crate) fn bearer(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// How long a call may take: what the client says, a little less so that the answer still arrives, and never too long.
pub(crate) fn time_allowed(metadata: &MetadataMap) -> Duration {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse_timeout);
    match asked {
        None => Duration::from_millis(CALL_MS_DEFAULT),
        Some(asked) => {
            let margin = (asked / 10).min(Duration::from_millis(50));
            asked.saturating_sub(margin).min(Duration::from_millis(CALL_MS_MAX))
        }
    }
}

/// Parses gRPC's timeout: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_understood_and_bounded() {
        let allowed = |timeout: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", timeout.parse().expect("ASCII"));
            time_allowed(&metadata)
        };
        assert_eq!(allowed("500m"), Duration::from_millis(450));
        assert_eq!(allowed("99H"), Duration::from_millis(CALL_MS_MAX));
        assert_eq!(allowed("nonsense"), Duration::from_millis(CALL_MS_DEFAULT));
        assert_eq!(time_allowed(&MetadataMap::new()), Duration::from_millis(CALL_MS_DEFAULT));
    }
}
