//! Looks into the audit log: finds records by time, filters them, proves them.

use raft::{Fault, TreeNodes};
use record::tree;
use state::keys;
use state::view::{Rows, View};
use types::record::{Action, Agent, Entity, Record, Result as End};
use types::row::Head;
use types::{ConversationId, Key, Row, Seq, Timestamp, UserId};

use crate::errors::Error;

/// Records looked through for one page.
const LOOKED_THROUGH_MAX: u64 = 20_000;
/// Records read at a time.
const CHUNK: usize = 256;
/// Sealed heads are never further apart than so many that are not sealed, and more.
const UNSEALED_MAX: usize = 64;

/// What a list is asked for.
#[derive(Clone, Default, Debug)]
pub(crate) struct Filter {
    pub(crate) user: Option<UserId>,
    pub(crate) action: Option<Action>,
    pub(crate) target: Option<Entity>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) done: Option<bool>,
}

impl Filter {
    fn takes(&self, record: &Record) -> bool {
        let by = match record.agent {
            Agent::User { user, .. } => Some(user),
            Agent::Unknown | Agent::Cluster => None,
        };
        self.user.is_none_or(|user| by == Some(user))
            && self.action.is_none_or(|action| record.action == action)
            && self.done.is_none_or(|done| (record.result == End::Done) == done)
            && self.target.is_none_or(|target| record.entities.iter().any(|entity| concerns(entity, &target)))
    }
}

/// Whether a record's entity is what is asked for, or a part of it, or has it among its own.
fn concerns(entity: &Entity, target: &Entity) -> bool {
    match (entity, target) {
        (Entity::Messages(id, ..), Entity::Conversation(of)) => id == of,
        (Entity::Messages(id, first, last), Entity::Messages(of, from, to)) => id == of && first <= to && from <= last,
        (Entity::Signer(node, _), Entity::Node(of)) => node == of,
        (Entity::Records(first, last), Entity::Records(from, to)) => first <= to && from <= last,
        _ => entity == target,
    }
}

/// A page of records, the newest first.
pub(crate) struct Page {
    pub(crate) records: Vec<(u64, Record)>,
    /// Records below this one were not looked at; none: all were.
    pub(crate) next: Option<u64>,
}

/// Records below `below` that a filter takes, the newest first.
pub(crate) fn page<V: View<Fault = Fault>>(
    view: &V,
    filter: &Filter,
    below: Option<u64>,
    limit: usize,
) -> Result<Page, Error> {
    let count = state::view::heads(view)?.records;
    let lowest = filter.from.map_or(Ok(0), |from| first_at(view, from, count))?;
    let mut below = below.unwrap_or(count).min(count);
    if let Some(to) = filter.to {
        below = below.min(first_at(view, to, count)?);
    }
    let stop = lowest.max(below.saturating_sub(LOOKED_THROUGH_MAX));
    let mut records = Vec::new();
    while below > stop {
        let keys = (Key::Record(stop), Key::Record(below - 1));
        for (key, row) in view.scan(&keys.0, &keys.1, true, CHUNK)? {
            let (Key::Record(index), Row::Record(record)) = (key, row) else { continue };
            below = index;
            if filter.takes(&record) {
                records.push((index, record));
                if records.len() == limit {
                    return Ok(Page { records, next: (index > lowest).then_some(index) });
                }
            }
        }
    }
    Ok(Page { records, next: (stop > lowest).then_some(stop) })
}

/// The first of `count` records that is not before this time. They ascend in time, so that no index is needed.
fn first_at<V: View<Fault = Fault>>(view: &V, at: Timestamp, count: u64) -> Result<u64, Error> {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from + (to - from) / 2;
        let record = view.record(middle)?.ok_or(Error::Internal("a record is missing"))?;
        if record.at < at {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    Ok(from)
}

/// The place of a message's record.
pub(crate) fn of_message<V: View<Fault = Fault>>(
    view: &V,
    conversation: ConversationId,
    seq: Seq,
    at: Timestamp,
) -> Result<Option<(u64, Record)>, Error> {
    let count = state::view::heads(view)?.records;
    let mut next = first_at(view, at, count)?;
    while next < count {
        for (key, row) in view.scan(&Key::Record(next), &Key::Record(count - 1), false, CHUNK)? {
            let (Key::Record(index), Row::Record(record)) = (key, row) else { continue };
            if record.at > at {
                return Ok(None);
            }
            let posted = record.action == Action::Post && record.result == End::Done;
            if posted && record.entities.first() == Some(&Entity::Messages(conversation, seq, seq)) {
                return Ok(Some((index, record)));
            }
            next = index + 1;
        }
    }
    Ok(None)
}

/// The newest sealed head.
pub(crate) fn sealed_head<V: View<Fault = Fault>>(view: &V) -> Result<Option<(u64, Head)>, Error> {
    let (from, to) = keys::heads_to(u64::MAX);
    Ok(view.scan(&from, &to, true, UNSEALED_MAX)?.into_iter().find_map(sealed))
}

/// The first sealed head above this size.
pub(crate) fn sealed_above<V: View<Fault = Fault>>(view: &V, size: u64) -> Result<Option<(u64, Head)>, Error> {
    let to = Key::Head(u64::MAX);
    Ok(view.scan(&Key::Head(size.saturating_add(1)), &to, false, UNSEALED_MAX)?.into_iter().find_map(sealed))
}

fn sealed((key, row): (Key, Row)) -> Option<(u64, Head)> {
    match (key, row) {
        (Key::Head(size), Row::Head(head)) if head.sealed.is_some() => Some((size, head)),
        _ => None,
    }
}

/// The path from a record to the root of a head.
pub(crate) fn path<V: View<Fault = Fault>>(view: &V, index: u64, size: u64) -> Result<Vec<tree::Hash>, Error> {
    tree::prove_inclusion(&TreeNodes(view), index, size)?.ok_or(Error::NotSealed)
}
