//! After a step of cluster time: an operator says that it is right.

use types::{Reject, Reply, Timestamp};

use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx};
use crate::view::View;

/// Says that the step to `after` is right: what waited because of it goes on. Of another step nothing is said.
pub(crate) fn confirm<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, after: Timestamp) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ConfirmClock)?.check()?;
    if tx.clock_hold().is_none_or(|hold| hold.after != after) {
        return Err(Reject::NotFound.into());
    }
    tx.release_clock();
    Ok(Reply::Done)
}
