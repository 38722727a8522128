//! Three nodes in one process, over loopback, with real certificates and a real RocksDB each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus::Registry;
use raft::{
    Applied, Config, Founding, Handle, Identity, Node, NodeInfo, PeerTls, ProposeError, Role, SnapshotLimits,
    SystemClock, Typing,
};
use store::{LogStore, RocksDisk, RocksEngine, StateStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use types::command::{Enrol, Found, NewUser, Request, SignIn};
use types::identity::Method;
use types::reply::Answer;
use types::user::{PermissionSet, Realm, UserKind};
use types::{
    Author, ClusterId, Command, DeviceId, Envelope, Incarnation, Lineage, NodeId, Reply, SessionId, Slot, UserId,
};

pub type RocksNode = Node<RocksEngine>;

pub const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub const LINEAGE: Lineage = Lineage([0x11; 16]);
const ADMIN: UserId = UserId([1; 16]);
const SESSION: SessionId = SessionId([2; 16]);
const CODE: [u8; 32] = [3; 32];

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn id(slot: Slot) -> NodeId {
    NodeId::new(slot, Incarnation(1))
}

/// The cluster's authority.
pub struct Pki {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    ca_pem: String,
}

impl Pki {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).expect("an authority").pem();
        Self { issuer: rcgen::Issuer::new(params, key), ca_pem }
    }

    pub fn tls(&self, cluster: ClusterId, slot: Slot) -> PeerTls {
        let key = rcgen::KeyPair::generate().expect("a key");
        let name = format!("{slot}.{cluster}.peer.tricord");
        let params = rcgen::CertificateParams::new([name]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        PeerTls::load(self.ca_pem.as_bytes(), certificate.as_bytes(), key.as_bytes()).expect("it fits")
    }
}

/// One node with what reads its output.
pub struct Running {
    pub node: RocksNode,
    pub typing: mpsc::Receiver<Typing>,
    pub replaced: Arc<AtomicU64>,
    pub registry: Registry,
}

/// A way to the peers that can be closed.
struct Gate {
    tls: PeerTls,
    mute: Arc<AtomicBool>,
}

impl raft::Dial for Gate {
    fn own(&self) -> raft::Certified {
        raft::Dial::own(&self.tls)
    }

    fn dial(
        &self,
        address: String,
        expected: raft::Certified,
    ) -> futures::future::BoxFuture<'static, std::io::Result<raft::Io>> {
        if self.mute.load(Ordering::Relaxed) {
            return Box::pin(async { Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)) });
        }
        raft::Dial::dial(&self.tls, address, expected)
    }
}

/// Three places for nodes.
pub struct Cluster {
    pub pki: Pki,
    pub limits: SnapshotLimits,
    dirs: [TempDir; 3],
    peers: [NodeInfo; 3],
    listeners: [Option<TcpListener>; 3],
    pub nodes: [Option<Running>; 3],
    pub boots: [u64; 3],
    /// While true, nothing that the node of this slot writes to its log reaches the disk. Only where `paced`.
    pub stalled: [Arc<AtomicBool>; 3],
    /// The logs are written by tasks that can be stalled.
    pub paced: bool,
    /// While true, the node of this slot reaches nobody; others reach it.
    pub mute: [Arc<AtomicBool>; 3],
    /// What nodes said when they must not go on.
    pub fatal: Arc<Mutex<Vec<(NodeId, String)>>>,
    number: AtomicU64,
    disk: Arc<RocksDisk>,
}

impl Drop for Cluster {
    /// Stops what still runs: RocksDB must not be at work in a thread when the process ends.
    fn drop(&mut self) {
        let running: Vec<Running> = self.nodes.iter_mut().filter_map(Option::take).collect();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for one in running {
                    one.node.kill().await;
                }
            });
        });
    }
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}

fn place(slot: Slot) -> usize {
    usize::from(slot.number() - 1)
}

impl Cluster {
    /// The address of a place, under which a node of another identity can be reached as well.
    pub fn info(&self, slot: Slot) -> NodeInfo {
        self.peers[place(slot)].clone()
    }

    /// Three addresses and directories; nothing runs. What nodes say is shown with a test that fails.
    pub async fn new() -> Self {
        let lines = tracing_subscriber::fmt().with_env_filter("info").with_test_writer().with_ansi(false);
        drop(lines.try_init()); // A test that counts lines has its own.
        let listeners = [listen(0).await, listen(0).await, listen(0).await];
        let peers = Slot::ALL.map(|slot| NodeInfo {
            node: id(slot),
            peer_address: listeners[place(slot)].local_addr().expect("bound").to_string(),
            client_address: format!("{slot}.example:443"),
            disk: [0; 16],
        });
        Self {
            pki: Pki::new(),
            limits: SnapshotLimits::default(),
            dirs: std::array::from_fn(|_| tempfile::tempdir().expect("a directory")),
            peers,
            listeners: listeners.map(Some),
            nodes: [None, None, None],
            boots: [0; 3],
            stalled: Default::default(),
            paced: false,
            mute: Default::default(),
            fatal: Arc::default(),
            number: AtomicU64::new(1),
            disk: Arc::new(RocksDisk::default()),
        }
    }

    /// All three, founded, with an administrator signed in.
    pub async fn founded() -> Self {
        let mut cluster = Self::new().await;
        cluster.found().await;
        cluster
    }

    pub async fn found(&mut self) {
        for slot in Slot::ALL {
            self.start(slot).await;
        }
        self.leader().await;
        until("the first command is applied everywhere", || self.all(is_founded)).await;
        let enrol = Enrol {
            code: CODE,
            password: String::from("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"),
            sign_in: SignIn {
                user: ADMIN,
                session: SESSION,
                token: [4; 32],
                device: DeviceId([5; 16]),
                credential_version: 0,
                rehashed: None,
                attempt: None,
                key: None,
                methods: vec![Method::Code],
                second: None,
                address: None,
            },
        };
        let answer = self.propose(Slot::A, Author::Node, Command::Enrol(enrol), PATIENCE).await.expect("an answer");
        assert!(matches!(answer.result, Ok(Reply::SignedIn { .. })), "{answer:?}");
    }

    pub fn dir(&self, slot: Slot) -> PathBuf {
        self.dirs[place(slot)].path().to_path_buf()
    }

    pub async fn start(&mut self, slot: Slot) {
        let identity = Identity { cluster: CLUSTER, lineage: LINEAGE, node: id(slot), disk: [slot.number(); 16] };
        let tls = self.pki.tls(CLUSTER, slot);
        self.start_as(slot, identity, tls, self.dir(slot)).await;
    }

    /// Starts a node in a place under any identity.
    pub async fn start_as(&mut self, slot: Slot, identity: Identity, tls: PeerTls, dir: PathBuf) {
        self.boots[place(slot)] += 1;
        let port = self.peers[place(slot)].peer_address.rsplit_once(':').expect("host:port").1.to_owned();
        let listener = match self.listeners[place(slot)].take() {
            Some(listener) => listener,
            None => listen(port.parse().expect("a port")).await,
        };
        let log = retry("open the log", || LogStore::open_dir(&self.disk, &dir.join("log"))).await;
        let state = retry("open the state", || StateStore::open(self.disk.clone(), &dir.join("state"))).await;
        let (hub, mut applied) = mpsc::channel::<Applied>(64);
        let (typing_out, typing) = mpsc::channel(16);
        let replaced = Arc::new(AtomicU64::new(0));
        let count = replaced.clone();
        tokio::spawn(async move {
            while let Some(batch) = applied.recv().await {
                count.fetch_add(u64::from(batch.replaced), Ordering::SeqCst);
            }
        });
        let found = Found {
            cluster: identity.cluster,
            lineage: identity.lineage,
            name: String::from("Test"),
            feature_level: 1,
            admin: user(ADMIN, "admin", vec![PermissionSet::Admin], Some(CODE)),
            audit_keys: vec![[1; 32], [2; 32], [3; 32]],
            cluster_key: None,
            request_key: None,
        };
        let mut peers = self.peers.clone();
        peers[place(slot)].node = identity.node;
        let stalled = self.stalled[place(slot)].clone();
        let pace = move || {
            tokio::task::block_in_place(|| {
                while stalled.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            Duration::from_millis(1)
        };
        let fatal = self.fatal.clone();
        let registry = Registry::new();
        let node = Node::start(Config {
            identity,
            boot_seq: self.boots[place(slot)],
            boot_nonce: rand(),
            remembered: Some(dir.join("remembered")),
            peers: peers.to_vec(),
            listen: Box::new(raft::TlsListener::new(listener, &tls)),
            dial: Arc::new(Gate { tls, mute: self.mute[place(slot)].clone() }),
            founding: Some(Founding { found: Some(found), nodes: self.peers.clone(), complete: None }),
            log,
            pace: self.paced.then(|| Box::new(pace) as raft::Pace),
            state,
            hub,
            typing: typing_out,
            time: Arc::new(SystemClock::default()),
            on_fatal: Arc::new(move |why| {
                eprintln!("FATAL {slot}: {why}");
                fatal.lock().expect("not poisoned").push((identity.node, why.to_owned()));
            }),
            registry: registry.clone(),
            version: String::from("1.2.3"),
            client_address: format!("{slot}.example:443"),
            snapshots: self.limits,
            key: None,
        })
        .await
        .expect("the node starts");
        self.nodes[place(slot)] = Some(Running { node, typing, replaced, registry });
    }

    pub async fn kill(&mut self, slot: Slot) {
        self.nodes[place(slot)].take().expect("it runs").node.kill().await;
    }

    pub fn runs(&self, slot: Slot) -> bool {
        self.nodes[place(slot)].is_some()
    }

    pub fn running(&self, slot: Slot) -> &Running {
        self.nodes[place(slot)].as_ref().expect("it runs")
    }

    pub fn node(&self, slot: Slot) -> &RocksNode {
        &self.running(slot).node
    }

    pub fn all(&self, check: impl Fn(&RocksNode) -> bool) -> bool {
        self.nodes.iter().flatten().all(|running| check(&running.node))
    }

    /// What a counter says on all nodes that run.
    pub fn count(&self, name: &str) -> u64 {
        let families = self.nodes.iter().flatten().flat_map(|running| running.registry.gather());
        let metrics = families.filter(|family| family.name() == name).flat_map(|family| family.get_metric().to_vec());
        metrics.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// The slot that leads, once all that run agree.
    pub async fn leader(&self) -> Slot {
        let leader = || {
            let mut leaders = self.nodes.iter().flatten().map(|running| running.node.status().leader);
            let first = leaders.next()??;
            let slot = first.slot()?;
            let runs = self.nodes[place(slot)].is_some();
            (runs && leaders.all(|other| other == Some(first))).then_some(slot)
        };
        until("a leader is agreed on", || leader().is_some()).await;
        leader().expect("just seen")
    }

    pub async fn follower(&self) -> Slot {
        let leader = self.leader().await;
        *Slot::ALL.iter().find(|slot| **slot != leader && self.nodes[place(**slot)].is_some()).expect("one runs")
    }

    pub async fn propose(
        &self,
        via: Slot,
        author: Author,
        command: Command,
        patience: Duration,
    ) -> Result<Answer, ProposeError> {
        let envelope = Envelope { origin: self.node(via).node(), author, command };
        self.node(via).propose(envelope, Instant::now() + patience).await
    }

    /// Creates a user through a node and returns their id.
    pub async fn create_user(&self, via: Slot) -> UserId {
        self.try_create_user(via, PATIENCE).await.expect("an answer")
    }

    pub async fn try_create_user(&self, via: Slot, patience: Duration) -> Result<UserId, ProposeError> {
        let (envelope, user) = self.next_user(via);
        let answer = self.node(via).propose(envelope, Instant::now() + patience).await?;
        assert_eq!(answer.result, Ok(Reply::Users(vec![user])));
        Ok(user)
    }

    /// The command that creates the next user.
    pub fn next_user(&self, via: Slot) -> (Envelope, UserId) {
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0xee; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let new = user(UserId(bytes), &format!("user{number}"), Vec::new(), None);
        let request = Request { session: SESSION, number, settled: 1.max(number.saturating_sub(100)), content: bytes };
        let command = Command::CreateUsers(vec![new]);
        let envelope = Envelope { origin: self.node(via).node(), author: Author::Session(request), command };
        (envelope, UserId(bytes))
    }

    pub fn has_user(&self, slot: Slot, user: UserId) -> bool {
        has_user(self.node(slot), user)
    }
}

pub fn has_user(node: &RocksNode, user: UserId) -> bool {
    state::Rows::user(&node.view(), user).expect("readable").is_some()
}

pub fn is_founded(node: &RocksNode) -> bool {
    state::Rows::cluster(&node.view()).expect("readable").is_some()
}

pub fn leads(node: &RocksNode) -> bool {
    let status = node.status();
    status.nodes.iter().any(|one| one.node == node.node() && one.role == Role::Leader)
}

fn user(id: UserId, login: &str, permissions: Vec<PermissionSet>, enrolment: Option<[u8; 32]>) -> NewUser {
    NewUser {
        id,
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: login.to_owned(),
        display_name: format!("Someone {login}"),
        unit: String::new(),
        words: vec![login.to_owned()],
        external_ids: Vec::new(),
        may_message: true,
        permissions,
        enrolment,
        sealed_name: Vec::new(),
        key: None,
    }
}

async fn listen(port: u16) -> TcpListener {
    let began = Instant::now();
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(error) => assert!(began.elapsed() < PATIENCE, "listen on {port}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The node that ran there may still be letting go of its files.
async fn retry<T, E: std::fmt::Debug>(what: &str, mut action: impl FnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match action() {
            Ok(done) => return done,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{what}: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
