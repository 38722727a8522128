//! What clients saw.

use std::collections::BTreeMap;

/// A moment, in any unit: larger is later, as an observer outside all machines would order them.
pub type Moment = u64;
/// A conversation, numbered by the caller.
pub type Conversation = u64;
/// The content of a message, numbered by the caller: each request posts a content of its own.
pub type Body = u64;

/// A write: a device (numbered by the caller) and its request number. Attempts with the same number are one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// The device that wrote.
    pub client: u64,
    /// Its number.
    pub number: u64,
}

/// What a read promises to reflect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Everything that was acknowledged to anyone before the read began.
    Linearizable,
    /// Everything this client has written or seen before: it passed its highest cursor.
    Own,
    /// Some earlier state.
    Any,
}

/// What a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To post a message.
    Post {
        /// Which write this is an attempt of.
        request: Request,
        /// Where to.
        conversation: Conversation,
        /// What.
        body: Body,
    },
    /// To see a conversation, from some seq to its head.
    Read {
        /// Who asks.
        client: u64,
        /// Of what.
        conversation: Conversation,
        /// How fresh.
        freshness: Freshness,
    },
}

/// A message and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place, from 1.
    pub seq: u64,
    /// Its content.
    pub body: Body,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message was acknowledged, with this seq.
    Posted(u64),
    /// Messages from `first` to the head of the conversation, in the order in which they came.
    Page {
        /// The seq from which was read.
        first: u64,
        /// What was there.
        rows: Vec<Row>,
    },
    /// The cluster said that nothing was done.
    Refused,
    /// No answer, or one that leaves open whether it was done.
    Unknown,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Call {
    /// The node that was asked.
    pub node: usize,
    /// When the client asked.
    pub begin: Moment,
    /// When it was answered; none while it is not.
    pub end: Option<Moment>,
    /// What it asked.
    pub asked: Asked,
    /// What came of it.
    pub answer: Answer,
}

/// What one stream brought, over all its resumptions.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// For people.
    pub name: String,
    /// Messages in the order in which they came.
    pub events: Vec<(Conversation, Row)>,
    /// Conversations of which it had brought everything from this seq on when the dust had settled.
    pub whole: BTreeMap<Conversation, u64>,
}

/// What a node holds of a conversation after the dust has settled.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which node.
    pub node: usize,
    /// Which conversation.
    pub conversation: Conversation,
    /// All of it, in the node's order.
    pub rows: Vec<Row>,
}

/// What a fingerprint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Print {
    /// The root of the audit tree of a certain size.
    AuditRoot,
    /// The hash of the state as of a certain log index.
    State,
}

/// What nodes must agree on at equal places.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    /// Which node.
    pub node: usize,
    /// Of what.
    pub print: Print,
    /// The size or index at which it was taken.
    pub at: u64,
    /// The hash.
    pub value: Vec<u8>,
}

/// How one observer saw one user after the dust had settled.
#[derive(Clone, Debug)]
pub struct PresenceSeen {
    /// For people: who saw it, and where.
    pub observer: String,
    /// Whom.
    pub user: u64,
    /// As what.
    pub presence: String,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All attempts.
    pub calls: Vec<Call>,
    /// All streams.
    pub streams: Vec<Stream>,
    /// What the nodes hold in the end.
    pub listings: Vec<Listing>,
    /// What nodes must agree on.
    pub fingerprints: Vec<Fingerprint>,
    /// How each user must be seen in the end.
    pub presence: BTreeMap<u64, String>,
    /// How they were.
    pub seen: Vec<PresenceSeen>,
}
