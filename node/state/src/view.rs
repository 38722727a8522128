//! How `apply`, the policy and the services read the replicated state.

use alloc::string::String;
use alloc::vec::Vec;

use types::backup::Backup;
use types::certificate::{NodeCertificates, Revoked, Serial};
use types::conversation::{Conversation, HistoryPolicy, Participant, PolicyRef};
use types::emergency::Emergency;
use types::id::{ConversationId, DeviceId, NodeId, Seq, SessionId, UserId};
use types::identity::{Failures, LoginKey, Settings};
use types::key::{ClusterKey, DataKey, Envelope, Holder, HolderKey, KeyScope, Month};
use types::kit::KitProposal;
use types::message::Message;
use types::presence::{NodeLease, Status};
use types::record::Record;
use types::row::{Cluster, Divergence, Head, Heads, KeptAnswer, NodeNumbers, Signer};
use types::seat::{Refounding, Seat};
use types::session::{Device, Receipt, Session};
use types::user::{Credential, User};
use types::{Key, Principal, Row, Timestamp};

/// Rows as of one moment: a transaction in progress, a batch in progress, or what a node has applied.
pub trait View {
    /// This node failing to read its own state. Whoever meets one stops the node.
    type Fault;

    /// The row of this key, if there is one.
    fn get(&self, key: &Key) -> Result<Option<Row>, Self::Fault>;

    /// At most `limit` rows of one table with `from ≤ key ≤ to`, ascending, or descending with `reverse`.
    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Self::Fault>;
}

impl<V: View> View for &V {
    type Fault = V::Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, Self::Fault> {
        (**self).get(key)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Self::Fault> {
        (**self).scan(from, to, reverse, limit)
    }
}

macro_rules! rows {
    ($($(#[$doc:meta])* $method:ident($($arg:ident: $arg_type:ty),*) -> $row:ident($type:ty) at $key:expr;)*) => {
        /// Typed reads: one method for each table that has one row to a key.
        pub trait Rows: View {$(
            $(#[$doc])*
            fn $method(&self $(, $arg: $arg_type)*) -> Result<Option<$type>, Self::Fault> {
                Ok(match self.get(&$key)? {
                    Some(Row::$row(value)) => Some(value),
                    _ => None,
                })
            }
        )*}
        impl<V: View> Rows for V {}
    };
}

rows! {
    /// The cluster, from founding on.
    cluster() -> Cluster(Cluster) at Key::Cluster();
    /// Clock, last event and the like; see [`heads`] for the defaults before founding.
    stored_heads() -> Heads(Heads) at Key::Heads();
    /// An account.
    user(id: UserId) -> User(User) at Key::User(id);
    /// Who has a login name.
    login(name: &str) -> Login(UserId) at Key::Login(String::from(name));
    /// What proves a user.
    credential(id: UserId) -> Credential(Credential) at Key::Credential(id);
    /// A device.
    device(id: DeviceId) -> Device(Device) at Key::Device(id);
    /// The answer kept for a device's number.
    kept_answer(id: DeviceId, number: u64) -> Answer(KeptAnswer) at Key::Answer(id, number);
    /// A session, also one that has ended.
    session(id: SessionId) -> Session(Session) at Key::Session(id);
    /// A conversation.
    conversation(id: ConversationId) -> Conversation(Conversation) at Key::Conversation(id);
    /// The direct conversation of two users.
    direct(one: UserId, other: UserId) -> Direct(ConversationId) at Key::Direct(one.min(other), one.max(other));
    /// A participant, also one who has left.
    participant(conversation: ConversationId, principal: Principal) -> Participant(Participant)
        at Key::Participant(conversation, principal);
    /// A message.
    message(conversation: ConversationId, seq: Seq) -> Message(Message) at Key::Message(conversation, seq);
    /// How far a device has come.
    receipt(conversation: ConversationId, principal: Principal, device: DeviceId) -> Receipt(Receipt)
        at Key::Receipt(conversation, principal, device);
    /// What a user says of themselves.
    status(id: UserId) -> Status(Status) at Key::Status(id);
    /// The lease of a node.
    node_lease(id: NodeId) -> NodeLease(NodeLease) at Key::NodeLease(id);
    /// A document of history policy.
    policy(at: PolicyRef) -> Policy(HistoryPolicy) at Key::Policy(at.id, at.version);
    /// The failed sign-ins of a login.
    failures(login: LoginKey) -> Failures(Failures) at Key::Failures(login);
    /// What administrators set for the whole cluster; none: nobody has set anything.
    settings() -> Settings(Settings) at Key::Settings();
    /// One time that emergency access was asked for.
    emergency(number: u64) -> Emergency(Emergency) at Key::Emergency(number);
    /// By which of them a user acts.
    emergency_grant(id: UserId) -> EmergencyGrant(u64) at Key::EmergencyGrant(id);
    /// How many logins have failed sign-ins.
    failures_count() -> FailuresCount(u32) at Key::FailuresCount();
    /// How many active conversations a principal has.
    participation_count(principal: Principal) -> ParticipationCount(u32) at Key::ParticipationCount(principal);
    /// An entry of the audit log.
    record(index: u64) -> Record(Record) at Key::Record(index);
    /// A node of the audit tree.
    tree_node(level: u8, place: u64) -> TreeNode([u8; 32]) at Key::TreeNode(level, place);
    /// A head of the audit tree.
    head(size: u64) -> Head(Head) at Key::Head(size);
    /// Who signs the audit tree.
    signer(node: NodeId) -> Signer(Signer) at Key::Signer(node);
    /// Whether nodes hold different audit trees.
    divergence() -> Divergence(Divergence) at Key::Divergence();
    /// Which of its numbered commands a node has had carried out.
    node_numbers(node: NodeId) -> NodeNumbers(NodeNumbers) at Key::NodeNumbers(node);

    /// A data key, wrapped.
    data_key(id: u64) -> DataKey(DataKey) at Key::DataKey(id);
    /// The id of the data key of a scope and month.
    scope_key(scope: KeyScope, month: Month) -> ScopeKey(u64) at Key::ScopeKey(scope, month);
    /// A version of the cluster key.
    cluster_key(version: u32) -> ClusterKey(ClusterKey) at Key::ClusterKey(version);
    /// A version of the cluster key, sealed to a holder.
    key_envelope(version: u32, holder: Holder) -> KeyEnvelope(Envelope) at Key::KeyEnvelope(version, holder);
    /// Who may hold cluster keys.
    key_holder(holder: Holder) -> KeyHolder(HolderKey) at Key::KeyHolder(holder);

    /// A node that was let in after founding.
    seat(node: NodeId) -> Seat(Seat) at Key::Seat(node);
    /// The last refounding.
    refounding() -> Refounding(Refounding) at Key::Refounding();
    /// What a node says of its backups.
    backup(node: NodeId) -> Backup(Backup) at Key::Backup(node);

    /// Which certificates a node shows.
    node_certificates(node: NodeId) -> NodeCertificates(NodeCertificates) at Key::NodeCertificates(node);
    /// Whether a certificate is good for nothing any more.
    revoked(serial: Serial) -> Revoked(Revoked) at Key::Revoked(serial);
    /// The recovery kit that waits for a second person.
    kit_proposal() -> KitProposal(KitProposal) at Key::KitProposal();
}

/// The cluster key in use: its newest version.
pub fn newest_cluster_key<V: View>(view: &V) -> Result<Option<(u32, ClusterKey)>, V::Fault> {
    let (from, to) = crate::keys::cluster_keys();
    Ok(view.scan(&from, &to, true, 1)?.into_iter().find_map(|(key, row)| match (key, row) {
        (Key::ClusterKey(version), Row::ClusterKey(key)) => Some((version, key)),
        _ => None,
    }))
}

/// What expires irreversibly goes by this time, when cluster time is `now`: without a step that may be wrong.
pub fn steady<V: View>(view: &V, now: Timestamp) -> Result<Timestamp, V::Fault> {
    Ok(heads(view)?.hold.map_or(now, |hold| hold.steady(now)))
}

/// Clock, last event and the like; all 0 before founding.
pub fn heads<V: View>(view: &V) -> Result<Heads, V::Fault> {
    Ok(view.stored_heads()?.unwrap_or_default())
}
