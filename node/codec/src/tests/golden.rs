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
