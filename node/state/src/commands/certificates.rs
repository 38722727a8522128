//! Which certificates nodes show, and which are good for nothing any more. The ports go by these rows.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use types::certificate::{NodeCertificates, NoteCertificates, Revocation, RevokeCertificates, Revoked, Serial};
use types::limits::{CERTIFICATES_NOTED_MAX, CERTIFICATES_REVOKED_MAX, RECORD_REASON_BYTES_MAX, SEATS_MAX};
use types::record::{Action as Recorded, Agent, Entity, Record};
use types::reply::Field;
use types::text::check_name;
use types::{Key, NodeId, Reject, Reply, Row, UserId};

use super::audit;
use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};

/// Why a certificate of a node that was replaced is revoked.
const REPLACED: &str = "its node was replaced";

/// What a node shows from now on.
pub(crate) fn note<V: View>(tx: &mut Tx<'_, V>, note: &NoteCertificates) -> Step<Reply, V> {
    let node = tx.origin;
    let ascending = note.serials.iter().zip(note.serials.iter().skip(1)).all(|(one, next)| one < next);
    if note.serials.is_empty() || note.serials.len() > CERTIFICATES_NOTED_MAX || !ascending {
        return Err(Reject::Invalid(Field::Certificate).into());
    }
    let all = noted(tx)?;
    let later = all.iter().any(|(other, _)| other.slot() == node.slot() && *other > node);
    if later || !audit::is_let_in(tx, node)? {
        return Err(Reject::NotPermitted.into());
    }
    let known = tx.node_certificates(node)?;
    if known.is_some_and(|known| known.serials == note.serials && known.expires == note.expires) {
        tx.repeat();
        return Ok(Reply::Done);
    }
    let row = NodeCertificates { serials: note.serials.clone(), expires: note.expires, since: tx.now };
    tx.put(Key::NodeCertificates(node), Row::NodeCertificates(row));
    if !is_pending(tx, node)? {
        supersede(tx, node)?;
    }
    Ok(Reply::Done)
}

/// Revokes what the nodes before this one in its slot showed, unless it has taken that over: done as soon as it has said what it
/// shows and counts as one of three, whichever is later. Until then the node before it may still be needed.
pub(super) fn supersede<V: View>(tx: &mut Tx<'_, V>, node: NodeId) -> Step<(), V> {
    let Some(own) = tx.node_certificates(node)? else { return Ok(()) };
    for (other, row) in noted(tx)? {
        if other.slot() != node.slot() || other >= node {
            continue;
        }
        for serial in row.serials.into_iter().filter(|serial| !own.serials.contains(serial)) {
            if tx.revoked(serial)?.is_some() || is_full(tx)? {
                continue;
            }
            add(tx, serial, None, Some(other), REPLACED.to_string());
            let entities = vec![Entity::Certificate(serial), Entity::Node(other)];
            let record = Record::new(tx.now, tx.origin, Agent::Cluster, Recorded::RevokeCertificates, entities);
            tx.record(Record { reason: Some(REPLACED.to_string()), ..record });
        }
        tx.remove(Key::NodeCertificates(other));
    }
    Ok(())
}

fn is_pending<V: View>(tx: &Tx<'_, V>, node: NodeId) -> Step<bool, V> {
    Ok(tx.seat(node)?.is_some_and(|seat| seat.is_pending()))
}

/// Revokes one that no node shows, or all that one node shows, if the two others go on without it.
pub(crate) fn revoke<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, revoke: &RevokeCertificates) -> Step<Reply, V> {
    may(tx, &actor.user, Action::ManageCertificates)?.check()?;
    check_name(&revoke.reason, RECORD_REASON_BYTES_MAX).map_err(|_| Reject::Invalid(Field::Reason))?;
    let all = noted(tx)?;
    let by = Some(actor.user.id);
    let (node, serials) = match revoke.what {
        Revocation::Certificate(serial) => {
            if tx.revoked(serial)?.is_some() {
                return Ok(Reply::Done);
            }
            if let Some((node, _)) = all.iter().find(|(_, row)| row.serials.contains(&serial)) {
                return Err(Reject::CertificateInUse(*node).into());
            }
            (None, vec![serial])
        }
        Revocation::Node(node) => {
            let Some((_, row)) = all.iter().find(|(other, _)| *other == node) else {
                return Err(Reject::NotFound.into());
            };
            let mut others: usize = 0;
            for (other, shown) in all.iter().filter(|(other, _)| other.slot() != node.slot()) {
                let shared = shown.serials.iter().any(|serial| row.serials.contains(serial));
                let counts = !shared && !is_pending(tx, *other)? && are_good(tx, &shown.serials)?;
                others = others.saturating_add(usize::from(counts));
            }
            if others < 2 {
                return Err(Reject::MajorityCutOff.into());
            }
            (Some(node), row.serials.clone())
        }
    };
    for serial in serials {
        if tx.revoked(serial)?.is_some() {
            continue;
        }
        if is_full(tx)? {
            return Err(Reject::Limit(Field::Certificate).into());
        }
        add(tx, serial, by, node, revoke.reason.clone());
    }
    Ok(Reply::Done)
}

fn add<V: View>(tx: &mut Tx<'_, V>, serial: Serial, by: Option<UserId>, node: Option<NodeId>, reason: String) {
    let row = Revoked { at: tx.now, by, node, reason };
    tx.put(Key::Revoked(serial), Row::Revoked(row));
}

fn is_full<V: View>(tx: &Tx<'_, V>) -> Step<bool, V> {
    let (from, to) = keys::revoked();
    Ok(tx.scan(&from, &to, false, CERTIFICATES_REVOKED_MAX)?.len() >= CERTIFICATES_REVOKED_MAX)
}

fn are_good<V: View>(tx: &Tx<'_, V>, serials: &[Serial]) -> Step<bool, V> {
    for serial in serials {
        if tx.revoked(*serial)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What all nodes show: one row for each slot, and one more for a node on its way to it.
fn noted<V: View>(tx: &Tx<'_, V>) -> Step<Vec<(NodeId, NodeCertificates)>, V> {
    let (from, to) = keys::node_certificates();
    let rows = tx.scan(&from, &to, false, SEATS_MAX)?;
    let noted = rows.into_iter().filter_map(|(key, row)| match (key, row) {
        (Key::NodeCertificates(node), Row::NodeCertificates(row)) => Some((node, row)),
        _ => None,
    });
    Ok(noted.collect())
}
