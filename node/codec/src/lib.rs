//! Values to bytes and back, and the layout of keys. What bytes look like is known here and nowhere else.
//!
//! Shape: a format byte and a length, then protobuf's wire format held to one spelling for each value: fields ascend, defaults are
//! left out, numbers are as short as they can be. So equal values have equal bytes on every node and in every release,
//! and bytes can be hashed and compared (ADR 2026-11-22-own-encodings).
//!
//! Reading takes nothing that writing would not give, never panics, and allocates in proportion to its input.

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
mod declare;
mod error;
mod format;
mod key;
mod reader;
mod row;
#[cfg(test)]
mod tests;
mod values;
mod wire;

use types::reply::Answer;
use types::{Entry, Envelope};

pub use error::{Error, Problem};
pub use key::{key_bytes, key_from_bytes, table_of};
pub use row::{decode_record, decode_row, encode_record, encode_row};

/// The bytes of a log entry's payload.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    format::encode(entry)
}

/// The log entry that has these bytes.
///
/// Errors: [`Error`] for anything `encode_entry` would not have written.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, Error> {
    format::decode(bytes, "Entry")
}

/// The bytes of an envelope by itself, as one node forwards it to another.
#[must_use]
pub fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    format::encode(envelope)
}

/// The envelope that has these bytes.
///
/// Errors: [`Error`] for anything `encode_envelope` would not have written.
pub fn decode_envelope(bytes: &[u8]) -> Result<Envelope, Error> {
    format::decode(bytes, "Envelope")
}

/// Bytes `encode_envelope` would give, without writing them. It is also what the envelope adds to an entry, where a
/// field's key stands in place of the format byte.
#[must_use]
pub fn envelope_len(envelope: &Envelope) -> usize {
    format::encoded_len(envelope)
}

/// The bytes of an answer, as one node returns it to another.
#[must_use]
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    format::encode(answer)
}

/// The answer that has these bytes.
///
/// Errors: [`Error`] for anything `encode_answer` would not have written.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, Error> {
    format::decode(bytes, "Answer")
}
