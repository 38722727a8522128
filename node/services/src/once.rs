//! Numbers for this node's commands that would count twice: whoever puts one again, across a change of leader, puts the
//! same number, and the state carries it out once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use raft::{Handle, ProposeError};
use types::Command;
use types::command::Once;
use types::limits::{NODE_NUMBER_MS_MAX, NODE_NUMBERS_MAX};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;
use crate::writes::Done;

/// The numbers of one epoch of this node.
#[derive(Clone)]
pub(crate) struct Numbers {
    epoch: u64,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    last: u64,
    /// Those that are on their way, or may be: until when, where nobody waits for them any more.
    numbers: BTreeMap<u64, Option<Instant>>,
}

/// A number in use. Let go of, it counts as on its way for a while: nobody knows what came of it.
pub(crate) struct Ticket {
    numbers: Numbers,
    pub(crate) once: Once,
    settled: bool,
}

impl Numbers {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, open: Arc::default() }
    }

    /// The next number.
    ///
    /// Errors: [`Error::Overloaded`] if so many are open that the state would not tell them apart.
    pub(crate) fn take(&self, now: Instant) -> Result<Ticket, Error> {
        let mut open = lock(&self.open);
        open.numbers.retain(|_, until| until.is_none_or(|until| now < until));
        let number = open.last + 1;
        let settled = open.numbers.first_key_value().map_or(number, |(lowest, _)| *lowest);
        if number - settled >= NODE_NUMBERS_MAX {
            return Err(Error::Overloaded("too much of what this node records is not confirmed"));
        }
        open.last = number;
        open.numbers.insert(number, None);
        Ok(Ticket { numbers: self.clone(), once: Once { epoch: self.epoch, number, settled }, settled: false })
    }
}

impl Ticket {
    /// It is known what came of it.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = lock(&self.numbers.open);
        if self.settled {
            open.numbers.remove(&self.once.number);
        } else {
            let until = Instant::now() + Duration::from_millis(NODE_NUMBER_MS_MAX);
            open.numbers.insert(self.once.number, Some(until));
        }
    }
}

impl<H: Handle> Services<H> {
    /// Puts a command of this node that would count twice.
    pub(crate) async fn put_once(&self, make: impl FnOnce(Once) -> Command, deadline: Instant) -> Result<Done, Error> {
        let ticket = self.inner.numbers.take(Instant::now())?;
        let done = self.put_own(make(ticket.once), deadline).await;
        if !matches!(done, Err(Error::Propose(ProposeError::OutcomeUnknown))) {
            ticket.settle();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_that_may_yet_be_carried_out() {
        let (numbers, now) = (Numbers::new(7), Instant::now());
        let [one, two, three] = std::array::from_fn(|_| numbers.take(now).expect("room"));
        assert_eq!((one.once.epoch, one.once.number, three.once.number), (7, 1, 3));
        two.settle();
        assert_eq!(numbers.take(now).expect("room").once.settled, 1);
        drop(one); // Nobody knows.
        assert_eq!(numbers.take(now).expect("room").once.settled, 1);
        let later = Instant::now() + Duration::from_millis(NODE_NUMBER_MS_MAX);
        assert_eq!(numbers.take(later).expect("room").once.settled, 3, "it is given up");
        three.settle();
    }

    #[test]
    fn more_than_the_state_tells_apart_are_refused() {
        let (numbers, now) = (Numbers::new(7), Instant::now());
        let held: Vec<_> = (0..NODE_NUMBERS_MAX).map(|_| numbers.take(now).expect("room")).collect();
        assert!(matches!(numbers.take(now), Err(Error::Overloaded(_))));
        for ticket in held {
            ticket.settle();
        }
        assert!(numbers.take(now).is_ok());
    }
}
