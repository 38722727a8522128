//! What a user missed: their own events and those of their conversations, merged from the state in the order of events.

use std::collections::{BTreeMap, BTreeSet};

use state::keys;
use state::view::{Rows, View, heads};
use state::visible::Visible;
use types::row::StoredEvent;
use types::{ConversationId, Event, EventNumber, Key, Principal, Row, Scope, UserId};

use crate::errors::Error;

/// Participations read at a time.
const CHUNK: usize = 1_024;

/// A page of what was missed.
#[derive(Debug)]
pub(crate) struct Page {
    /// In order.
    pub(crate) events: Vec<Event>,
    /// Everything up to here is among them, or was before.
    pub(crate) through: EventNumber,
}

/// The first `limit` events in `after < number ≤ to` that the user can see; `to` none means up to the newest.
///
/// Errors: [`Error::CursorExpired`] when events after `after` have been dropped.
pub(crate) fn page<V: View<Fault = raft::Fault>>(
    view: &V,
    user: UserId,
    after: EventNumber,
    to: Option<EventNumber>,
    limit: usize,
) -> Result<Page, Error> {
    let heads = heads(view)?;
    if after < heads.events_dropped {
        return Err(Error::CursorExpired);
    }
    let to = to.unwrap_or(heads.event);
    let mut merge = Merge { events: BTreeMap::new(), to, limit };
    let own = (Key::UserEvent(user, after.next()), Key::UserEvent(user, to));
    merge.take(view, Scope::User(user), own)?;
    for_each_participation(view, user, |id, _| merge_conversation(view, &mut merge, user, id, after))?;
    let through = if merge.events.len() == limit { merge.to } else { to };
    Ok(Page { events: merge.events.into_values().collect(), through })
}

/// The conversations a user takes part in.
pub(crate) fn conversations<V: View<Fault = raft::Fault>>(
    view: &V,
    user: UserId,
) -> Result<BTreeSet<ConversationId>, Error> {
    let mut conversations = BTreeSet::new();
    for_each_participation(view, user, |id, active| {
        if active {
            conversations.insert(id);
        }
        Ok(())
    })?;
    Ok(conversations)
}

fn for_each_participation<V: View<Fault = raft::Fault>>(
    view: &V,
    user: UserId,
    mut each: impl FnMut(ConversationId, bool) -> Result<(), Error>,
) -> Result<(), Error> {
    let principal = Principal::User(user);
    let (mut from, to) = keys::participations(principal);
    let mut last = None;
    loop {
        let rows = view.scan(&from, &to, false, CHUNK)?;
        let more = rows.len() == CHUNK;
        for (key, row) in rows {
            let (Key::Participation(_, id), Row::Participation(active)) = (key, row) else { continue };
            if last != Some(id) {
                each(id, active)?;
            }
            last = Some(id);
        }
        match last {
            Some(last) if more => from = Key::Participation(principal, last),
            _ => return Ok(()),
        }
    }
}

fn merge_conversation<V: View<Fault = raft::Fault>>(
    view: &V,
    merge: &mut Merge,
    user: UserId,
    id: ConversationId,
    after: EventNumber,
) -> Result<(), Error> {
    let Some(conversation) = view.conversation(id)? else { return Ok(()) };
    if conversation.last_event <= after {
        return Ok(()); // Nothing happened there since.
    }
    let Some(participant) = view.participant(id, Principal::User(user))? else { return Ok(()) };
    for (first, last) in Visible::new(&conversation, &participant).events {
        let (from, to) = (first.max(after.next()), last.min(merge.to));
        if from <= to {
            let keys = (Key::ConversationEvent(id, from), Key::ConversationEvent(id, to));
            merge.take(view, Scope::Conversation(id), keys)?;
        }
    }
    Ok(())
}

/// The lowest events of all sources so far: at most `limit`, and none above `to`, which falls as they become enough.
struct Merge {
    events: BTreeMap<EventNumber, Event>,
    to: EventNumber,
    limit: usize,
}

impl Merge {
    fn take<V: View<Fault = raft::Fault>>(
        &mut self,
        view: &V,
        scope: Scope,
        (from, to): (Key, Key),
    ) -> Result<(), Error> {
        if from > to {
            return Ok(());
        }
        for (key, row) in view.scan(&from, &to, false, self.limit)? {
            let (number, StoredEvent { at, body }) = match (key, row) {
                (Key::UserEvent(_, number), Row::UserEvent(stored)) => (number, stored),
                (Key::ConversationEvent(_, number), Row::ConversationEvent(stored)) => (number, stored),
                _ => continue,
            };
            if number > self.to {
                break;
            }
            self.events.insert(number, Event { number, scope, at, body, message: None });
        }
        while self.events.len() > self.limit {
            self.events.pop_last();
        }
        if self.events.len() == self.limit
            && let Some((&last, _)) = self.events.last_key_value()
        {
            self.to = self.to.min(last);
        }
        Ok(())
    }
}
