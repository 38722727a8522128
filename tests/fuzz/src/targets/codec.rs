//! Our own encodings: a value has one spelling, and what is taken is written as it was.

use codec::*;
use types::Table;

use crate::samples::{ANSWERS, ENVELOPES, KEYS, ROWS, golden};
use crate::target::Target;

pub fn all() -> Vec<Target> {
    vec![
        Target::new("envelope", envelope, || named(ENVELOPES, |name| name != "Entry")).mend(outer),
        Target::new("entry", entry, || named(ENVELOPES, |name| name == "Entry")).mend(outer),
        Target::new("answer", answer, || named(ANSWERS, |_| true)).mend(outer),
        Target::new("row", row, rows).mend(|bytes| behind_the_first(bytes, outer)),
        Target::new("key", key, || named(KEYS, |_| true)),
        Target::new("record", record, || named(ROWS, |name| name == "Record")).mend(outer),
    ]
}

fn named(file: &'static str, wanted: fn(&str) -> bool) -> Vec<Vec<u8>> {
    golden(file).filter(|(name, _)| wanted(name)).map(|(_, bytes)| bytes).collect()
}

/// Sets the length right that stands behind the format.
fn outer(bytes: &mut Vec<u8>) {
    let end = bytes.iter().skip(1).position(|byte| *byte < 0x80).map_or(bytes.len(), |at| at + 2);
    let body = bytes.split_off(end.min(bytes.len()));
    bytes.clear();
    bytes.push(1);
    prost::encoding::encode_varint(body.len() as u64, bytes);
    bytes.extend_from_slice(&body);
}

fn behind_the_first(bytes: &mut Vec<u8>, mend: fn(&mut Vec<u8>)) {
    if let Some(first) = bytes.first().copied() {
        let mut rest = bytes.split_off(1);
        mend(&mut rest);
        bytes.clear();
        bytes.push(first);
        bytes.extend_from_slice(&rest);
    }
}

fn envelope(bytes: &[u8]) {
    if let Ok(value) = decode_envelope(bytes) {
        assert!(encode_envelope(&value) == bytes, "an envelope has two spellings");
        assert_eq!(envelope_len(&value), bytes.len(), "an envelope is not as long as it says");
    }
}

fn entry(bytes: &[u8]) {
    if let Ok(value) = decode_entry(bytes) {
        assert!(encode_entry(&value) == bytes, "an entry has two spellings");
    }
}

fn answer(bytes: &[u8]) {
    if let Ok(value) = decode_answer(bytes) {
        assert!(encode_answer(&value) == bytes, "an answer has two spellings");
    }
}

/// The first byte says of which table.
fn row(bytes: &[u8]) {
    let Some((table, bytes)) = bytes.split_first() else { return };
    if let Ok(value) = decode_row(Table::ALL[usize::from(*table) % Table::ALL.len()], bytes) {
        assert!(encode_row(&value) == bytes, "a row has two spellings");
    }
}

fn rows() -> Vec<Vec<u8>> {
    let place = |name: &str| Table::ALL.iter().position(|table| format!("{table:?}") == name);
    golden(ROWS).filter_map(|(name, bytes)| Some([vec![u8::try_from(place(name)?).ok()?], bytes].concat())).collect()
}

fn key(bytes: &[u8]) {
    if let Ok(value) = key_from_bytes(bytes) {
        assert!(key_bytes(&value) == bytes, "a key has two spellings");
        assert!(table_of(bytes) == Ok(value.table()), "a key of another table");
    }
}

/// As it is stored, and as whoever verifies an export reads it.
fn record(bytes: &[u8]) {
    let read = record::read::record(bytes);
    if let Ok(value) = decode_record(bytes) {
        assert!(encode_record(&value) == bytes, "a record has two spellings");
        assert!(read == Ok(value), "whoever verifies reads another record");
    }
}
