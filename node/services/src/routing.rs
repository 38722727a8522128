//! Which of this node's streams gets what.
//!
//! A stream first listens: from then on its user's own events are queued for it, and its user's joining and leaving is
//! noted. Then it attaches to the conversations its user takes part in as of an event E, read from the state. What was
//! noted after E corrects that list, so that from `max(E, position)` on its queue has everything and nothing else; what
//! it missed until there it reads from the state. Events at or below that point are in its queue as well and are dropped
//! by the stream.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use raft::Typing;
use types::limits::{CONVERSATIONS_PER_USER_MAX, STREAMS_PER_SESSION_MAX};
use types::{ConversationId, Event, EventBody, EventNumber, Principal, Scope, SessionId, UserId};

use crate::errors::Error;
use crate::queue::{End, Queue};
use crate::telling::Routed;

/// One stream on this node.
pub(crate) type StreamId = u64;

/// The tables of the hub.
#[derive(Default)]
pub(crate) struct Routing {
    position: EventNumber,
    next: StreamId,
    streams: HashMap<StreamId, Entry>,
    sessions: HashMap<SessionId, BTreeSet<StreamId>>,
    users: HashMap<UserId, BTreeSet<StreamId>>,
    conversations: HashMap<ConversationId, BTreeSet<StreamId>>,
    watched: HashMap<UserId, BTreeSet<StreamId>>,
    /// Whose events wait, each once, in the order in which they are woken.
    due: VecDeque<Arc<Queue>>,
}

struct Entry {
    user: UserId,
    session: SessionId,
    queue: Arc<Queue>,
    stage: Stage,
    conversations: BTreeSet<ConversationId>,
    watching: Vec<UserId>,
}

enum Stage {
    /// It reads from the state; nothing is queued.
    Entered,
    /// Its user's events are queued; joining (true) and leaving is noted.
    Listening(BTreeMap<EventNumber, (ConversationId, bool)>),
    /// Everything is queued.
    Attached,
}

impl Routing {
    /// Tables without streams, at this event.
    pub(crate) fn new(position: EventNumber) -> Self {
        Self { position, ..Self::default() }
    }

    /// The newest event that was routed.
    pub(crate) const fn position(&self) -> EventNumber {
        self.position
    }

    /// How many streams there are, and of how many sessions.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.streams.len(), self.sessions.len())
    }

    /// The sessions that have a stream here.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// Whether this session has a stream here.
    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Takes a stream in, if this node has fewer than `streams_max`; nothing but presence is queued for it yet.
    ///
    /// Errors: [`Error::TooManyStreams`] at the limits of its session and of this node.
    pub(crate) fn enter(
        &mut self,
        user: UserId,
        session: SessionId,
        queue: Arc<Queue>,
        watching: Vec<UserId>,
        streams_max: usize,
    ) -> Result<StreamId, Error> {
        if self.streams.len() >= streams_max {
            return Err(Error::TooManyStreams("this node has as many as it may; try another"));
        }
        let of_session = self.sessions.get(&session).map_or(0, BTreeSet::len);
        if of_session >= STREAMS_PER_SESSION_MAX {
            return Err(Error::TooManyStreams("this session has as many as it may; close one"));
        }
        let id = self.next;
        self.next += 1;
        self.sessions.entry(session).or_default().insert(id);
        for &watched in &watching {
            self.watched.entry(watched).or_default().insert(id);
        }
        let (stage, conversations) = (Stage::Entered, BTreeSet::new());
        self.streams.insert(id, Entry { user, session, queue, stage, conversations, watching });
        Ok(id)
    }

    /// From now on the user's own events are queued.
    pub(crate) fn listen(&mut self, id: StreamId) {
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.stage = Stage::Listening(BTreeMap::new());
            self.users.entry(entry.user).or_default().insert(id);
        }
    }

    /// Attaches a listening stream to the conversations its user takes part in as of event `at`; gives the event after
    /// which its queue is complete.
    pub(crate) fn attach(
        &mut self,
        id: StreamId,
        mut conversations: BTreeSet<ConversationId>,
        at: EventNumber,
    ) -> EventNumber {
        if let Some(entry) = self.streams.get_mut(&id)
            && let Stage::Listening(noted) = std::mem::replace(&mut entry.stage, Stage::Attached)
        {
            for (_, (conversation, joined)) in noted.range(at.next()..) {
                if *joined {
                    conversations.insert(*conversation);
                } else {
                    conversations.remove(conversation);
                }
            }
            for &conversation in &conversations {
                self.conversations.entry(conversation).or_default().insert(id);
            }
            entry.conversations = conversations;
        }
        at.max(self.position)
    }

    /// Removes a stream; says whether its session has no other here.
    pub(crate) fn leave(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.streams.remove(&id) else { return false };
        remove(&mut self.users, entry.user, id);
        for conversation in entry.conversations {
            remove(&mut self.conversations, conversation, id);
        }
        for watched in entry.watching {
            remove(&mut self.watched, watched, id);
        }
        remove(&mut self.sessions, entry.session, id);
        !self.sessions.contains_key(&entry.session)
    }

    /// Queues an event for everyone it is for; gives how many readers were cut off.
    pub(crate) fn route(&mut self, event: &Event) -> usize {
        let streams = match event.scope {
            Scope::Conversation(id) => self.conversations.get(&id),
            Scope::User(id) => self.users.get(&id),
        };
        let (mut cut, routed) = (0, streams.map(|_| Arc::new(Routed::new(event.clone()))));
        for entry in streams.into_iter().flatten().filter_map(|id| self.streams.get(id)) {
            cut += usize::from(routed.iter().any(|routed| entry.queue.push(Arc::clone(routed))));
            if entry.queue.falls_due() {
                self.due.push_back(Arc::clone(&entry.queue));
            }
        }
        match event.body {
            EventBody::SessionLocked(session) => self.end_session(session, End::Locked),
            EventBody::SessionUnlocked(session) => self.end_session(session, End::Unlocked),
            EventBody::SessionEnded(session) => self.end_session(session, End::SignedOut),
            _ => {}
        }
        match (event.scope, event.body) {
            (Scope::User(user), EventBody::Joined(conversation)) => self.member(user, conversation, event.number, true),
            (Scope::User(user), EventBody::Left(conversation)) => self.member(user, conversation, event.number, false),
            // The event by which someone leaves is the last they see: `Left` follows it in the same command.
            (Scope::Conversation(conversation), EventBody::Removed(Principal::User(user))) => {
                self.member(user, conversation, event.number, false);
            }
            _ => {}
        }
        self.position = self.position.max(event.number);
        cut
    }

    /// Wakes those whose turn it is, until together they take out so many events; says whether others are left.
    pub(crate) fn wake(&mut self, events: usize) -> bool {
        let mut count = 0;
        while count < events
            && let Some(queue) = self.due.pop_front()
        {
            count += queue.wake().max(1);
        }
        !self.due.is_empty()
    }

    /// Ends the streams of a session, in whichever stage: they say why, and nothing that still waited.
    pub(crate) fn end_session(&self, session: SessionId, end: End) {
        let streams = self.sessions.get(&session).into_iter().flatten();
        streams.filter_map(|id| self.streams.get(id)).for_each(|entry| entry.queue.end(end));
    }

    fn member(&mut self, user: UserId, conversation: ConversationId, number: EventNumber, joined: bool) {
        for &id in self.users.get(&user).into_iter().flatten() {
            let Some(entry) = self.streams.get_mut(&id) else { continue };
            match &mut entry.stage {
                Stage::Entered => {}
                Stage::Listening(noted) => {
                    if noted.len() >= CONVERSATIONS_PER_USER_MAX {
                        entry.queue.end(End::SlowReader); // It listens for much too long.
                    } else {
                        noted.insert(number, (conversation, joined));
                    }
                }
                Stage::Attached if joined => {
                    entry.conversations.insert(conversation);
                    self.conversations.entry(conversation).or_default().insert(id);
                }
                Stage::Attached => {
                    entry.conversations.remove(&conversation);
                    remove(&mut self.conversations, conversation, id);
                }
            }
        }
    }

    /// Moves on to the end of a batch.
    pub(crate) fn advance(&mut self, position: EventNumber) {
        self.position = self.position.max(position);
    }

    /// Queues a typing notice for the others in the conversation; gives how many were dropped.
    pub(crate) fn route_typing(&self, typing: Typing) -> u64 {
        let streams = self.conversations.get(&typing.conversation).into_iter().flatten();
        let others = streams.filter_map(|id| self.streams.get(id)).filter(|entry| entry.user != typing.user);
        others.map(|entry| u64::from(!entry.queue.push_typing(typing))).sum()
    }

    /// Notes for all watchers that a user's presence may look different.
    pub(crate) fn touch_presence(&self, user: UserId) {
        for entry in self.watched.get(&user).into_iter().flatten().filter_map(|id| self.streams.get(id)) {
            entry.queue.touch_presence(user);
        }
    }

    /// Ends all streams.
    pub(crate) fn end_all(&self, end: End) {
        self.streams.values().for_each(|entry| entry.queue.end(end));
    }
}

fn remove<K: std::hash::Hash + Eq>(table: &mut HashMap<K, BTreeSet<StreamId>>, key: K, id: StreamId) {
    if let Some(streams) = table.get_mut(&key) {
        streams.remove(&id);
        if streams.is_empty() {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Seq, Timestamp};

    const USER: UserId = UserId([1; 16]);
    const SESSION: SessionId = SessionId([2; 16]);
    const WARD: ConversationId = ConversationId([3; 16]);

    fn event(number: u64, scope: Scope, body: EventBody) -> Event {
        Event { number: EventNumber(number), scope, at: Timestamp(0), body, message: None }
    }

    fn joined(number: u64) -> Event {
        event(number, Scope::User(USER), EventBody::Joined(WARD))
    }

    fn posted(number: u64) -> Event {
        event(number, Scope::Conversation(WARD), EventBody::Posted(Seq(number)))
    }

    fn removed(number: u64) -> Event {
        event(number, Scope::Conversation(WARD), EventBody::Removed(Principal::User(USER)))
    }

    fn entered(routing: &mut Routing) -> (StreamId, Arc<Queue>) {
        let queue = Arc::new(Queue::default());
        let id = routing.enter(USER, SESSION, Arc::clone(&queue), vec![], 100).expect("room");
        (id, queue)
    }

    fn numbers(queue: &Queue) -> Vec<u64> {
        queue.take().events.iter().map(|routed| routed.event.number.0).collect()
    }

    #[test]
    fn what_is_joined_while_listening_is_attached() {
        let mut routing = Routing::new(EventNumber(10));
        let (id, queue) = entered(&mut routing);
        routing.listen(id);
        routing.route(&joined(11));
        routing.route(&posted(12));
        assert_eq!(routing.attach(id, BTreeSet::new(), EventNumber(10)), EventNumber(12));
        routing.route(&posted(13));
        assert_eq!(numbers(&queue), [11, 13], "12 is read from the state");
    }

    #[test]
    fn what_the_state_knew_already_is_not_undone() {
        let mut routing = Routing::new(EventNumber(10));
        let (id, queue) = entered(&mut routing);
        routing.listen(id);
        routing.route(&removed(11));
        // Read at 12: removed at 11, joined again at 12, which the hub has yet to hear of.
        assert_eq!(routing.attach(id, BTreeSet::from([WARD]), EventNumber(12)), EventNumber(12));
        routing.route(&joined(12));
        routing.route(&posted(13));
        assert_eq!(numbers(&queue), [12, 13]);
    }

    #[test]
    fn the_event_of_leaving_is_the_last_of_the_conversation() {
        let mut routing = Routing::new(EventNumber(10));
        let (id, queue) = entered(&mut routing);
        routing.listen(id);
        routing.attach(id, BTreeSet::from([WARD]), EventNumber(10));
        routing.route(&removed(11));
        routing.route(&posted(12));
        routing.route(&event(13, Scope::User(USER), EventBody::Left(WARD)));
        routing.route(&posted(14));
        assert_eq!(numbers(&queue), [11, 13]);
    }

    #[test]
    fn what_waits_for_a_session_is_dropped_when_it_is_locked_or_ends() {
        let ends = [
            (EventBody::SessionLocked(SESSION), End::Locked),
            (EventBody::SessionUnlocked(SESSION), End::Unlocked),
            (EventBody::SessionEnded(SESSION), End::SignedOut),
        ];
        for (body, end) in ends {
            let mut routing = Routing::new(EventNumber(10));
            let (catching_up, first) = entered(&mut routing);
            let (id, queue) = entered(&mut routing);
            routing.listen(id);
            routing.attach(id, BTreeSet::from([WARD]), EventNumber(10));
            routing.route(&posted(11));
            let other = SessionId([9; 16]);
            routing.route(&event(12, Scope::User(USER), EventBody::SessionLocked(other)));
            assert_eq!((first.ended(), queue.ended()), (None, None), "another session");
            routing.route(&event(13, Scope::User(USER), body));
            assert_eq!((first.ended(), queue.ended()), (Some(end), Some(end)));
            assert!(queue.take().events.is_empty(), "nothing that waited");
            assert!(!routing.leave(catching_up) && routing.leave(id));
        }
    }

    #[test]
    fn streams_are_limited_and_leave_nothing_behind() {
        let mut routing = Routing::new(EventNumber(0));
        let (one, _) = entered(&mut routing);
        let (two, _) = entered(&mut routing);
        let third = routing.enter(USER, SESSION, Arc::default(), vec![], 100);
        assert!(matches!(third, Err(Error::TooManyStreams(_))));
        let of_another = routing.enter(USER, SessionId([9; 16]), Arc::default(), vec![], 2);
        assert!(matches!(of_another, Err(Error::TooManyStreams(_))), "this node takes no more");
        routing.listen(one);
        routing.attach(one, BTreeSet::from([WARD]), EventNumber(0));
        assert!(!routing.leave(one));
        assert!(routing.leave(two));
        assert_eq!(routing.counts(), (0, 0));
        assert!(routing.users.is_empty() && routing.conversations.is_empty() && routing.watched.is_empty());
    }
}
