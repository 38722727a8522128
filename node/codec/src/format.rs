//! What stands before every value: the format, and the value's length, so that no part of a value passes for all of it.

use prost::encoding::{encode_varint, encoded_len_varint};

use crate::error::{Error, Problem};
use crate::reader::Reader;
use crate::wire::Value;

/// Formats of values on disk and between nodes.
///
/// V1, 2026-11-22: the first. An optional field that is added later makes no new format; a change of what is there does.
const FORMAT: u8 = 1;

/// Format, length and value, in one allocation.
pub(crate) fn encode<T: Value>(value: &T) -> Vec<u8> {
    let size = value.size();
    let mut out = Vec::with_capacity(1 + encoded_len_varint(size as u64) + size);
    out.push(FORMAT);
    encode_varint(size as u64, &mut out);
    value.put(&mut out);
    out
}

/// Bytes that `encode` gives.
pub(crate) fn encoded_len<T: Value>(value: &T) -> usize {
    let size = value.size();
    1 + encoded_len_varint(size as u64) + size
}

/// The value behind format and length; `message` says for errors what it should be.
pub(crate) fn decode<T: Value>(bytes: &[u8], message: &'static str) -> Result<T, Error> {
    let mut outer = match bytes {
        [FORMAT, rest @ ..] => Reader::new(rest, message),
        [found, ..] => return Err(Error::Version { message, found: *found, known: FORMAT }),
        [] => return Err(Error::Malformed { message, tag: 0, problem: Problem::CutOff }),
    };
    let mut reader = outer.delimited()?;
    let value = T::take(&mut reader)?;
    reader.finish()?;
    outer.finish()?;
    Ok(value)
}
