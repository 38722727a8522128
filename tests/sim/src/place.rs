//! One place of the cluster: a disk, a clock, and the node that runs there, if one does.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft::{Applied, Config, Founding, Identity, Node, Time, Typing};
use services::{Newcomer, PasswordCost, Services};
use store::engine::{Kind, MemDisk, MemEngine};
use store::{Disk, LogStore, StateStore};
use tokio::sync::{Notify, mpsc};
use tonic::transport::Server;
use turmoil::net::TcpListener;
use types::{Incarnation, NodeId, Slot};

use crate::cluster::{CLIENT_PORT, CLUSTER, LINEAGE, PEER_PORT, Sim, disk, founding, pair, peers, signer};
use crate::net::{Accepted, SimDial, SimListener};

pub(crate) type SimNode = Node<MemEngine>;

/// 2026-11-22T00:00:00Z.
const EPOCH_MS: u64 = 1_795_305_600_000;

/// A place.
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) disk: MemDisk,
    dir: PathBuf,
    boots: AtomicU64,
    /// Which of the nodes of this place is here: another one with each disk.
    incarnation: AtomicU32,
    /// How far this machine's clock is from the right time.
    pub(crate) clock_off_ms: Arc<AtomicI64>,
    /// How far its clock that never goes back is from everybody's.
    ahead_ms: Arc<AtomicU64>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    node: Option<SimNode>,
    /// Why the process ended itself.
    fatal: Option<String>,
    /// Why the node did not start.
    refused: Option<String>,
    stop: Option<Arc<Notify>>,
    /// Sets the clock of the process on, by milliseconds.
    jump: Option<mpsc::UnboundedSender<u64>>,
    /// Until then nothing is written.
    stalled_until_ms: u64,
    /// A write takes so long, in microseconds.
    write_us: u64,
}

impl Place {
    pub(crate) fn new(slot: Slot, dir: PathBuf) -> Self {
        let inner = Mutex::new(Inner { write_us: 300, ..Inner::default() });
        let (boots, clock_off_ms, ahead_ms) = (AtomicU64::new(0), Arc::default(), Arc::default());
        Self {
            slot,
            disk: MemDisk::default(),
            dir,
            boots,
            incarnation: AtomicU32::new(1),
            clock_off_ms,
            ahead_ms,
            inner,
        }
    }

    /// The node that is here.
    pub(crate) fn id(&self) -> NodeId {
        NodeId::new(self.slot, Incarnation(self.incarnation.load(Ordering::Relaxed)))
    }

    /// Takes its disk away for ever: the next node of this place begins with an empty one.
    pub(crate) fn lose_disk(&self) {
        self.incarnation.fetch_add(1, Ordering::Relaxed);
        self.boots.store(0, Ordering::Relaxed);
    }

    pub(crate) fn host(&self) -> &'static str {
        match self.slot {
            Slot::A => "a",
            Slot::B => "b",
            Slot::C => "c",
        }
    }

    pub(crate) fn node(&self) -> Option<SimNode> {
        self.lock().node.clone()
    }

    /// Takes away what a process had: all that outlives it is on the disk.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        (inner.stop, inner.fatal, inner.refused, inner.jump) = (None, None, None, None);
        let node = inner.node.take();
        drop(inner);
        drop(node);
    }

    pub(crate) fn fatal(&self) -> Option<String> {
        self.lock().fatal.clone()
    }

    pub(crate) fn refused(&self) -> Option<String> {
        self.lock().refused.clone()
    }

    /// Asks the node to stop in order.
    pub(crate) fn stop(&self) {
        if let Some(stop) = &self.lock().stop {
            stop.notify_one();
        }
    }

    /// The process finds that it is so much later than it was: its timers that are due fire at once.
    pub(crate) fn jump(&self, ms: u64) {
        if let Some(jump) = &self.lock().jump {
            let _ = jump.send(ms); // One that has ended needs no clock.
        }
    }

    pub(crate) fn stall_until(&self, ms: u64) {
        self.lock().stalled_until_ms = ms;
    }

    pub(crate) fn write_takes_us(&self, us: u64) {
        self.lock().write_us = us;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SimTime {
    now_ms: Arc<AtomicU64>,
    off_ms: Arc<AtomicI64>,
    ahead_ms: Arc<AtomicU64>,
}

impl Time for SimTime {
    fn wall_ms(&self) -> u64 {
        (EPOCH_MS + self.now_ms.load(Ordering::Relaxed)).saturating_add_signed(self.off_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::Relaxed) + self.ahead_ms.load(Ordering::Relaxed))
    }
}

/// A node's process, from its start to its end in order.
pub(crate) async fn process(sim: Arc<Sim>, slot: Slot) -> turmoil::Result {
    if let Err(error) = serve(&sim, slot).await {
        let place = sim.place(slot);
        sim.say(&format!("{} does not start: {error}", place.host()));
        place.lock().refused = Some(error.to_string());
    }
    Ok(())
}

async fn serve(sim: &Arc<Sim>, slot: Slot) -> turmoil::Result {
    let place = sim.place(slot);
    let boot = place.boots.fetch_add(1, Ordering::Relaxed) + 1;
    let id = place.id();
    let dir = place.dir.join(id.to_string());
    let log = LogStore::open(place.disk.open(&dir.join("log"), Kind::Log)?)?;
    let state = StateStore::open(Arc::new(place.disk.clone()), &dir.join("state"))?;
    let peer_port = TcpListener::bind(("0.0.0.0", PEER_PORT)).await?;
    let client_port = TcpListener::bind(("0.0.0.0", CLIENT_PORT)).await?;
    let (hub, applied) = mpsc::channel::<Applied>(256);
    let (typing, notices) = mpsc::channel::<Typing>(64);
    let identity = Identity { cluster: CLUSTER, lineage: LINEAGE, node: id, disk: disk(id) };
    let mut known = peers();
    let here = &mut known[usize::from(slot.number() - 1)];
    (here.node, here.disk) = (id, identity.disk);
    let own = raft::Certified { cluster: CLUSTER, slot };
    let registry = prometheus::Registry::new();
    let (fatal_sim, pace_sim) = (sim.clone(), sim.clone());
    let node = Node::start(Config {
        identity,
        boot_seq: boot,
        boot_nonce: sim.random(),
        remembered: Some(dir.join("remembered")),
        peers: known.to_vec(),
        dial: Arc::new(SimDial(own)),
        listen: Box::new(SimListener(peer_port)),
        founding: Some(Founding { found: Some(founding()), nodes: peers(), complete: None }),
        log,
        pace: Some(Box::new(move || pace(&pace_sim, slot))),
        state,
        hub,
        typing,
        time: Arc::new(SimTime {
            now_ms: sim.now_ms.clone(),
            off_ms: place.clock_off_ms.clone(),
            ahead_ms: place.ahead_ms.clone(),
        }),
        on_fatal: Arc::new(move |why| {
            let place = fatal_sim.place(slot);
            fatal_sim.say(&format!("{} ends itself: {why}", place.host()));
            place.lock().fatal.get_or_insert_with(|| why.to_owned());
        }),
        registry: registry.clone(),
        version: String::from("sim"),
        client_address: format!("{}:{CLIENT_PORT}", place.host()),
        snapshots: sim.plan.snapshots,
        key: None,
    })
    .await?;
    let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
    let options = services::Config {
        epoch: boot,
        password_cost: cost,
        audit_key: Some(Arc::new(signer(id))),
        audit_spool: Some(dir.join("audit.spool")),
    };
    let metrics = services::Metrics::register(&registry)?;
    let services = Services::start(node.clone(), options, pair(slot), metrics, applied, notices)?;
    tokio::spawn(admit(sim.clone(), slot, services.clone()));
    let stop = Arc::new(Notify::new());
    let (jump, mut jumps) = mpsc::unbounded_channel();
    let ahead_ms = place.ahead_ms.clone();
    tokio::spawn(async move {
        while let Some(ms) = jumps.recv().await {
            ahead_ms.fetch_add(ms, Ordering::Relaxed);
            tokio::time::advance(Duration::from_millis(ms)).await;
        }
    });
    {
        let mut inner = place.lock();
        (inner.node, inner.stop, inner.jump) = (Some(node.clone()), Some(stop.clone()), Some(jump));
    }
    sim.say(&format!("{} runs", place.host()));
    let connections = futures::stream::unfold(client_port, |port| async move {
        let accepted = port.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, port))
    });
    let server = Server::builder().add_routes(services.routes()).serve_with_incoming(Box::pin(connections));
    tokio::select! {
        served = server => served?,
        () = stop.notified() => {
            services.shut_down(Duration::from_millis(500)).await;
            drop(services);
            place.lock().node = None;
            node.shutdown().await?;
            sim.say(&format!("{} has stopped", place.host()));
        }
    }
    Ok(())
}

/// Lets in who is on the way to another place, as an operator would on any machine that answers, until it counts.
async fn admit(sim: Arc<Sim>, slot: Slot, services: Services<SimNode>) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(wanted) = sim.newcomer().filter(|wanted| *wanted != slot) else { continue };
        let place = sim.place(wanted);
        let Some(here) = sim.place(slot).node() else { return };
        let info = &peers()[usize::from(wanted.number() - 1)];
        let Ok(seats) = here.seats() else { continue };
        match seats.into_iter().find(|(node, _)| *node == place.id()) {
            Some((_, seat)) if seat.seated.is_some() => {
                sim.say(&format!("{} counts", place.id()));
                sim.set_newcomer(None);
            }
            Some(_) => {}
            None => {
                let Ok(public) = pair(wanted).public() else { return };
                let newcomer = Newcomer {
                    node: place.id(),
                    disk: disk(place.id()),
                    public,
                    peer_address: info.peer_address.clone(),
                    client_address: info.client_address.clone(),
                };
                let answer = services.admit_node(newcomer).await;
                sim.say(&format!("{} lets {} in: {}", sim.place(slot).host(), place.id(), answer.is_ok()));
            }
        }
    }
}

/// How long the disk takes for the next write.
fn pace(sim: &Sim, slot: Slot) -> Duration {
    let inner = sim.place(slot).lock();
    let (stalled_until, write_us) = (inner.stalled_until_ms, inner.write_us);
    drop(inner);
    let now = sim.now();
    if stalled_until > now {
        return Duration::from_millis(stalled_until - now);
    }
    Duration::from_micros(write_us / 2 + sim.random() % write_us.max(1))
}
