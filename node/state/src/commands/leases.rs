//! Node leases: under them sessions count as connected.

use types::command::Lease;
use types::limits::{GRACE_MS, TIMERS_PER_TICK_MAX};
use types::presence::NodeLease;
use types::row::Timer;
use types::session::Attachment;
use types::{Key, NodeId, Reject, Reply, Row};

use crate::keys;
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Makes or renews the lease of the node that asks.
///
/// A lease that was given up on revives with its epoch, and with it the sessions still attached under it. Those that
/// were detached meanwhile are for the node to report again.
pub(crate) fn renew<V: View>(tx: &mut Tx<'_, V>, lease: Lease) -> Step<Reply, V> {
    let node = tx.origin;
    if let Some(stored) = tx.node_lease(node)? {
        if lease.epoch < stored.epoch {
            return Err(Reject::LeaseOver.into());
        }
        let attachment = Attachment { node, epoch: stored.epoch };
        match stored.expired {
            None if lease.epoch == stored.epoch => return Ok(Reply::Done),
            None => begin_grace(tx, attachment)?,
            Some(_) if lease.epoch == stored.epoch => signal(tx, attachment)?,
            Some(_) => {} // In grace already, with its timer.
        }
    }
    tx.put(Key::NodeLease(node), Row::NodeLease(NodeLease { epoch: lease.epoch, expired: None }));
    Ok(Reply::Done)
}

/// The leader gives up on a node, in the epoch it knew.
pub(crate) fn expire<V: View>(tx: &mut Tx<'_, V>, node: NodeId, lease: Lease) -> Step<Reply, V> {
    match tx.node_lease(node)? {
        Some(stored) if stored.epoch == lease.epoch => {
            if stored.expired.is_some() {
                return Ok(Reply::Done);
            }
            let expired = Some(tx.now);
            tx.put(Key::NodeLease(node), Row::NodeLease(NodeLease { expired, ..stored }));
            begin_grace(tx, Attachment { node, epoch: lease.epoch })?;
            Ok(Reply::Done)
        }
        _ => Err(Reject::LeaseOver.into()), // It has started anew meanwhile.
    }
}

fn begin_grace<V: View>(tx: &mut Tx<'_, V>, attachment: Attachment) -> Step<(), V> {
    tx.put(Key::Timer(tx.now.plus_ms(GRACE_MS), Timer::GraceEnd(attachment)), Row::Timer(()));
    signal(tx, attachment)
}

/// Signals the first of those concerned; a node that watches more learns of them from the lease itself.
fn signal<V: View>(tx: &mut Tx<'_, V>, attachment: Attachment) -> Step<(), V> {
    let (from, to) = keys::attached(attachment);
    for (key, _) in tx.scan(&from, &to, false, TIMERS_PER_TICK_MAX)? {
        if let Key::Attached(_, id) = key
            && let Some(session) = tx.session(id)?
        {
            tx.signal(session.user);
        }
    }
    Ok(())
}
