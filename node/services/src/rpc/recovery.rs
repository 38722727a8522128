//! Replacing the recovery kit: proposed by one administrator, confirmed by another.

use proto::v1::recovery_service_server::RecoveryService;
use proto::v1::*;
use raft::Handle;
use state::keys;
use state::policy::Action;
use state::view::{Rows, View};
use tonic::{Request, Response, Status};
use types::key::{Envelope, Holder, NewClusterKey};
use types::kit::{ConfirmKit, ProposeKit};
use types::limits::{FORMER_KITS_MAX, RECORD_REASON_BYTES_MAX};
use types::{Command, Reject, Reply, Row};

use super::key::{next_key, put_anew, sealed_to};
use crate::call::Call;
use crate::errors::Error;
use crate::writes::{numbered, unexpected};
use crate::{Services, convert, names};

/// Digits of a public key that are its fingerprint.
const FINGERPRINT_DIGITS: usize = 32;

#[tonic::async_trait]
impl<H: Handle> RecoveryService for Services<H> {
    async fn propose_kit(&self, request: Request<ProposeKitRequest>) -> Result<Response<ProposeKitResponse>, Status> {
        self.call("ProposeKit", request, |call, body| propose(self, call, body)).await
    }

    async fn confirm_kit(&self, request: Request<ConfirmKitRequest>) -> Result<Response<ConfirmKitResponse>, Status> {
        self.call("ConfirmKit", request, |call, body| confirm(self, call, body)).await
    }

    async fn cancel_kit(&self, request: Request<CancelKitRequest>) -> Result<Response<CancelKitResponse>, Status> {
        self.call("CancelKit", request, |call, body| cancel(self, call, body)).await
    }

    async fn list_kits(&self, request: Request<ListKitsRequest>) -> Result<Response<ListKitsResponse>, Status> {
        self.call("ListKits", request, |call, body| list(self, call, body)).await
    }
}

async fn propose<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ProposeKitRequest,
) -> Result<ProposeKitResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ProposeKitRequest { request_id: None, ..body };
    let reason = content.reason.clone();
    types::text::check_name(&reason, RECORD_REASON_BYTES_MAX)
        .map_err(|error| Error::invalid("reason", error.to_string()))?;
    let public: seal::PublicKey =
        content.public_key.parse().map_err(|_| Error::invalid("public_key", "64 hexadecimal digits are needed"))?;
    let command = Command::ProposeKit(ProposeKit { public: public.0, reason });
    let done = services.put(&call, "ProposeKit", id, &content, command).await;
    let done = done.map_err(|error| error.taken("public_key"))?;
    Ok(ProposeKitResponse { cursor: services.cursor(done.event)? })
}

async fn confirm<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ConfirmKitRequest,
) -> Result<ConfirmKitResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ConfirmKitRequest { request_id: None, ..body };
    let typed: String = content
        .fingerprint
        .chars()
        .filter(|c| *c != '-' && !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if typed.len() != FINGERPRINT_DIGITS || !typed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::invalid("fingerprint", "32 hexadecimal digits are needed, as they stand on the shares"));
    }
    let read = services.read(&call, Some(ReadOptions { linearizable: true, ..ReadOptions::default() })).await?;
    read.check(Action::ConfirmKit)?;
    let proposal = read.view.kit_proposal()?.ok_or(Reject::NotFound)?;
    let public = seal::PublicKey(proposal.public);
    if !public.to_string().starts_with(&typed) {
        return Err(Reject::NotFound.into());
    }
    let make = |view: &H::View| {
        let (mut key, secret, dropped) = next_key(services, view)?;
        seal_anew(&mut key, &secret, public)?;
        let envelopes = sealed_to(services, view, Holder::Recovery, public.0)?;
        Ok(Command::ConfirmKit(ConfirmKit { public: public.0, envelopes, key, dropped }))
    };
    let done = put_anew(services, &call, ("ConfirmKit", id), &content, (read, &make)).await;
    let done = done.map_err(|error| match error {
        Error::Reject(Reject::WrongPhase | Reject::VersionMismatch(_)) => Error::RotationUnderWay,
        other => other,
    })?;
    let Reply::Version(version) = done.reply else { return Err(unexpected()) };
    let version = u32::try_from(version).map_err(|_| unexpected())?;
    tracing::info!(version, "the recovery kit was replaced, and the cluster key with it");
    Ok(ConfirmKitResponse { version, cursor: services.cursor(done.event)? })
}

/// The envelope of the kit there is gives way to one of the new kit.
fn seal_anew(key: &mut NewClusterKey, secret: &seal::ClusterKey, public: seal::PublicKey) -> Result<(), Error> {
    let sealed = secret.envelope(&public)?;
    key.envelopes.retain(|envelope| envelope.holder != Holder::Recovery);
    key.envelopes.insert(0, Envelope { holder: Holder::Recovery, public: public.0, sealed });
    Ok(())
}

async fn cancel<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CancelKitRequest,
) -> Result<CancelKitResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = CancelKitRequest { request_id: None };
    let done = services.put(&call, "CancelKit", id, &content, Command::CancelKit).await?;
    Ok(CancelKitResponse { cursor: services.cursor(done.event)? })
}

async fn list<H: Handle>(services: &Services<H>, call: Call, body: ListKitsRequest) -> Result<ListKitsResponse, Error> {
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeKeys)?;
    let mut kits = Vec::new();
    if let Some(one) = read.view.kit_proposal()?.filter(|one| read.now < one.until) {
        kits.push(RecoveryKit {
            public_key: seal::PublicKey(one.public).to_string(),
            state: KitState::Proposed.into(),
            since_time: Some(convert::time(one.at)),
            until_time: Some(convert::time(one.until)),
            proposed_by: names::of_user(one.by),
            reason: one.reason,
            ..RecoveryKit::default()
        });
    }
    if let Some(active) = read.view.key_holder(Holder::Recovery)? {
        kits.push(RecoveryKit {
            public_key: seal::PublicKey(active.public).to_string(),
            state: KitState::Active.into(),
            since_time: Some(convert::time(active.since)),
            ..RecoveryKit::default()
        });
    }
    let (from, to) = keys::former_kits();
    for (_, row) in read.view.scan(&from, &to, true, FORMER_KITS_MAX)? {
        let Row::FormerKit(kit) = row else { continue };
        kits.push(RecoveryKit {
            public_key: seal::PublicKey(kit.public).to_string(),
            state: KitState::Former.into(),
            since_time: Some(convert::time(kit.since)),
            until_time: Some(convert::time(kit.until)),
            last_version: kit.last_version,
            proposed_by: names::of_user(kit.proposed_by),
            confirmed_by: names::of_user(kit.confirmed_by),
            ..RecoveryKit::default()
        });
    }
    Ok(ListKitsResponse { kits, info: Some(read.info) })
}
