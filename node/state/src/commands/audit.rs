//! Heads of the audit tree: who signs, at which sizes, what was signed, and what follows when roots differ.
//!
//! The tree itself is `store`'s. Here roots are compared, never computed: `state` hashes nothing.

use alloc::vec;
use alloc::vec::Vec;

use types::command::{Found, Observation, Once, ResolveDivergence, SignHead};
use types::limits::{
    AUDIT_HEAD_KEPT_MS, AUDIT_HEAD_MS, OBSERVATIONS_MAX, OBSERVED_ENTITIES_MAX, RECORD_REASON_BYTES_MAX, SIGNERS_MAX,
};
use types::record::{Action, Agent, AuditKey, Entity, Record, Result as End};
use types::reply::Field;
use types::row::{Divergence, Head, HeadSignature, Signer};
use types::{Command, DeviceId, Incarnation, Key, NodeId, Reject, Reply, Row, UserId};

use super::once;
use crate::policy::{self, Actor};
use crate::tx::{Step, Tx, found as present};
use crate::view::{Rows, View};
use crate::{keys, records};

/// The signers of a new cluster.
pub(crate) fn found<V: View>(tx: &mut Tx<'_, V>, found: &Found) -> Step<(), V> {
    if !found.audit_keys.is_empty() && found.audit_keys.len() != types::Slot::ALL.len() {
        return Err(Reject::Invalid(Field::AuditKeys).into());
    }
    for (node, key) in records::founding_signers(found) {
        tx.put(Key::Signer(node), Row::Signer(Signer { key, since: 0, until: None }));
    }
    Ok(())
}

/// Refuses what writes while nodes hold different audit logs. What keeps a node alive, says what was seen, signs, or
/// decides goes on.
pub(crate) fn admit<V: View>(tx: &Tx<'_, V>, command: &Command) -> Step<(), V> {
    let goes_on = matches!(
        command,
        Command::RenewLease(_)
            | Command::ExpireLease(..)
            | Command::Tick
            | Command::Connections(_)
            | Command::Confirm(_)
            | Command::EndSession(_)
            | Command::LogOff(_)
            | Command::SignIn(_) // Whoever decides has to sign in first.
            | Command::RefuseSignIn(_)
            | Command::Refresh(_)
            | Command::LockSession(_)
            | Command::UnlockSession(_)
            | Command::TapIn(_)
            | Command::OpenEmergency(_) // Whoever should decide may not be there.
            | Command::ApproveEmergency(_)
            | Command::EndEmergency(_)
            | Command::Found(_)
            | Command::MarkHead
            | Command::SignHead(_)
            | Command::SetSigner(_)
            | Command::Observe(..)
            | Command::ResolveDivergence(_)
            | Command::AdmitNode(_) // A third node is what decides it.
            | Command::SeatNode(_)
            | Command::Refound(_)
            | Command::NoteCertificates(_)
            | Command::RevokeCertificates(_) // Whoever made them differ may hold a stolen one.
    );
    if goes_on || tx.divergence()?.is_none() { Ok(()) } else { Err(Reject::StateDiverged.into()) }
}

/// Names the size at which all sign next. Without news, or too soon, nothing happens; nor while nodes differ, so that the
/// head they differ about stays the newest.
pub(crate) fn mark<V: View>(tx: &mut Tx<'_, V>) -> Step<Reply, V> {
    let size = tx.records();
    let (from, to) = keys::signers();
    if size == 0 || tx.divergence()?.is_some() || tx.scan(&from, &to, false, 1)?.is_empty() {
        return Ok(Reply::Done);
    }
    let newest = newest_head(tx, size)?;
    let too_soon =
        newest.as_ref().is_some_and(|(last, head)| *last == size || tx.now < head.marked.plus_ms(AUDIT_HEAD_MS));
    if !too_soon {
        let number = newest.map_or(0, |(_, head)| head.number).saturating_add(1);
        let head = Head { marked: tx.now, number, signatures: Vec::new(), sealed: None, decided: None };
        tx.put(Key::Head(size), Row::Head(head));
    }
    Ok(Reply::Done)
}

/// Takes a node's signature. It is of the head with its number, whatever size the node has there: another size is another
/// root. Two of one root seal the head; where roots differ, that is said and acted on.
pub(crate) fn sign<V: View>(tx: &mut Tx<'_, V>, sign: &SignHead) -> Step<Reply, V> {
    let node = tx.origin;
    if tx.signer(node)?.is_none_or(|signer| signer.until.is_some()) {
        return Err(Reject::NotPermitted.into());
    }
    let Some((size, mut head)) = numbered(tx, sign.number)? else { return Ok(Reply::Done) }; // Too late: it was dropped.
    if let Some(before) = head.signatures.iter().find(|one| one.node == node) {
        let same = before.root == sign.root;
        return if same { Ok(Reply::Done) } else { Err(Reject::Invalid(Field::Head).into()) };
    }
    head.signatures.push(HeadSignature { node, root: sign.root, signature: sign.signature });
    match head.root() {
        Some(root) => agreed(tx, size, sign.root, &mut head, root)?,
        None if head.signatures.len() >= 2 => disagreed(tx, size, &head)?,
        None => {}
    }
    tx.put(Key::Head(size), Row::Head(head));
    Ok(Reply::Done)
}

/// A root that two nodes have: whoever has another one stops by itself when it sees this head.
fn agreed<V: View>(tx: &mut Tx<'_, V>, size: u64, signed: [u8; 32], head: &mut Head, root: [u8; 32]) -> Step<(), V> {
    let odd = |one: &&HeadSignature| one.root != root;
    if head.sealed.is_none() {
        head.sealed = Some(tx.now);
        drop_before(tx, size)?;
        if tx.divergence()?.is_some() {
            tx.remove(Key::Divergence());
        }
        let odd: Vec<NodeId> = head.signatures.iter().filter(odd).map(|one| one.node).collect();
        odd.into_iter().for_each(|node| say_divergence(tx, size, vec![node]));
    } else if signed != root {
        say_divergence(tx, size, vec![tx.origin]);
    }
    Ok(())
}

/// Two nodes, two roots: nobody can say yet which is right.
fn disagreed<V: View>(tx: &mut Tx<'_, V>, size: u64, head: &Head) -> Step<(), V> {
    if tx.divergence()?.is_none() {
        tx.put(Key::Divergence(), Row::Divergence(Divergence { size, since: tx.now }));
        say_divergence(tx, size, head.signatures.iter().map(|one| one.node).collect());
    }
    Ok(())
}

fn say_divergence<V: View>(tx: &mut Tx<'_, V>, size: u64, nodes: Vec<NodeId>) {
    let entities = core::iter::once(Entity::Head(size)).chain(nodes.into_iter().map(Entity::Node)).collect();
    tx.record(Record::new(tx.now, tx.origin, Agent::Cluster, Action::FindDivergence, entities));
}

/// Drops the head before the one that is sealed now, unless it is the first sealed of its hour.
///
/// Heads are sealed in any order, so more than one may be waiting to go.
fn drop_before<V: View>(tx: &mut Tx<'_, V>, sealed: u64) -> Step<(), V> {
    let (from, to) = keys::heads_to(sealed.saturating_sub(1));
    let before: Vec<(u64, Head)> =
        tx.scan(&from, &to, true, HEADS_LOOKED_BACK)?.into_iter().filter_map(head_of).collect();
    for (at, (size, head)) in before.iter().enumerate() {
        let hour = head.marked.0 / AUDIT_HEAD_KEPT_MS;
        let first_of_hour = before
            .iter()
            .skip(at.saturating_add(1))
            .find(|(_, older)| older.sealed.is_some())
            .is_none_or(|(_, older)| older.marked.0 / AUDIT_HEAD_KEPT_MS != hour);
        if head.sealed.is_none() || !first_of_hour {
            tx.remove(Key::Head(*size));
        }
    }
    Ok(())
}

/// Heads that can be between two that are kept, and more.
const HEADS_LOOKED_BACK: usize = 16;

fn head_of((key, row): (Key, Row)) -> Option<(u64, Head)> {
    match (key, row) {
        (Key::Head(size), Row::Head(head)) => Some((size, head)),
        _ => None,
    }
}

/// The head with this number and its size here. A node that has diverged may hold other records, so sizes do not tell.
fn numbered<V: View>(tx: &Tx<'_, V>, number: u64) -> Step<Option<(u64, Head)>, V> {
    let (from, to) = keys::heads_to(u64::MAX);
    let newest = tx.scan(&from, &to, true, HEADS_LOOKED_BACK)?;
    Ok(newest.into_iter().filter_map(head_of).find(|(_, head)| head.number == number))
}

fn newest_head<V: View>(tx: &Tx<'_, V>, size: u64) -> Step<Option<(u64, Head)>, V> {
    let (from, to) = keys::heads_to(size);
    Ok(tx.scan(&from, &to, true, 1)?.into_iter().find_map(head_of))
}

/// The key of a node that takes a slot: once for each node, and the node before it signs no more.
pub(crate) fn set_signer<V: View>(tx: &mut Tx<'_, V>, key: AuditKey) -> Step<Reply, V> {
    let node = tx.origin;
    if let Some(signer) = tx.signer(node)? {
        return if signer.key == key {
            tx.repeat();
            Ok(Reply::Done)
        } else {
            Err(Reject::NotPermitted.into())
        };
    }
    if !is_let_in(tx, node)? {
        return Err(Reject::NotPermitted.into());
    }
    let since = tx.records();
    let (from, to) = keys::signers();
    for (other, row) in tx.scan(&from, &to, false, SIGNERS_MAX)? {
        let (Key::Signer(other), Row::Signer(signer)) = (other, row) else { continue };
        if other.slot() != node.slot() || signer.until.is_some() {
            continue;
        }
        if other > node {
            return Err(Reject::NotPermitted.into()); // A newer one has the slot.
        }
        tx.put(Key::Signer(other), Row::Signer(Signer { until: Some(since), ..signer }));
    }
    tx.put(Key::Signer(node), Row::Signer(Signer { key, since, until: None }));
    Ok(Reply::Done)
}

/// Whether it is of the founding, or of the three that went on from a backup, or was let in since and not replaced.
pub(super) fn is_let_in<V: View>(tx: &Tx<'_, V>, node: NodeId) -> Step<bool, V> {
    if let Some(seat) = tx.seat(node)? {
        return Ok(seat.replaced.is_none());
    }
    let restored = tx.refounding()?.map(|refounding| refounding.node.incarnation());
    let came_with = node.incarnation() == Incarnation(1) || restored == Some(node.incarnation());
    Ok(node.slot().is_some() && came_with)
}

/// An operator says which root is right: nodes with another stop, and writing goes on.
pub(crate) fn resolve<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, decision: &ResolveDivergence) -> Step<Reply, V> {
    policy::may(tx, &actor.user, policy::Action::ResolveDivergence)?.check()?;
    // By the root, and at the size at which this node knows of it: a node with other records has another size, and must
    // learn of the decision too.
    let divergence = present::<_, V>(tx.divergence()?)?;
    let mut head = present::<_, V>(tx.head(divergence.size)?)?;
    if !head.signatures.iter().any(|one| one.root == decision.root) {
        return Err(Reject::Invalid(Field::Head).into());
    }
    head.decided = Some(decision.root);
    tx.put(Key::Head(divergence.size), Row::Head(head));
    tx.remove(Key::Divergence());
    Ok(Reply::Done)
}

/// Records what was looked at, or refused; once, however often it is put.
pub(crate) fn observe<V: View>(tx: &mut Tx<'_, V>, number: Once, observations: &[Observation]) -> Step<Reply, V> {
    let sound = |one: &Observation| {
        is_observed(one.action)
            && one.entities.len() <= OBSERVED_ENTITIES_MAX
            && one.reason.as_ref().is_none_or(|reason| reason.len() <= RECORD_REASON_BYTES_MAX)
    };
    if observations.len() > OBSERVATIONS_MAX || !observations.iter().all(sound) {
        return Err(Reject::Invalid(Field::Observations).into());
    }
    if !once::first(tx, number)? {
        return Ok(Reply::Recorded(tx.records())); // It was recorded before: no later than here.
    }
    for one in observations {
        let (agent, location) = agent(tx, one)?;
        let record = Record::new(tx.now, tx.origin, agent, one.action, one.entities.clone());
        tx.record(Record {
            result: one.refused.map_or(End::Done, End::Refused),
            purpose: one.purpose,
            location,
            reason: one.reason.clone(),
            seen: one.seen,
            count: one.count,
            ..record
        });
    }
    Ok(Reply::Recorded(tx.records()))
}

/// What leaves no other trace. A node may not make up records of commands.
const fn is_observed(action: Action) -> bool {
    matches!(
        action,
        Action::FetchMessages
            | Action::FetchTitles
            | Action::FetchNames
            | Action::FetchStatuses
            | Action::OpenStream
            | Action::ReadAudit
            | Action::ShowAddresses
            | Action::ProveMessage
            | Action::RevealMessage
            | Action::ExportAudit
            | Action::Look
            | Action::LoadConfiguration
    )
}

/// Whoever the session is of, and at which place, whether it goes on or has ended since. Of one that was forgotten while the
/// node kept what was seen, the node says it, as long as that device is that user's.
fn agent<V: View>(tx: &Tx<'_, V>, of: &Observation) -> Step<(Agent, Option<UserId>), V> {
    let Some(session) = of.session else { return Ok((Agent::Unknown, None)) };
    let named = |user, device| Agent::User { user, acting_role: None, device, session };
    Ok(match (tx.session(session)?, of.by) {
        (Some(row), _) => (named(row.user, row.device), row.place.map(|place| place.location)),
        (None, Some((user, device))) if of.seen.is_some() && owns(tx, user, device)? => (named(user, device), None),
        (None, _) => (Agent::Unknown, None),
    })
}

fn owns<V: View>(tx: &Tx<'_, V>, user: UserId, device: DeviceId) -> Step<bool, V> {
    Ok(tx.device(device)?.is_some_and(|row| row.user == user))
}
