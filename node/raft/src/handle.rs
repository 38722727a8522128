//! What the services ask of consensus: put a command, read what is applied here, know how fresh that is.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use state::View;
use tokio::sync::watch;
use types::row::Heads;
use types::{ConversationId, Envelope, Event, NodeId, Slot, UserId};

/// A running node, as the services see it. Cheap to clone.
pub trait Handle: Clone + Send + Sync + 'static {
    /// What is applied here, as of one moment.
    type View: View<Fault = store::Fault> + Send + 'static;

    /// This node's identity.
    fn node(&self) -> NodeId;

    /// Puts a command to the cluster and waits until it is applied on the leader. Forwarded when another node leads, tried again
    /// across a change of leader until `deadline`: session commands carry a number that makes this safe, node commands are idempotent.
    fn propose(
        &self,
        envelope: Envelope,
        deadline: Instant,
    ) -> impl Future<Output = Result<types::reply::Answer, ProposeError>> + Send;

    /// As [`Handle::propose`], for a call somebody waits for: refused ([`ProposeError::Overloaded`]) where it would wait too
    /// long for its entry. A stream uses the other: while its commands wait nothing more is read from its client.
    fn propose_promptly(
        &self,
        envelope: Envelope,
        deadline: Instant,
    ) -> impl Future<Output = Result<types::reply::Answer, ProposeError>> + Send {
        self.propose(envelope, deadline)
    }

    /// A consistent view of what is applied here now.
    fn view(&self) -> Self::View;

    /// The heads applied here; changes after each batch is readable through [`Handle::view`].
    fn heads(&self) -> watch::Receiver<Heads>;

    /// Waits until everything acknowledged anywhere before this call is applied here (ReadIndex, batched).
    fn read_barrier(&self, deadline: Instant) -> impl Future<Output = Result<(), BarrierError>> + Send;

    /// For how long this node has had no word from a leader, or as leader from a majority; none: it has, within the last second.
    fn stale_age(&self) -> Option<Duration>;

    /// The cluster as this node sees it.
    fn status(&self) -> ClusterStatus;

    /// Tells the other nodes that someone is typing. Dropped when they are busy.
    fn send_typing(&self, typing: Typing);

    /// Whether what is written now lies on one disk alone, which only an operator can have accepted.
    fn single_copy(&self) -> bool {
        false
    }

    /// Says how many sync streams are open here, for the status the others see.
    fn set_streams(&self, count: u32) {
        let _ = count;
    }

    /// What this node tells of how it is. What it knows better itself, clocks and disk and vote, it adds.
    fn set_vitals(&self, vitals: Vitals) {
        let _ = vitals;
    }

    /// Says when the first of this node's certificates ceases to be good, for the status the others see.
    fn set_certificates_expire(&self, at: types::Timestamp) {
        let _ = at;
    }
}

/// One batch as it was applied here, for the hub of the services. Sent in order, without gaps, after the commit.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Heads after the batch.
    pub heads: Heads,
    /// The batch's events, ascending.
    pub events: Arc<[Event]>,
    /// Users whose presence may look different now.
    pub presence: Arc<[UserId]>,
    /// The whole state was replaced by a snapshot: what came between is not among `events`.
    pub replaced: bool,
}

/// Someone is typing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
}

/// Why a command got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader could be reached before the deadline; the command was not sent to any.
    #[error("no majority of nodes answers; nothing was written")]
    NoMajority,
    /// It was sent, and no answer came before the deadline: it may yet be carried out.
    #[error("not confirmed; trying again with the same number is safe")]
    OutcomeUnknown,
    /// Too much waits already; nothing was written.
    #[error("too many requests are waiting; nothing was written")]
    Overloaded,
    /// The disks of most nodes are nearly full; nothing was written.
    #[error("the disks of two nodes or more are nearly full; nothing was written")]
    DiskFull,
    /// The cluster was founded anew and has one node only; nothing was written.
    #[error("the cluster has only one node since it was founded anew; writes wait until a second has joined")]
    SingleCopy,
    /// Larger than `ENVELOPE_BYTES_MAX`; nothing was written.
    #[error("the request is too large by {0} bytes")]
    TooLarge(usize),
    /// The leader does not take this command from this node: it is not this node's to put, or newer than the leader's
    /// software. Trying again does not help; nothing was written.
    #[error("the leader does not accept this command; nothing was written")]
    Refused,
    /// This node is stopping; nothing was written.
    #[error("this node is stopping")]
    ShuttingDown,
}

/// Why a read could not be made linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarrierError {
    /// No leader confirmed by a majority answered before the deadline.
    #[error("no majority of nodes answers")]
    NoMajority,
    /// This node did not catch up before the deadline.
    #[error("this node is behind")]
    Behind,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The Raft term.
    pub term: u64,
    /// The leader, as far as known.
    pub leader: Option<NodeId>,
    /// All three, by slot.
    pub nodes: [NodeStatus; 3],
}

/// One node as another sees it.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its place.
    pub slot: Slot,
    /// Its identity.
    pub node: NodeId,
    /// It is this node, or answered within a second.
    pub reachable: bool,
    /// What it does.
    pub role: Role,
    /// The newest log index it has applied, as last heard.
    pub applied: u64,
    /// The newest log index it has, as last heard.
    pub last_log: u64,
    /// Its software, as last heard; may be empty.
    pub version: String,
    /// Where clients reach it, as last heard; may be empty.
    pub client_address: String,
    /// When it was last heard of, by cluster time; none: now, or never.
    pub last_seen: Option<types::Timestamp>,
    /// Sync streams open there, as last heard.
    pub streams: u32,
    /// Bytes free on its disk, as last heard; none: not known.
    pub disk_free: Option<u64>,
    /// Its disk has too little room left, as last heard.
    pub disk_low: bool,
    /// Its disk has only the last reserve left, as last heard.
    pub disk_full: bool,
    /// The public key that cluster keys are sealed to for it, as last heard.
    pub public_key: Option<[u8; 32]>,
    /// What protects its private half there, as last heard; may be empty.
    pub key_protection: String,
    /// The highest feature level its release knows, as last heard; 0: not known.
    pub feature_level: u32,
    /// When the first of its certificates ceases to be good, as last heard.
    pub certificates_expire: Option<types::Timestamp>,
    /// Bytes of a snapshot that have arrived there, and in all, as last heard; none: none arrives.
    pub snapshot: Option<(u64, u64)>,
    /// How it is, as last heard.
    pub vitals: Option<Vitals>,
}

/// What a node measures of itself. Rates and times are of its last ten seconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Vitals {
    /// When it was started, by its own clock.
    pub started: types::Timestamp,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// What its disk holds in all, in bytes.
    pub disk_size: u64,
    /// What its clock shows minus cluster time, in milliseconds.
    pub clock_offset_ms: i64,
    /// It knows of no two clocks that agree.
    pub clock_alone: bool,
    /// Whether it votes: 0 it does; 1 it has not heard yet what peers remember; 2 its log lost what it had; 3 it is an old
    /// copy of a disk.
    pub vote_held: u32,
    /// Messages its clients sent, a second.
    pub sends: f64,
    /// Events it wrote to streams, a second.
    pub deliveries: f64,
    /// 99 of 100 messages were sent within this time; none: none was sent.
    pub send_p99: Option<Duration>,
    /// Likewise from a change being applied to its being written to a stream.
    pub delivery_p99: Option<Duration>,
    /// Likewise of a batch of the log: write and fsync.
    pub fsync_p99: Option<Duration>,
    /// Sessions that have a stream there.
    pub sessions: u32,
    /// It could not renew its certificates the last time it tried.
    pub renewal_failed: bool,
}

/// What a node tells of the key pair that cluster keys are sealed to for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyReport {
    /// The public half: X25519.
    pub public: [u8; 32],
    /// What protects the private half, in a word or a few.
    pub protection: String,
}

/// What a node does in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not known.
    Unknown,
    /// Orders all writes.
    Leader,
    /// Follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Catches up without a vote.
    Learner,
}
