//! Other spellings of a value, one by one. The sample is `Entry { at: 300, envelopes: [a tick of node 5] }`.

use types::{Author, Command, Entry, Envelope, Key, NodeId, Table, Timestamp, UserId};

use crate::*;

const TICK: [u8; 8] = [0x08, 5, 0x12, 2, 0x12, 0, 0x1A, 2]; // origin, author { 2: node }, command of two bytes …
const TICK_END: [u8; 2] = [0x22, 0]; // … { 4: tick }

/// An entry of these fields.
fn entry(fields: &[&[u8]]) -> Result<Entry, Error> {
    let fields = fields.concat();
    decode_entry(&[&[1, fields.len() as u8], &fields[..]].concat())
}

/// An entry of one envelope of these fields.
fn envelope(fields: &[&[u8]]) -> Result<Entry, Error> {
    let fields = fields.concat();
    entry(&[&[0x08, 0xAC, 0x02, 0x12, fields.len() as u8], &fields])
}

fn malformed<T>(message: &'static str, tag: u32, problem: Problem) -> Result<T, Error> {
    Err(Error::Malformed { message, tag, problem })
}

#[test]
fn the_one_spelling_is_read() {
    let tick = Envelope { origin: NodeId(5), author: Author::Node, command: Command::Tick };
    let value = Entry { at: Timestamp(300), envelopes: vec![tick] };
    assert_eq!(envelope(&[&TICK, &TICK_END]), Ok(value));
}

#[test]
fn another_format_is_refused() {
    assert_eq!(decode_entry(&[2, 0]), Err(Error::Version { message: "Entry", found: 2, known: 1 }));
    assert_eq!(decode_entry(&[]), malformed("Entry", 0, Problem::CutOff));
}

#[test]
fn numbers_are_as_short_as_they_can_be() {
    assert_eq!(entry(&[&[0x08, 0xAC, 0x82, 0x00]]), malformed("Entry", 1, Problem::Number));
    assert_eq!(entry(&[&[0x08], &[0xFF; 10]]), malformed("Entry", 1, Problem::Number));
    assert_eq!(entry(&[&[0x08, 0xAC]]), malformed("Entry", 1, Problem::CutOff));
    assert_eq!(entry(&[&[0x88, 0x00, 0x01]]), malformed("Entry", 0, Problem::Number));
}

#[test]
fn what_can_be_left_out_is_left_out() {
    assert_eq!(entry(&[]), Ok(Entry { at: Timestamp(0), envelopes: Vec::new() }));
    assert_eq!(entry(&[&[0x08, 0x00]]), malformed("Entry", 1, Problem::Needless));
    assert!(decode_row(Table::Status, &[1, 3, 0x12, 1, b'x']).is_ok());
    assert_eq!(decode_row(Table::Status, &[1, 2, 0x12, 0]), malformed("Status", 2, Problem::Needless));
    assert_eq!(decode_row(Table::Credential, &[1, 2, 0x18, 0]), malformed("Credential", 3, Problem::Needless));
}

#[test]
fn fields_come_once_in_order_and_are_known() {
    assert_eq!(entry(&[&[0x08, 1, 0x08, 2]]), malformed("Entry", 1, Problem::Unexpected));
    assert_eq!(entry(&[&[0x18, 1]]), malformed("Entry", 3, Problem::Unexpected));
    assert_eq!(entry(&[&[0x0A, 0]]), malformed("Entry", 1, Problem::WireType));
    assert_eq!(envelope(&[&TICK[2..], &TICK_END, &TICK[..2]]), malformed("Envelope", 1, Problem::Unexpected));
}

#[test]
fn what_must_be_there_is_there() {
    assert_eq!(envelope(&[&TICK[..6]]), malformed("Envelope", 3, Problem::Missing));
    assert_eq!(envelope(&[&TICK[..6], &[0x1A, 0]]), malformed("Command", 0, Problem::Missing));
}

#[test]
fn a_choice_is_one_and_known() {
    assert_eq!(envelope(&[&TICK[..6], &[0x1A, 4], &TICK_END, &TICK_END]), malformed("Command", 4, Problem::Unexpected));
    assert_eq!(envelope(&[&TICK, &[0x7A, 0]]), malformed("Command", 15, Problem::Unknown));
    assert_eq!(envelope(&[&TICK, &[0x20, 0]]), malformed("Command", 4, Problem::WireType));
}

#[test]
fn a_length_beyond_the_end_allocates_nothing() {
    assert_eq!(entry(&[&[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]]), malformed("Entry", 2, Problem::CutOff));
    let huge = [&[1], &[0xFF; 9][..], &[1]].concat();
    assert_eq!(decode_entry(&huge), malformed("Entry", 0, Problem::CutOff));
}

#[test]
fn ids_have_their_length_and_texts_are_texts() {
    let short = [&[1, 15][..], &[7; 15]].concat();
    assert_eq!(decode_row(Table::Login, &short), malformed("a row of Login", 0, Problem::Length));
    let text = [1, 4, 0x0A, 2, 0xC3, 0x28];
    assert_eq!(decode_row(Table::Credential, &text), malformed("Credential", 1, Problem::Text));
    assert!(decode_row(Table::Participation, &[1, 1, 2]).is_err());
    assert!(decode_row(Table::Timer, &[1, 1, 0]).is_err());
}

#[test]
fn keys_are_of_a_table_and_end_where_they_should() {
    let problem = |bytes: &[u8]| match key_from_bytes(bytes) {
        Err(Error::Key { table, problem }) => Some((table, problem)),
        _ => None,
    };
    assert_eq!(problem(&[]), Some((0, Problem::CutOff)));
    assert_eq!(problem(&[0]), Some((0, Problem::Unknown)));
    assert_eq!(problem(&[0xFF]), Some((0xFF, Problem::Unknown)));
    assert_eq!(problem(&[1, 0]), Some((1, Problem::Length)));
    assert_eq!(problem(&[3, 0]), Some((3, Problem::CutOff)));
    assert_eq!(problem(&[4, 0xC3]), Some((4, Problem::Text)));
    assert_eq!(problem(&[5, b'a', 0, 1]), Some((5, Problem::Unknown)), "0x00 stands before 0x00 or 0xFF only");
    assert_eq!(problem(&[5, b'a', 0]), Some((5, Problem::CutOff)));
}

#[test]
fn a_word_sorts_before_the_word_it_begins() {
    let key = |word: &str, user| key_bytes(&Key::Word(word.to_owned(), UserId([user; 16])));
    assert!(key("an", 0xFF) < key("an\0", 0));
    assert!(key("an\0", 0xFF) < key("ana", 0));
    assert!(key("an", 0xFF) < key("an\u{1}", 0));
}
