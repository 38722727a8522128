//! What must not be, and was seen.

use std::fmt;

use crate::{Body, Conversation, Moment, Print, Request};

/// Who saw a message at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one who posted it, in the answer.
    Answer(Request),
    /// A reader.
    Read {
        /// Who.
        client: u64,
        /// Where.
        node: usize,
    },
    /// A stream, by its name.
    Stream(String),
    /// A node's whole content in the end.
    Listing(usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(request) => write!(f, "the answer to client {} number {}", request.client, request.number),
            Self::Read { client, node } => write!(f, "client {client} reading at node {node}"),
            Self::Stream(name) => write!(f, "stream {name}"),
            Self::Listing(node) => write!(f, "node {node} in the end"),
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message that was acknowledged, or that someone saw, is gone.
    #[error("conversation {conversation}: seq {seq} (body {body:?}) was {how}, and {place} does not have it")]
    Missing {
        /// Where it was.
        conversation: Conversation,
        /// Its place.
        seq: u64,
        /// Its content, if known.
        body: Option<Body>,
        /// "acknowledged" or "seen".
        how: &'static str,
        /// Who lacks it.
        place: Source,
    },
    /// Messages were acknowledged, and nobody looked for them in the end: a mistake of the test.
    #[error("conversation {conversation}: messages were acknowledged, and what the nodes hold was never listed")]
    NotListed {
        /// Which.
        conversation: Conversation,
    },
    /// Someone was shown a message again.
    #[error("conversation {conversation}: {place} brought seq {seq} again")]
    Repeated {
        /// Where.
        conversation: Conversation,
        /// Which.
        seq: u64,
        /// To whom.
        place: Source,
    },
    /// Messages were left out without a word, or came out of order.
    #[error("conversation {conversation}: {place} went from seq {after} to seq {next}")]
    Gap {
        /// Where.
        conversation: Conversation,
        /// The last before it.
        after: u64,
        /// The first after it.
        next: u64,
        /// To whom.
        place: Source,
    },
    /// Two saw different messages at the same place.
    #[error("conversation {conversation}: at seq {seq} {one} saw body {body}, and {other} saw body {different}")]
    DifferentOrder {
        /// Where.
        conversation: Conversation,
        /// The place.
        seq: u64,
        /// What one saw.
        body: Body,
        /// Who.
        one: Source,
        /// What the other saw.
        different: Body,
        /// Who.
        other: Source,
    },
    /// Streams brought the messages of different conversations in orders that do not fit together.
    #[error("stream {stream} brought {before:?} before {after:?} (conversation, seq); other streams say otherwise")]
    StreamsDisagree {
        /// One of the streams.
        stream: String,
        /// What it brought first.
        before: (Conversation, u64),
        /// And then.
        after: (Conversation, u64),
    },
    /// A message that nobody sent there: altered, or led astray.
    #[error("conversation {conversation}: {place} has body {body} at seq {seq}, which nobody sent there")]
    NeverSent {
        /// Where.
        conversation: Conversation,
        /// Its place.
        seq: u64,
        /// Its content.
        body: Body,
        /// Who saw it.
        place: Source,
    },
    /// A request that was refused had an effect.
    #[error("conversation {conversation}: {request:?} was refused, and is there at seq {seq}")]
    RefusedTookEffect {
        /// Where.
        conversation: Conversation,
        /// Which.
        request: Request,
        /// Its place.
        seq: u64,
    },
    /// One request has two places, or two answers.
    #[error("conversation {conversation}: {request:?} took effect at {seqs:?}")]
    TookEffectTwice {
        /// Where.
        conversation: Conversation,
        /// Which.
        request: Request,
        /// Its places.
        seqs: Vec<u64>,
    },
    /// The answers of a conversation fit no order in which each took effect while it was asked.
    #[error("conversation {conversation}: not linearizable: {what}")]
    NotLinearizable {
        /// Which.
        conversation: Conversation,
        /// The call that fits nowhere.
        what: String,
    },
    /// Looking for such an order took too long.
    #[error("conversation {conversation}: could not decide whether it is linearizable")]
    Undecided {
        /// Which.
        conversation: Conversation,
    },
    /// A client did not see what it had written.
    #[error(
        "conversation {conversation}: client {client}, reading at {begin}, saw up to seq {top} after writing {wrote}"
    )]
    OwnWriteUnseen {
        /// Where.
        conversation: Conversation,
        /// Who.
        client: u64,
        /// When.
        begin: Moment,
        /// The seq it had been given.
        wrote: u64,
        /// The last seq it saw.
        top: u64,
    },
    /// A client saw less than before.
    #[error(
        "conversation {conversation}: client {client}, reading at {begin}, saw up to seq {top}, and {before} before"
    )]
    WentBack {
        /// Where.
        conversation: Conversation,
        /// Who.
        client: u64,
        /// When.
        begin: Moment,
        /// The last seq it had seen.
        before: u64,
        /// The last seq it saw now.
        top: u64,
    },
    /// A user is not seen as what they are.
    #[error("user {user} is {expected}; {observer} sees {seen:?}")]
    PresenceWrong {
        /// By whom.
        observer: String,
        /// Who.
        user: u64,
        /// As they are.
        expected: String,
        /// As they are seen; none: not at all.
        seen: Option<String>,
    },
    /// Two nodes computed different things from the same log.
    #[error("nodes {one} and {other} differ in {print:?} at {at}")]
    NodesDiffer {
        /// In what.
        print: Print,
        /// Where.
        at: u64,
        /// One node.
        one: usize,
        /// The other.
        other: usize,
    },
}
