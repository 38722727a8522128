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
    ) -> Result<StreamId, Error> {
        lock(&self.routing).enter(user, session, queue, watching)
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

/// Routes what is applied, and who is typing elsewhere, until the node stops.
pub(crate) async fn run<H: Handle>(
    services: Services<H>,
    mut applied: mpsc::Receiver<Applied>,
    mut typing: mpsc::Receiver<Typing>,
) {
    let (hub, metrics) = (&services.inner.hub, &services.inner.metrics);
    loop {
        tokio::select! {
            biased;
            batch = applied.recv() => match batch {
                Some(batch) => {
                    let (cut, (streams, sessions)) = hub.route(&batch);
                    metrics.presence_changes.inc_by(batch.presence.len() as u64);
                    metrics.slow_readers.inc_by(cut as u64);
                    metrics.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
                    services.inner.handle.set_streams(u32::try_from(streams).unwrap_or(u32::MAX));
                    metrics.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
                }
                None => break,
            },
            Some(notice) = typing.recv() => metrics.typing_dropped.inc_by(hub.route_typing(notice)),
        }
    }
    hub.end_all(End::ShuttingDown);
}
