//! Wiring: opens the stores, starts consensus and the services, binds the ports, and stops all of it in order.
//!
//! Two runtimes: Raft and its peers have threads of their own, so that no client's call, whatever it does, delays a
//! heartbeat.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use prometheus::Registry;
use proto::local::reload_service_server::ReloadServiceServer;
use raft::{Handle, Node, NodeInfo, SnapshotLimits, SystemClock};
use seal::{NodeKey, PublicKey};
use services::Services;
use state::Rows;
use store::{DataDir, DataDirError, Identity, LogStore, RocksDisk, RocksEngine, Space, StateStore};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tonic_health::ServingStatus;
use types::limits::DISK_LOOK_MS;
use types::{Incarnation, NodeId, Slot};

use crate::addresses::Addresses;
use crate::backups::{self, Backups};
use crate::certificates::Certificates;
use crate::config::Config;
use crate::founding::Founding;
use crate::history::History;
use crate::local::Local;
use crate::logging::Level;
use crate::ops_port::{OpsPort, Readiness};
use crate::peer_port::{self, PeerDial, PeerPort};
use crate::places::Places;
use crate::process::Process;
use crate::reload::{InForce, Reload, password_cost};
use crate::renewal::{self, Renewal};
use crate::revocation::Revocations;
use crate::support::{self, Recent};
use crate::vitals::Gauge;
use crate::{Failure, abort, advice, client_port, keys, local, ops_port, outside, page, restored, watchdog};

/// Batches applied and not yet routed to streams.
const HUB_BATCHES_MAX: usize = 256;
/// Typing notices from other nodes, not yet routed.
const TYPING_MAX: usize = 1_024;
/// How long streams and calls may take to end when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// A node that is further behind than this sends those who ask to the others.
const LAG_MAX: Duration = Duration::from_secs(5);
/// How often readiness, and what is told of it, is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the node measures itself.
const VITALS_EVERY: Duration = Duration::from_secs(1);

/// The local socket's name in the data directory.
pub const LOCAL_SOCKET: &str = "local.sock";

/// The highest feature level this daemon knows.
pub const FEATURE_LEVEL: u32 = types::features::KNOWN - if cfg!(feature = "previous-level") { 1 } else { 0 };

/// The consensus this daemon runs.
pub type Consensus = Node<RocksEngine>;

/// Runs the node until it is told to stop.
pub fn run(config: Config, logging: (Recent, Level)) -> Result<(), Failure> {
    let identity = DataDir::identify(&config.data).map_err(|error| unusable(&config, error))?;
    check_identity(&config, &identity)?;
    let data = DataDir::open(&config.data, Some(config.cluster), None).map_err(|error| unusable(&config, error))?;
    renewal::settle(&config.tls)?; // Once it is sure that no other daemon is at it; before they are read.
    check_files(&config)?;
    let restored = restored::load(&config.data, data.identity())?;
    let key = keys::open_or_make(&config.keys, &config.data)?;
    keys::forget_handed_over();
    abort::forbid_looking_in(); // After the key is read: it may come from a file descriptor of /proc.
    let consensus = runtime("tricord-raft", 2)?;
    let clients = runtime("tricord-client", 2)?;
    let ended = clients.block_on(serve((config, logging), (data, restored), key, consensus.handle().clone()));
    // What still runs is told to no one: calls have had their time to end.
    clients.shutdown_timeout(Duration::from_secs(1));
    consensus.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// A data directory that cannot be used, with what the other nodes say of its place.
fn unusable(config: &Config, error: DataDirError) -> Failure {
    let what = match &error {
        DataDirError::Missing { .. } => "This disk is empty",
        DataDirError::Incomplete { .. } | DataDirError::Damaged { .. } => "This disk is damaged",
        _ => return error.into(),
    };
    advice::about(config, what, error.into())
}

/// What this node signs the audit log with.
fn audit_key(config: &Config, own: &Identity) -> Result<Option<record::note::Signer>, Failure> {
    let Some(path) = &config.audit_key else {
        tracing::warn!("this node does not sign the audit log: the configuration names no [audit] key");
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    let key = record::note::Signer::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let expected = record::checkpoint::key_name(own.cluster, own.node);
    if key.verifier().name() != expected {
        return Err(format!("{}: it is the key {}, not {expected}", path.display(), key.verifier().name()).into());
    }
    Ok(Some(key))
}

/// Checks that what the configuration names is there and fits, without changing anything.
pub fn check_files(config: &Config) -> Result<(), Failure> {
    Certificates::load(&config.tls)?;
    metrics_token(config)?;
    Ok(())
}

/// Checks that a data directory is that of the node configured.
pub fn check_identity(config: &Config, identity: &Identity) -> Result<(), Failure> {
    if identity.cluster == config.cluster && identity.node.slot() == Some(config.slot) {
        return Ok(());
    }
    Err(format!(
        "{} belongs to node {} of cluster {}, but the configuration is of slot {} of cluster {}; is the right disk mounted?",
        config.data.display(),
        identity.node,
        identity.cluster,
        config.slot,
        config.cluster
    )
    .into())
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().thread_name(name).worker_threads(threads).enable_all().build();
    built.map_err(|error| format!("start the threads {name}: {error}").into())
}

async fn serve(
    (config, (recent, level)): (Config, (Recent, Level)),
    (data, restored): (DataDir, Option<restored::Note>),
    (pair, public): (NodeKey, PublicKey),
    consensus: tokio::runtime::Handle,
) -> Result<(), Failure> {
    let ports = Ports::bind(&config).await?;
    let renewal = Renewal::open(&config.tls, &config.data, &pair).unwrap_or_else(|error| {
        tracing::warn!(error = crate::chain(&*error), "this node does not renew its certificates by itself");
        None
    });
    let certificates = Arc::new(Certificates::load(&config.tls)?.renewed_by(renewal));
    let registry = Registry::new();
    let revocations = Revocations::new(&registry)?;
    certificates.register(&registry)?;
    let (hub, applied) = mpsc::channel(HUB_BATCHES_MAX);
    let (typing_in, typing) = mpsc::channel(TYPING_MAX);
    let whose = (&data, restored.is_some(), public);
    let tls = certificates.peer();
    let shaking = Addresses::new(peer_port::HANDSHAKES_PER_ADDRESS_MAX, 1);
    let port = PeerPort { listener: ports.peer, tls: tls.clone(), revocations: Arc::clone(&revocations), shaking };
    let dial = PeerDial { tls, revocations: Arc::clone(&revocations) };
    let raft = raft_config(&config, whose, (port, dial), hub, typing_in, &registry)?;
    revocations.look(&raft.state.view())?; // Before the first peer is heard: a restart forgets nothing.
    let node: Consensus = consensus.spawn(Node::start(raft)).await??;

    let metrics = services::Metrics::register(&registry)?;
    let audit_key = audit_key(&config, data.identity())?.map(Arc::new);
    let audit_spool = Some(config.data.join("audit.spool"));
    let signer = audit_key.clone();
    let options =
        services::Config { epoch: data.boot_seq(), password_cost: password_cost(&config), audit_key, audit_spool };
    let services = Services::start(node.clone(), options, pair, metrics, applied, typing)?;
    services.set_client_limits(config.limits);
    let mut outside = outside::start(&services, config.outside.clone(), &config.data, &registry)?;

    let (stopping, stopped) = watch::channel(false);
    let until_stopped = |mut stopped: watch::Receiver<bool>| async move { drop(stopped.wait_for(|stop| *stop).await) };
    let (health, health_service) = tonic_health::server::health_reporter();
    // Many clients still ask in the older version of the reflection protocol.
    let routes = services.routes().add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    let mut client_port = tokio::spawn(client_port::serve(
        ports.client,
        (certificates.client(), Arc::clone(&revocations)),
        routes,
        health_service,
        until_stopped(stopped.clone()),
    ));
    let process = Process::register(&registry)?;
    let history = Arc::new(Mutex::new(History::new(Instant::now())));
    let in_force: InForce = Arc::new(ArcSwap::from_pointee(config.clone()));
    let diagnostics = support::diagnostics(in_force.clone(), recent, data.identity().node, services.clone());
    let ops_port = ops_port(
        &registry,
        (in_force.clone(), diagnostics),
        is_ready(&node, stopped.clone()),
        Arc::clone(&history),
        {
            let (measured, services, process) = (node.state(), services.clone(), process.clone());
            (
                services.clone(),
                Box::new(move || {
                    measured.measure();
                    services.measure();
                    process.measure();
                }),
            )
        },
    )?;
    let ops = tokio::spawn(ops_port::serve(ports.ops, certificates.ops(), Arc::clone(&revocations), ops_port));
    let looking = tokio::spawn(watch_disk(node.clone(), config.data.clone()));
    let watching =
        tokio::spawn(watch_readiness(node.clone(), services.clone(), process.clone(), health, stopped.clone()));
    let measuring = tokio::spawn(watch_vitals(node.clone(), services.clone(), process, registry.clone(), history));
    let metrics = backups::Metrics::register(&registry)?;
    let backing = (in_force.clone(), config.data.clone());
    let backups = Backups::new(node.clone(), services.clone(), backing, signer, metrics);
    let scheduling = tokio::spawn(backups::keep_schedule(backups.clone()));
    if let Some(note) = restored {
        let own = (*data.identity(), public.0);
        tokio::spawn(restored::let_in(node.clone(), services.clone(), note, own, config.clone()));
    }
    let reload = Reload::new(in_force, level, Arc::clone(&certificates), services.clone());
    let reloading = tokio::spawn(reload.clone().on_hang_up());
    let local = tokio::spawn(local::serve(
        ports.local,
        (backups.service(), ReloadServiceServer::new(reload)),
        Local {
            services: services.clone(),
            handle: node.clone(),
            certificates: Arc::clone(&certificates),
            readiness: is_ready(&node, stopped),
            data: config.data.clone(),
            started: SystemTime::now(),
        },
        Places { node: node.clone(), services: services.clone(), data: config.data.clone() },
    ));
    let living = tokio::spawn(watchdog::run(consensus.clone()));
    let revoking = tokio::spawn(Arc::clone(&revocations).follow(node.clone()));
    let renewing = tokio::spawn(certificates.watch(node.clone(), services.clone(), revocations));
    tracing::info!(node = %data.identity().node, client = %config.client_listen, "the node runs");

    tokio::select! {
        told = told_to_stop() => told?,
        why = services.faulted() => abort::fatal(why),
        served = &mut client_port => {
            served??;
            return Err("the client port closed by itself".into());
        }
    }
    tracing::info!("stopping: streams end, leadership is handed over");
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    stopping.send_replace(true);
    services.shut_down(DRAIN_MAX).await;
    if tokio::time::timeout(DRAIN_MAX, client_port).await.is_err() {
        tracing::warn!("some calls had not ended in time");
    }
    scheduling.abort();
    drop(backups);
    watching.abort();
    looking.abort();
    measuring.abort();
    renewing.abort();
    revoking.abort();
    reloading.abort();
    living.abort();
    local.abort();
    ops.abort();
    outside.shutdown().await;
    drop(services);
    consensus.spawn(node.shutdown()).await??;
    tracing::info!("the node has stopped");
    Ok(())
}

/// The bound ports: bound before anything is opened, so that a port in use is the first thing said.
struct Ports {
    peer: TcpListener,
    client: TcpListener,
    ops: TcpListener,
    local: UnixListener,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            peer: bind("peer.listen", config.peer_listen).await?,
            client: bind("client.listen", config.client_listen).await?,
            ops: bind("ops.listen", config.ops_listen).await?,
            local: local::bind(&config.data.join(LOCAL_SOCKET))?,
        })
    }
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("listen on {address} ({key}): {error}; see who uses it with 'ss -ltnp', or change the configuration")
            .into()
    })
}

fn raft_config(
    config: &Config,
    (data, restored, public): (&DataDir, bool, PublicKey),
    (port, dial): (PeerPort, PeerDial),
    hub: mpsc::Sender<raft::Applied>,
    typing: mpsc::Sender<raft::Typing>,
    registry: &Registry,
) -> Result<raft::Config<RocksEngine>, Failure> {
    let own = *data.identity();
    let disk = RocksDisk::default();
    let advised = |damaged, failure| if damaged { advice::damaged(config.slot, failure) } else { failure };
    let log = LogStore::open_dir(&disk, &data.log_dir());
    let log = log.map_err(|error| advised(error.is_damage(), error.into()))?;
    let state = StateStore::open(Arc::new(disk), &data.state_dir());
    let state = state.map_err(|error| advised(error.is_damage(), error.into()))?;
    let state = state.knowing(FEATURE_LEVEL)?;
    if state.view().cluster()?.is_some_and(|cluster| cluster.lineage != own.lineage) {
        return Err("a new history was begun here and not ended: run 'tricord disaster refound --begin' again".into());
    }
    let founding = match &config.founding {
        Some(path) if path.exists() => Some(Founding::load(path)?),
        _ => None,
    };
    if founding.as_ref().is_some_and(|founding| founding.cluster != own.cluster) {
        return Err("the founding document is of another cluster than the data directory".into());
    }
    Ok(raft::Config {
        identity: raft::Identity { cluster: own.cluster, lineage: own.lineage, node: own.node, disk: own.disk },
        boot_seq: data.boot_seq(),
        boot_nonce: data.nonce(),
        remembered: Some(data.remembered_file()),
        peers: if restored { Slot::ALL.map(|slot| node_at(config, &own, slot)).into() } else { peers(config, &own) },
        listen: Box::new(port),
        dial: Arc::new(dial),
        founding: match founding {
            _ if restored => Some(restored::founding(config, &own)),
            Some(founding) => Some(raft::Founding {
                nodes: Slot::ALL.map(|slot| founding_node(&founding, slot)),
                found: Some(founding.found),
                complete: Some(keys::complete(founding.recovery)),
            }),
            None => None,
        },
        log,
        pace: None,
        state,
        hub,
        typing,
        time: Arc::new(SystemClock::default()),
        on_fatal: Arc::new(|why: &str| abort::fatal(why)),
        registry: registry.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        client_address: config.addresses(config.slot).client.clone(),
        snapshots: SnapshotLimits::default(),
        key: Some(keys::report(public, &config.keys, &config.data)),
    })
}

/// The nodes as configured; the others' incarnations and disks are known from the log once there is one.
fn peers(config: &Config, own: &Identity) -> Vec<NodeInfo> {
    let peer = |slot: Slot| {
        let addresses = config.addresses(slot);
        let itself = own.node.slot() == Some(slot);
        NodeInfo {
            node: if itself { own.node } else { NodeId::new(slot, Incarnation(1)) },
            peer_address: addresses.peer.clone(),
            client_address: addresses.client.clone(),
            disk: if itself { own.disk } else { [0; 16] },
        }
    };
    Slot::ALL.into_iter().map(peer).collect()
}

/// The node of a slot of a cluster that begins with a backup: all three are equally new.
pub fn node_at(config: &Config, own: &Identity, slot: Slot) -> NodeInfo {
    let addresses = config.addresses(slot);
    let incarnation = Incarnation(u32::try_from(own.node.0 >> 2).unwrap_or(u32::MAX));
    NodeInfo {
        node: NodeId::new(slot, incarnation),
        peer_address: addresses.peer.clone(),
        client_address: addresses.client.clone(),
        disk: if own.node.slot() == Some(slot) { own.disk } else { [0; 16] },
    }
}

fn founding_node(founding: &Founding, slot: Slot) -> NodeInfo {
    let (peer, client) = &founding.nodes[usize::from(slot.number()) - 1];
    NodeInfo {
        node: NodeId::new(slot, Incarnation(1)),
        peer_address: peer.clone(),
        client_address: client.clone(),
        disk: [0; 16],
    }
}

fn metrics_token(config: &Config) -> Result<Option<String>, Failure> {
    let Some(path) = &config.metrics_token else { return Ok(None) };
    let token = std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    let token = token.trim();
    if token.len() < 32 {
        return Err(format!("{}: a metrics token has 32 characters or more", path.display()).into());
    }
    Ok(Some(token.to_owned()))
}

type Refresh = Box<dyn Fn() + Send + Sync>;

fn ops_port(
    registry: &Registry,
    (config, diagnostics): (InForce, support::Diagnostics),
    readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    history: Arc<Mutex<History>>,
    (services, refresh): (Services<Consensus>, Refresh),
) -> Result<OpsPort, Failure> {
    let metrics_token = metrics_token(&config.load())?;
    let page = move || {
        let status = services.cluster_status().ok().flatten();
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        page::render(status.as_ref(), &history, config.load().downtime.as_deref())
    };
    Ok(OpsPort { registry: registry.clone(), metrics_token, readiness, page: Box::new(page), diagnostics, refresh })
}

/// Measures this node every second: for the others, for the page, and for whoever has no Prometheus.
async fn watch_vitals(
    node: Consensus,
    services: Services<Consensus>,
    process: Process,
    registry: Registry,
    history: Arc<Mutex<History>>,
) {
    let mut gauge = Gauge::new(registry);
    let mut ticks = tokio::time::interval(VITALS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        process.measure();
        node.set_vitals(gauge.look(Instant::now()));
        if let Ok(Some(status)) = services.cluster_status() {
            history.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now(), &status);
        }
    }
}

fn is_ready(node: &Consensus, stopped: watch::Receiver<bool>) -> Box<dyn Fn() -> Readiness + Send + Sync> {
    let node = node.clone();
    Box::new(move || if *stopped.borrow() { Readiness::NotReady("stopping") } else { readiness(&node) })
}

/// Tells the node how much room its disk has. A file system that does not answer holds up nobody but this task.
async fn watch_disk(node: Consensus, data: PathBuf) {
    let mut failed = false;
    loop {
        let path = data.clone();
        match tokio::task::spawn_blocking(move || Space::at(&path)).await {
            Ok(Ok(space)) => {
                node.set_disk(space);
                failed = false;
            }
            Ok(Err(fault)) if !failed => {
                tracing::warn!(%fault, "how much room the disk has is not known");
                failed = true;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(DISK_LOOK_MS)).await;
    }
}

/// A node is of use when it knows a leader, has heard of it within the last second, has caught up, and the cluster is founded.
fn readiness(node: &Consensus) -> Readiness {
    if node.heads().borrow().clock.0 == 0 {
        Readiness::NotReady("the cluster is not founded yet; are all three nodes started?")
    } else if node.stale_age().is_some() {
        Readiness::NotReady("no word from a leader; writes are refused, reads are stale")
    } else if node.lag() > LAG_MAX {
        Readiness::NotReady("it is catching up; what it shows is old, other nodes show what is new")
    } else {
        Readiness::Ready
    }
}

/// Tells health checks and systemd whether this node is ready, and the other nodes how many streams it has.
async fn watch_readiness(
    node: Consensus,
    services: Services<Consensus>,
    process: Process,
    health: tonic_health::server::HealthReporter,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ready_before = None;
    loop {
        let stopping = *stopped.borrow_and_update();
        let ready = !stopping && readiness(&node) == Readiness::Ready;
        node.set_streams(services.streams());
        process.set_ready(ready);
        if ready_before != Some(ready) {
            let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
            health.set_service_status("", status).await;
            if ready {
                tracing::info!("ready: this node takes messages");
                drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
            } else if ready_before.is_some() && !stopping {
                tracing::warn!("not ready: no word from a leader");
            }
            ready_before = Some(ready);
        }
        if stopping {
            return;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, stopped.changed()).await;
    }
}

async fn told_to_stop() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// What the client port says of itself: its own services, not those between nodes.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    ["Session", "Directory", "Conversation", "Message", "Presence", "Sync", "Cluster", "Audit", "Key"]
        .into_iter()
        .fold(builder, |builder, name| builder.with_service_name(format!("tricord.v1.{name}Service")))
}
