//! Rows that are read again and again while one stream is told what waits for it: whether its user may see the next event of the
//! conversation is asked for each, and the answer lies in the same rows.

use std::cell::RefCell;

use state::View;
use types::{Key, Row};

/// Rows kept at most: the newest few.
const KEPT: usize = 8;

/// A view that remembers who takes part in what. For as long as one view is read, and no longer.
pub(crate) struct Remembered<'a, V> {
    view: &'a V,
    rows: RefCell<Vec<(Key, Option<Row>)>>,
}

impl<'a, V: View> Remembered<'a, V> {
    /// Nothing is remembered yet.
    pub(crate) const fn new(view: &'a V) -> Self {
        Self { view, rows: RefCell::new(Vec::new()) }
    }
}

impl<V: View> View for Remembered<'_, V> {
    type Fault = V::Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, V::Fault> {
        if !matches!(key, Key::Participant(..) | Key::Conversation(..)) {
            return self.view.get(key);
        }
        if let Some((_, row)) = self.rows.borrow().iter().find(|(known, _)| known == key) {
            return Ok(row.clone());
        }
        let row = self.view.get(key)?;
        let mut rows = self.rows.borrow_mut();
        if rows.len() >= KEPT {
            rows.remove(0);
        }
        rows.push((key.clone(), row.clone()));
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

    fn participant(number: u8) -> Key {
        Key::Participant(ConversationId([number; 16]), Principal::User(UserId([9; 16])))
    }

    #[test]
    fn a_row_is_read_once_also_when_there_is_none_and_no_more_than_a_few_are_kept() {
        let (view, times) = (Counting(Cell::new(0)), 100);
        let remembered = Remembered::new(&view);
        for _ in 0..times {
            (0..8).for_each(|number| assert_eq!(remembered.get(&participant(number)), Ok(None)));
        }
        assert_eq!(view.0.get(), 8);
        (0..20).for_each(|number| assert_eq!(remembered.get(&participant(number)), Ok(None)));
        assert_eq!((view.0.get(), remembered.rows.borrow().len()), (20, KEPT));
    }

    #[test]
    fn other_rows_are_not_kept() {
        let view = Counting(Cell::new(0));
        let remembered = Remembered::new(&view);
        (0..3).for_each(|_| assert_eq!(remembered.get(&Key::User(UserId([9; 16]))), Ok(None)));
        assert_eq!(view.0.get(), 3);
    }
}
