//! What all parts of a run share: the places, the clock, the seed, what clients saw.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use checker::Recorder;
use raft::NodeInfo;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use types::command::{AddDataKey, Found, NewUser};
use types::key::{Envelope as KeyEnvelope, Holder, NewClusterKey};
use types::user::{PermissionSet, Realm, UserKind};
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, UserId};

use crate::people::Door;
use crate::place::Place;
use crate::run::Plan;
use crate::trace::Trace;

pub(crate) const CLUSTER: ClusterId = ClusterId([0xc1; 16]);
pub(crate) const LINEAGE: Lineage = Lineage([0x11; 16]);
pub(crate) const PEER_PORT: u16 = 7_400;
pub(crate) const CLIENT_PORT: u16 = 443;
pub(crate) const ADMIN_CODE: &str = "ABCD-EFGH-JKMN-PQRS";

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Founding, signing in.
    Begin,
    /// Faults.
    Safety,
    /// All is healed; writes must go on.
    Liveness,
    /// Nothing is written any more; all nodes are read.
    Settle,
}

/// Shared by everything in a run.
pub(crate) struct Sim {
    pub(crate) plan: Plan,
    pub(crate) places: [Place; 3],
    /// Milliseconds since the run began.
    pub(crate) now_ms: Arc<AtomicU64>,
    pub(crate) recorder: Recorder,
    pub(crate) trace: Trace,
    /// Where everybody writes to, once someone has made it.
    pub(crate) door: Mutex<Option<Door>>,
    /// Writes acknowledged since all was healed, by client.
    pub(crate) healed_acks: Vec<AtomicU64>,
    /// Clients that have signed in, and those that have read everything in the end.
    pub(crate) ready: Vec<AtomicBool>,
    pub(crate) listed: Vec<AtomicBool>,
    /// The ward has begun.
    pub(crate) ward_ready: AtomicBool,
    /// What clients saw that must not be, until it is told.
    found: Mutex<Vec<String>>,
    /// A place whose disk was lost, until a new node has taken it.
    pub(crate) newcomer: Mutex<Option<Slot>>,
    phase: AtomicU8,
    rng: Mutex<StdRng>,
    _dir: TempDir,
}

impl Sim {
    pub(crate) fn new(plan: Plan) -> Self {
        let dir = tempfile::Builder::new().prefix("tricord-sim").tempdir_in(memory()).expect("a directory");
        let places = Slot::ALL.map(|slot| Place::new(slot, dir.path().join(slot.letter())));
        let flags = || (0..plan.clients).map(|_| AtomicBool::new(false)).collect();
        Self {
            places,
            now_ms: Arc::default(),
            recorder: Recorder::default(),
            trace: Trace::new(plan.aloud),
            door: Mutex::default(),
            healed_acks: (0..plan.clients).map(|_| AtomicU64::new(0)).collect(),
            ready: flags(),
            listed: flags(),
            ward_ready: AtomicBool::new(false),
            found: Mutex::default(),
            newcomer: Mutex::default(),
            phase: AtomicU8::new(Phase::Begin as u8),
            rng: Mutex::new(StdRng::seed_from_u64(plan.seed)),
            _dir: dir,
            plan,
        }
    }

    pub(crate) fn place(&self, slot: Slot) -> &Place {
        &self.places[usize::from(slot.number() - 1)]
    }

    /// Everybody's name in the network.
    pub(crate) fn everybody(&self) -> Vec<String> {
        let nodes = Slot::ALL.map(|slot| slot.letter().to_owned());
        let clients = (0..self.plan.clients).map(|number| format!("client{number}"));
        nodes.into_iter().chain(clients).chain([String::from("ward")]).collect()
    }

    /// The place that a new node is on its way to.
    pub(crate) fn newcomer(&self) -> Option<Slot> {
        *self.newcomer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which place that is now.
    pub(crate) fn set_newcomer(&self, slot: Option<Slot>) {
        *self.newcomer.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }

    pub(crate) fn now(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn say(&self, line: &str) {
        self.trace.say(self.now(), line);
    }

    /// A client saw what must not be.
    pub(crate) fn found(&self, what: &str) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }

    /// What clients have seen that must not be, since this was last asked.
    pub(crate) fn take_found(&self) -> Vec<String> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn random(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A number below `n`.
    pub(crate) fn below(&self, n: u64) -> u64 {
        self.random() % n.max(1)
    }

    pub(crate) fn phase(&self) -> Phase {
        let number = self.phase.load(Ordering::Relaxed);
        let all = [Phase::Begin, Phase::Safety, Phase::Liveness, Phase::Settle];
        all.into_iter().find(|phase| *phase as u8 == number).unwrap_or(Phase::Settle)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.say(&format!("{phase:?}"));
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// A file system in memory, where there is one.
fn memory() -> std::path::PathBuf {
    let shm = std::path::PathBuf::from("/dev/shm");
    if shm.is_dir() { shm } else { std::env::temp_dir() }
}

pub(crate) fn id(slot: Slot) -> NodeId {
    NodeId::new(slot, Incarnation(1))
}

pub(crate) fn peers() -> [NodeInfo; 3] {
    Slot::ALL.map(|slot| NodeInfo {
        node: id(slot),
        peer_address: format!("{}:{PEER_PORT}", slot.letter()),
        client_address: format!("{}:{CLIENT_PORT}", slot.letter()),
        disk: disk(id(slot)),
    })
}

/// What a node signs heads of the audit log with.
///
/// # Panics
///
/// Never: any seed makes a key, and the name is a good one.
pub(crate) fn signer(node: NodeId) -> record::note::Signer {
    let name = record::checkpoint::key_name(CLUSTER, node);
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&node.0.to_be_bytes());
    record::note::Signer::from_seed(&name, seed).expect("a key")
}

/// The id of a node's disk.
pub(crate) fn disk(node: NodeId) -> [u8; 16] {
    let mut disk = [0xd1; 16];
    disk[..8].copy_from_slice(&node.0.to_be_bytes());
    disk
}

pub(crate) fn founding() -> Found {
    let admin = NewUser {
        id: UserId([0xad; 16]),
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: String::from("admin"),
        display_name: String::from("Administrator"),
        unit: String::new(),
        words: vec![String::from("admin")],
        external_ids: Vec::new(),
        may_message: true,
        permissions: vec![PermissionSet::Admin],
        enrolment: Some(Sha256::digest(ADMIN_CODE.replace('-', "")).into()),
        sealed_name: Vec::new(),
        key: None,
    };
    Found {
        cluster: CLUSTER,
        lineage: LINEAGE,
        name: String::from("Sim"),
        feature_level: 1,
        admin,
        audit_keys: Slot::ALL.map(|slot| *signer(id(slot)).verifier().key()).to_vec(),
        cluster_key: Some(first_keys().0.clone()),
        request_key: Some(first_keys().1.clone()),
    }
}

/// A node's key pair: no seed draws it.
pub(crate) fn pair(slot: Slot) -> seal::NodeKey {
    seal::NodeKey::from_private(&[slot.number(); 32])
}

/// The first cluster key and the key of requests: made once, on a thread whose randomness is not the run's, so that each run of a seed draws the same.
///
/// # Panics
///
/// When the system gives no randomness.
fn first_keys() -> &'static (NewClusterKey, AddDataKey) {
    static KEYS: OnceLock<(NewClusterKey, AddDataKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let made = std::thread::spawn(|| {
            let key = seal::ClusterKey::generate(1)?;
            let kit = seal::NodeKey::from_private(&[0xee; 32]);
            let nodes = Slot::ALL.map(|slot| (Holder::Node(id(slot)), pair(slot)));
            let envelope = |(holder, pair): (Holder, seal::NodeKey)| {
                let public = pair.public()?;
                Ok(KeyEnvelope { holder, public: public.0, sealed: key.envelope(&public)? })
            };
            let envelopes = std::iter::once((Holder::Recovery, kit)).chain(nodes).map(envelope);
            let envelopes = envelopes.collect::<Result<Vec<_>, seal::Error>>()?;
            let requests = seal::RequestKey::mint(&key)?;
            Ok::<_, seal::Error>((NewClusterKey { version: 1, check: key.check_value(), envelopes }, requests))
        });
        made.join().expect("no panic").expect("a key")
    })
}
