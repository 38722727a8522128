use proptest::collection::{btree_map, vec as list};
use proptest::prelude::*;

use super::*;
use types::{Key, Row};

use crate::tx::Tx;
use crate::view::View;

fn key(n: u8) -> Key {
    Key::Policy(0, u32::from(n))
}

fn row(n: u8) -> Row {
    Row::Policy(types::conversation::HistoryPolicy::Newest(u32::from(n)))
}

proptest! {
    #[test]
    fn a_transaction_reads_as_the_view_with_its_changes_would(
        below in btree_map(0_u8..20, 0_u8..9, 0..15),
        changes in list((0_u8..20, proptest::option::of(0_u8..9)), 0..15),
        from in 0_u8..20, to in 0_u8..20, reverse: bool, limit in 0_usize..12,
    ) {
        let model = Model { rows: below.into_iter().map(|(n, value)| (key(n), row(value))).collect() };
        let Ok(mut tx) = Tx::begin(&model, Timestamp(0), NODE);
        let mut plain = model.clone();
        for (n, value) in changes {
            match value {
                Some(value) => {
                    tx.put(key(n), row(value));
                    plain.rows.insert(key(n), row(value));
                }
                None => {
                    tx.remove(key(n));
                    plain.rows.remove(&key(n));
                }
            }
        }
        let scanned = tx.scan(&key(from), &key(to), reverse, limit).ok();
        prop_assert_eq!(scanned, plain.scan(&key(from), &key(to), reverse, limit).ok());
    }
}
