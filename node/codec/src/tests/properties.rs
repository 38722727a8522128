use proptest::prelude::*;
use proptest::sample::Index;
use types::Table;

use crate::*;

/// A way from bytes to a value and back: the bytes again, or that they are not a value.
type Back = fn(Table, &[u8]) -> Result<Vec<u8>, Error>;

/// Bytes of format and length.
fn head_len(bytes: &[u8]) -> usize {
    2 + bytes[1..].iter().take_while(|byte| **byte >= 0x80).count()
}

/// Every format, by what reads and rewrites it.
const FORMATS: [Back; 6] = [
    |_, bytes| decode_entry(bytes).map(|entry| encode_entry(&entry)),
    |_, bytes| decode_envelope(bytes).map(|envelope| encode_envelope(&envelope)),
    |_, bytes| decode_answer(bytes).map(|answer| encode_answer(&answer)),
    |_, bytes| decode_record(bytes).map(|record| encode_record(&record)),
    |table, bytes| decode_row(table, bytes).map(|row| encode_row(&row)),
    |_, bytes| key_from_bytes(bytes).map(|key| key_bytes(&key)),
];

fn any_table() -> BoxedStrategy<Table> {
    proptest::sample::select(Table::ALL).boxed()
}

/// Bytes of any value with the way back.
fn written() -> BoxedStrategy<(Back, Table, Vec<u8>)> {
    let [entry, envelope, answer, record, row, _] = FORMATS;
    prop_oneof![
        3 => arbitrary::entry().prop_map(move |value| (entry, Table::Heads, encode_entry(&value))),
        2 => arbitrary::envelope().prop_map(move |value| (envelope, Table::Heads, encode_envelope(&value))),
        2 => arbitrary::answer().prop_map(move |value| (answer, Table::Heads, encode_answer(&value))),
        2 => arbitrary::record().prop_map(move |value| (record, Table::Heads, encode_record(&value))),
        6 => arbitrary::row_and_key().prop_map(move |(value, _)| (row, value.table(), encode_row(&value))),
    ]
    .boxed()
}

/// Bytes of any key with the way back.
fn written_key() -> BoxedStrategy<(Back, Table, Vec<u8>)> {
    let [.., key] = FORMATS;
    arbitrary::row_and_key().prop_map(move |(_, value)| (key, value.table(), key_bytes(&value))).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_comes_back(entry in arbitrary::entry()) {
        prop_assert_eq!(decode_entry(&encode_entry(&entry)), Ok(entry));
    }

    #[test]
    fn an_envelope_comes_back_and_its_length_is_known(envelope in arbitrary::envelope()) {
        let bytes = encode_envelope(&envelope);
        prop_assert_eq!(bytes.len(), envelope_len(&envelope));
        prop_assert_eq!(bytes.capacity(), bytes.len(), "one allocation of the right size");
        prop_assert_eq!(decode_envelope(&bytes), Ok(envelope));
    }

    #[test]
    fn an_answer_comes_back(answer in arbitrary::answer()) {
        prop_assert_eq!(decode_answer(&encode_answer(&answer)), Ok(answer));
    }

    #[test]
    fn a_record_comes_back_and_its_row_has_the_same_bytes(record in arbitrary::record()) {
        let bytes = encode_record(&record);
        prop_assert_eq!(decode_record(&bytes), Ok(record.clone()));
        prop_assert_eq!(encode_row(&types::Row::Record(record)), bytes);
    }

    #[test]
    fn a_row_and_its_key_come_back((row, key) in arbitrary::row_and_key()) {
        let bytes = key_bytes(&key);
        prop_assert_eq!(table_of(&bytes), Ok(row.table()));
        prop_assert_eq!(key_from_bytes(&bytes), Ok(key));
        prop_assert_eq!(decode_row(row.table(), &encode_row(&row)), Ok(row));
    }

    #[test]
    fn an_envelope_adds_its_length_to_an_entry(mut entry in arbitrary::entry(), envelope in arbitrary::envelope()) {
        let unframed = |entry: &types::Entry| format::encoded_len(entry) - head_len(&encode_entry(entry));
        let before = unframed(&entry);
        entry.envelopes.push(envelope.clone());
        prop_assert_eq!(unframed(&entry), before + envelope_len(&envelope));
    }

    #[test]
    fn keys_of_two_tables_sort_by_table((_, one) in arbitrary::row_and_key(), (_, other) in arbitrary::row_and_key()) {
        prop_assert_eq!(key_bytes(&one).cmp(&key_bytes(&other)), one.cmp(&other));
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_another_value((back, table, bytes) in prop_oneof![4 => written(), 1 => written_key()], at in any::<Index>(), bit in 0..8_u8) {
        let mut flipped = bytes;
        let at = at.index(flipped.len());
        flipped[at] ^= 1_u8 << bit;
        if let Ok(again) = back(table, &flipped) {
            prop_assert_eq!(again, flipped);
        }
    }

    #[test]
    fn a_value_cut_off_or_going_on_is_an_error((back, table, bytes) in written(), at in any::<Index>(), more in any::<u8>()) {
        prop_assert!(back(table, &bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(back(table, &[&bytes[..], &[more]].concat()).is_err());
    }

    #[test]
    fn a_key_cut_off_is_an_error_or_ends_in_a_shorter_text((back, table, bytes) in written_key(), at in any::<Index>()) {
        let cut = &bytes[..at.index(bytes.len())];
        if let Ok(again) = back(table, cut) {
            prop_assert_eq!(again, cut);
            prop_assert!(matches!(table, Table::Login | Table::UserWord));
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_one_value(table in any_table(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let versioned = [&[1, bytes.len() as u8], &bytes[..]].concat();
        for back in FORMATS {
            for bytes in [&bytes, &versioned] {
                if let Ok(again) = back(table, bytes) {
                    prop_assert_eq!(&again, bytes);
                }
            }
        }
    }
}

#[test]
fn keys_of_a_table_sort_as_their_bytes_do() {
    for table in Table::ALL {
        proptest!(|(one in arbitrary::key(*table), other in arbitrary::key(*table))| {
            prop_assert_eq!(key_bytes(&one).cmp(&key_bytes(&other)), one.cmp(&other));
        });
    }
}

proptest! {
    #[test]
    fn whoever_verifies_without_this_crate_reads_records_as_they_were_written(value in arbitrary::record()) {
        prop_assert_eq!(record::read::record(&encode_record(&value)), Ok(value));
    }
}
