//! Who fills the places: told to, and asked by, machines that may be nobody. Nothing of it counts in consensus.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use proto::peer::place_service_client::PlaceServiceClient;
use proto::peer::place_service_server::PlaceService;
use proto::peer::{self, GetPlacesRequest, GetPlacesResponse};
use state::Rows;
use store::Engine;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};
use types::limits::PEER_CONNECT_MS_MAX;
use types::{ClusterId, Lineage, NodeId, Slot, Timestamp};

use super::tls::Certified;
use super::transport::Dial;
use crate::shared::Shared;
use crate::wire::sixteen;

/// What one node says of the places.
#[derive(Clone, Debug)]
pub struct Places {
    /// Who says it.
    pub node: NodeId,
    /// Its lineage.
    pub lineage: Lineage,
    /// The lineage before the last refounding, if there was one.
    pub before: Option<Lineage>,
    /// Whether the cluster is founded.
    pub founded: bool,
    /// Whether it serves.
    pub serves: bool,
    /// By slot: the node that fills it, if known, whether it answers, and when it was last heard of.
    pub places: [(Option<NodeId>, bool, Option<Timestamp>); 3],
}

/// Asks the node at `address`, which must prove to be of this slot.
///
/// None: it does not answer within two seconds, or is someone else.
pub async fn ask(dial: Arc<dyn Dial>, address: String, cluster: ClusterId, slot: Slot) -> Option<Places> {
    let expected = Certified { cluster, slot };
    let endpoint = Endpoint::from_shared(Bytes::from(format!("http://{}", expected.name()))).ok()?;
    let connect = move |_| {
        let dialled = dial.dial(address.clone(), expected);
        async move { dialled.await.map(TokioIo::new) }
    };
    let limit = Duration::from_millis(4 * PEER_CONNECT_MS_MAX);
    let asked = async {
        let channel = endpoint.connect_with_connector(tower::service_fn(connect)).await.ok()?;
        let answer = PlaceServiceClient::new(channel).get_places(GetPlacesRequest {}).await;
        answer.ok().map(Response::into_inner)
    };
    places_of(&timeout(limit, asked).await.ok()??)
}

fn places_of(told: &GetPlacesResponse) -> Option<Places> {
    let place = |slot: Slot| {
        let place = told.places.iter().find(|place| place.slot == slot.letter());
        place.map_or((None, false, None), |place| {
            let seen = (place.last_seen_ms > 0).then_some(Timestamp(place.last_seen_ms));
            (Some(NodeId(place.node)).filter(|node| node.0 > 0), place.reachable, seen)
        })
    };
    Some(Places {
        node: NodeId(told.node),
        lineage: Lineage(sixteen(&told.lineage)?),
        before: sixteen(&told.lineage_before).map(Lineage),
        founded: told.founded,
        serves: told.serves,
        places: Slot::ALL.map(place),
    })
}

/// The service of this node.
pub(crate) struct Service<E: Engine>(pub(crate) Arc<Shared<E>>);

#[tonic::async_trait]
impl<E: Engine> PlaceService for Service<E> {
    async fn get_places(&self, request: Request<GetPlacesRequest>) -> Result<Response<GetPlacesResponse>, Status> {
        let own = self.0.directory.identity;
        let certified = request.extensions().get::<Certified>().copied();
        if certified.is_none_or(|certified| certified.cluster != own.cluster) {
            return Err(Status::failed_precondition("CERTIFICATE_MISMATCH"));
        }
        let view = self.0.state.view();
        let unreadable = |_| Status::internal("the node cannot read its state");
        let refounding = view.refounding().map_err(unreadable)?;
        let places = Slot::ALL.map(|slot| {
            let status = self.0.node_status(slot);
            peer::Place {
                slot: slot.letter().into(),
                node: status.node.0,
                reachable: status.reachable,
                last_seen_ms: status.last_seen.map_or(0, |at| at.0),
            }
        });
        Ok(Response::new(GetPlacesResponse {
            cluster: Bytes::copy_from_slice(&own.cluster.0),
            lineage: Bytes::copy_from_slice(&own.lineage.0),
            node: own.node.0,
            founded: view.cluster().map_err(unreadable)?.is_some(),
            serves: self.0.stale_age().is_none(),
            places: places.into(),
            lineage_before: refounding.map(|last| Bytes::copy_from_slice(&last.before.0)).unwrap_or_default(),
        }))
    }
}
