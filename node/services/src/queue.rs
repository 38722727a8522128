//! What waits for one reader: bounded, and cut off rather than growing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use raft::Typing;
use tokio::sync::Notify;
use types::UserId;
use types::limits::STREAM_QUEUE_EVENTS_MAX;

use crate::limiter::lock;
use crate::telling::Routed;

/// Typing notices that wait at most; they are worth nothing later.
const TYPING_MAX: usize = 32;
/// Events an idle stream keeps room for.
const KEPT: usize = 16;
/// Events taken out at a time.
const TAKE: usize = 64;

/// Why a stream ends from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its reader did not keep up.
    SlowReader,
    /// This node stops, or its state was replaced: the reader resumes elsewhere, or here.
    ShuttingDown,
    /// Its session was locked: what waits is not for whoever stands before it now.
    Locked,
    /// Its session was unlocked: there is more to tell it.
    Unlocked,
    /// Its session has ended.
    SignedOut,
}

/// The queue between the hub, which never waits, and one stream.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Routed>>,
    /// When the oldest of the events came.
    since: Option<Instant>,
    typing: VecDeque<Typing>,
    presence: BTreeSet<UserId>,
    /// Its reader is among those who are woken in turn.
    due: bool,
    end: Option<End>,
}

/// What was taken out at once.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Arc<Routed>>,
    /// When the oldest of what waited came.
    pub(crate) since: Option<Instant>,
    pub(crate) typing: Vec<Typing>,
    pub(crate) end: Option<End>,
}

impl Queue {
    /// Adds an event; says whether the reader is cut off by it. Otherwise it is woken in its turn: see [`Self::falls_due`].
    pub(crate) fn push(&self, event: Arc<Routed>) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.end.is_some() {
            return false;
        }
        let cut = waiting.events.len() >= STREAM_QUEUE_EVENTS_MAX;
        if cut {
            *waiting = Waiting { end: Some(End::SlowReader), ..Waiting::default() }; // It holds no memory from here on.
        } else {
            waiting.events.push_back(event);
            waiting.since.get_or_insert_with(Instant::now);
            return false;
        }
        drop(waiting);
        self.wake.notify_one();
        cut
    }

    /// Whether its reader is to be woken and was not among those who are yet; from now on it is.
    pub(crate) fn falls_due(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        !waiting.events.is_empty() && !std::mem::replace(&mut waiting.due, true)
    }

    /// It is the reader's turn; gives how many events it takes out next.
    pub(crate) fn wake(&self) -> usize {
        let mut waiting = lock(&self.waiting);
        waiting.due = false;
        let count = waiting.events.len().min(TAKE);
        drop(waiting);
        self.wake.notify_one();
        count
    }

    /// Adds a typing notice, unless the reader is busy; says whether it was added.
    pub(crate) fn push_typing(&self, typing: Typing) -> bool {
        let mut waiting = lock(&self.waiting);
        let room = waiting.end.is_none() && waiting.events.len() < TAKE && waiting.typing.len() < TYPING_MAX;
        if room {
            waiting.typing.push_back(typing);
            drop(waiting);
            self.wake.notify_one();
        }
        room
    }

    /// Notes that a watched user's presence may look different; bounded by how many are watched.
    pub(crate) fn touch_presence(&self, user: UserId) {
        let mut waiting = lock(&self.waiting);
        if waiting.end.is_none() && waiting.presence.insert(user) {
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Ends the stream; what waits is dropped, its reader has its cursor.
    pub(crate) fn end(&self, end: End) {
        let mut waiting = lock(&self.waiting);
        if waiting.end.is_none() || end == End::SignedOut {
            *waiting = Waiting { end: Some(end), ..Waiting::default() };
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Why it has ended, if it has.
    pub(crate) fn ended(&self) -> Option<End> {
        lock(&self.waiting).end
    }

    /// Whether no event waits.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).events.is_empty()
    }

    /// Takes out events and typing notices, oldest first.
    pub(crate) fn take(&self) -> Taken {
        let mut waiting = lock(&self.waiting);
        let count = waiting.events.len().min(TAKE);
        let since = waiting.since.take();
        waiting.since = if count < waiting.events.len() { since } else { None };
        let taken = Taken {
            since,
            events: waiting.events.drain(..count).collect(),
            typing: std::mem::take(&mut waiting.typing).into(),
            end: waiting.end,
        };
        if waiting.events.is_empty() && waiting.events.capacity() > KEPT {
            waiting.events = VecDeque::new(); // There are many streams, and few of them in a burst.
        }
        taken
    }

    /// Takes out the users whose presence may look different.
    pub(crate) fn take_presence(&self) -> BTreeSet<UserId> {
        std::mem::take(&mut lock(&self.waiting).presence)
    }

    /// Whether a change of presence waits.
    pub(crate) fn has_presence(&self) -> bool {
        !lock(&self.waiting).presence.is_empty()
    }

    /// Waits until something was added since it was last waited for.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Event, EventBody, EventNumber, Scope, Timestamp};

    fn event(number: usize) -> Arc<Routed> {
        Arc::new(Routed::new(Event {
            number: EventNumber(number as u64),
            scope: Scope::User(UserId([1; 16])),
            at: Timestamp(0),
            body: EventBody::UserChanged,
            message: None,
        }))
    }

    #[test]
    fn a_reader_that_does_not_keep_up_is_cut_off_and_holds_nothing() {
        let queue = Queue::default();
        for number in 0..STREAM_QUEUE_EVENTS_MAX {
            assert!(!queue.push(event(number)));
        }
        assert!(queue.push(event(STREAM_QUEUE_EVENTS_MAX)));
        assert!(!queue.push(event(0)), "it is cut off once");
        let taken = queue.take();
        assert!(taken.events.is_empty());
        assert_eq!(taken.end, Some(End::SlowReader));
    }

    #[test]
    fn an_idle_stream_does_not_keep_the_room_of_a_burst() {
        let queue = Queue::default();
        (0..STREAM_QUEUE_EVENTS_MAX).for_each(|number| assert!(!queue.push(event(number))));
        while !queue.is_empty() {
            queue.take();
        }
        assert!(lock(&queue.waiting).events.capacity() <= KEPT);
    }

    #[test]
    fn events_come_out_in_order_and_in_bounded_pieces() {
        let queue = Queue::default();
        (0..100).for_each(|number| assert!(!queue.push(event(number))));
        let mut numbers = Vec::new();
        while !queue.is_empty() {
            let taken = queue.take().events;
            assert!(taken.len() <= TAKE);
            numbers.extend(taken.into_iter().map(|routed| routed.event.number.0));
        }
        assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
    }
}
