//! Vote, purge mark and committed mark, and the bytes of a log id wherever this crate stores one.

use types::NodeId;

use super::entry::{LogId, Vote};
use crate::Fault;
use crate::engine::{Engine, Family};

pub(super) const VOTE: &[u8] = b"vote";
pub(super) const PURGED: &[u8] = b"purged";
pub(super) const COMMITTED: &[u8] = b"committed";

/// Formats of marks on disk. V1, 2026-11-22: the first.
const FORMAT: u8 = 1;
const LOG_ID_BYTES: usize = 1 + 3 * 8;

/// Format ‖ term ‖ node ‖ index; of none, the format alone.
pub(crate) fn encode_log_id(id: Option<LogId>) -> Vec<u8> {
    let mut out = Vec::with_capacity(LOG_ID_BYTES);
    out.push(FORMAT);
    if let Some(id) = id {
        for number in [id.term, id.node.0, id.index] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
    out
}

/// Reads what [`encode_log_id`] wrote.
pub(crate) fn decode_log_id(bytes: &[u8], what: &'static str) -> Result<Option<LogId>, Fault> {
    match bytes {
        [FORMAT] => Ok(None),
        [FORMAT, numbers @ ..] => {
            let [term, node, index] = numbers_of(numbers).ok_or_else(|| Fault::damaged(what))?;
            Ok(Some(LogId { term, node: NodeId(node), index }))
        }
        _ => Err(Fault::damaged(what)),
    }
}

pub(super) fn encode_vote(vote: Vote) -> Vec<u8> {
    let numbers = [vote.term, vote.node.0, u64::from(vote.committed)];
    [FORMAT].into_iter().chain(numbers.into_iter().flat_map(u64::to_be_bytes)).collect()
}

pub(super) fn read_vote<E: Engine>(engine: &E) -> Result<Option<Vote>, Fault> {
    let Some(bytes) = engine.get(Family::LogMarks, VOTE)? else { return Ok(None) };
    match bytes.split_first().map(|(format, numbers)| (format, numbers_of(numbers))) {
        Some((&FORMAT, Some([term, node, committed @ 0..=1]))) => {
            Ok(Some(Vote { term, node: NodeId(node), committed: committed == 1 }))
        }
        _ => Err(Fault::damaged("the vote")),
    }
}

pub(super) fn read_mark<E: Engine>(engine: &E, mark: &[u8], what: &'static str) -> Result<Option<LogId>, Fault> {
    match engine.get(Family::LogMarks, mark)? {
        Some(bytes) => decode_log_id(&bytes, what),
        None => Ok(None),
    }
}

fn numbers_of(bytes: &[u8]) -> Option<[u64; 3]> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: &[[u8; 8]; 3] = numbers.try_into().ok()?;
    rest.is_empty().then(|| numbers.map(u64::from_be_bytes))
}
