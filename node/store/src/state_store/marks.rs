//! How far the state has come: in the same batch as what it has come to.
//!
//! Shape: `applied` is a log id as the log writes it; `membership` is one, its length as one byte before it, and then
//! the bytes of `raft`.

use bytes::Bytes;

use super::store::Applied;
use crate::engine::{Batch, Family, Reader};
use crate::log::{decode_log_id, encode_log_id};
use crate::{Fault, LogId};

pub(super) const APPLIED: &[u8] = b"applied";
pub(super) const MEMBERSHIP: &[u8] = b"membership";

/// The marks as of one moment: the reader must be a view, or a checkpoint.
pub(crate) fn read_applied(reader: &dyn Reader) -> Result<Applied, Fault> {
    let applied = match reader.get(Family::StateMarks, APPLIED)? {
        Some(bytes) => decode_log_id(&bytes, "the applied mark")?,
        None => None,
    };
    let membership = match reader.get(Family::StateMarks, MEMBERSHIP)? {
        Some(bytes) => Some(decode_membership(&bytes).ok_or_else(|| Fault::damaged("the membership"))??),
        None => None,
    };
    Ok((applied, membership))
}

pub(super) fn put_applied(batch: &mut Batch, id: LogId) {
    batch.put(Family::StateMarks, APPLIED.to_vec(), encode_log_id(Some(id)));
}

pub(super) fn put_membership(batch: &mut Batch, id: LogId, membership: &[u8]) {
    let id = encode_log_id(Some(id));
    let length = [u8::try_from(id.len()).unwrap_or(u8::MAX)];
    batch.put(Family::StateMarks, MEMBERSHIP.to_vec(), [&length, id.as_slice(), membership].concat());
}

fn decode_membership(bytes: &[u8]) -> Option<Result<(Option<LogId>, Bytes), Fault>> {
    let (length, rest) = bytes.split_first()?;
    let (id, membership) = rest.split_at_checked(usize::from(*length))?;
    Some(decode_log_id(id, "the membership").map(|id| (id, Bytes::copy_from_slice(membership))))
}
