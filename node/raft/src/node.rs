//! A running node.

use std::collections::BTreeSet;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use prometheus::Registry;
use proto::peer::HelloRequest;
use proto::peer::peer_service_server::PeerServiceServer;
use proto::peer::place_service_server::PlaceServiceServer;
use state::Rows;
use store::{Engine, Fault, LogStore, LogWriter, Space, StateStore, StateView};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use types::limits::{
    CONSENSUS_STOP_MS_MAX, HANDOVER_MS_MAX, PEER_CONNECT_MS_MAX, PEER_HANDSHAKES_MAX, PEER_MESSAGE_BYTES_MAX,
    STORES_CLOSE_MS_MAX, TYPING_WAITING_MAX,
};
use types::reply::Answer;
use types::row::Heads;
use types::{Envelope, NodeId, Slot};

use crate::clock::{ClusterClock, Time};
use crate::contact::{Contact, Lag};
use crate::early::Streams;
use crate::forward::Forwarder;
use crate::founding::Founding;
use crate::gossip::{self, Reports};
use crate::handle::{Applied, BarrierError, ClusterStatus, Handle, KeyReport, ProposeError, Role, Typing, Vitals};
use crate::kinds::NodeInfo;
use crate::leadership::{self, Leadership};
use crate::leases::Leases;
use crate::log::Log;
use crate::machine::{Core, Machine, Tell};
use crate::memory::{Memory, Start};
use crate::metrics::Metrics;
use crate::peer::accept;
use crate::peer::connect::WINDOW_BYTES;
use crate::peer::directory::{Directory, Identity, Lane};
use crate::peer::network::Network;
use crate::peer::places;
use crate::peer::reversion;
use crate::peer::service::Service;
use crate::peer::tls::Certified;
use crate::peer::transfer::Arrivals;
use crate::peer::transport::{Dial, Listen};
use crate::propose::{self, Batcher, Wait};
use crate::read;
use crate::settings::openraft_config;
use crate::shared::Shared;
use crate::snapshots::{self, SnapshotLimits};
use crate::worker::Worker;
use crate::{duties, early, founding, memory, seats};

/// What happens when this node must not go on. The server ends the process; a test looks on.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// How long the log's writer waits before each batch, as a disk would make it.
pub type Pace = Box<dyn FnMut() -> Duration + Send>;

/// What a node is started with.
pub struct Config<E: Engine> {
    /// Who it is.
    pub identity: Identity,
    /// Higher at each start of this data directory; the epoch of its lease.
    pub boot_seq: u64,
    /// Random, of this start.
    pub boot_nonce: u64,
    /// The file of what this node and its peers have promised; none: that is not kept, for tests.
    pub remembered: Option<PathBuf>,
    /// All three nodes as configured, this one among them; the log's membership counts once there is one.
    pub peers: Vec<NodeInfo>,
    /// How peers are reached, and what this node proves to be.
    pub dial: Arc<dyn Dial>,
    /// How peers reach this node.
    pub listen: Box<dyn Listen>,
    /// Given while the cluster is to be founded; does no harm afterwards.
    pub founding: Option<Founding>,
    /// The log and its writer.
    pub log: (LogStore<E>, LogWriter<E>),
    /// None: the log's writer has a thread of its own. Otherwise it is a task that goes at this pace, for a simulation.
    pub pace: Option<Pace>,
    /// The state.
    pub state: StateStore<E>,
    /// The hub of the services. What was applied before [`Node::start`] returns is not sent.
    pub hub: mpsc::Sender<Applied>,
    /// Who is typing on other nodes; dropped when full.
    pub typing: mpsc::Sender<Typing>,
    /// Where time comes from.
    pub time: Arc<dyn Time>,
    /// See [`OnFatal`].
    pub on_fatal: OnFatal,
    /// Where metrics are registered: those of the stores too. One for each node.
    pub registry: Registry,
    /// This software's version.
    pub version: String,
    /// Where clients reach this node.
    pub client_address: String,
    /// When snapshots are made.
    pub snapshots: SnapshotLimits,
    /// This node's key pair, as the others are told of it.
    pub key: Option<KeyReport>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate is another slot's, or another cluster's.
    #[error("this node is {expected}, but its certificate is for {found}")]
    Certificate {
        /// The name that must be in it.
        expected: String,
        /// The name that is.
        found: String,
    },
    /// It has no slot.
    #[error("the node id {0} fills no slot")]
    NodeId(NodeId),
    /// A metric's name is taken.
    #[error("register metrics")]
    Metrics(#[from] prometheus::Error),
    /// The system refused a thread or a socket.
    #[error("start the node's threads")]
    Io(#[from] io::Error),
    /// openraft refused its settings.
    #[error("check the settings of consensus")]
    Settings(#[from] openraft::ConfigError),
    /// The peers have seen the disk in a later state.
    #[error(
        "this disk is an old copy: the other nodes have seen it in a later state, so what is on it no longer counts. Was \
         the wrong disk mounted? Then mount the right one and start again. Otherwise replace this node"
    )]
    Restored,
    /// What nodes promised cannot be read.
    #[error("read what this node and its peers have promised")]
    Promises(#[from] Fault),
    /// What the log and the state say does not fit, or cannot be read.
    #[error("recover from the log: {0}")]
    Recover(String),
}

/// A running node. Cheap to clone; when the last clone is gone it stops, without a word to anybody.
pub struct Node<E: Engine> {
    shared: Arc<Shared<E>>,
    typing: mpsc::Sender<Typing>,
    heads: watch::Receiver<Heads>,
    tasks: TaskTracker,
    /// Closes when the log and the state have been closed, by the last of those who had them.
    closed: watch::Receiver<()>,
    _stop: Arc<DropGuard>,
}

impl<E: Engine> Clone for Node<E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            typing: self.typing.clone(),
            heads: self.heads.clone(),
            tasks: self.tasks.clone(),
            closed: self.closed.clone(),
            _stop: self._stop.clone(),
        }
    }
}

impl<E: Engine> Node<E> {
    /// Starts a node: it takes part in the cluster, or waits for its founding, when this returns.
    ///
    /// Errors: [`StartError`] when the node is not who its certificate says, or cannot recover; nothing runs then.
    pub async fn start(config: Config<E>) -> Result<Self, StartError> {
        let identity = config.identity;
        check_certificate(&identity, config.dial.own())?;
        let metrics = Metrics::default();
        metrics.register(&config.registry)?;
        let (log, writer) = config.log;
        log.register(&config.registry)?;
        config.state.register(&config.registry)?;
        let state = Arc::new(config.state);
        let (open, closed) = watch::channel(());
        log.hold_until_closed(Box::new(open.clone()));
        state.hold_until_closed(Box::new(open));
        start_writer(writer, config.pace, config.on_fatal.clone())?;

        let clock = Arc::new(ClusterClock::new(config.time));
        clock.resume(state.heads().clock);
        let ends = log.clone();
        let memory = Arc::new(Memory::load(Start {
            own: identity.node,
            lineage: identity.lineage,
            boot_seq: config.boot_seq,
            nonce: config.boot_nonce,
            path: config.remembered,
            ends: Box::new(move || (ends.bounds().1, ends.vote())),
            clock: clock.clone(),
        })?);
        if memory.is_barred() {
            return Err(StartError::Restored);
        }
        take_up_vote(&log, &memory).await?;
        let directory = Arc::new(Directory::new(identity, config.dial, memory.clone(), &config.peers));
        if let Some(refounding) = state.view().refounding()? {
            directory.set_ended(refounding.before);
        }
        let applied_bytes = Arc::new(AtomicU64::new(0));
        let (heads_sender, heads) = watch::channel(state.heads());
        let (applied_sender, applied) = watch::channel(None);
        let (tell, live) = Tell::new(config.hub, heads_sender, applied_sender, applied_bytes.clone());
        let machine = Machine::new(state.clone(), Worker::start("tricord-apply")?, tell);
        let reversion = Arc::new(OnceLock::new());
        let network: Network<E> = Network {
            directory: directory.clone(),
            reversion: reversion.clone(),
            mend: snapshots::mender(state.clone(), config.on_fatal.clone()),
            engine: PhantomData,
        };
        snapshots::catch_up(&state, &log).await.map_err(|fault| StartError::Recover(fault.to_string()))?;
        let settings = Arc::new(openraft_config(identity.cluster.to_string())?);
        let recover = |error: openraft::errors::Fatal<_>| StartError::Recover(error.to_string());
        let raft =
            Core::build(identity.node.0, settings, network, Log::new(log.clone()), machine).await.map_err(recover)?;

        let leases = Arc::new(Leases::new(clock.clone()));
        let (proposer, proposals, gate) = propose::channel(metrics.clone());
        let (barrier, readers) = read::channel(applied.clone());
        let (leaders, endings) = Streams::new();
        let (leadership_sender, leadership) = watch::channel(Leadership::default());
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            directory: directory.clone(),
            raft: raft.clone(),
            log: log.clone(),
            memory,
            state,
            leases: leases.clone(),
            contact: Contact::new(clock.clone()),
            lag: Lag::new(clock.clone()),
            reports: Reports::new(clock.clone()),
            arrivals: Arrivals::default(),
            proposer,
            forwarder: Forwarder::new(directory),
            barrier,
            leaders,
            typing: config.typing,
            leadership,
            applied,
            applied_bytes,
            metrics: metrics.clone(),
            on_fatal: config.on_fatal,
            stop: stop.clone(),
            alone: AtomicBool::new(false),
            barred: AtomicBool::new(false),
            calls: TaskTracker::new(),
            last_log: AtomicU64::new(0),
            streams: AtomicU32::new(0),
            disk: Mutex::default(),
            certificates_expire_ms: AtomicU64::new(0),
            vitals: Mutex::default(),
            key: config.key,
            version: config.version,
            client_address: config.client_address,
            clock: clock.clone(),
        });

        shared.judge_copies();
        let _ = reversion.set(reversion::of(&shared)); // Its only time.
        live.store(true, Ordering::Release);
        raft.run();
        let tasks = TaskTracker::new();
        let (typing, typing_out) = mpsc::channel(TYPING_WAITING_MAX);
        spawn(&tasks, &stop, leadership::run(shared.clone(), leadership_sender));
        spawn(&tasks, &stop, Batcher { raft, clock, leases, metrics, gate }.run(proposals));
        spawn(&tasks, &stop, read::run(shared.clone(), readers));
        spawn(&tasks, &stop, gossip::run(shared.clone()));
        spawn(&tasks, &stop, early::run(shared.clone(), endings));
        spawn(&tasks, &stop, memory::run(shared.clone()));
        spawn(&tasks, &stop, gossip::tell_typing(shared.clone(), typing_out));
        spawn(&tasks, &stop, snapshots::run(shared.clone(), log, config.snapshots));
        spawn(&tasks, &stop, duties::renew(shared.clone(), config.boot_seq));
        spawn(&tasks, &stop, seats::run(shared.clone()));
        spawn(&tasks, &stop, duties::lead(shared.clone(), config.founding.clone()));
        if let Some(founding) = config.founding {
            spawn(&tasks, &stop, founding::run(shared.clone(), founding));
        }
        spawn(&tasks, &stop, serve(shared.clone(), config.listen));
        tasks.close();
        Ok(Self { shared, typing, heads, tasks, closed, _stop: Arc::new(stop.drop_guard()) })
    }

    /// Stops the node in order: leadership goes to the peer that has most, the peer port closes, openraft ends, the
    /// state becomes durable.
    ///
    /// Errors: the state could not be made durable; the log will bring it back.
    pub async fn shutdown(self) -> Result<(), store::Fault> {
        self.hand_over().await;
        self.stop().await;
        let state = self.shared.state.clone();
        let flushed = crate::blocking::run(move || state.flush()).await;
        self.close().await;
        flushed.unwrap_or(Ok(()))
    }

    /// Stops the node at once and waits until it has: what a kill does, without the end of the process.
    pub async fn kill(self) {
        self.stop().await;
        self.close().await;
    }

    /// Lets go of the stores and waits until they are closed: the end of the process, should it come next, must not meet
    /// RocksDB's threads at work, nor a copy of the directory files that come and go. Bounded, for another clone of the node may be in use.
    async fn close(self) {
        let mut closed = self.closed.clone();
        drop(self);
        let limit = Duration::from_millis(STORES_CLOSE_MS_MAX);
        if tokio::time::timeout(limit, closed.changed()).await.is_err() {
            tracing::warn!("the stores were still in use when the node had stopped");
        }
    }

    /// Tells the node how much room there is on its disk. The peers hear of it, and while most nodes have too little, clients'
    /// writes are refused with [`ProposeError::DiskFull`].
    pub fn set_disk(&self, space: Space) {
        *self.shared.disk.lock().unwrap_or_else(PoisonError::into_inner) = Some(space);
        self.shared.judge_disks();
    }

    /// For how long this node has not caught up with what a majority had; zero if it keeps up.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.shared.lag()
    }

    /// Nodes that were let in after founding, ascending.
    pub fn seats(&self) -> Result<Vec<(NodeId, types::seat::Seat)>, Fault> {
        seats::read(&self.shared)
    }

    /// The ids of all nodes that consensus knows, voters or not.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        let metrics = self.shared.raft.metrics().borrow_watched().clone();
        metrics.membership_config.membership().nodes().map(|(id, _)| NodeId(*id)).collect()
    }

    /// How many vote.
    #[must_use]
    pub fn voters(&self) -> usize {
        let metrics = self.shared.raft.metrics().borrow_watched().clone();
        metrics.membership_config.membership().voter_ids().collect::<BTreeSet<u64>>().len()
    }

    /// The state itself, for tests and tools.
    #[must_use]
    pub fn state(&self) -> Arc<StateStore<E>> {
        self.shared.state.clone()
    }

    /// The index up to which the log was purged here, for tests and tools.
    #[must_use]
    pub fn purged(&self) -> Option<u64> {
        self.shared.log.bounds().0.map(|id| id.index)
    }

    /// The term this node last voted in.
    #[cfg(test)]
    pub(crate) async fn voted_in_term(&self) -> u64 {
        self.shared.raft.with_raft_state(|state| state.vote_ref().leader_id.term).await.expect("it runs")
    }

    /// The peer port and our tasks first: nobody asks a core that has ended.
    async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.calls.close();
        let quiet = async {
            self.tasks.wait().await;
            self.shared.calls.wait().await;
        };
        let limit = Duration::from_millis(HANDOVER_MS_MAX);
        if tokio::time::timeout(limit, quiet).await.is_err() {
            tracing::warn!("some calls of peers had not ended in time");
        }
        let limit = Duration::from_millis(CONSENSUS_STOP_MS_MAX);
        if tokio::time::timeout(limit, self.shared.raft.shutdown()).await.is_err() {
            tracing::warn!("consensus had not ended in time");
        }
    }

    async fn hand_over(&self) {
        let mut leadership = self.shared.leadership.clone();
        if leadership.borrow_and_update().own != Role::Leader {
            return;
        }
        let Some(to) = self.successor().await else {
            tracing::info!("no peer answers, so leadership is handed over to none");
            return;
        };
        if self.shared.raft.trigger().transfer_leader(to.0).await.is_err() {
            return;
        }
        let gone = leadership.wait_for(|now| now.own != Role::Leader);
        let limit = Duration::from_millis(HANDOVER_MS_MAX);
        let handed_over = tokio::time::timeout(limit, gone).await.is_ok();
        tracing::info!(%to, handed_over, "leadership was handed over for stopping");
    }

    /// The voter that has most of the log among those that answer now.
    async fn successor(&self) -> Option<NodeId> {
        let metrics = self.shared.raft.metrics().borrow_watched().clone();
        let own = self.node().0;
        let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
        let mut matched: Vec<_> = metrics.replication.unwrap_or_default().into_iter().collect();
        matched.retain(|(node, _)| *node != own && voters.contains(node));
        matched.sort_by(|(_, one), (_, other)| other.cmp(one));
        for (node, _) in matched {
            if self.answers(NodeId(node)).await {
                return Some(NodeId(node));
            }
        }
        None
    }

    async fn answers(&self, node: NodeId) -> bool {
        let directory = &self.shared.directory;
        let client = directory.get(node).and_then(|info| directory.client(&info, Lane::Control));
        let Some(mut client) = client else { return false };
        let limit = Duration::from_millis(PEER_CONNECT_MS_MAX);
        matches!(tokio::time::timeout(limit, client.hello(HelloRequest {})).await, Ok(Ok(_)))
    }
}

fn check_certificate(identity: &Identity, own: Certified) -> Result<(), StartError> {
    let slot = identity.node.slot().ok_or(StartError::NodeId(identity.node))?;
    let expected = Certified { cluster: identity.cluster, slot };
    if own == expected {
        return Ok(());
    }
    Err(StartError::Certificate { expected: expected.name(), found: own.name() })
}

/// A vote that only the file remembers goes back into the log, so that it is not given twice.
async fn take_up_vote<E: Engine>(log: &LogStore<E>, memory: &Memory) -> Result<(), StartError> {
    let Some(vote) = memory.lost_vote() else { return Ok(()) };
    tracing::error!(term = vote.term, "the log has lost this node's newest vote; it is taken up from its other copy");
    let (done, durable) = oneshot::channel();
    log.save_vote(vote, Box::new(move |result| _ = done.send(result)));
    match durable.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(StartError::Recover(fault.to_string())),
        Err(_) => Err(StartError::Recover(String::from("the log has stopped"))),
    }
}

fn start_writer<E: Engine>(writer: LogWriter<E>, pace: Option<Pace>, on_fatal: OnFatal) -> io::Result<()> {
    if let Some(mut pace) = pace {
        tokio::spawn(async move {
            while !writer.is_done() {
                tokio::time::sleep(pace()).await;
                if let Err(fault) = writer.step() {
                    return on_fatal(&format!("write the log: {fault}"));
                }
            }
        });
        return Ok(());
    }
    let run = move || {
        if let Err(fault) = writer.run() {
            on_fatal(&format!("write the log: {fault}"));
        }
    };
    std::thread::Builder::new().name(String::from("tricord-log")).spawn(run)?;
    Ok(())
}

/// Runs until it ends or the node stops.
fn spawn(tasks: &TaskTracker, stop: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(task).await;
    });
}

async fn serve<E: Engine>(shared: Arc<Shared<E>>, listen: Box<dyn Listen>) {
    let (accepted, connections) = mpsc::channel(PEER_HANDSHAKES_MAX);
    let service = PeerServiceServer::new(Service(shared.clone()))
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(1)))
        .http2_keepalive_timeout(Some(Duration::from_secs(2)))
        .add_service(service)
        .add_service(PlaceServiceServer::new(places::Service(shared.clone())))
        .serve_with_incoming(ReceiverStream::new(connections));
    tokio::select! {
        () = accept::accept(listen, shared.stop.clone(), accepted) => {}
        served = server => if let Err(error) = served {
            (shared.on_fatal)(&format!("serve the peer port: {error}"));
        },
    }
}

impl<E: Engine> Handle for Node<E> {
    type View = StateView;

    fn node(&self) -> NodeId {
        self.shared.directory.identity.node
    }

    async fn propose(&self, envelope: Envelope, deadline: Instant) -> Result<Answer, ProposeError> {
        self.shared.propose(envelope, Wait::Patient, deadline).await
    }

    async fn propose_promptly(&self, envelope: Envelope, deadline: Instant) -> Result<Answer, ProposeError> {
        self.shared.propose(envelope, Wait::Short, deadline).await
    }

    fn view(&self) -> StateView {
        self.shared.state.view()
    }

    fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.clone()
    }

    async fn read_barrier(&self, deadline: Instant) -> Result<(), BarrierError> {
        self.shared.barrier.wait(deadline).await
    }

    fn stale_age(&self) -> Option<Duration> {
        self.shared.stale_age()
    }

    fn status(&self) -> ClusterStatus {
        let leadership = *self.shared.leadership.borrow();
        ClusterStatus {
            term: leadership.term,
            leader: leadership.leader,
            nodes: Slot::ALL.map(|slot| self.shared.node_status(slot)),
        }
    }

    fn single_copy(&self) -> bool {
        self.shared.alone.load(Ordering::Relaxed)
    }

    fn send_typing(&self, typing: Typing) {
        if self.typing.try_send(typing).is_err() {
            self.shared.metrics.typing_dropped.inc();
        }
    }

    fn set_streams(&self, count: u32) {
        self.shared.streams.store(count, Ordering::Relaxed);
    }

    fn set_certificates_expire(&self, at: types::Timestamp) {
        self.shared.certificates_expire_ms.store(at.0, Ordering::Relaxed);
    }

    fn set_vitals(&self, vitals: Vitals) {
        *self.shared.vitals.lock().unwrap_or_else(PoisonError::into_inner) = Some(vitals);
    }
}
