//! The state of one node, with keys that open.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use record::checkpoint::{Checkpoint, key_name, origin};
use record::note::Signer;
use record::{FoundingKeys, tree};
use seal::{ClusterKey, DataKey, NodeKey, Place};
use state::view::{Rows, heads};
use store::{LogId, Payload, RocksDisk, RocksEngine, Snapshot, StateStore, StateView, TreeNodes};
use types::command::*;
use types::conversation::{ConversationKind, POLICY_FROM_JOINING};
use types::key::{Envelope as KeyEnvelope, Holder, KeyScope, Month, NewClusterKey};
use types::message::{Header, MessageKind, Priority};
use types::seat::AdmitNode;
use types::user::{PermissionSet, Realm, UserKind};
use types::{
    Author, ClusterId, Command, ConversationId, DeviceId, Entry, Envelope, Incarnation, Lineage, NodeId, Request, Row,
    SessionId, Slot, Table, Timestamp, UserId,
};

use crate::{Error, Evidence, Made, Opener, Order, Pace, Series, Target, create};

pub(super) const CLUSTER: ClusterId = ClusterId([2; 16]);
const A: NodeId = NodeId::new(Slot::A, Incarnation(1));
const TALK: ConversationId = ConversationId([7; 16]);
const ADMIN: UserId = UserId([1; 16]);

pub(super) struct World {
    dir: tempfile::TempDir,
    store: StateStore<RocksEngine>,
    index: u64,
    number: u64,
    now: u64,
    kit: NodeKey,
    key: DataKey,
    founding: FoundingKeys,
    nodes: [NodeId; 3],
    signers: [Signer; 3],
}

impl World {
    /// Founded, with an administrator signed in, a conversation, and a key for it.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("room")).expect("a room");
        let store = StateStore::open(Arc::new(RocksDisk::default()), &dir.path().join("state")).expect("opens");
        let (kit, cluster) = (NodeKey::generate().expect("a pair"), ClusterKey::generate(1).expect("a key"));
        let (key, wrapped) = DataKey::mint(&cluster, KeyScope::Conversation(TALK), Month(0)).expect("a key");
        let nodes = Slot::ALL.map(|slot| NodeId::new(slot, Incarnation(1)));
        let signers = nodes.map(signer);
        let founding = FoundingKeys::new(CLUSTER, signers.each_ref().map(|one| *one.verifier().key())).expect("keys");
        let mut world = Self { dir, store, index: 0, number: 0, now: 1_000_000, kit, key, founding, nodes, signers };
        let public = world.kit.public().expect("public");
        let envelope = KeyEnvelope {
            holder: Holder::Recovery,
            public: public.0,
            sealed: cluster.envelope(&public).expect("seals"),
        };
        let cluster_key = NewClusterKey { version: 1, check: cluster.check_value(), envelopes: vec![envelope] };
        world.apply(Payload::Membership(vec![3].into()));
        let keys = (cluster_key, seal::RequestKey::mint(&cluster).expect("a key"));
        world.node(A, Command::Found(found(world.signers.each_ref().map(|one| *one.verifier().key()), keys)));
        world.node(A, Command::RenewLease(Lease { epoch: 1 }));
        world.node(A, Command::Enrol(enrol()));
        let id = world.key.id();
        let add = AddDataKey { id, scope: KeyScope::Conversation(TALK), month: Month(0), version: 1, wrapped };
        world.node(A, Command::AddDataKey(add));
        world.by_admin(Command::CreateConversation(CreateConversation {
            id: TALK,
            kind: ConversationKind::Group,
            title: Vec::new(),
            history: POLICY_FROM_JOINING,
            subject: None,
            participants: Vec::new(),
            key: None,
        }));
        world
    }

    fn apply(&mut self, payload: Payload) {
        let id = LogId { term: 1, node: A, index: self.index };
        self.store.apply(vec![(id, payload)]).expect("applies");
        self.index += 1;
    }

    fn put(&mut self, origin: NodeId, author: Author, command: Command) {
        self.now += 1_000;
        let entry = Entry { at: Timestamp(self.now), envelopes: vec![Envelope { origin, author, command }] };
        self.apply(Payload::Commands(codec::encode_entry(&entry).into()));
    }

    pub fn node(&mut self, origin: NodeId, command: Command) {
        self.put(origin, Author::Node, command);
    }

    fn by_admin(&mut self, command: Command) {
        self.number += 1;
        let (number, settled) = (self.number, self.number);
        let request = Request { session: SessionId([1; 16]), number, settled, content: [0; 16] };
        self.put(A, Author::Session(request), command);
    }

    pub fn post(&mut self, count: usize) {
        for at in 0..count {
            let place = Place::Message(TALK, MessageKind::TEXT, ADMIN);
            let sealed = seal::message(&self.key, &place, &format!("the canary sings {at}")).expect("seals");
            let header = Header {
                kind: MessageKind::TEXT,
                priority: Priority::Routine,
                reply_to: None,
                supersedes: None,
                expires_at: None,
                mentions: Vec::new(),
            };
            self.by_admin(Command::Post(Post { conversation: TALK, location: None, header, sealed }));
        }
    }

    /// The next node of a slot takes it, and begins to sign; none of before has vouched for it yet.
    pub fn replace(&mut self, slot: Slot) {
        let at = usize::from(slot.number() - 1);
        let node = NodeId::new(slot, Incarnation(self.nodes[at].incarnation().0 + 1));
        let envelope = KeyEnvelope { holder: Holder::Node(node), public: [4; 32], sealed: vec![1] };
        self.node(
            A,
            Command::AdmitNode(AdmitNode {
                node,
                disk: [4; 16],
                public: [4; 32],
                peer_address: "new:1".into(),
                client_address: "new:2".into(),
                envelopes: vec![(1, envelope)],
            }),
        );
        self.node(A, Command::SeatNode(node));
        (self.nodes[at], self.signers[at]) = (node, signer(node));
        self.node(node, Command::SetSigner(*self.signers[at].verifier().key()));
        assert!(self.store.view().signer(node).expect("readable").is_some(), "{node} signs");
    }

    /// Two nodes sign the tree as it is.
    pub fn seal_head(&mut self) {
        self.seal_head_by([Slot::A, Slot::B]);
    }

    pub fn seal_head_by(&mut self, slots: [Slot; 2]) {
        self.now += 10_000;
        self.node(A, Command::Tick); // If time has stepped, that is a record, which the head is to hold.
        self.node(A, Command::MarkHead);
        let view = self.store.view();
        let size = heads(&view).expect("heads").records;
        let number = view.head(size).expect("readable").expect("marked").number;
        let root = tree::root(&TreeNodes(&view), size).expect("whole");
        let text = Checkpoint { origin: origin(CLUSTER), size, root }.text();
        for at in slots.map(|slot| usize::from(slot.number() - 1)) {
            let signature = self.signers[at].sign(&text);
            self.node(self.nodes[at], Command::SignHead(SignHead { number, size, root, signature }));
        }
        let sealed = self.store.view().head(size).expect("readable").expect("there").sealed;
        assert!(sealed.is_some(), "two signatures seal a head");
    }

    pub fn snapshot(&self) -> Snapshot {
        self.store.build_snapshot().expect("a snapshot")
    }

    pub fn back_up(&mut self, target: &Target) -> Result<Made, Error> {
        let snapshot = self.snapshot();
        self.back_up_of(target, snapshot)
    }

    pub fn back_up_of(&mut self, target: &Target, snapshot: Snapshot) -> Result<Made, Error> {
        self.back_up_at(target, snapshot, Pace::unbounded(), &mut |_, _| {})
    }

    pub fn back_up_at(
        &mut self,
        target: &Target,
        snapshot: Snapshot,
        pace: Pace,
        progress: crate::Progress<'_>,
    ) -> Result<Made, Error> {
        let order = self.order(target, snapshot)?;
        create(&order, target, &self.series(), Some(&self.signers[0]), pace, progress)
    }

    /// As an earlier release made it, which dated it by the machine's clock.
    pub fn back_up_dated(&mut self, target: &Target, created: Timestamp) -> Result<Made, Error> {
        let snapshot = self.snapshot();
        let order = Order { created, ..self.order(target, snapshot)? };
        create(&order, target, &self.series(), Some(&self.signers[0]), Pace::unbounded(), &mut |_, _| {})
    }

    fn order(&mut self, target: &Target, snapshot: Snapshot) -> Result<Order, Error> {
        self.now += 60_000;
        let view = StateView::of_checkpoint(&RocksDisk::default(), &snapshot.dir())?;
        let mut order = Order::new(snapshot, &view, self.nodes[0], target)?;
        order.evidence = Evidence::of(&self.store.view(), order.records, &order.signers)?;
        Ok(order)
    }

    pub fn records(&self) -> u64 {
        heads(&self.store.view()).expect("heads").records
    }

    pub fn sealed_heads(&self) -> usize {
        let mut sealed = 0;
        let counted = self.store.view().each(Table::Head, &mut |_, value| {
            let row = codec::decode_row(Table::Head, value)?;
            sealed += usize::from(matches!(row, Row::Head(head) if head.sealed.is_some()));
            Ok(ControlFlow::Continue(()))
        });
        counted.expect("readable");
        sealed
    }

    /// The time that the cluster has.
    pub fn clock(&self) -> Timestamp {
        heads(&self.store.view()).expect("heads").clock
    }

    pub fn series_file(&self) -> PathBuf {
        self.dir.path().join("backup.series")
    }

    pub fn series(&self) -> Series {
        let whose = (CLUSTER, Lineage([3; 16]));
        let public = self.kit.public().expect("public");
        Series::go_on(&self.series_file(), whose, public, Timestamp(self.now)).expect("a series")
    }

    pub fn later(&mut self, ms: u64) {
        self.now += ms;
    }

    pub fn kit(&self) -> Opener {
        Opener::Kit(NodeKey::from_private(self.kit.private_bytes()))
    }

    pub fn founding(&self) -> FoundingKeys {
        self.founding.clone()
    }

    /// The keys of those who sign now, as `--signers` takes them.
    pub fn signers(&self) -> String {
        self.signers.iter().map(|one| format!("{}\n", one.verifier())).collect()
    }

    /// Where backups are restored to be verified.
    pub fn room(&self) -> &Path {
        Box::leak(self.dir.path().join("room").into_boxed_path())
    }
}

fn signer(node: NodeId) -> Signer {
    let number = node.incarnation().0 * 8 + u32::from(node.slot().map_or(0, Slot::number));
    Signer::from_seed(&key_name(CLUSTER, node), [u8::try_from(number).expect("a few"); 32]).expect("a signer")
}

fn found(audit_keys: [[u8; 32]; 3], (cluster_key, request_key): (NewClusterKey, AddDataKey)) -> Found {
    let admin = NewUser {
        id: ADMIN,
        kind: UserKind::Person,
        realm: Realm::Staff,
        login: "admin".into(),
        display_name: "First".into(),
        unit: String::new(),
        words: vec!["first".into()],
        external_ids: Vec::new(),
        may_message: true,
        permissions: vec![PermissionSet::Admin],
        enrolment: Some([8; 32]),
        sealed_name: Vec::new(),
        key: None,
    };
    Found {
        cluster: CLUSTER,
        lineage: Lineage([3; 16]),
        name: "Ward".into(),
        feature_level: 1,
        admin,
        audit_keys: audit_keys.to_vec(),
        cluster_key: Some(cluster_key),
        request_key: Some(request_key),
    }
}

fn enrol() -> Enrol {
    let sign_in = SignIn {
        user: ADMIN,
        session: SessionId([1; 16]),
        token: [1; 32],
        device: DeviceId([1; 16]),
        credential_version: 0,
        rehashed: None,
        attempt: None,
        key: Some([1; 32]),
        methods: vec![types::identity::Method::Password],
        second: None,
        address: None,
    };
    Enrol { code: [8; 32], password: "$argon2id$x".into(), sign_in }
}
