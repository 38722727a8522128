//! One envelope's changes while they are made.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use types::limits::{CLOCK_HOLD_MS, CLOCK_STEP_MS_MAX};
use types::message::Message;
use types::record::{Action, Agent, Record};
use types::reply::Answer;
use types::row::{ClockHold, Heads, StoredEvent, Timer};
use types::{ConversationId, Event, EventBody, EventNumber, Key, NodeId, Reject, Reply, Row, Scope, Timestamp, UserId};

use crate::outcome::Outcome;
use crate::view::{View, heads};

/// Why a command went no further.
#[derive(Debug)]
pub(crate) enum Stop<F> {
    /// It is refused: an answer.
    Reject(Reject),
    /// This node cannot read its own state: the end of it.
    Fault(F),
}

impl<F> From<Reject> for Stop<F> {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// What a step of a command over the view `V` gives.
pub(crate) type Step<T, V> = Result<T, Stop<<V as View>::Fault>>;

/// A view and the changes made to it so far. It reads its own writes.
///
/// Invariant: events are numbered on from `heads.event`, records from `heads.records`, both without gaps.
pub(crate) struct Tx<'a, V: View> {
    view: &'a V,
    /// Cluster time of this command.
    pub(crate) now: Timestamp,
    /// The node that took the request.
    pub(crate) origin: NodeId,
    heads: Heads,
    changes: BTreeMap<Key, Option<Arc<Row>>>,
    events: Vec<Event>,
    records: Vec<Record>,
    presence: BTreeSet<UserId>,
    repeated: bool,
    /// Whether cluster time steps with this command, and the hold there is when it begins.
    stepped: bool,
    hold: Option<ClockHold>,
}

impl<'a, V: View> Tx<'a, V> {
    /// Begins with the clock moved on to `at`, never back. A step is taken note of.
    pub(crate) fn begin(view: &'a V, at: Timestamp, origin: NodeId) -> Result<Self, V::Fault> {
        let mut heads = heads(view)?;
        let (before, steady) = (heads.clock, heads.steady());
        heads.clock = heads.clock.max(at); // A new leader's clock may be behind the old one's.
        heads.hold = heads.hold.filter(|hold| heads.clock < hold.until);
        let stepped = before.0 > 0 && heads.clock > before.plus_ms(CLOCK_STEP_MS_MAX);
        if stepped {
            let until = heads.clock.plus_ms(CLOCK_HOLD_MS);
            heads.hold = Some(ClockHold { before: steady, after: heads.clock, until });
        }
        Ok(Self {
            view,
            now: heads.clock,
            origin,
            heads,
            changes: BTreeMap::new(),
            events: Vec::new(),
            records: Vec::new(),
            presence: BTreeSet::new(),
            repeated: false,
            stepped,
            hold: heads.hold,
        })
    }

    /// What expires irreversibly goes by this time, not by `now`.
    pub(crate) const fn steady(&self) -> Timestamp {
        self.heads.steady()
    }

    /// Sets a timer that goes by [`Tx::steady`]: at the latest when a step is taken for right it fires, and looks again.
    pub(crate) fn set_steady_timer(&mut self, due: Timestamp, timer: Timer) {
        let due = self.steady_due(due);
        self.put(Key::Timer(due, timer), Row::Timer(()));
    }

    /// When it will be `due` by steady time, or may be because a step is taken for right.
    pub(crate) fn steady_due(&self, due: Timestamp) -> Timestamp {
        match self.heads.hold {
            Some(hold) => self.now.plus_ms(due.since_ms(self.steady())).min(hold.until).max(self.now),
            None => due,
        }
    }

    /// The hold there is; it is over from here on.
    pub(crate) fn release_clock(&mut self) -> Option<ClockHold> {
        self.heads.hold.take()
    }

    /// The hold there is.
    pub(crate) const fn clock_hold(&self) -> Option<ClockHold> {
        self.heads.hold
    }

    /// Writes a row.
    pub(crate) fn put(&mut self, key: Key, row: Row) {
        self.changes.insert(key, Some(Arc::new(row)));
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// The newest event so far.
    pub(crate) const fn cursor(&self) -> EventNumber {
        self.heads.event
    }

    /// Tells subscribers of a change; gives its number.
    pub(crate) fn event(&mut self, scope: Scope, body: EventBody) -> EventNumber {
        let number = self.next_event();
        let stored = StoredEvent { at: self.now, body };
        match scope {
            Scope::Conversation(id) => {
                self.put(Key::ConversationEvent(id, number), Row::ConversationEvent(stored));
            }
            Scope::User(id) => self.put(Key::UserEvent(id, number), Row::UserEvent(stored)),
        }
        self.put(Key::EventScope(number), Row::EventScope((scope, self.now)));
        self.events.push(Event { number, scope, at: self.now, body, message: None });
        number
    }

    /// Tells a conversation of a message that is stored in the same step. The message itself keeps the event: its number,
    /// its time, its place.
    pub(crate) fn posted(&mut self, id: ConversationId, message: Arc<Message>) -> EventNumber {
        let number = self.next_event();
        debug_assert_eq!(message.event, number, "whoever missed it finds it by the message");
        let body = EventBody::Posted(message.seq);
        self.events.push(Event { number, scope: Scope::Conversation(id), at: self.now, body, message: Some(message) });
        number
    }

    fn next_event(&mut self) -> EventNumber {
        self.heads.event = self.heads.event.next();
        self.heads.event
    }

    /// Notes that a user's presence may look different now.
    pub(crate) fn signal(&mut self, user: UserId) {
        self.presence.insert(user);
    }

    /// Appends to the audit log.
    pub(crate) fn record(&mut self, record: Record) {
        self.put(Key::Record(self.heads.records), Row::Record(record.clone()));
        self.heads.records = self.heads.records.saturating_add(1);
        self.records.push(record);
    }

    /// How many records the audit log has so far.
    pub(crate) const fn records(&self) -> u64 {
        self.heads.records
    }

    /// Events up to this one have been dropped.
    pub(crate) fn set_events_dropped(&mut self, number: EventNumber) {
        self.heads.events_dropped = number;
    }

    /// What the command asks for was done before: it leaves no second record.
    pub(crate) fn repeat(&mut self) {
        self.repeated = true;
    }

    /// Whether [`Tx::repeat`] was called.
    pub(crate) const fn is_repeat(&self) -> bool {
        self.repeated
    }

    /// Takes back everything but the clock: a refused command changes nothing.
    pub(crate) fn roll_back(&mut self) -> Result<(), V::Fault> {
        self.heads = Heads { clock: self.now, hold: self.hold, ..heads(self.view)? };
        self.changes.clear();
        self.events.clear();
        self.records.clear();
        self.presence.clear();
        Ok(())
    }

    /// Everything that follows, with this answer.
    pub(crate) fn finish(mut self, answer: Answer) -> Outcome {
        if self.stepped {
            self.record(Record::new(self.now, self.origin, Agent::Cluster, Action::StepClock, Vec::new()));
        }
        self.put(Key::Heads(), Row::Heads(self.heads));
        Outcome {
            changes: self.changes,
            answer,
            events: self.events,
            records: self.records,
            presence: self.presence.into_iter().collect(),
        }
    }

    /// An answer that reflects the state so far.
    pub(crate) const fn answer(&self, result: Result<Reply, Reject>) -> Answer {
        Answer { result, cursor: self.heads.event }
    }
}

impl<V: View> View for Tx<'_, V> {
    type Fault = Stop<V::Fault>;

    fn get(&self, key: &Key) -> Result<Option<Row>, Self::Fault> {
        if let Key::Heads() = key {
            return Ok(Some(Row::Heads(self.heads)));
        }
        match self.changes.get(key) {
            Some(change) => Ok(change.as_deref().cloned()),
            None => self.view.get(key).map_err(Stop::Fault),
        }
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Self::Fault> {
        if from > to || limit == 0 {
            return Ok(Vec::new());
        }
        let changed: Vec<(&Key, &Option<Arc<Row>>)> = if reverse {
            self.changes.range(from..=to).rev().collect()
        } else {
            self.changes.range(from..=to).collect()
        };
        // Each change can hide one row below, so that many more are needed to be sure of `limit`.
        let below = self.view.scan(from, to, reverse, limit.saturating_add(changed.len())).map_err(Stop::Fault)?;
        Ok(merge(below, &changed, reverse, limit))
    }
}

fn merge(below: Vec<(Key, Row)>, above: &[(&Key, &Option<Arc<Row>>)], reverse: bool, limit: usize) -> Vec<(Key, Row)> {
    let mut rows = Vec::with_capacity(limit.min(below.len().saturating_add(above.len())));
    let mut below = below.into_iter().peekable();
    let mut above = above.iter().peekable();
    while rows.len() < limit {
        let from_above = match (below.peek(), above.peek()) {
            (None, None) => break,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some((low, _)), Some((high, _))) => {
                if low == *high {
                    below.next(); // Hidden by the change.
                    continue;
                }
                (*high < low) != reverse
            }
        };
        if from_above {
            if let Some((key, Some(row))) = above.next() {
                rows.push(((*key).clone(), Row::clone(row)));
            }
        } else {
            rows.extend(below.next());
        }
    }
    rows
}

/// A row, or the answer for what is absent.
pub(crate) fn found<T, V: View>(row: Option<T>) -> Step<T, V> {
    row.ok_or(Stop::Reject(Reject::NotFound))
}
