//! Client gRPC: authenticate, ask, seal, tell.
//!
//! [`Services`] is all of `tricord.v1` over a [`raft::Handle`]; the server mounts [`Services::routes`] on its own port.
//! Access is decided by `state::policy` alone, here for reads and for each event of a stream; for commands in `apply`.

mod activity;
mod addresses;
mod admission;
pub mod alarms;
mod attempts;
mod audit;
mod call;
mod codes;
mod confirmations;
mod connections;
mod convert;
mod cursor;
mod emergencies;
mod errors;
mod fetch;
mod finalize;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod health;
mod hub;
mod idle;
mod keyring;
mod leases;
mod library;
mod limiter;
mod limits;
mod metrics;
mod names;
mod once;
mod pages;
mod passwords;
mod pins;
mod places;
mod queue;
mod queues;
mod reads;
mod remembered;
mod replay;
mod restoration;
mod rotation;
mod routing;
mod rpc;
mod sealing;
mod telling;
mod totp;
mod typing;
mod validation;
mod words;
mod writes;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proto::v1::audit_service_server::AuditServiceServer;
use proto::v1::certificate_service_server::CertificateServiceServer;
use proto::v1::clock_service_server::ClockServiceServer;
use proto::v1::cluster_service_server::ClusterServiceServer;
use proto::v1::conversation_service_server::ConversationServiceServer;
use proto::v1::directory_service_server::DirectoryServiceServer;
use proto::v1::emergency_service_server::EmergencyServiceServer;
use proto::v1::key_service_server::KeyServiceServer;
use proto::v1::lock_service_server::LockServiceServer;
use proto::v1::message_service_server::MessageServiceServer;
use proto::v1::place_service_server::PlaceServiceServer;
use proto::v1::presence_service_server::PresenceServiceServer;
use proto::v1::recovery_service_server::RecoveryServiceServer;
use proto::v1::security_service_server::SecurityServiceServer;
use proto::v1::session_service_server::SessionServiceServer;
use proto::v1::sync_service_server::SyncServiceServer;
use raft::{Applied, Handle, Typing};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::util::MapResponseLayer;
use types::limits::{CALLS_WAITING_MIN, CATCHING_UP_FAST_MAX, CLIENT_REQUEST_BYTES_MAX, UNKNOWN_SESSIONS_ASKED_MAX};
use types::row::Cluster;

pub use admission::Newcomer;
pub use audit::heads::SealedHead;
pub use health::{Health, summary};
pub use limits::ClientLimits;
pub use metrics::Metrics;
pub use passwords::{CostError, PasswordCost};
pub use words::of as directory_words;

/// What the services need to know beside the handle.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's lease epoch: new, and higher, at each of its starts.
    pub epoch: u64,
    /// What a password hash costs.
    pub password_cost: PasswordCost,
    /// What this node signs the audit log with; none: it signs nothing.
    pub audit_key: Option<Arc<record::note::Signer>>,
    /// Where what is shown without a majority is kept until it can be recorded; none: in memory.
    pub audit_spool: Option<std::path::PathBuf>,
}

/// Why the services did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cost of passwords is not one that Argon2 takes.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The audit spool could not be opened.
    #[error("open the audit spool")]
    Spool(#[from] std::io::Error),
}

/// All services of `tricord.v1` on one node. Cheap to clone.
pub struct Services<H: Handle> {
    inner: Arc<Inner<H>>,
}

impl<H: Handle> Clone for Services<H> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<H: Handle> {
    handle: H,
    config: Config,
    metrics: Metrics,
    cluster: OnceLock<Cluster>,
    passwords: passwords::Passwords,
    limits: ArcSwap<ClientLimits>,
    rates: limiter::CallRates,
    /// Of single calls that write.
    gate: Arc<raft::Gate>,
    sign_ins: limiter::SignIns,
    send_streams: places::Places,
    unknown_sessions: Semaphore,
    catching_up_fast: Arc<Semaphore>,
    confirmations: confirmations::Confirmations,
    connections: connections::ConnectionChanges,
    activity: activity::Activity,
    idled: idle::Idled,
    hub: hub::Hub,
    typing: typing::Pace,
    observer: audit::observe::Observer,
    numbers: once::Numbers,
    refusals: Mutex<audit::refusals::Refusals>,
    spool: Mutex<audit::spool::Spool>,
    faults: watch::Sender<Option<&'static str>>,
    keyring: Arc<keyring::Keyring>,
    minting: sealing::Minting,
    stale: watch::Sender<bool>,
    /// Whether what is written now lies on this node's disk alone.
    single_copy: watch::Sender<bool>,
    stopping: CancellationToken,
}

impl<H: Handle> Services<H> {
    /// Starts the services over a running node. `applied` gives each batch applied here, in order and without gaps;
    /// `typing` what other nodes say of who is typing; `keys` is the pair that cluster keys are sealed to for this node.
    /// Must be called within a Tokio runtime.
    ///
    /// Errors: [`StartError`]; nothing runs then.
    pub fn start(
        handle: H,
        config: Config,
        keys: seal::NodeKey,
        metrics: Metrics,
        applied: mpsc::Receiver<Applied>,
        typing: mpsc::Receiver<Typing>,
    ) -> Result<Self, StartError> {
        let position = handle.heads().borrow().event;
        let (observer, observations) = audit::observe::channel();
        let spool = match &config.audit_spool {
            Some(path) => audit::spool::Spool::open(path)?,
            None => audit::spool::Spool::in_memory(),
        };
        let keyring = Arc::new(keyring::Keyring::new(handle.node(), keys));
        let inner = Inner {
            handle,
            metrics,
            cluster: OnceLock::new(),
            passwords: passwords::Passwords::new(config.password_cost)?,
            limits: ArcSwap::default(),
            rates: limiter::CallRates::default(),
            gate: raft::Gate::new(CALLS_WAITING_MIN / 2),
            sign_ins: limiter::SignIns::default(),
            send_streams: places::Places::default(),
            unknown_sessions: Semaphore::new(UNKNOWN_SESSIONS_ASKED_MAX),
            catching_up_fast: Arc::new(Semaphore::new(CATCHING_UP_FAST_MAX)),
            confirmations: confirmations::Confirmations::default(),
            connections: connections::ConnectionChanges::default(),
            activity: activity::Activity::default(),
            idled: idle::Idled::default(),
            hub: hub::Hub::new(position),
            typing: typing::Pace::default(),
            observer,
            numbers: once::Numbers::new(config.epoch),
            refusals: Mutex::default(),
            spool: Mutex::new(spool),
            faults: watch::Sender::new(None),
            keyring,
            minting: sealing::Minting::default(),
            stale: watch::Sender::new(false),
            single_copy: watch::Sender::new(false),
            stopping: CancellationToken::new(),
            config,
        };
        let services = Self { inner: Arc::new(inner) };
        services.run(hub::run(services.clone(), applied, typing));
        services.run(confirmations::run(services.clone()));
        services.run(connections::run(services.clone()));
        services.run(activity::run(services.clone()));
        services.run(idle::run(services.clone()));
        services.run(emergencies::watch(services.clone()));
        services.run(audit::observe::run(services.clone(), observations));
        services.run(audit::refusals::run(services.clone()));
        services.run(audit::spool::run(services.clone()));
        services.run(audit::signing::run(services.clone()));
        services.run(leases::watch(services.clone()));
        services.run(reads::watch_staleness(services.clone()));
        services.run(sealing::sweep(services.clone()));
        services.run(rotation::run(services.clone()));
        Ok(services)
    }

    fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        tokio::spawn(async move { stopping.run_until_cancelled(task).await });
    }

    /// All services, with the sizes of requests limited, to be mounted beside health and reflection.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let max = CLIENT_REQUEST_BYTES_MAX;
        let routes = Routes::new(SessionServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(DirectoryServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(ConversationServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(MessageServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(PresenceServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(SyncServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(SecurityServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(ClusterServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(AuditServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(KeyServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(LockServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(PlaceServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(EmergencyServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(ClockServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(CertificateServiceServer::new(self.clone()).max_decoding_message_size(max))
            .add_service(RecoveryServiceServer::new(self.clone()).max_decoding_message_size(max));
        routes.into_axum_router().layer(MapResponseLayer::new(library::answered)).into()
    }

    /// Hashes passwords at another cost from now on; older hashes are made anew at the next sign-in. Blocks for one hash.
    ///
    /// Errors: a cost that Argon2 does not take.
    pub fn set_password_cost(&self, cost: PasswordCost) -> Result<(), CostError> {
        self.inner.passwords.set_cost(cost)
    }

    /// Takes this much of clients from now on. Whoever is beyond it is slowed down or refused, and nothing that is open is closed.
    pub fn set_client_limits(&self, limits: ClientLimits) {
        self.inner.limits.store(Arc::new(limits));
    }

    /// Sync streams open on this node.
    #[must_use]
    pub fn streams(&self) -> u32 {
        u32::try_from(self.inner.hub.streams()).unwrap_or(u32::MAX)
    }

    /// Waits until this node turned out unable to read its own state, or to hold another audit log than the others; says
    /// which. Whoever waits stops the process.
    pub async fn faulted(&self) -> &'static str {
        let mut faults = self.inner.faults.subscribe();
        let fault = faults.wait_for(Option::is_some).await;
        fault.ok().and_then(|fault| *fault).unwrap_or("the services have ended")
    }

    /// Ends all streams so that clients go on elsewhere, and tells the cluster that their sessions have gone, if that can
    /// be done within `time`.
    pub async fn shut_down(&self, time: Duration) {
        self.inner.stopping.cancel();
        self.inner.hub.end_all(queue::End::ShuttingDown);
        let deadline = Instant::now() + time;
        let farewell = async {
            let confirmed = confirmations::flush(self).await;
            let parted = connections::part(self, deadline).await;
            tracing::info!(confirmed, parted, "the services have stopped");
        };
        let _ = tokio::time::timeout_at(deadline.into(), farewell).await;
    }
}
