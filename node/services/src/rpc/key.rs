//! The keys of the cluster: which there are, and replacing them.

use proto::v1::key_service_server::KeyService;
use proto::v1::*;
use raft::Handle;
use state::policy::Action;
use state::view::{Rows, View};
use state::{keys, newest_cluster_key};
use tonic::{Request, Response, Status};
use types::command::ApproveHolder;
use types::key::{Envelope, Holder, HolderKey, NewClusterKey};
use types::limits::{CLUSTER_KEYS_LIVE_MAX, KEY_HOLDERS_MAX, RESEALS_MAX, SIGNERS_MAX};
use types::{Command, Key as RowKey, NodeId, Reject, Reply, Row};

use crate::call::Call;
use crate::errors::Error;
use crate::reads::Read;
use crate::writes::{Done, Numbered, numbered, unexpected};
use crate::{Services, convert};

/// Versions of the cluster key that are listed, the newest first.
const VERSIONS_LISTED_MAX: usize = 20;

#[tonic::async_trait]
impl<H: Handle> KeyService for Services<H> {
    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        self.call("ListKeys", request, |call, body| list(self, call, body)).await
    }

    async fn rotate_cluster_key(
        &self,
        request: Request<RotateClusterKeyRequest>,
    ) -> Result<Response<RotateClusterKeyResponse>, Status> {
        self.call("RotateClusterKey", request, |call, body| rotate(self, call, body)).await
    }

    async fn approve_key_holder(
        &self,
        request: Request<ApproveKeyHolderRequest>,
    ) -> Result<Response<ApproveKeyHolderResponse>, Status> {
        self.call("ApproveKeyHolder", request, |call, body| approve(self, call, body)).await
    }

    async fn get_recovery_envelope(
        &self,
        request: Request<GetRecoveryEnvelopeRequest>,
    ) -> Result<Response<GetRecoveryEnvelopeResponse>, Status> {
        self.call("GetRecoveryEnvelope", request, |call, _| recovery(self, call)).await
    }
}

async fn list<H: Handle>(services: &Services<H>, call: Call, body: ListKeysRequest) -> Result<ListKeysResponse, Error> {
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeKeys)?;
    let mut keys = cluster_keys(&read.view)?;
    keys.extend(holders(services, &read)?);
    keys.extend(signers(&read.view)?);
    keys.extend(services.inner.handle.status().nodes.into_iter().map(|node| Key {
        kind: KeyKind::Tls.into(),
        holder: node.slot.to_string(),
        state: KeyState::Active.into(),
        expire_time: node.certificates_expire.map(convert::time),
        ..Key::default()
    }));
    Ok(ListKeysResponse { keys, info: Some(read.info) })
}

fn cluster_keys<V: View<Fault = raft::Fault>>(view: &V) -> Result<Vec<Key>, Error> {
    let (from, to) = keys::cluster_keys();
    let rows = view.scan(&from, &to, true, VERSIONS_LISTED_MAX)?;
    let keys = rows.into_iter().enumerate().filter_map(|(place, (key, row))| match (key, row) {
        (RowKey::ClusterKey(version), Row::ClusterKey(key)) => Some(Key {
            kind: KeyKind::Cluster.into(),
            id: version.to_string(),
            state: match key.retired {
                Some(_) => KeyState::Retired,
                None if place == 0 => KeyState::Active,
                None => KeyState::Replaced,
            }
            .into(),
            create_time: Some(convert::time(key.created)),
            data_keys: key.data_keys,
            ..Key::default()
        }),
        _ => None,
    });
    Ok(keys.collect())
}

/// Who holds the cluster key, and which node waits to be let.
fn holders<H: Handle>(services: &Services<H>, read: &Read<H::View>) -> Result<Vec<Key>, Error> {
    let status = services.inner.handle.status();
    let heard = |node: NodeId| status.nodes.iter().find(|one| one.node == node);
    let mut listed = Vec::new();
    for (holder, key) in known_holders(&read.view)? {
        let (kind, node) = match holder {
            Holder::Recovery => (KeyKind::Recovery, None),
            Holder::Node(node) => (KeyKind::Node, Some(node)),
        };
        listed.push(Key {
            kind: kind.into(),
            id: seal::PublicKey(key.public).to_string(),
            holder: node.map(|node| node.to_string()).unwrap_or_default(),
            state: KeyState::Active.into(),
            create_time: Some(convert::time(key.since)),
            protection: node.and_then(heard).map(|node| node.key_protection.clone()).unwrap_or_default(),
            ..Key::default()
        });
    }
    for node in &status.nodes {
        let Some(public) = node.public_key else { continue };
        let known = read.view.key_holder(Holder::Node(node.node))?;
        if known.is_none_or(|known| known.public != public) {
            listed.push(Key {
                kind: KeyKind::Node.into(),
                id: seal::PublicKey(public).to_string(),
                holder: node.node.to_string(),
                state: KeyState::Waiting.into(),
                protection: node.key_protection.clone(),
                ..Key::default()
            });
        }
    }
    Ok(listed)
}

fn known_holders<V: View<Fault = raft::Fault>>(view: &V) -> Result<Vec<(Holder, HolderKey)>, Error> {
    let (from, to) = keys::key_holders();
    let rows = view.scan(&from, &to, false, KEY_HOLDERS_MAX)?;
    let holders = rows.into_iter().filter_map(|(key, row)| match (key, row) {
        (RowKey::KeyHolder(holder), Row::KeyHolder(key)) => Some((holder, key)),
        _ => None,
    });
    Ok(holders.collect())
}

fn signers<V: View<Fault = raft::Fault>>(view: &V) -> Result<Vec<Key>, Error> {
    let (from, to) = (RowKey::Signer(NodeId(0)), RowKey::Signer(NodeId(u64::MAX)));
    let rows = view.scan(&from, &to, false, SIGNERS_MAX)?;
    let keys = rows.into_iter().filter_map(|(key, row)| match (key, row) {
        (RowKey::Signer(node), Row::Signer(signer)) => Some(Key {
            kind: KeyKind::Audit.into(),
            id: seal::PublicKey(signer.key).to_string(),
            holder: node.to_string(),
            state: if signer.until.is_some() { KeyState::Retired } else { KeyState::Active }.into(),
            ..Key::default()
        }),
        _ => None,
    });
    Ok(keys.collect())
}

async fn rotate<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: RotateClusterKeyRequest,
) -> Result<RotateClusterKeyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = RotateClusterKeyRequest { request_id: None };
    let read = services.read(&call, Some(ReadOptions { linearizable: true, ..ReadOptions::default() })).await?;
    read.check(Action::ManageKeys)?;
    let make = |view: &H::View| {
        let (new, _, dropped) = next_key(services, view)?;
        Ok(Command::RotateClusterKey(new, dropped))
    };
    let done = put_anew(services, &call, ("RotateClusterKey", id), &content, (read, &make)).await;
    let done = done.map_err(|error| match error {
        Error::Reject(Reject::WrongPhase | Reject::VersionMismatch(_)) => Error::RotationUnderWay,
        other => other,
    })?;
    let Reply::Version(version) = done.reply else { return Err(unexpected()) };
    let version = u32::try_from(version).map_err(|_| unexpected())?;
    tracing::info!(version, "the cluster key was replaced; data keys are wrapped anew");
    Ok(RotateClusterKeyResponse { version, cursor: services.cursor(done.event)? })
}

/// Puts what is made of holders and versions as they are; made anew if they change before it is carried out.
pub(super) async fn put_anew<H: Handle, M: prost::Message>(
    services: &Services<H>,
    call: &Call,
    (method, id): (&str, Numbered),
    content: &M,
    (mut read, make): (Read<H::View>, &impl Fn(&H::View) -> Result<Command, Error>),
) -> Result<Done, Error> {
    for _ in 0..RESEALS_MAX {
        let command = make(&read.view)?;
        drop(read);
        match services.put(call, method, id, content, command).await {
            Err(Error::Reject(Reject::UnknownKey)) => {}
            done => return done,
        }
        read = services.read(call, Some(ReadOptions { linearizable: true, ..ReadOptions::default() })).await?;
    }
    Err(Reject::UnknownKey.into())
}

/// The next version, sealed to the recovery kit and to the nodes of today among its holders; and the holders that are none of
/// those any more.
pub(super) fn next_key<H: Handle>(
    services: &Services<H>,
    view: &H::View,
) -> Result<(NewClusterKey, seal::ClusterKey, Vec<Holder>), Error> {
    let (newest, _) = newest_cluster_key(view)?.ok_or(Error::NotFounded)?;
    let key = seal::ClusterKey::generate(newest.checked_add(1).ok_or(Error::RotationUnderWay)?)?;
    let nodes = services.inner.handle.status().nodes;
    let (mut envelopes, mut dropped) = (Vec::new(), Vec::new());
    for (holder, HolderKey { public, .. }) in known_holders(view)? {
        let stays = match holder {
            Holder::Recovery => true,
            Holder::Node(node) => nodes.iter().any(|one| one.node == node),
        };
        if stays {
            let sealed = key.envelope(&seal::PublicKey(public))?;
            envelopes.push(Envelope { holder, public, sealed });
        } else {
            dropped.push(holder);
        }
    }
    Ok((NewClusterKey { version: key.version(), check: key.check_value(), envelopes }, key, dropped))
}

async fn approve<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ApproveKeyHolderRequest,
) -> Result<ApproveKeyHolderResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ApproveKeyHolderRequest { request_id: None, ..body };
    let read = services.read(&call, Some(ReadOptions { linearizable: true, ..ReadOptions::default() })).await?;
    read.check(Action::ManageKeys)?;
    let nodes = services.inner.handle.status().nodes;
    let node = nodes.iter().find(|node| node.node.to_string() == content.node);
    let node = node.ok_or_else(|| Error::invalid("node", "is not a node of this cluster; nodes are named as 'b2'"))?;
    let public = node.public_key.ok_or_else(|| Error::invalid("node", "has not told its public key; does it run?"))?;
    if !seal::PublicKey(public).to_string().eq_ignore_ascii_case(content.public_key.trim()) {
        let what = "is not the one that the node told; compare it with what tricordd printed on that machine";
        return Err(Error::invalid("public_key", what));
    }
    let holder = Holder::Node(node.node);
    let make = |view: &H::View| {
        let envelopes = sealed_to(services, view, holder, public)?;
        Ok(Command::ApproveHolder(ApproveHolder { holder, public, envelopes }))
    };
    let done = put_anew(services, &call, ("ApproveKeyHolder", id), &content, (read, &make)).await?;
    Ok(ApproveKeyHolderResponse { cursor: services.cursor(done.event)? })
}

/// The versions that are not retired, sealed to a holder.
pub(super) fn sealed_to<H: Handle>(
    services: &Services<H>,
    view: &H::View,
    holder: Holder,
    public: [u8; 32],
) -> Result<Vec<(u32, Envelope)>, Error> {
    let mut envelopes = Vec::new();
    let (from, to) = keys::cluster_keys();
    let rows = view.scan(&from, &to, true, CLUSTER_KEYS_LIVE_MAX.saturating_add(1))?;
    for (key, row) in rows.into_iter().rev() {
        let (RowKey::ClusterKey(version), Row::ClusterKey(row)) = (key, row) else { continue };
        if row.retired.is_none() {
            let key = services.inner.keyring.cluster_key(view, version)?;
            let sealed = key.envelope(&seal::PublicKey(public))?;
            envelopes.push((version, Envelope { holder, public, sealed }));
        }
    }
    Ok(envelopes)
}

async fn recovery<H: Handle>(services: &Services<H>, call: Call) -> Result<GetRecoveryEnvelopeResponse, Error> {
    let read = services.read(&call, Some(ReadOptions { allow_stale: true, ..ReadOptions::default() })).await?;
    read.check(Action::ManageKeys)?;
    let (version, key) = newest_cluster_key(&read.view)?.ok_or(Error::NotFounded)?;
    let envelope = read.view.key_envelope(version, Holder::Recovery)?.ok_or(Reject::NotFound)?;
    Ok(GetRecoveryEnvelopeResponse {
        version,
        check: key.check.to_vec(),
        public_key: envelope.public.to_vec(),
        envelope: envelope.sealed,
    })
}
