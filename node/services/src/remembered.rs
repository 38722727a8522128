//! Rows that are read again and again while one stream is told what waits for it: whether its user may see the next event of the
//! conversation is asked for each, and the answer lies in the same rows.

use std::cell::RefCell;
use std::collections::HashMap;

use state::View;
use types::{Key, Row};

/// Rows kept at most: those of as many conversations as most people take part in.
const KEPT: usize = 1_024;

/// A view that remembers who takes part in what. For as long as one view is read, and no longer.
pub(crate) struct Remembered<'a, V> {
    view: &'a V,
    rows: RefCell<HashMap<Key, Option<Row>>>,
}

impl<'a, V: View> Remembered<'a, V> {
    /// Nothing is remembered yet.
    pub(crate) fn new(view: &'a V) -> Self {
        Self { view, rows: RefCell::default() }
    }
}

impl<V: View> View for Remembered<'_, V> {
    type Fault = V::Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, V::Fault> {
        if !matches!(key, Key::Participant(..) | Key::Conversation(..)) {
            return self.view.get(key);
        }
        if let Some(row) = self.rows.borrow().get(key) {
            return Ok(row.clone());
        }
        let row = self.view.get(key)?;
        let mut rows = self.rows.borrow_mut();
        if rows.len() >= KEPT {
            rows.clear();
        }
        rows.insert(key.clone(), row.clone());
        Ok(row)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, V::Fault> {
        self.view.scan(from, to, reverse, limit)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use types::{ConversationId, Principal, UserId};

    /// Has no rows, and counts how often it was asked.
    struct Counting(Cell<usize>);

    impl View for Counting {
        type Fault = ();

        fn get(&self, _: &Key) -> Result<Option<Row>, ()> {
            self.0.set(self.0.get() + 1);
            Ok(None)
        }

        fn scan(&self, _: &Key, _: &Key, _: bool, _: usize) -> Result<Vec<(Key, Row)>, ()> {
            Ok(Vec::new())
        }
    }

    fn participant(number: u16) -> Key {
        let [high, low] = number.to_be_bytes();
        let mut id = [low; 16];
        id[0] = high;
        Key::Participant(ConversationId(id), Principal::User(UserId([9; 16])))
    }

    #[test]
    fn a_row_is_read_once_also_when_there_is_none_and_what_is_kept_is_bounded() {
        let (view, times) = (Counting(Cell::new(0)), 100);
        let remembered = Remembered::new(&view);
        for _ in 0..times {
            (0..200).for_each(|number| assert_eq!(remembered.get(&participant(number)), Ok(None)));
        }
        assert_eq!(view.0.get(), 200);
        for number in 0..3_000 {
            assert_eq!(remembered.get(&participant(number)), Ok(None));
            assert!(remembered.rows.borrow().len() <= KEPT);
        }
        assert_eq!(view.0.get(), 3_000);
    }

    #[test]
    fn other_rows_are_not_kept() {
        let view = Counting(Cell::new(0));
        let remembered = Remembered::new(&view);
        (0..3).for_each(|_| assert_eq!(remembered.get(&Key::User(UserId([9; 16]))), Ok(None)));
        assert_eq!(view.0.get(), 3);
    }
}
