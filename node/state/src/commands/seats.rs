//! Nodes on their way to a slot, and histories begun anew. Who counts in consensus is the log's membership, which the
//! leader changes to follow these rows; here it is said who may, and for ever after, who was.

use alloc::vec::Vec;

use types::key::Holder;
use types::limits::{NODE_ADDRESS_BYTES_MAX, SEATS_MAX};
use types::reply::Field;
use types::row::Cluster;
use types::seat::{AdmitNode, Refound, Refounding, Seat};
use types::{Key, NodeId, Reject, Reply, Row};

use super::{certificates, keys};
use crate::keys as ranges;
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View, heads};

/// Lets a node into a slot: one at a time, under an id that the slot never had. Said again by the same node, it changes
/// nothing, so that whoever was interrupted goes on.
pub(crate) fn admit<V: View>(tx: &mut Tx<'_, V>, admit: &AdmitNode) -> Step<Reply, V> {
    let Some(slot) = admit.node.slot().filter(|_| is_later(admit.node) && admit.disk != [0; 16]) else {
        return Err(Reject::Invalid(Field::Node).into());
    };
    let fits = |address: &str| !address.is_empty() && address.len() <= NODE_ADDRESS_BYTES_MAX;
    if !fits(&admit.peer_address) || !fits(&admit.client_address) {
        return Err(Reject::Invalid(Field::Address).into());
    }
    let mut superseded = Vec::new();
    for (node, seat) in all(tx)? {
        if node == admit.node && seat.disk == admit.disk && seat.public == admit.public && seat.replaced.is_none() {
            tx.repeat();
            return Ok(Reply::Done);
        }
        if node.slot() == Some(slot) && node >= admit.node {
            return Err(Reject::Taken(0).into());
        }
        if seat.is_pending() && node.slot() != Some(slot) {
            return Err(Reject::WrongPhase.into());
        }
        if seat.is_pending() {
            superseded.push((node, seat));
        }
    }
    keys::seal_to(tx, Holder::Node(admit.node), admit.public, &admit.envelopes)?;
    for (node, seat) in superseded {
        dismiss(tx, node, seat)?;
    }
    let seat = Seat {
        disk: admit.disk,
        public: admit.public,
        peer_address: admit.peer_address.clone(),
        client_address: admit.client_address.clone(),
        admitted: tx.now,
        seated: None,
        replaced: None,
    };
    tx.put(Key::Seat(admit.node), Row::Seat(seat));
    Ok(Reply::Done)
}

/// The node counts as one of three; those before it in its slot are out for ever, and hold no key any more.
pub(crate) fn seat<V: View>(tx: &mut Tx<'_, V>, node: NodeId) -> Step<Reply, V> {
    let row = found::<_, V>(tx.seat(node)?)?;
    if row.seated.is_some() {
        tx.repeat();
        return Ok(Reply::Done);
    }
    if row.replaced.is_some() {
        return Err(Reject::WrongPhase.into());
    }
    for (other, seat) in all(tx)? {
        if other.slot() == node.slot() && other < node && seat.replaced.is_none() {
            dismiss(tx, other, seat)?;
        }
    }
    keys::dismiss_before(tx, node)?;
    let seated = Some(tx.now);
    tx.put(Key::Seat(node), Row::Seat(Seat { seated, ..row }));
    certificates::supersede(tx, node)?;
    Ok(Reply::Done)
}

/// The lineage is another from here on: cursors and nodes of the one before are refused.
pub(crate) fn refound<V: View>(tx: &mut Tx<'_, V>, refound: &Refound) -> Step<Reply, V> {
    let cluster = found::<_, V>(tx.cluster()?)?;
    if refound.lineage == cluster.lineage {
        tx.repeat();
        return Ok(Reply::Done);
    }
    if tx.origin != refound.node {
        return Err(Reject::NotPermitted.into());
    }
    for (node, seat) in all(tx)? {
        if seat.is_pending() {
            dismiss(tx, node, seat)?;
        }
    }
    let refounding = Refounding {
        before: cluster.lineage,
        last: heads(tx)?.clock,
        at: refound.at,
        node: refound.node,
        single_copy: refound.single_copy,
        records: tx.records(),
    };
    tx.put(Key::Refounding(), Row::Refounding(refounding));
    tx.put(Key::Cluster(), Row::Cluster(Cluster { lineage: refound.lineage, ..cluster }));
    Ok(Reply::Done)
}

/// Whether the id is of a node that came after the founding.
const fn is_later(node: NodeId) -> bool {
    node.0 >> 2 >= 2
}

fn dismiss<V: View>(tx: &mut Tx<'_, V>, node: NodeId, seat: Seat) -> Step<(), V> {
    let replaced = Some(tx.now);
    tx.put(Key::Seat(node), Row::Seat(Seat { replaced, ..seat }));
    keys::dismiss(tx, Holder::Node(node))
}

fn all<V: View>(tx: &Tx<'_, V>) -> Step<Vec<(NodeId, Seat)>, V> {
    let (from, to) = ranges::seats();
    let rows = tx.scan(&from, &to, false, SEATS_MAX)?;
    let seats = rows.into_iter().filter_map(|(key, row)| match (key, row) {
        (Key::Seat(node), Row::Seat(seat)) => Some((node, seat)),
        _ => None,
    });
    Ok(seats.collect())
}
