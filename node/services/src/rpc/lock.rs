//! Locking sessions and unlocking them.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proto::v1::lock_service_server::LockService;
use proto::v1::unlock_session_request::Proof;
use proto::v1::*;
use raft::Handle;
use state::policy::Action;
use state::view::Rows;
use tonic::{Request, Response, Status};
use types::identity::{Attempt, DeviceKey, Method, Source};
use types::locking::{UnlockSession, unlock_statement};
use types::{Command, Reject};

use crate::call::Call;
use crate::errors::Error;
use crate::passwords::{self, Verdict};
use crate::writes::numbered;
use crate::{Services, names, pins};

#[tonic::async_trait]
impl<H: Handle> LockService for Services<H> {
    async fn lock_session(
        &self,
        request: Request<LockSessionRequest>,
    ) -> Result<Response<LockSessionResponse>, Status> {
        self.call_even_locked("LockSession", Action::LockSession, request, |call, body| lock(self, call, body)).await
    }

    async fn unlock_session(
        &self,
        request: Request<UnlockSessionRequest>,
    ) -> Result<Response<UnlockSessionResponse>, Status> {
        self.call_even_locked("UnlockSession", |_| Action::Unlock, request, |call, body| unlock(self, call, body)).await
    }
}

async fn lock<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: LockSessionRequest,
) -> Result<LockSessionResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = LockSessionRequest { request_id: None, ..body };
    let session = match content.name.as_str() {
        "" => call.session,
        name => names::session("name", name)?.1,
    };
    let done = services.put(&call, "LockSession", id, &content, Command::LockSession(session)).await?;
    Ok(LockSessionResponse { cursor: services.cursor(done.event)? })
}

async fn unlock<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: UnlockSessionRequest,
) -> Result<UnlockSessionResponse, Error> {
    let id = numbered(body.request_id)?;
    let proof =
        body.proof.ok_or_else(|| Error::invalid("proof", "is missing: a password, a PIN or a device's proof"))?;
    services.inner.handle.read_barrier(call.deadline).await?; // What counts now, not what this node happens to know.
    let unlock = check(services, &call, proof).await?;
    // No proof goes into the hash of the content: it would let whoever reads the disk try passwords fast.
    let content = UnlockSessionRequest::default();
    let done = services.put(&call, "UnlockSession", id, &content, Command::UnlockSession(unlock)).await?;
    // The next call comes to this node, most likely: it must know by then.
    services.reach(done.event, call.deadline).await;
    services.forget_idled(call.session);
    Ok(UnlockSessionResponse { cursor: services.cursor(done.event)? })
}

/// Checks what was shown; wrong ones are counted against the device they were shown on.
async fn check<H: Handle>(services: &Services<H>, call: &Call, proof: Proof) -> Result<UnlockSession, Error> {
    let method = match proof {
        Proof::Password(_) => Method::Password,
        Proof::Pin(_) => Method::Pin,
        Proof::Device(_) => Method::DeviceKey,
    };
    let view = services.inner.handle.view();
    if !view.settings()?.unwrap_or_default().unlocks(method) {
        return Err(Reject::MethodNotTaken.into()); // Before anything is hashed, or guessed at.
    }
    let user = view.user(call.user)?.ok_or(Reject::NoSession)?;
    let credential = view.credential(call.user)?.ok_or(Error::BadCredentials)?;
    drop(view);
    let attempt = Attempt { login: services.login_key(&user.login)?, source: Source::Device(call.device) };
    services.may_try(attempt)?;
    let mut unlock =
        UnlockSession { method, credential_version: credential.version, proof: None, attempt: Some(attempt) };
    match proof {
        Proof::Password(password) => {
            passwords::check_length("password", &password)?;
            let verdict = services.inner.passwords.verify(password, credential.password.clone()).await?;
            if matches!(verdict, Verdict::Wrong) {
                services.count_failure(Some(call.user), attempt, call.visitor()).await?;
                return Err(Error::BadCredentials);
            }
        }
        Proof::Pin(pin) => {
            pins::check("pin", &pin)?;
            services.verify_pin(Some((call.user, &credential)), pin, attempt, call.visitor()).await?;
        }
        Proof::Device(proof) => {
            let Some(key) = device_key(services, call, &proof)? else {
                services.count_failure(Some(call.user), attempt, call.visitor()).await?;
                return Err(Reject::BadProof.into());
            };
            (unlock.proof, unlock.attempt) = (Some((key, proof.number)), None);
        }
    }
    Ok(unlock)
}

/// The device's key, if it signed this.
fn device_key<H: Handle>(services: &Services<H>, call: &Call, proof: &DeviceProof) -> Result<Option<DeviceKey>, Error> {
    let statement = unlock_statement(services.cluster()?.id, call.session, call.device, proof.number);
    let key = services.inner.handle.view().device(call.device)?.and_then(|device| device.key);
    Ok(key.filter(|key| UnparsedPublicKey::new(&ED25519, key).verify(&statement, &proof.signature).is_ok()))
}
