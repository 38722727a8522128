//! Commands of a node that would count twice are carried out once, across changes of leader.
//!
//! What sessions put has its number at the device; what is here is the same for a node in one of its epochs. Nothing is
//! answered from what was kept: the callers answer a repeat alike.

use types::command::Once;
use types::limits::NODE_NUMBERS_MAX;
use types::reply::Field;
use types::row::NodeNumbers;
use types::{Key, Reject, Row};

use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Whether this is the first time that the command with this number is carried out; from here on it has been.
///
/// Errors: [`Reject::LeaseOver`] for a number of an epoch that is over, of a process that has ended; [`Reject::DedupExpired`]
/// for one that the node has given up; [`Reject::Limit`] for one too far ahead.
pub(crate) fn first<V: View>(tx: &mut Tx<'_, V>, once: Once) -> Step<bool, V> {
    let node = tx.origin;
    let mut numbers = match tx.node_numbers(node)? {
        Some(known) if known.epoch > once.epoch => return Err(Reject::LeaseOver.into()),
        Some(known) if known.epoch == once.epoch => known,
        Some(_) | None => NodeNumbers { epoch: once.epoch, ..NodeNumbers::default() },
    };
    if numbers.done.binary_search(&once.number).is_ok() {
        return Ok(false);
    }
    // Never above its own number: that one is still on its way.
    numbers.settled = numbers.settled.max(once.settled.min(once.number));
    if once.number < numbers.settled {
        return Err(Reject::DedupExpired.into());
    }
    if once.number >= numbers.settled.saturating_add(NODE_NUMBERS_MAX) {
        return Err(Reject::Limit(Field::Batch).into());
    }
    let settled = numbers.settled;
    numbers.done.retain(|&number| number >= settled);
    let at = numbers.done.partition_point(|&number| number < once.number);
    numbers.done.insert(at, once.number);
    tx.put(Key::NodeNumbers(node), Row::NodeNumbers(numbers));
    Ok(true)
}
