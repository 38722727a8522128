//! Second factors, and what the whole cluster asks for.

use std::time::Duration;

use proto::v1::security_service_server::SecurityService;
use proto::v1::*;
use raft::Handle;
use seal::Place;
use state::policy::Action;
use state::view::{Rows, heads};
use tonic::{Request, Response, Status};
use types::identity::{AddSecondFactor, Attempt, LogOff, LogOffScope, Method, Settings as Stored, Source};
use types::key::KeyScope;
use types::limits::{RECORD_REASON_BYTES_MAX, RECOVERY_CODES_MAX};
use types::{Command, Reject, Reply};

use crate::call::Call;
use crate::errors::Error;
use crate::passwords;
use crate::writes::{numbered, unexpected};
use crate::{Services, codes, convert, names, totp, validation};

#[tonic::async_trait]
impl<H: Handle> SecurityService for Services<H> {
    async fn create_totp(&self, request: Request<CreateTotpRequest>) -> Result<Response<CreateTotpResponse>, Status> {
        self.call("CreateTotp", request, |call, body| create_totp(self, call, body)).await
    }

    async fn confirm_totp(
        &self,
        request: Request<ConfirmTotpRequest>,
    ) -> Result<Response<ConfirmTotpResponse>, Status> {
        self.call("ConfirmTotp", request, |call, body| confirm_totp(self, call, body)).await
    }

    async fn delete_totp(&self, request: Request<DeleteTotpRequest>) -> Result<Response<DeleteTotpResponse>, Status> {
        self.call("DeleteTotp", request, |call, body| delete_totp(self, call, body)).await
    }

    async fn log_off(&self, request: Request<LogOffRequest>) -> Result<Response<LogOffResponse>, Status> {
        self.call("LogOff", request, |call, body| log_off(self, call, body)).await
    }

    async fn get_settings(
        &self,
        request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        self.call("GetSettings", request, |call, body| get_settings(self, call, body)).await
    }

    async fn update_settings(
        &self,
        request: Request<UpdateSettingsRequest>,
    ) -> Result<Response<UpdateSettingsResponse>, Status> {
        self.call("UpdateSettings", request, |call, body| update_settings(self, call, body)).await
    }
}

async fn create_totp<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CreateTotpRequest,
) -> Result<CreateTotpResponse, Error> {
    let id = numbered(body.request_id)?;
    passwords::check_length("password", &body.password)?;
    let credential = services.verify_own(&call, body.password).await?;
    let secret = totp::secret()?;
    let made = (0..RECOVERY_CODES_MAX).map(|_| codes::enrolment()).collect::<Result<Vec<_>, _>>()?;
    let mut recovery: Vec<_> = made.iter().map(|(_, hash)| *hash).collect();
    recovery.sort_unstable();
    let needs = (KeyScope::User(call.user), Action::SetPassword);
    let key = services.sealing_key(&call, needs.0, needs.1).await?.ok_or(Reject::NoSession)?;
    let sealed = seal::text(&key, &Place::Secret(call.user), &secret)?;
    let add = AddSecondFactor { secret: sealed.clone(), recovery, credential_version: credential.version };
    // No password goes into the hash of the content: it would let whoever reads the disk try passwords fast.
    let content = CreateTotpRequest::default();
    let done = services.put(&call, "CreateTotp", id, &content, Command::AddSecondFactor(add)).await;
    let done = done.map_err(|error| error.taken("name"))?;
    // A retry of what was done before gets its answer again, but its secret was made by the earlier try.
    services.inner.handle.read_barrier(call.deadline).await.map_err(|_| raft::ProposeError::OutcomeUnknown)?;
    let view = services.inner.handle.view();
    let kept = view.credential(call.user)?.and_then(|credential| credential.second);
    let cursor = services.cursor(done.event)?;
    if kept.is_none_or(|second| second.secret != sealed) {
        return Ok(CreateTotpResponse { cursor, ..CreateTotpResponse::default() });
    }
    let login = view.user(call.user)?.ok_or(Reject::NoSession)?.login;
    let uri = totp::uri(&secret, &services.cluster()?.name, &login);
    let recovery_codes = made.into_iter().map(|(code, _)| code).collect();
    Ok(CreateTotpResponse { secret, uri, recovery_codes, cursor })
}

async fn confirm_totp<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ConfirmTotpRequest,
) -> Result<ConfirmTotpResponse, Error> {
    let id = numbered(body.request_id)?;
    services.inner.handle.read_barrier(call.deadline).await?;
    let view = services.inner.handle.view();
    let now = heads(&view)?.clock;
    let user = view.user(call.user)?.ok_or(Reject::NoSession)?;
    let second = view.credential(call.user)?.and_then(|credential| credential.second).ok_or(Reject::NotFound)?;
    let answered = view.kept_answer(call.device, id.number)?.is_some();
    let secret = services.inner.keyring.secret(&view, call.user, &second.secret)?;
    drop(view);
    let attempt = Attempt { login: services.login_key(&user.login)?, source: Source::Device(call.device) };
    services.may_try(attempt)?;
    let step = match totp::step_of(&secret, &body.code, now) {
        Some(step) => step,
        None if answered => 0, // A retry, whose time is over: step 0 is never good, and this changes nothing.
        None => {
            services.count_failure(Some(call.user), attempt, call.visitor()).await?;
            return Err(Reject::BadSecondFactor.into());
        }
    };
    let content = ConfirmTotpRequest::default();
    let done = services.put(&call, "ConfirmTotp", id, &content, Command::ConfirmSecondFactor(step)).await?;
    Ok(ConfirmTotpResponse { cursor: services.cursor(done.event)? })
}

async fn delete_totp<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: DeleteTotpRequest,
) -> Result<DeleteTotpResponse, Error> {
    let id = numbered(body.request_id)?;
    let which = names::user("name", &body.name)?;
    passwords::check_length("password", &body.password)?;
    if which == call.user {
        services.verify_own(&call, body.password).await?;
    }
    let content = DeleteTotpRequest { name: body.name, ..DeleteTotpRequest::default() };
    let done = services.put(&call, "DeleteTotp", id, &content, Command::RemoveSecondFactor(which)).await?;
    Ok(DeleteTotpResponse { cursor: services.cursor(done.event)? })
}

async fn log_off<H: Handle>(services: &Services<H>, call: Call, body: LogOffRequest) -> Result<LogOffResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = LogOffRequest { request_id: None, ..body };
    let scope = match &content.scope {
        Some(log_off_request::Scope::User(user)) => LogOffScope::User(names::user("user", user)?),
        Some(log_off_request::Scope::Device(device)) => {
            let wrong = || Error::invalid("device", "is not the id of a device: 32 hexadecimal digits");
            LogOffScope::Device(names::device(device).ok_or_else(wrong)?)
        }
        Some(log_off_request::Scope::Everybody(true)) => LogOffScope::Everybody,
        Some(log_off_request::Scope::Everybody(false)) | None => {
            return Err(Error::invalid("scope", "is missing: a user, a device, or everybody"));
        }
    };
    types::text::check_name(&content.reason, RECORD_REASON_BYTES_MAX)
        .map_err(|error| Error::invalid("reason", error.to_string()))?;
    let command = Command::LogOff(LogOff { scope, reason: content.reason.clone() });
    let done = services.put(&call, "LogOff", id, &content, command).await?;
    Ok(LogOffResponse { cursor: services.cursor(done.event)? })
}

async fn get_settings<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: GetSettingsRequest,
) -> Result<GetSettingsResponse, Error> {
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeSettings)?;
    let stored = read.view.settings()?.unwrap_or_default();
    let second_factor = stored.second_factor.iter().map(|set| convert::permission_set(*set).into()).collect();
    let lasts = |ms: Option<u64>| ms.map(|ms| convert::duration(Duration::from_millis(ms)));
    let settings = Settings {
        second_factor,
        version: stored.version,
        lock_after: lasts(stored.lock_ms),
        part_idle: lasts(stored.part_ms),
        session_idle: lasts(stored.idle_ms),
        session_longest: lasts(stored.longest_ms),
        unlock_methods: stored.unlock.iter().map(|method| unlock_method(*method).into()).collect(),
    };
    Ok(GetSettingsResponse { settings: Some(settings), info: Some(read.info) })
}

async fn update_settings<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: UpdateSettingsRequest,
) -> Result<UpdateSettingsResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = UpdateSettingsRequest { request_id: None, ..body };
    let settings = content.settings.as_ref().ok_or_else(|| Error::invalid("settings", "is missing"))?;
    let second_factor = validation::permission_sets("settings.second_factor".into(), &settings.second_factor)?;
    let lasts =
        |field: &str, lasts: Option<prost_types::Duration>| lasts.map(|lasts| convert::ms_in(field, lasts)).transpose();
    let command = Command::ChangeSettings(Stored {
        version: settings.version,
        second_factor,
        lock_ms: lasts("settings.lock_after", settings.lock_after)?,
        part_ms: lasts("settings.part_idle", settings.part_idle)?,
        idle_ms: lasts("settings.session_idle", settings.session_idle)?,
        longest_ms: lasts("settings.session_longest", settings.session_longest)?,
        unlock: unlock_methods("settings.unlock_methods", &settings.unlock_methods)?,
    });
    let done = services.put(&call, "UpdateSettings", id, &content, command).await?;
    let Reply::Version(version) = done.reply else { return Err(unexpected()) };
    Ok(UpdateSettingsResponse { version, cursor: services.cursor(done.event)? })
}

const fn unlock_method(method: Method) -> UnlockMethod {
    match method {
        Method::Pin => UnlockMethod::Pin,
        Method::DeviceKey => UnlockMethod::DeviceKey,
        Method::Password | Method::Code | Method::Totp | Method::RecoveryCode => UnlockMethod::Password,
    }
}

fn unlock_methods(field: &str, methods: &[i32]) -> Result<Vec<Method>, Error> {
    validation::count(field, methods.len(), 0, 3)?;
    let mut taken = Vec::new();
    for &method in methods {
        taken.push(match UnlockMethod::try_from(method) {
            Ok(UnlockMethod::Password) => Method::Password,
            Ok(UnlockMethod::Pin) => Method::Pin,
            Ok(UnlockMethod::DeviceKey) => Method::DeviceKey,
            Ok(UnlockMethod::Unspecified) | Err(_) => return Err(convert::unknown(field, method)),
        });
    }
    taken.sort();
    taken.dedup();
    Ok(taken)
}
