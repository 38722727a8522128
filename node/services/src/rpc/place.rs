//! Places, where one person after another taps in; and the PINs they do it with.

use std::time::Instant;

use proto::v1::place_service_server::PlaceService;
use proto::v1::tap_in_request::Secret;
use proto::v1::*;
use raft::Handle;
use state::policy::Action;
use state::view::Rows;
use tonic::{Request, Response, Status};
use types::identity::{Attempt, Method, SecondProof, Source};
use types::place::{SetPin, TapIn};
use types::user::Credential;
use types::{Command, EventNumber, SessionId, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::passwords::{self, Verdict};
use crate::rpc::session::{credentials, known, soon};
use crate::writes::numbered;
use crate::{Services, codes, names, pins, totp};

#[tonic::async_trait]
impl<H: Handle> PlaceService for Services<H> {
    async fn tap_in(&self, request: Request<TapInRequest>) -> Result<Response<TapInResponse>, Status> {
        self.call("TapIn", request, |call, body| tap_in(self, call, body)).await
    }

    async fn tap_out(&self, request: Request<TapOutRequest>) -> Result<Response<TapOutResponse>, Status> {
        self.call("TapOut", request, |call, body| tap_out(self, call, body)).await
    }

    async fn set_pin(&self, request: Request<SetPinRequest>) -> Result<Response<SetPinResponse>, Status> {
        self.call("SetPin", request, |call, body| set_pin(self, call, body)).await
    }

    async fn clear_pin(&self, request: Request<ClearPinRequest>) -> Result<Response<ClearPinResponse>, Status> {
        self.call("ClearPin", request, |call, body| clear_pin(self, call, body)).await
    }
}

async fn tap_in<H: Handle>(services: &Services<H>, call: Call, body: TapInRequest) -> Result<TapInResponse, Error> {
    services.read(&call, None).await?.check(Action::LetTapIn)?;
    types::text::check_login(&body.login).map_err(|error| Error::invalid("login", error.to_string()))?;
    let secret = body.secret.ok_or_else(|| Error::invalid("secret", "is missing: a PIN or a password"))?;
    let inner = &services.inner;
    inner.sign_ins.admit(&body.login, None, Instant::now(), &inner.limits.load())?;
    inner.handle.read_barrier(soon(call.deadline)).await?; // What counts now, not what this node happens to know.
    let known = known(&inner.handle.view(), &body.login)?;
    // Whoever guesses here blocks that person at this device, and nobody else.
    let attempt = Attempt { login: services.login_key(&body.login)?, source: Source::Device(call.device) };
    services.may_try(attempt)?;
    let proven = check(services, &call, known, (secret, body.code), attempt).await?;
    let session = SessionId(codes::random_id()?);
    let (token, hash) = codes::token(session)?;
    let tap = TapIn {
        user: proven.user,
        at: call.session,
        session,
        token: hash,
        credential_version: proven.version,
        attempt: Some(attempt),
        methods: [proven.method].into_iter().chain(proven.second.map(totp::method)).collect(),
        second: proven.second,
        address: None,
    };
    let make = |address| Command::TapIn(TapIn { address, ..tap.clone() });
    let done = services.put_own_from((session, call.address), call.deadline, make).await?;
    inner.sign_ins.succeeded(&body.login, Instant::now());
    Ok(TapInResponse { credentials: Some(credentials(services, token, done, call.deadline).await?) })
}

/// Who has proved who they are, and how.
struct Proven {
    user: UserId,
    version: u64,
    method: Method,
    second: Option<SecondProof>,
}

async fn check<H: Handle>(
    services: &Services<H>,
    call: &Call,
    known: Option<(UserId, Credential)>,
    (secret, code): (Secret, String),
    attempt: Attempt,
) -> Result<Proven, Error> {
    let user = known.as_ref().map(|(user, _)| *user);
    let (method, second) = match secret {
        Secret::Pin(pin) => {
            pins::check("pin", &pin)?;
            let against = known.as_ref().map(|(user, credential)| (*user, credential));
            services.verify_pin(against, pin, attempt, call.visitor()).await?;
            (Method::Pin, None)
        }
        Secret::Password(password) => {
            passwords::check_length("password", &password)?;
            let hash = known.as_ref().and_then(|(_, credential)| credential.password.clone());
            let verdict = services.inner.passwords.verify(password, hash).await?;
            let (Some((user, credential)), Verdict::Right { .. }) = (&known, verdict) else {
                services.count_failure(user, attempt, call.visitor()).await?;
                return Err(Error::BadCredentials);
            };
            (Method::Password, services.second_proof(credential, *user, attempt, &code, call.visitor()).await?)
        }
    };
    let (user, credential) = known.ok_or(Error::BadCredentials)?;
    Ok(Proven { user, version: credential.version, method, second })
}

async fn tap_out<H: Handle>(services: &Services<H>, call: Call, body: TapOutRequest) -> Result<TapOutResponse, Error> {
    let id = numbered(body.request_id)?;
    let part = match call.location {
        Some(_) => Some(call.session),
        None => {
            services.inner.handle.read_barrier(call.deadline).await?;
            let read = services.read(&call, None).await?;
            read.check(Action::LetTapIn)?;
            read.view.session(call.session)?.and_then(|session| session.part)
        }
    };
    let event = match part {
        Some(part) => {
            let content = TapOutRequest::default();
            services.put(&call, "TapOut", id, &content, Command::EndSession(part)).await?.event
        }
        None => services.inner.handle.heads().borrow().event,
    };
    Ok(TapOutResponse { cursor: services.cursor(EventNumber(event.0))? })
}

async fn set_pin<H: Handle>(services: &Services<H>, call: Call, body: SetPinRequest) -> Result<SetPinResponse, Error> {
    let id = numbered(body.request_id)?;
    pins::check_new("pin", &body.pin)?;
    passwords::check_length("password", &body.password)?;
    services.read(&call, None).await?.check(Action::SetPin)?;
    let credential = services.verify_own(&call, body.password).await?;
    let hash = services.inner.passwords.hash(body.pin).await?;
    let command = Command::SetPin(SetPin { hash, credential_version: credential.version });
    let done = services.put(&call, "SetPin", id, &SetPinRequest::default(), command).await?;
    Ok(SetPinResponse { cursor: services.cursor(done.event)? })
}

async fn clear_pin<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ClearPinRequest,
) -> Result<ClearPinResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ClearPinRequest { request_id: None, ..body };
    let user = names::user("name", &content.name)?;
    let done = services.put(&call, "ClearPin", id, &content, Command::ClearPin(user)).await?;
    Ok(ClearPinResponse { cursor: services.cursor(done.event)? })
}
