//! The format byte before every value.

use crate::error::{Error, Problem};
use crate::reader::Reader;
use crate::wire::Value;

/// Formats of values on disk and between nodes.
///
/// V1, 2026-11-22: the first. Fields that are added later do not make a new format; only a change of what is there does.
const FORMAT: u8 = 1;

/// The format byte and the value, in one allocation.
pub(crate) fn encode<T: Value>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(value));
    out.push(FORMAT);
    value.put(&mut out);
    out
}

/// Bytes that `encode` gives.
pub(crate) fn encoded_len<T: Value>(value: &T) -> usize {
    1 + value.size()
}

/// The value behind the format byte; `message` says for errors what it should be.
pub(crate) fn decode<T: Value>(bytes: &[u8], message: &'static str) -> Result<T, Error> {
    let mut reader = match bytes {
        [FORMAT, rest @ ..] => Reader::new(rest, message),
        [found, ..] => return Err(Error::Version { message, found: *found, known: FORMAT }),
        [] => return Err(Error::Malformed { message, tag: 0, problem: Problem::CutOff }),
    };
    let value = T::take(&mut reader)?;
    reader.finish()?;
    Ok(value)
}
