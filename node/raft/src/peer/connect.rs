//! How a peer is reached: one connection for each kind of traffic, so that none waits behind another's bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use prost::Message;
use proto::peer;
use proto::peer::peer_service_client::PeerServiceClient;
use tonic::metadata::{Binary, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use types::NodeId;
use types::limits::{PEER_CONNECT_MS_MAX, PEER_MESSAGE_BYTES_MAX};

use super::tls::Certified;
use super::transport::Dial;
use crate::memory::Memory;

/// The metadata key of the caller.
pub(crate) const CALLER: &str = "tricord-caller-bin";

/// A peer that can be called. Connects when first used, and again after a failure.
pub(crate) type Client = PeerServiceClient<InterceptedService<Channel, Introduce>>;

/// Puts the caller into the metadata of each call, with what it remembers of the one called.
#[derive(Clone)]
pub(crate) struct Introduce {
    caller: peer::Caller,
    memory: Arc<Memory>,
}

impl Interceptor for Introduce {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        let target = NodeId(self.caller.target);
        self.memory.introduce(&mut self.caller, target);
        request.metadata_mut().insert_bin(CALLER, introduction(&self.caller));
        Ok(request)
    }
}

/// As it stands in the metadata.
pub(crate) fn introduction(caller: &peer::Caller) -> MetadataValue<Binary> {
    MetadataValue::from_bytes(&caller.encode_to_vec())
}

/// Who introduces itself in the metadata.
pub(crate) fn introduced(metadata: &MetadataMap) -> Option<peer::Caller> {
    let bytes = metadata.get_bin(CALLER)?.to_bytes().ok()?;
    peer::Caller::decode(bytes).ok()
}

/// A new connection to `address`, which must prove to be `expected`.
///
/// Errors: none at once; the calls fail with `UNAVAILABLE` when it cannot be reached, or is someone else.
pub(crate) fn client(
    dial: Arc<dyn Dial>,
    address: String,
    expected: Certified,
    caller: peer::Caller,
    memory: Arc<Memory>,
) -> Client {
    let uri = Bytes::from(format!("http://{}", expected.name()));
    let endpoint = Endpoint::from_shared(uri)
        .expect("a DNS name makes a URI")
        .connect_timeout(Duration::from_millis(PEER_CONNECT_MS_MAX))
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES);
    let connect = move |_| {
        let dialled = dial.dial(address.clone(), expected);
        async move { dialled.await.map(TokioIo::new) }
    };
    let channel = endpoint.connect_with_connector_lazy(tower::service_fn(connect));
    PeerServiceClient::with_interceptor(channel, Introduce { caller, memory })
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
}

/// Bytes in flight on one stream without a word from the other side.
pub(crate) const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
