//! One node without Raft: the handle's promises over `state::apply` and a sorted map.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use raft::TreeNodes;
use raft::{Applied, BarrierError, ClusterStatus, Handle, NodeStatus, ProposeError, Role, Typing};
use record::tree::{Edge, STORED_LEVEL_MIN};
use state::View;
use state::model::Model;
use tokio::sync::{mpsc, watch};
use types::reply::Answer;
use types::row::Heads;
use types::{Command, Envelope, Incarnation, Key, NodeId, Row, Slot, Timestamp};

/// What the node has applied, as of one moment.
#[derive(Clone)]
pub struct Snapshot(Arc<Model>);

impl Snapshot {
    pub fn rows(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.0.rows.iter()
    }
}

impl View for Snapshot {
    type Fault = raft::Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, raft::Fault> {
        let Ok(row) = self.0.get(key);
        Ok(row)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, raft::Fault> {
        let Ok(rows) = self.0.scan(from, to, reverse, limit);
        Ok(rows)
    }
}

#[derive(Clone)]
pub struct SingleNode {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held over apply and telling, so that batches are told in order; taken in the order of first polls.
    order: tokio::sync::Mutex<mpsc::Sender<Applied>>,
    model: Mutex<Arc<Model>>,
    heads: watch::Sender<Heads>,
    stale: Mutex<Option<Duration>>,
    no_majority: Mutex<bool>,
    no_room_for_keys: Mutex<bool>,
    typing: Mutex<Vec<Typing>>,
}

impl SingleNode {
    pub fn new(applied: mpsc::Sender<Applied>) -> Self {
        Self {
            shared: Arc::new(Shared {
                order: tokio::sync::Mutex::new(applied),
                model: Mutex::default(),
                heads: watch::Sender::new(Heads::default()),
                stale: Mutex::default(),
                no_majority: Mutex::default(),
                no_room_for_keys: Mutex::default(),
                typing: Mutex::default(),
            }),
        }
    }

    pub fn set_stale(&self, age: Option<Duration>) {
        *self.shared.stale.lock().unwrap() = age;
    }

    pub fn set_no_majority(&self, none: bool) {
        *self.shared.no_majority.lock().unwrap() = none;
    }

    /// While true, no key of data is added, as when disks are nearly full.
    pub fn set_no_room_for_keys(&self, none: bool) {
        *self.shared.no_room_for_keys.lock().unwrap() = none;
    }

    pub fn typing(&self) -> Vec<Typing> {
        self.shared.typing.lock().unwrap().clone()
    }

    /// Tells the services that the whole state was replaced.
    pub async fn replace(&self) {
        let heads = *self.shared.heads.borrow();
        let batch = Applied { heads, events: Arc::new([]), presence: Arc::new([]), replaced: true };
        self.shared.order.lock().await.send(batch).await.unwrap();
    }

    /// Until this is dropped nothing that is put is carried out.
    pub async fn hold(&self) -> impl Sized + '_ {
        self.shared.order.lock().await
    }

    /// Puts rows where they are, without a command.
    pub fn insert(&self, rows: Vec<(Key, Row)>) {
        Arc::make_mut(&mut self.shared.model.lock().unwrap()).rows.extend(rows);
    }

    pub async fn apply(&self, envelope: Envelope) -> Answer {
        self.apply_at(envelope, now()).await
    }

    pub async fn apply_at(&self, envelope: Envelope, at: Timestamp) -> Answer {
        let applied = self.shared.order.lock().await;
        let (outcome, heads) = {
            let mut model = self.shared.model.lock().unwrap();
            let outcome = Arc::make_mut(&mut model).apply(at, &envelope);
            grow(&mut model, &outcome);
            let Some(Row::Heads(heads)) = model.rows.get(&Key::Heads()).cloned() else { panic!("no heads") };
            (outcome, heads)
        };
        self.shared.heads.send_replace(heads);
        let batch =
            Applied { heads, events: outcome.events.into(), presence: outcome.presence.into(), replaced: false };
        let _ = applied.send(batch).await;
        outcome.answer
    }
}

/// Grows the audit tree with the records, as the store does.
fn grow(model: &mut Arc<Model>, outcome: &state::Outcome) {
    for (key, row) in &outcome.changes {
        let (Key::Record(index), Some(row)) = (key, row) else { continue };
        let mut edge = Edge::of(&TreeNodes(&Snapshot(Arc::clone(model))), *index).unwrap();
        let rows = &mut Arc::make_mut(model).rows;
        edge.push(record::leaf_hash(&codec::encode_row(row)), |level, place, hash| {
            if level >= STORED_LEVEL_MIN {
                rows.insert(Key::TreeNode(level, place), Row::TreeNode(hash));
            }
        });
    }
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as u64)
}

pub const NODE: NodeId = NodeId::new(Slot::A, Incarnation(1));

impl Handle for SingleNode {
    type View = Snapshot;

    fn node(&self) -> NodeId {
        NODE
    }

    async fn propose(&self, envelope: Envelope, _deadline: Instant) -> Result<Answer, ProposeError> {
        if *self.shared.no_majority.lock().unwrap() {
            return Err(ProposeError::NoMajority);
        }
        if matches!(envelope.command, Command::AddDataKey(_)) && *self.shared.no_room_for_keys.lock().unwrap() {
            return Err(ProposeError::DiskFull);
        }
        Ok(self.apply(envelope).await)
    }

    fn view(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.shared.model.lock().unwrap()))
    }

    fn heads(&self) -> watch::Receiver<Heads> {
        self.shared.heads.subscribe()
    }

    async fn read_barrier(&self, _deadline: Instant) -> Result<(), BarrierError> {
        if *self.shared.no_majority.lock().unwrap() { Err(BarrierError::NoMajority) } else { Ok(()) }
    }

    fn stale_age(&self) -> Option<Duration> {
        *self.shared.stale.lock().unwrap()
    }

    fn status(&self) -> ClusterStatus {
        let node = |slot| NodeStatus {
            slot,
            node: NodeId::new(slot, Incarnation(1)),
            reachable: true,
            role: if slot == Slot::A { Role::Leader } else { Role::Follower },
            applied: 5,
            last_log: 5,
            version: "test".into(),
            client_address: String::new(),
            last_seen: None,
            streams: 0,
            disk_free: None,
            disk_low: false,
            disk_full: false,
            public_key: None,
            key_protection: String::new(),
            feature_level: 0,
            certificates_expire: None,
            vitals: None,
            snapshot: None,
        };
        ClusterStatus { term: 1, leader: Some(NODE), nodes: Slot::ALL.map(node) }
    }

    fn send_typing(&self, typing: Typing) {
        self.shared.typing.lock().unwrap().push(typing);
    }
}
