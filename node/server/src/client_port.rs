//! The client port: gRPC and gRPC-Web over TLS, with health and reflection beside the services.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_web::GrpcWebLayer;
use types::limits::{CONNECTIONS_PER_NODE_MAX, HEADER_BYTES_MAX};

use crate::accept::accept;
use crate::certificates::Shown;
use crate::revocation::Revocations;

/// Pings on a silent connection, so that a client that is gone is noticed.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// No answer to a ping for this long: the connection is gone.
const KEEPALIVE_MAX: Duration = Duration::from_secs(5);
/// Calls at a time on one connection.
const CALLS_PER_CONNECTION_MAX: u32 = 256;

/// Serves `routes` until `stop`, then lets calls in progress end.
pub async fn serve(
    listener: TcpListener,
    (tls, revocations): (Shown, Arc<Revocations>),
    routes: Routes,
    health: HealthServer<impl Health>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .accept_http1(true) // gRPC-Web comes over HTTP/1.1 too.
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_MAX))
        .max_concurrent_streams(Some(CALLS_PER_CONNECTION_MAX))
        // A gateway whose link was gone for a while brings the calls it has given up all at once: as many as it may have.
        .http2_max_pending_accept_reset_streams(Some(CALLS_PER_CONNECTION_MAX as usize))
        .http2_max_header_list_size(Some(HEADER_BYTES_MAX))
        .layer(GrpcWebLayer::new())
        .add_routes(routes)
        .add_service(health)
        .serve_with_incoming_shutdown(accept(listener, tls, revocations, CONNECTIONS_PER_NODE_MAX), stop)
        .await
}
