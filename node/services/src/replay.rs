//! What a user missed: their own events and those of their conversations, merged from the state in the order of events.
//! A message is an event by itself: it comes from where messages are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use state::keys;
use state::view::{Rows, View, heads};
use state::visible::Visible;
use types::row::StoredEvent;
use types::{ConversationId, Event, EventBody, EventNumber, Key, Principal, Row, Scope, Seq, UserId};

use crate::errors::Error;

/// Participations read at a time.
const CHUNK: usize = 1_024;
/// Messages of one conversation read at a time, at most.
const MESSAGES_AT_A_TIME: usize = 64;

/// A page of what was missed.
#[derive(Debug)]
pub(crate) struct Page {
    /// In order.
    pub(crate) events: Vec<Event>,
    /// Everything up to here is among them, or was before.
    pub(crate) through: EventNumber,
}

/// How much of what was missed is read at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Events.
    pub(crate) events: usize,
    /// Bytes of their messages; one event is read however long its message is.
    pub(crate) bytes: usize,
}

/// The first events in `after < number ≤ to` that the user can see, as many as there is room for, messages with their
/// content as it is stored; `to` none means up to the newest.
///
/// Errors: [`Error::CursorExpired`] when events after `after` have been dropped.
pub(crate) fn page<V: View<Fault = raft::Fault>>(
    view: &V,
    user: UserId,
    after: EventNumber,
    to: Option<EventNumber>,
    room: Room,
) -> Result<Page, Error> {
    let heads = heads(view)?;
    if after < heads.events_dropped {
        return Err(Error::CursorExpired);
    }
    let to = to.unwrap_or(heads.event);
    let mut merge = Merge { events: BTreeMap::new(), bytes: 0, to, room };
    let own = (Key::UserEvent(user, after.next()), Key::UserEvent(user, to));
    merge.take_kept(view, Scope::User(user), own)?;
    for_each_participation(view, user, |id, _| merge_conversation(view, &mut merge, user, id, after))?;
    Ok(Page { events: merge.events.into_values().collect(), through: merge.to })
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
            merge.take_kept(view, Scope::Conversation(id), keys)?;
            merge.take_messages(view, id, (from, to), conversation.last_seq)?;
        }
    }
    Ok(())
}

/// The first message of a conversation from this event on, of those up to `last`; none if there is none.
///
/// Most that is missed is at the end: it is looked for from there, in growing steps, and then between two of them.
fn first_from<V: View<Fault = raft::Fault>>(
    view: &V,
    id: ConversationId,
    from: EventNumber,
    last: Seq,
) -> Result<Option<Seq>, Error> {
    let is_before = |seq: u64| -> Result<bool, Error> {
        let message = view.message(id, Seq(seq))?.ok_or(Error::Internal("a message is missing"))?;
        Ok(message.event < from)
    };
    // Those up to `before` come before that event, `there` does not.
    let (mut before, mut there, mut step) = (0, last.0 + 1, 1);
    while there > 1 {
        let seq = there.saturating_sub(step).max(1);
        if is_before(seq)? {
            before = seq;
            break;
        }
        there = seq;
        step *= 2;
    }
    while before + 1 < there {
        let middle = before + (there - before) / 2;
        if is_before(middle)? {
            before = middle;
        } else {
            there = middle;
        }
    }
    Ok((there <= last.0).then_some(Seq(there)))
}

/// The lowest events of all sources so far: as many as there is room for, and none above `to`, which falls as they become
/// enough.
struct Merge {
    events: BTreeMap<EventNumber, Event>,
    bytes: usize,
    to: EventNumber,
    room: Room,
}

impl Merge {
    /// Events that are kept as such.
    fn take_kept<V: View<Fault = raft::Fault>>(
        &mut self,
        view: &V,
        scope: Scope,
        (from, to): (Key, Key),
    ) -> Result<(), Error> {
        if from > to {
            return Ok(());
        }
        // With one more than there is room for: that it is there lowers `to`, so that what comes after is not taken for nothing.
        for (key, row) in view.scan(&from, &to, false, self.room.events + 1)? {
            let (number, StoredEvent { at, body }) = match (key, row) {
                (Key::UserEvent(_, number), Row::UserEvent(stored)) => (number, stored),
                (Key::ConversationEvent(_, number), Row::ConversationEvent(stored)) => (number, stored),
                _ => continue,
            };
            if !self.put(Event { number, scope, at, body, message: None }) {
                break;
            }
        }
        Ok(())
    }

    /// Messages of a conversation.
    fn take_messages<V: View<Fault = raft::Fault>>(
        &mut self,
        view: &V,
        id: ConversationId,
        (from, to): (EventNumber, EventNumber),
        last: Seq,
    ) -> Result<(), Error> {
        let Some(mut next) = first_from(view, id, from, last)? else { return Ok(()) };
        // Few first: where the page is full already, one is enough to see it.
        let mut count = 1;
        while next <= last {
            let rows = view.scan(&Key::Message(id, next), &Key::Message(id, last), false, count)?;
            if rows.first().is_none_or(|(key, _)| *key != Key::Message(id, next)) {
                return Err(Error::Internal("a message is missing"));
            }
            count = (2 * count).min(MESSAGES_AT_A_TIME);
            for (key, row) in rows {
                let (Key::Message(_, seq), Row::Message(message)) = (key, row) else { continue };
                next = seq.next();
                let (number, at, scope) = (message.event, message.at, Scope::Conversation(id));
                let message = Some(Arc::new(message));
                if number > to || !self.put(Event { number, scope, at, body: EventBody::Posted(seq), message }) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes an event in; whether one after it, of the same source, may have room as well.
    fn put(&mut self, event: Event) -> bool {
        if event.number > self.to {
            return false;
        }
        self.bytes += bytes_of(&event);
        self.events.insert(event.number, event);
        while self.events.len() > self.room.events || (self.bytes > self.room.bytes && self.events.len() > 1) {
            let Some((_, dropped)) = self.events.pop_last() else { break };
            self.bytes -= bytes_of(&dropped);
            self.to = EventNumber(dropped.number.0 - 1); // It is above some other, and so not the first there is.
        }
        true
    }
}

fn bytes_of(event: &Event) -> usize {
    event.message.as_ref().map_or(0, |message| message.sealed.bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use state::View;
    use state::model::Model;
    use types::conversation::{Cause, Conversation, ConversationKind, Interval, Participant, PolicyRef};
    use types::message::{Header, Message, MessageKind, Priority, Sealed, Sender};
    use types::row::Heads;
    use types::{DeviceId, Timestamp};

    const USER: UserId = UserId([1; 16]);
    const EVENTS: u64 = 400;
    /// Of each conversation: the events from which, and up to which, the user takes part.
    const PARTS: [&[(u64, Option<u64>)]; 3] = [&[(1, None)], &[(100, Some(250))], &[(5, Some(80)), (200, None)]];

    struct Rows(Model);

    impl View for Rows {
        type Fault = raft::Fault;

        fn get(&self, key: &Key) -> Result<Option<Row>, raft::Fault> {
            let Ok(row) = self.0.get(key);
            Ok(row)
        }

        fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, raft::Fault> {
            let Ok(rows) = self.0.scan(from, to, reverse, limit);
            Ok(rows)
        }
    }

    const fn id(at: usize) -> ConversationId {
        ConversationId([at as u8 + 1; 16])
    }

    fn message(event: u64, seq: Seq, bytes: usize) -> Message {
        let header = Header {
            kind: MessageKind::TEXT,
            priority: Priority::Routine,
            reply_to: None,
            supersedes: None,
            expires_at: None,
            mentions: Vec::new(),
        };
        let sender = Sender { user: USER, acting_role: None, location: None, service: None, device: DeviceId([3; 16]) };
        let sealed = Sealed { key_id: 0, commitment: [0; 32], bytes: vec![7; bytes] };
        Message { seq, at: Timestamp(event), event: EventNumber(event), sender, header, sealed }
    }

    /// Events of all sources in an order that the seed decides, and those of them that the user may see.
    fn world(seed: u64) -> (Rows, Vec<u64>) {
        let (mut model, mut expected, mut dice) = (Model::default(), Vec::new(), seed);
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let mut last = [(Seq(0), EventNumber(0)); 3];
        for number in 1..=EVENTS {
            let (event, at) = (EventNumber(number), roll(3) as usize);
            let sees = PARTS[at].iter().any(|&(from, to)| from <= number && to.is_none_or(|to| number <= to));
            let stored = StoredEvent { at: Timestamp(number), body: EventBody::ConversationChanged };
            match roll(4) {
                0 => {
                    model.rows.insert(Key::UserEvent(USER, event), Row::UserEvent(stored));
                    expected.push(number);
                    continue;
                }
                1 => drop(model.rows.insert(Key::ConversationEvent(id(at), event), Row::ConversationEvent(stored))),
                _ => {
                    last[at].0 = last[at].0.next();
                    let message = message(number, last[at].0, 10 + roll(200) as usize);
                    model.rows.insert(Key::Message(id(at), last[at].0), Row::Message(message));
                }
            }
            last[at].1 = event;
            if sees {
                expected.push(number);
            }
        }
        for (at, (last_seq, last_event)) in last.into_iter().enumerate() {
            let conversation = Conversation {
                id: id(at),
                kind: ConversationKind::Group,
                title: Vec::new(),
                created_by: USER,
                created: Timestamp(0),
                last_seq,
                last_at: Timestamp(0),
                last_event,
                participants: 1,
                history: PolicyRef { id: 1, version: 1 },
                subject: None,
                open: true,
                version: 1,
            };
            let interval = |&(from, to): &(u64, Option<u64>)| Interval {
                from: Seq(1),
                to: to.map(|_| Seq(1)),
                from_event: EventNumber(from),
                to_event: to.map(EventNumber),
                cause: Cause::Joined,
            };
            let intervals = PARTS[at].iter().map(interval).collect();
            let participant = Participant { part: None, intervals, displayed: Seq(0), joined: Timestamp(0) };
            let principal = Principal::User(USER);
            model.rows.insert(Key::Conversation(id(at)), Row::Conversation(conversation));
            model.rows.insert(Key::Participant(id(at), principal), Row::Participant(participant));
            model.rows.insert(Key::Participation(principal, id(at)), Row::Participation(true));
        }
        model.rows.insert(Key::Heads(), Row::Heads(Heads { event: EventNumber(EVENTS), ..Heads::default() }));
        (Rows(model), expected)
    }

    #[test]
    fn pages_of_any_size_add_up_to_what_was_missed_without_a_gap_or_a_repeat() {
        for seed in 0..40 {
            let (view, expected) = world(seed);
            for (events, bytes) in [(1, 10_000), (3, 400), (100, 1), (7, 100_000), (64, 2_000), (10_000, 1 << 20)] {
                for (after, to) in [(0, EVENTS), (0, 99), (150, EVENTS), (398, 399), (EVENTS, EVENTS)] {
                    let (mut at, mut seen) = (EventNumber(after), Vec::new());
                    while at < EventNumber(to) {
                        let page =
                            page(&view, USER, at, Some(EventNumber(to)), Room { events, bytes }).expect("readable");
                        assert!(page.events.len() <= events && page.through > at, "seed {seed}: it comes to an end");
                        let size: usize = page.events.iter().map(bytes_of).sum();
                        assert!(size <= bytes || page.events.len() == 1, "seed {seed}: {size} bytes of {bytes}");
                        seen.extend(page.events.iter().map(|event| event.number.0));
                        at = page.through;
                    }
                    let missed = expected.iter().copied().filter(|number| after < *number && *number <= to);
                    let missed: Vec<_> = missed.collect();
                    assert_eq!(missed, seen, "seed {seed}, {events} events and {bytes} bytes from {after} to {to}");
                }
            }
        }
    }

    #[test]
    fn the_first_message_from_an_event_on_is_found_wherever_it_is() {
        let mut model = Model::default();
        for seq in 1..=100 {
            model.rows.insert(Key::Message(id(0), Seq(seq)), Row::Message(message(10 * seq, Seq(seq), 10)));
        }
        let view = Rows(model);
        for event in 0..=1_001_u64 {
            let expected = (event <= 1_000).then_some(Seq(event.div_ceil(10).max(1)));
            assert_eq!(
                first_from(&view, id(0), EventNumber(event), Seq(100)).expect("readable"),
                expected,
                "from event {event}"
            );
        }
        let (room, to) = (Room { events: 10, bytes: 1_000 }, EventNumber(2_000));
        let mut merge = Merge { events: BTreeMap::new(), bytes: 0, to, room };
        let gone = merge.take_messages(&view, id(1), (EventNumber(1), to), Seq(1));
        assert!(gone.is_err(), "a message that is not there ends the stream, not its thread");
        assert_eq!(first_from(&view, id(1), EventNumber(1), Seq(0)).expect("readable"), None, "where there are none");
    }
}
