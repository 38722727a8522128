//! Hands out what is applied here to this node's streams, in order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use raft::{Applied, Handle, Typing};
use tokio::sync::{Notify, mpsc};
use types::{ConversationId, EventNumber, SessionId, UserId};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;
use crate::queue::{End, Queue};
use crate::routing::{Routing, StreamId};

/// Events that are told before others of this node's tasks have their turn: readers are woken a few at a time, so that a message
/// to a ward of hundreds, on each of whose streams there is much to do, does not stand between a call and its answer.
const TOLD_AT_ONCE: usize = 32;

/// The routing tables, held for the time of one batch or one change.
pub(crate) struct Hub {
    routing: Mutex<Routing>,
    presence: Notify,
}

impl Hub {
    /// A hub without streams, at this event.
    pub(crate) fn new(position: EventNumber) -> Self {
        Self { routing: Mutex::new(Routing::new(position)), presence: Notify::new() }
    }

    /// How many streams are open.
    pub(crate) fn streams(&self) -> usize {
        lock(&self.routing).counts().0
    }

    /// See [`Routing::enter`].
    pub(crate) fn enter(
        &self,
        user: UserId,
        session: SessionId,
        queue: Arc<Queue>,
        watching: Vec<UserId>,
        streams_max: usize,
    ) -> Result<StreamId, Error> {
        lock(&self.routing).enter(user, session, queue, watching, streams_max)
    }

    /// See [`Routing::listen`].
    pub(crate) fn listen(&self, id: StreamId) {
        lock(&self.routing).listen(id);
    }

    /// See [`Routing::attach`].
    pub(crate) fn attach(&self, id: StreamId, to: BTreeSet<ConversationId>, at: EventNumber) -> EventNumber {
        lock(&self.routing).attach(id, to, at)
    }

    /// See [`Routing::leave`].
    pub(crate) fn leave(&self, id: StreamId) -> bool {
        lock(&self.routing).leave(id)
    }

    /// The sessions that have a stream here.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        lock(&self.routing).sessions()
    }

    /// Whether this session has a stream here.
    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        lock(&self.routing).has_session(session)
    }

    /// See [`Routing::end_session`].
    pub(crate) fn end_session(&self, session: SessionId, end: End) {
        lock(&self.routing).end_session(session, end);
    }

    /// The event up to which nothing waits for this attached reader; none while something does.
    pub(crate) fn idle_position(&self, queue: &Queue) -> Option<EventNumber> {
        let routing = lock(&self.routing); // While it is held nothing is queued.
        queue.is_empty().then(|| routing.position())
    }

    /// Ends all streams.
    pub(crate) fn end_all(&self, end: End) {
        lock(&self.routing).end_all(end);
    }

    /// Waits until a batch had signals of presence, since it was last waited for.
    pub(crate) async fn presence_changed(&self) {
        self.presence.notified().await;
    }

    /// Notes for all watchers that these users' presence may look different.
    pub(crate) fn touch_presence(&self, users: &[UserId]) {
        let routing = lock(&self.routing);
        users.iter().for_each(|&user| routing.touch_presence(user));
    }

    /// Hands out a typing notice; gives how many were dropped.
    pub(crate) fn route_typing(&self, typing: Typing) -> u64 {
        lock(&self.routing).route_typing(typing)
    }

    /// Wakes the next readers; says whether others are left.
    fn wake(&self) -> bool {
        lock(&self.routing).wake(TOLD_AT_ONCE)
    }

    fn route(&self, applied: &Applied) -> (usize, (usize, usize)) {
        let mut routing = lock(&self.routing);
        if applied.replaced {
            routing.end_all(End::ShuttingDown); // What came between is not among the events: readers resume.
        }
        let cut = applied.events.iter().map(|event| routing.route(event)).sum();
        routing.advance(applied.heads.event);
        applied.presence.iter().for_each(|&user| routing.touch_presence(user));
        if !applied.presence.is_empty() {
            self.presence.notify_one();
        }
        (cut, routing.counts())
    }
}

fn handed_out<H: Handle>(services: &Services<H>, batch: &Applied) {
    let (hub, metrics) = (&services.inner.hub, &services.inner.metrics);
    let (cut, (streams, sessions)) = hub.route(batch);
    metrics.presence_changes.inc_by(batch.presence.len() as u64);
    metrics.slow_readers.inc_by(cut as u64);
    metrics.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
    services.inner.handle.set_streams(u32::try_from(streams).unwrap_or(u32::MAX));
    metrics.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
}

/// Routes what is applied, and who is typing elsewhere, until the node stops.
pub(crate) async fn run<H: Handle>(
    services: Services<H>,
    mut applied: mpsc::Receiver<Applied>,
    mut typing: mpsc::Receiver<Typing>,
) {
    let (hub, metrics) = (&services.inner.hub, &services.inner.metrics);
    let mut due = false;
    loop {
        if due {
            tokio::task::yield_now().await; // Until the tasks woken before have run, or many others have.
        }
        tokio::select! {
            biased;
            batch = applied.recv() => {
                let Some(batch) = batch else { break };
                handed_out(&services, &batch);
                while let Ok(batch) = applied.try_recv() {
                    handed_out(&services, &batch); // Each only fills queues: what is applied never waits for those who are told.
                }
            }
            Some(notice) = typing.recv() => metrics.typing_dropped.inc_by(hub.route_typing(notice)),
            () = std::future::ready(()), if due => {}
        }
        due = hub.wake();
    }
    hub.end_all(End::ShuttingDown);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use types::{Event, EventBody, Scope, Seq, Timestamp};

    const WARD: ConversationId = ConversationId([3; 16]);
    const READERS: usize = 600;

    fn user(number: usize) -> UserId {
        let mut id = [1; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        UserId(id)
    }

    fn posted(number: u64) -> Event {
        let (scope, body) = (Scope::Conversation(WARD), EventBody::Posted(Seq(number)));
        Event { number: EventNumber(number), scope, at: Timestamp(0), body, message: None }
    }

    /// A hub, and as many readers of one ward, each of which counts what it takes out until the last event.
    fn ward(told: &Arc<AtomicUsize>, last: u64) -> (Arc<Hub>, tokio::task::JoinSet<()>) {
        let (hub, mut readers) = (Arc::new(Hub::new(EventNumber(0))), tokio::task::JoinSet::new());
        for number in 0..READERS {
            let queue = Arc::new(Queue::default());
            let session = SessionId(user(number).0);
            let id = hub.enter(user(number), session, Arc::clone(&queue), vec![], 100_000).expect("room");
            hub.listen(id);
            hub.attach(id, BTreeSet::from([WARD]), EventNumber(0));
            let told = Arc::clone(told);
            readers.spawn(async move {
                let mut newest = 0;
                while newest < last {
                    queue.woken().await;
                    while !queue.is_empty() {
                        for routed in queue.take().events {
                            assert_eq!(routed.event.number.0, newest + 1, "in order, without a gap");
                            newest += 1;
                            told.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        (hub, readers)
    }

    #[tokio::test]
    async fn a_message_to_hundreds_does_not_stand_between_a_call_and_its_answer() {
        let told = Arc::new(AtomicUsize::new(0));
        let (hub, mut readers) = ward(&told, 1);
        tokio::task::yield_now().await; // All wait.
        let (calls, mut called) = mpsc::channel::<usize>(1);
        let answering = tokio::spawn({
            let told = Arc::clone(&told);
            async move {
                let mut most = 0;
                while let Some(before) = called.recv().await {
                    most = most.max(told.load(Ordering::Relaxed) - before);
                }
                most
            }
        });
        let calling = tokio::spawn({
            let told = Arc::clone(&told);
            async move {
                while told.load(Ordering::Relaxed) < READERS {
                    calls.send(told.load(Ordering::Relaxed)).await.expect("it listens");
                    tokio::task::yield_now().await;
                }
            }
        });
        let telling = tokio::spawn(async move {
            lock(&hub.routing).route(&posted(1));
            while hub.wake() {
                tokio::task::yield_now().await;
            }
        });
        while let Some(reader) = readers.join_next().await {
            reader.expect("it ends");
        }
        calling.await.expect("it ends");
        telling.await.expect("it ends");
        let most = answering.await.expect("it ends");
        assert!((1..=2 * TOLD_AT_ONCE).contains(&most), "{most} of {READERS} were told between a call and its answer");
    }

    #[tokio::test]
    async fn whoever_is_woken_in_turn_is_told_all_and_only_once() {
        let told = Arc::new(AtomicUsize::new(0));
        let (hub, mut readers) = ward(&told, 300);
        tokio::task::yield_now().await;
        for number in 1..=300 {
            lock(&hub.routing).route(&posted(number));
            hub.wake();
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while hub.wake() {
            tokio::task::yield_now().await;
        }
        while let Some(reader) = readers.join_next().await {
            reader.expect("it ends");
        }
        assert_eq!(told.load(Ordering::Relaxed), 300 * READERS);
        assert!(!hub.wake(), "nobody is left");
    }
}
