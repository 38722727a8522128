//! Signing in and out.

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proto::v1::session_service_server::SessionService;
use proto::v1::*;
use raft::Handle;
use state::keys;
use state::policy::Action;
use state::presence::Reach;
use state::view::{Rows, View};
use tonic::{Request, Response, Status};
use types::command::{Enrol, SignIn};
use types::identity::{Attempt, DeviceKey, Method, Refresh, SecondProof, refresh_statement};
use types::limits::{SESSIONS_PER_USER_MAX, SIGN_IN_MAJORITY_MS_MAX};
use types::session::SessionState;
use types::user::{Credential, UserState};
use types::{Command, DeviceId, Key, Reject, Reply, SessionId, Timestamp, UserId};

use crate::call::{Call, Visitor};
use crate::errors::Error;
use crate::passwords::{self, Verdict};
use crate::writes::{Done, numbered, unexpected};
use crate::{Services, codes, convert, names, totp};

/// Rows read for one list of sessions: those open, and as many that have ended and are not forgotten yet.
const SESSION_ROWS_MAX: usize = 8 * SESSIONS_PER_USER_MAX;

#[tonic::async_trait]
impl<H: Handle> SessionService for Services<H> {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        self.visit("SignIn", request, |visitor, body| sign_in(self, visitor, body)).await
    }

    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        self.visit("Enrol", request, |visitor, body| enrol(self, visitor, body)).await
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        self.visit("RefreshSession", request, |visitor, body| refresh(self, visitor, body)).await
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        self.call_even_locked("SignOut", Action::EndSession, request, |call, body| sign_out(self, call, body)).await
    }

    async fn get_self(&self, request: Request<GetSelfRequest>) -> Result<Response<GetSelfResponse>, Status> {
        self.call_even_locked("GetSelf", |_| Action::SeeSelf, request, |call, body| get_self(self, call, body)).await
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        self.call("ListSessions", request, |call, body| list_sessions(self, call, body)).await
    }

    async fn end_session(&self, request: Request<EndSessionRequest>) -> Result<Response<EndSessionResponse>, Status> {
        self.call("EndSession", request, |call, body| end_session(self, call, body)).await
    }
}

async fn sign_in<H: Handle>(
    services: &Services<H>,
    visitor: Visitor,
    body: SignInRequest,
) -> Result<SignInResponse, Error> {
    types::text::check_login(&body.login).map_err(|error| Error::invalid("login", error.to_string()))?;
    passwords::check_length("password", &body.password)?;
    let key = device_key(&body.device_key)?;
    let inner = &services.inner;
    inner.sign_ins.admit(&body.login, visitor.address, Instant::now(), &inner.limits.load())?;
    // The newest password counts, not the one this node happens to know.
    inner.handle.read_barrier(soon(visitor.deadline)).await?;
    let known = known(&services.inner.handle.view(), &body.login)?;
    let user = known.as_ref().map(|(user, _)| *user);
    let (device, proven) = own_device(services, user, &body.device, key)?;
    let attempt = services.attempt(&body.login, proven, visitor.address)?;
    services.may_try(attempt)?;
    let hash = known.as_ref().and_then(|(_, credential)| credential.password.clone());
    let verdict = inner.passwords.verify(body.password, hash).await?;
    let (Some((user, credential)), Verdict::Right { rehashed }) = (known, verdict) else {
        services.count_failure(user, attempt, visitor).await?;
        return Err(Error::BadCredentials);
    };
    let second = services.second_proof(&credential, user, attempt, &body.code, visitor).await?;
    let opening = Opening { user, device, key, attempt, method: Method::Password, second };
    let (token, sign_in) = opening.sign_in(credential.version, rehashed)?;
    let make = |address| Command::SignIn(SignIn { address, ..sign_in.clone() });
    let done = services.put_own_from((sign_in.session, visitor.address), visitor.deadline, make).await?;
    inner.sign_ins.succeeded(&body.login, Instant::now());
    let credentials = credentials(services, token, done, visitor.deadline).await?;
    Ok(SignInResponse { credentials: Some(credentials) })
}

async fn enrol<H: Handle>(
    services: &Services<H>,
    visitor: Visitor,
    body: EnrolRequest,
) -> Result<EnrolResponse, Error> {
    types::text::check_login(&body.login).map_err(|error| Error::invalid("login", error.to_string()))?;
    passwords::check_new("password", &body.password, &body.login)?;
    let key = device_key(&body.device_key)?;
    let inner = &services.inner;
    inner.sign_ins.admit(&body.login, visitor.address, Instant::now(), &inner.limits.load())?;
    inner.handle.read_barrier(soon(visitor.deadline)).await?;
    let code = codes::parse_enrolment(&body.code);
    let known = known(&services.inner.handle.view(), &body.login)?;
    let user = known.as_ref().map(|(user, _)| *user);
    let (device, proven) = own_device(services, user, &body.device, key)?;
    let attempt = services.attempt(&body.login, proven, visitor.address)?;
    services.may_try(attempt)?;
    let fits = match (&known, &code) {
        (Some((_, credential)), Some(code)) => {
            credential.enrolment.as_ref().is_some_and(|(expected, _)| codes::same(expected, code))
        }
        _ => false,
    };
    let (Some((user, credential)), Some(code), true) = (known, code, fits) else {
        services.count_failure(user, attempt, visitor).await?;
        return Err(Reject::BadCode.into());
    };
    let password = inner.passwords.hash(body.password).await?;
    let second = services.second_proof(&credential, user, attempt, &body.second_factor, visitor).await?;
    let opening = Opening { user, device, key, attempt, method: Method::Code, second };
    let (token, sign_in) = opening.sign_in(0, None)?;
    let make = |address| {
        let sign_in = SignIn { address, ..sign_in.clone() };
        Command::Enrol(Enrol { code, password: password.clone(), sign_in })
    };
    let done = services.put_own_from((sign_in.session, visitor.address), visitor.deadline, make).await?;
    inner.sign_ins.succeeded(&body.login, Instant::now());
    let credentials = credentials(services, token, done, visitor.deadline).await?;
    Ok(EnrolResponse { credentials: Some(credentials) })
}

/// By when a majority must have answered: who stands at a screen is told soon that none does, whatever the deadline.
pub(crate) fn soon(deadline: Instant) -> Instant {
    deadline.min(Instant::now() + Duration::from_millis(SIGN_IN_MAJORITY_MS_MAX))
}

/// The active user of a login, and what proves them.
pub(crate) fn known<V: View<Fault = raft::Fault>>(
    view: &V,
    login: &str,
) -> Result<Option<(UserId, Credential)>, Error> {
    let Some(id) = view.login(login)? else {
        // Before its first entry a cluster knows nobody, which is no word on what was typed.
        return if view.cluster()?.is_none() { Err(Error::NotFounded) } else { Ok(None) };
    };
    let active = view.user(id)?.is_some_and(|user| user.state == UserState::Active);
    let credential = view.credential(id)?.filter(|_| active);
    Ok(credential.map(|credential| (id, credential)))
}

/// The device named, if it is this user's and the client has its key: to go on with, and to count failures under. Others
/// see a device's id, but not its key: without one that fits, a new device is made and the address counts.
fn own_device<H: Handle>(
    services: &Services<H>,
    user: Option<UserId>,
    device: &str,
    key: Option<DeviceKey>,
) -> Result<(Option<DeviceId>, Option<DeviceId>), Error> {
    let Some(id) = names::device(device) else { return Ok((None, None)) };
    let row = services.inner.handle.view().device(id)?;
    let own = row.filter(|device| Some(device.user) == user && (device.key.is_none() || device.key == key));
    let proven = own.as_ref().filter(|device| device.key.is_some()).map(|device| device.id);
    Ok((own.map(|device| device.id), proven))
}

/// The public key of a device, if it has one.
fn device_key(bytes: &[u8]) -> Result<Option<DeviceKey>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let key = bytes.try_into().map_err(|_| {
        let what = format!("it is {} bytes; an Ed25519 public key has {}", bytes.len(), size_of::<DeviceKey>());
        Error::invalid("device_key", what)
    })?;
    Ok(Some(key))
}

/// A session to open, by someone who has proved who they are.
struct Opening {
    user: UserId,
    /// One of the user's; none: a new one.
    device: Option<DeviceId>,
    key: Option<DeviceKey>,
    attempt: Attempt,
    method: Method,
    second: Option<SecondProof>,
}

impl Opening {
    fn sign_in(self, credential_version: u64, rehashed: Option<String>) -> Result<(String, SignIn), Error> {
        let device = match self.device {
            Some(id) => id,
            None => DeviceId(codes::random_id()?),
        };
        let session = SessionId(codes::random_id()?);
        let (token, hash) = codes::token(session)?;
        let sign_in = SignIn {
            user: self.user,
            session,
            token: hash,
            device,
            credential_version,
            rehashed,
            attempt: Some(self.attempt),
            key: self.key,
            methods: [self.method].into_iter().chain(self.second.map(totp::method)).collect(),
            second: self.second,
            address: None,
        };
        Ok((token, sign_in))
    }
}

/// Gives a session a new token. Whatever is wrong with the proof, the answer is the same.
async fn refresh<H: Handle>(
    services: &Services<H>,
    visitor: Visitor,
    body: RefreshSessionRequest,
) -> Result<RefreshSessionResponse, Error> {
    let (user, session) = names::session("session", &body.session)?;
    let inner = &services.inner;
    let cluster = services.cluster()?.id;
    let prove = |view: &H::View| -> Result<Option<DeviceKey>, Error> {
        let Some(row) = view.session(session)?.filter(|row| row.user == user) else { return Ok(None) };
        let Some(device) = view.device(row.device)? else { return Ok(None) };
        let statement = refresh_statement(cluster, session, device.id, body.number);
        let fits = |key: &DeviceKey| UnparsedPublicKey::new(&ED25519, key).verify(&statement, &body.signature).is_ok();
        Ok(device.key.filter(fits))
    };
    // Only what this node cannot verify is limited by address, and asked of the majority: nobody keeps others behind the
    // same address from going on.
    let proven = match prove(&inner.handle.view())? {
        Some(key) => Some(key),
        None => {
            inner.sign_ins.admit("", visitor.address, Instant::now(), &inner.limits.load())?;
            inner.handle.read_barrier(soon(visitor.deadline)).await?;
            prove(&inner.handle.view())?
        }
    };
    let Some(key) = proven else {
        inner.sign_ins.failed(visitor.address, Instant::now());
        return Err(Reject::BadProof.into());
    };
    let (token, hash) = codes::token(session)?;
    let row = inner.handle.view().session(session)?.ok_or(Reject::NoSession)?;
    let from = (session, services.elsewhere(&row, visitor.address)?);
    let make = |address| Command::Refresh(Refresh { session, token: hash, key, number: body.number, address });
    let done = services.put_own_from(from, visitor.deadline, make).await?;
    let Reply::Refreshed { token_expires, expires } = done.reply else { return Err(unexpected()) };
    // The next call comes to this node, most likely: it must know the token by then.
    let known = |view: &H::View| Ok(view.session(session)?.filter(|row| codes::same(&row.token, &hash)));
    services.seen(visitor.deadline, known).await?;
    let token_lifetime = Some(lifetime(services, token_expires));
    Ok(RefreshSessionResponse { token, token_lifetime, expire_time: Some(convert::time(expires)) })
}

/// For how long from now on.
fn lifetime<H: Handle>(services: &Services<H>, until: Timestamp) -> prost_types::Duration {
    convert::duration(Duration::from_millis(until.since_ms(services.inner.handle.heads().borrow().clock)))
}

pub(crate) async fn credentials<H: Handle>(
    services: &Services<H>,
    token: String,
    done: Done,
    deadline: Instant,
) -> Result<Credentials, Error> {
    let Reply::SignedIn { user, session, device, expires, next_number, token_expires } = done.reply else {
        return Err(unexpected());
    };
    // The next call comes to this node, most likely: it must know the session by then.
    let row = services
        .seen(deadline, |view| Ok(if view.session(session)?.is_some() { view.user(user)? } else { None }))
        .await?;
    let view = services.inner.handle.view();
    let credential = view.credential(user)?.unwrap_or_default();
    let opened = view.session(session)?;
    let lock_after = opened.as_ref().and_then(|row| row.idle_due.map(|due| due.since_ms(row.active)));
    let location = opened.and_then(|row| row.place).map(|place| names::of_user(place.location));
    drop(view);
    Ok(Credentials {
        token,
        session: names::of_session(user, session),
        device: device.to_string(),
        next_number,
        expire_time: Some(convert::time(expires)),
        user: Some(services.inner.keyring.user(&services.inner.handle.view(), &row, true)?),
        cursor: services.cursor(done.event)?,
        token_lifetime: Some(lifetime(services, token_expires)),
        cluster: services.cluster()?.id.to_string(),
        pin_cleared: credential
            .pin_cleared
            .map(|cleared| PinCleared { time: Some(convert::time(cleared.at)), user: names::of_user(cleared.by) }),
        location: location.unwrap_or_default(),
        lock_after: lock_after.map(|ms| convert::duration(Duration::from_millis(ms))),
        password_reset: credential
            .reset
            .map(|reset| PasswordReset { time: Some(convert::time(reset.at)), user: names::of_user(reset.by) }),
    })
}

async fn sign_out<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SignOutRequest,
) -> Result<SignOutResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = SignOutRequest { request_id: None };
    services.put(&call, "SignOut", id, &content, Command::EndSession(call.session)).await?;
    Ok(SignOutResponse {})
}

async fn get_self<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: GetSelfRequest,
) -> Result<GetSelfResponse, Error> {
    let read = services.read(&call, body.read).await?;
    let session = read.view.session(call.session)?.ok_or(Reject::NoSession)?;
    let connected = connected(&read.view, read.now, &session)?;
    Ok(GetSelfResponse {
        user: Some(read.keyring.user(&read.view, &read.user, true)?),
        session: Some(convert::session(&session, connected, call.session)),
        info: Some(read.info),
    })
}

async fn list_sessions<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListSessionsRequest,
) -> Result<ListSessionsResponse, Error> {
    let of = names::optional_user("parent", &body.parent)?.unwrap_or(call.user);
    let read = services.read(&call, body.read).await?;
    read.check(Action::ListSessions(of))?;
    let (from, to) = keys::user_sessions(of);
    let mut sessions = Vec::new();
    for (key, _) in read.view.scan(&from, &to, false, SESSION_ROWS_MAX)? {
        let Key::UserSession(_, id) = key else { continue };
        let Some(session) = read.view.session(id)? else { continue };
        if !matches!(session.state, SessionState::Ended(..)) && session.expires > read.now {
            let connected = connected(&read.view, read.now, &session)?;
            sessions.push(convert::session(&session, connected, call.session));
        }
    }
    Ok(ListSessionsResponse { sessions, info: Some(read.info) })
}

fn connected<V: View<Fault = raft::Fault>>(
    view: &V,
    now: types::Timestamp,
    session: &types::session::Session,
) -> Result<bool, Error> {
    Ok(matches!(state::presence::reach(view, now, session)?, Reach::Active | Reach::Idle(_)))
}

async fn end_session<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: EndSessionRequest,
) -> Result<EndSessionResponse, Error> {
    let id = numbered(body.request_id)?;
    let (user, session) = names::session("name", &body.name)?;
    // A name that puts someone's session under another user is not the name of anything.
    let owner = services.inner.handle.view().session(session)?.map(|session| session.user);
    if owner.is_some_and(|owner| owner != user) {
        return Err(Reject::NotFound.into());
    }
    let content = EndSessionRequest { request_id: None, ..body };
    let done = services.put(&call, "EndSession", id, &content, Command::EndSession(session)).await?;
    Ok(EndSessionResponse { cursor: services.cursor(done.event)? })
}
