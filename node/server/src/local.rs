//! The local socket: one node, asked on its own machine by root, without TLS or a sign-in. For three in the morning, when
//! every certificate has expired. What clients are served is served here too, to whoever signs in: so two keyholders open
//! emergency access when nothing else answers.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proto::local::backup_service_server::BackupServiceServer;
use proto::local::certificate_service_server::{CertificateService, CertificateServiceServer};
use proto::local::local_service_server::{LocalService, LocalServiceServer};
use proto::local::place_service_server::PlaceServiceServer;
use proto::local::reload_service_server::ReloadServiceServer;
use proto::local::upgrade_service_server::{UpgradeService, UpgradeServiceServer};
use proto::local::{
    Certificate, FinalizeRequest, FinalizeResponse, GetNodeRequest, GetNodeResponse, ReloadCertificatesRequest,
    ReloadCertificatesResponse, RenewCertificatesRequest, RenewCertificatesResponse,
};
use raft::Handle;
use services::Services;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::Failure;
use crate::backups::Backups;
use crate::certificates::Certificates;
use crate::ops_port::Readiness;
use crate::places::Places;
use crate::reload::Reload;

/// Calls at a time on one connection.
const CALLS_PER_CONNECTION_MAX: usize = 16;

/// What the socket tells and does.
pub struct Local<H: Handle> {
    /// The services, for the status of the cluster.
    pub services: Services<H>,
    /// This node's place in consensus.
    pub handle: H,
    /// The certificates in use.
    pub certificates: Arc<Certificates>,
    /// Asked at each call.
    pub readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// Where the data is.
    pub data: PathBuf,
    /// Since when the daemon runs.
    pub started: SystemTime,
}

/// Binds the socket, in the place of one that a daemon before has left; the data directory's lock is held, so no other uses it.
///
/// Errors: the path is too long for a socket, or its directory cannot be written.
pub fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let doing = |error: io::Error| format!("listen on {} (local.socket): {error}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing(error).into()),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(doing)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(doing)?;
    Ok(listener)
}

/// Serves until the task is dropped.
pub async fn serve<H: Handle>(
    listener: UnixListener,
    (backups, reload): (BackupServiceServer<Backups>, ReloadServiceServer<Reload>),
    local: Local<H>,
    places: Places,
) -> Result<(), tonic::transport::Error> {
    let own = rustix::process::geteuid().as_raw();
    let allowed = UnixListenerStream::new(listener).filter(move |accepted| match accepted {
        Ok(stream) => may_ask(stream, own),
        Err(_) => true,
    });
    let routes = local.services.routes();
    Server::builder()
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .add_routes(routes)
        .add_service(UpgradeServiceServer::new(Upgrade(local.services.clone())))
        .add_service(CertificateServiceServer::new(Renewing(Arc::clone(&local.certificates))))
        .add_service(LocalServiceServer::new(local))
        .add_service(backups)
        .add_service(reload)
        .add_service(PlaceServiceServer::new(places))
        .serve_with_incoming(allowed)
        .await
}

/// The file's mode keeps others out already; this holds even where someone has changed it.
fn may_ask(stream: &UnixStream, own: u32) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    let may = uid.as_ref().is_ok_and(|&uid| uid == 0 || uid == own);
    if !may {
        tracing::warn!(uid = uid.ok(), "someone else than root asked at the local socket and was turned away");
    }
    may
}

#[tonic::async_trait]
impl<H: Handle> LocalService for Local<H> {
    async fn get_node(&self, _: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        let node = self.handle.node();
        let free = store::Space::at(&self.data).map_err(|error| Status::internal(error.to_string()))?.free;
        Ok(Response::new(GetNodeResponse {
            status: self.services.cluster_status()?,
            slot: node.slot().map_or_else(String::new, |slot| slot.to_string()),
            node: node.to_string(),
            not_ready: match (self.readiness)() {
                Readiness::Ready => String::new(),
                Readiness::NotReady(why) => why.into(),
            },
            version: env!("CARGO_PKG_VERSION").into(),
            start_time: Some(self.started.into()),
            data_directory: self.data.display().to_string(),
            free_bytes: free,
            certificates: told(&self.certificates),
        }))
    }

    async fn reload_certificates(
        &self,
        _: Request<ReloadCertificatesRequest>,
    ) -> Result<Response<ReloadCertificatesResponse>, Status> {
        self.certificates.reload().map_err(|error| Status::failed_precondition(error.to_string()))?;
        Ok(Response::new(ReloadCertificatesResponse { certificates: told(&self.certificates) }))
    }
}

#[tonic::async_trait]
impl<H: Handle> UpgradeService for Upgrade<H> {
    async fn finalize(&self, _: Request<FinalizeRequest>) -> Result<Response<FinalizeResponse>, Status> {
        let feature_level =
            self.0.finalize(Instant::now() + FINALIZE_MAX).await.map_err(Status::failed_precondition)?;
        tracing::info!(feature_level, "the upgrade was finalized, asked at the local socket");
        Ok(Response::new(FinalizeResponse { feature_level }))
    }
}

/// How long raising the feature level may take.
const FINALIZE_MAX: Duration = Duration::from_secs(10);

/// Ends upgrades, for whoever asks at the local socket.
struct Upgrade<H: Handle>(Services<H>);

/// Renews certificates, for whoever asks at the local socket.
struct Renewing(Arc<Certificates>);

#[tonic::async_trait]
impl CertificateService for Renewing {
    async fn renew_certificates(
        &self,
        _: Request<RenewCertificatesRequest>,
    ) -> Result<Response<RenewCertificatesResponse>, Status> {
        self.0.renew().map_err(|error| Status::failed_precondition(crate::chain(&*error)))?;
        tracing::info!("this node has issued itself new certificates, asked at the local socket");
        Ok(Response::new(RenewCertificatesResponse { certificates: told(&self.0) }))
    }
}

fn told(certificates: &Certificates) -> Vec<Certificate> {
    let time = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
    let told = certificates.in_use().map(|one| Certificate {
        purpose: one.purpose.into(),
        path: one.path.display().to_string(),
        expire_time: Some(time(one.expires)),
        serial: one.serial.map(|serial| serial.to_string()).unwrap_or_default(),
        renew_time: one.renews.map(time),
        renewal_failure: one.failure.unwrap_or_default(),
    });
    told.into()
}
