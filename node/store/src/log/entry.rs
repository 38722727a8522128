//! What the log consists of, and its bytes.
//!
//! Shape of an entry: format ‖ kind ‖ term ‖ node ‖ bytes of the log up to and with this entry ‖ payload, numbers
//! big-endian; its key is the index, big-endian. There is no checksum of ours: RocksDB checks each record of its
//! write-ahead log, each block and each blob when it reads them.

use bytes::Bytes;
use types::NodeId;

use crate::Fault;

/// Formats of entries on disk. V1, 2026-11-22: the first.
const FORMAT: u8 = 1;
/// Bytes before the payload.
const HEAD_BYTES: usize = 2 + 8 + 8 + 8;

/// A place in the log: which leader put it there, and where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogId {
    /// The leader's term.
    pub term: u64,
    /// The leader.
    pub node: NodeId,
    /// The place, from 0 without gaps.
    pub index: u64,
}

/// What this node has promised to whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The candidate, or the leader.
    pub node: NodeId,
    /// Whether a majority has granted it.
    pub committed: bool,
}

/// One entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// Its place.
    pub id: LogId,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says. Bytes are kept as they came and never encoded again.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// Commands: the bytes of `codec::encode_entry`.
    Commands(Bytes),
    /// A membership: bytes only `raft` understands.
    Membership(Bytes),
}

impl Payload {
    /// Bytes of its content.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Blank => &[],
            Self::Commands(bytes) | Self::Membership(bytes) => bytes,
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Commands(_) => 1,
            Self::Membership(_) => 2,
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = ["blank", "commands", "membership"][usize::from(self.kind())];
        write!(f, "{kind}, {} bytes", self.len())
    }
}

impl LogEntry {
    /// Bytes it takes in the log, in memory and in the accounting of snapshots and purges.
    #[must_use]
    pub fn size(&self) -> usize {
        8 + HEAD_BYTES + self.payload.len()
    }
}

/// An entry and the bytes of the log up to and with it, counted from where this node's log began.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub entry: LogEntry,
    pub log_bytes: u64,
    /// The writer's job that puts it on disk; 0 for what was read from there.
    pub job: u64,
}

pub(super) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

pub(super) fn index_of(key: &[u8]) -> Result<u64, Fault> {
    let key = <[u8; 8]>::try_from(key).map_err(|_| Fault::damaged("the key of a log entry"))?;
    Ok(u64::from_be_bytes(key))
}

pub(crate) fn encode(placed: &Placed) -> Vec<u8> {
    let LogEntry { id, payload } = &placed.entry;
    let mut out = Vec::with_capacity(HEAD_BYTES + payload.len());
    out.extend_from_slice(&[FORMAT, payload.kind()]);
    out.extend_from_slice(&id.term.to_be_bytes());
    out.extend_from_slice(&id.node.0.to_be_bytes());
    out.extend_from_slice(&placed.log_bytes.to_be_bytes());
    out.extend_from_slice(payload.bytes());
    out
}

pub(crate) fn decode(index: u64, value: &[u8]) -> Result<Placed, Fault> {
    let damaged = || Fault::damaged(format!("log entry {index}"));
    let (head, content) = value.split_first_chunk::<HEAD_BYTES>().ok_or_else(damaged)?;
    let number = |at: usize| head[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let content = || Bytes::copy_from_slice(content);
    let payload = match (head[0], head[1]) {
        (FORMAT, 0) => Payload::Blank,
        (FORMAT, 1) => Payload::Commands(content()),
        (FORMAT, 2) => Payload::Membership(content()),
        _ => return Err(damaged()),
    };
    let id = LogId { term: number(2), node: NodeId(number(10)), index };
    Ok(Placed { entry: LogEntry { id, payload }, log_bytes: number(18), job: 0 })
}
