//! Letting a new node in: the cluster key is sealed to it, and the state is told. For whoever is root on this machine.

use std::time::{Duration, Instant};

use raft::Handle;
use state::keys;
use state::view::View;
use tonic::Status;
use types::key::{Envelope, Holder};
use types::limits::CLUSTER_KEYS_LIVE_MAX;
use types::seat::AdmitNode;
use types::{Command, Key, NodeId, Reject, Row};

use crate::Services;
use crate::errors::Error;

/// How long it may take until the state has it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks to be let in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its id.
    pub node: NodeId,
    /// The id of its disk.
    pub disk: [u8; 16],
    /// Its public key.
    pub public: seal::PublicKey,
    /// Where its peers reach it.
    pub peer_address: String,
    /// Where clients reach it.
    pub client_address: String,
}

impl<H: Handle> Services<H> {
    /// Lets a node in. Said again of the same node, it changes nothing.
    ///
    /// Errors: `FAILED_PRECONDITION` with the reason when it is not let in; others as for every write.
    pub async fn admit_node(&self, newcomer: Newcomer) -> Result<(), Status> {
        let Newcomer { node, disk, public, peer_address, client_address } = newcomer;
        let envelopes = envelopes(self, Holder::Node(node), public).map_err(|error| self.status(&error))?;
        let admit = AdmitNode { node, disk, public: public.0, peer_address, client_address, envelopes };
        match self.put_own(Command::AdmitNode(admit), Instant::now() + PATIENCE).await {
            Ok(_) => {
                tracing::info!(%node, "a new node was let in, asked at the local socket");
                Ok(())
            }
            Err(Error::Reject(Reject::WrongPhase)) => Err(Status::failed_precondition(
                "another node is on its way to its place; one at a time: see 'tricord node place' for how far it is",
            )),
            Err(Error::Reject(Reject::Taken(_))) => Err(Status::failed_precondition(format!(
                "{node} or a later node was let into that place before, with another disk; begin again with a new code"
            ))),
            Err(error) => Err(self.status(&error)),
        }
    }
}

fn envelopes<H: Handle>(
    services: &Services<H>,
    holder: Holder,
    public: seal::PublicKey,
) -> Result<Vec<(u32, Envelope)>, Error> {
    let view = services.inner.handle.view();
    let (from, to) = keys::cluster_keys();
    let rows = view.scan(&from, &to, true, CLUSTER_KEYS_LIVE_MAX.saturating_add(1))?;
    let mut envelopes = Vec::new();
    for (key, row) in rows.into_iter().rev() {
        let (Key::ClusterKey(version), Row::ClusterKey(row)) = (key, row) else { continue };
        if row.retired.is_none() {
            let key = services.inner.keyring.cluster_key(&view, version)?;
            let sealed = key.envelope(&public)?;
            envelopes.push((version, Envelope { holder, public: public.0, sealed }));
        }
    }
    Ok(envelopes)
}
