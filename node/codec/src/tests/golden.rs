//! Fixed values and their bytes, so that a change of format is seen before a disk sees it.
//!
//! A test that fails here says that this release would not read what an earlier one wrote, or would write what an
//! earlier one does not read. If that is the purpose (a new command, a new table), record anew and read the difference:
//! `RECORD_GOLDEN=1 cargo test -p tricord-codec golden`. Lines that were there must stay as they are.

use std::path::Path;

use proptest::prelude::*;
use types::Table;

use super::samples;
use crate::*;

/// Compares with the file, or writes it.
fn compare(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    if std::env::var_os("RECORD_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("write the golden file");
    }
    let recorded = std::fs::read_to_string(&path).expect("read the golden file");
    for (recorded, now) in recorded.lines().zip(text.lines()) {
        assert_eq!(recorded, now, "{file}: a value has other bytes than before");
    }
    assert_eq!(recorded.lines().count(), text.lines().count(), "{file}: values were added or removed");
}

fn line(text: &mut String, name: &str, bytes: &[u8]) {
    let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    *text += &format!("{name} {hex}\n");
}

/// The name of a variant, from how it prints.
fn name(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|character| character.is_alphanumeric()).collect()
}

#[test]
fn golden_envelopes_keep_their_bytes() {
    let mut text = String::new();
    for envelope in samples::envelopes() {
        let bytes = encode_envelope(&envelope);
        line(&mut text, &name(&envelope.command), &bytes);
        assert_eq!(decode_envelope(&bytes), Ok(envelope));
    }
    line(&mut text, "Entry", &encode_entry(&samples::entry()));
    compare("envelopes.txt", &text);
}

#[test]
fn golden_answers_keep_their_bytes() {
    let mut text = String::new();
    for answer in samples::answers() {
        let name = answer.result.as_ref().map_or_else(name, name);
        let bytes = encode_answer(&answer);
        line(&mut text, &name, &bytes);
        assert_eq!(decode_answer(&bytes), Ok(answer));
    }
    compare("answers.txt", &text);
}

#[test]
fn golden_rows_and_keys_keep_their_bytes() {
    let (mut rows, mut keys) = (String::new(), String::new());
    for table in Table::ALL {
        for row in samples::rows(*table) {
            let bytes = encode_row(&row);
            line(&mut rows, &name(table), &bytes);
            assert_eq!(decode_row(*table, &bytes), Ok(row));
        }
        for key in samples::keys(*table) {
            let bytes = key_bytes(&key);
            line(&mut keys, &name(table), &bytes);
            assert_eq!(key_from_bytes(&bytes), Ok(key));
        }
    }
    compare("rows.txt", &rows);
    compare("keys.txt", &keys);
}

/// The numbers of actions and purposes are what an audit log means for as long as it is kept.
#[test]
fn golden_records_of_each_action_keep_their_bytes() {
    let mut text = String::new();
    for record in samples::records_of_each_action() {
        let bytes = encode_record(&record);
        line(&mut text, &record.purpose.map_or_else(|| name(&record.action), |purpose| name(&purpose)), &bytes);
        assert_eq!(decode_record(&bytes).as_ref(), Ok(&record));
        assert_eq!(record::read::record(&bytes), Ok(record), "as who verifies reads it");
    }
    compare("records.txt", &text);
}

/// The tree of the audit log is made again from records that were read: what was written once, by whatever release, must come to
/// be the same bytes.
#[test]
fn whatever_was_ever_written_is_written_the_same_after_it_was_read() {
    let file = |name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name));
    let (rows, records) = (file("rows.txt").expect("rows"), file("records.txt").expect("records"));
    let mut seen = 0;
    for (kind, bytes) in rows.lines().filter_map(|line| line.split_once(' ')).map(|(kind, hex)| (kind, unhex(hex))) {
        let table = Table::ALL.iter().find(|table| name(table) == kind).expect("a table");
        let row = decode_row(*table, &bytes).expect("read");
        assert_eq!(encode_row(&row), bytes, "a row of {kind}");
        seen += usize::from(*table == Table::Record);
    }
    for (action, bytes) in records.lines().filter_map(|line| line.split_once(' ')).map(|(of, hex)| (of, unhex(hex))) {
        assert_eq!(encode_record(&decode_record(&bytes).expect("read")), bytes, "a record of {action}");
        assert_eq!(decode_row(Table::Record, &bytes).map(|row| encode_row(&row)).as_ref(), Ok(&bytes));
        seen += 1;
    }
    assert!(seen > types::record::Action::ALL.len(), "{seen} records");
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// A node of an earlier release stops rather than write half of a record anew: its tree would be another one. Whoever verifies
/// hashes the bytes as they came, and reads what they know of it.
#[test]
fn no_node_goes_on_with_a_record_of_a_later_release_and_whoever_verifies_reads_what_they_know() {
    let known = samples::records_of_each_action().pop().expect("a record");
    let bytes = encode_record(&known);
    let [format, length, value @ ..] = bytes.as_slice() else { panic!("a record") };
    assert!(*length < 0x70, "a length of one byte");
    // A further field at its end; and an action that does not exist yet (field 4, one byte) in place of its own.
    let more = [&[*format, length + 3], value, &[0x82, 0x01, 0x00]].concat();
    let action = value.windows(2).position(|two| two == [0x20, types::record::Action::Look as u8]).expect("an action");
    let mut other = bytes.clone();
    other[2 + action + 1] = 0x7F;
    for later in [&more, &other] {
        assert!(decode_record(later).is_err() && decode_row(Table::Record, later).is_err(), "{later:02x?}");
    }
    assert_eq!(record::read::record(&more), Ok(known));
    assert_eq!(record::read::record(&other), Err(record::read::Error::Newer));
}

proptest! {
    #[test]
    fn golden_files_have_every_command(command in arbitrary::command()) {
        prop_assert!(samples::envelopes().iter().any(|kept| name(&kept.command) == name(&command)));
    }

    #[test]
    fn golden_files_have_every_answer(answer in arbitrary::answer()) {
        let said = |answer: &types::reply::Answer| answer.result.as_ref().map_or_else(name, name);
        prop_assert!(samples::answers().iter().any(|kept| said(kept) == said(&answer)));
    }
}
