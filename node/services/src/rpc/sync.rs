//! One stream with everything that changes for a user: first what was missed, then live, without gap or repeat.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_server::SyncService;
use proto::v1::*;
use raft::Handle;
use state::policy::{self, Action};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Request, Response, Status};
use types::limits::{
    ALERTS_MAX, CAUGHT_UP_BYTES, CAUGHT_UP_EVENTS, CAUGHT_UP_FAST_BYTES, CAUGHT_UP_FAST_EVENTS, PRESENCE_INTERVAL_MS,
    PRESENCE_WATCH_MAX, STREAM_PROGRESS_MS,
};
use types::presence::Connection;
use types::{EventNumber, Lineage, Reject, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::queue::{End, Queue};
use crate::reads::Read;
use crate::replay::Room;
use crate::routing::StreamId;
use crate::rpc::presence;
use crate::telling::{self, Routed, Told};
use crate::{Services, audit, convert, cursor, fetch, names, replay, validation};

/// The items of one stream.
pub(crate) type Items = Pin<Box<dyn Stream<Item = Result<SyncResponse, Status>> + Send>>;

/// Items an idle stream keeps room for.
const READY_KEPT: usize = 16;
/// How long what was missed may take to be recorded before it is shown.
const RECORD_PATIENCE: Duration = Duration::from_secs(10);
/// What is read at a time of what was missed, by as many streams as may do so at once: a page is put to the audit log once,
/// with a record for each conversation, so that few pages are soon told.
const MUCH: Room = Room { events: CAUGHT_UP_FAST_EVENTS, bytes: CAUGHT_UP_FAST_BYTES };
/// By the others.
const LITTLE: Room = Room { events: CAUGHT_UP_EVENTS, bytes: CAUGHT_UP_BYTES };

#[tonic::async_trait]
impl<H: Handle> SyncService for Services<H> {
    type SyncStream = Items;

    async fn sync(&self, request: Request<SyncRequest>) -> Result<Response<Items>, Status> {
        self.call_even_locked("Sync", |_| Action::HearAlerts, request, |call, body| open(self, call, body)).await
    }
}

async fn open<H: Handle>(services: &Services<H>, call: Call, body: SyncRequest) -> Result<Items, Error> {
    validation::count("watch_presence", body.watch_presence.len(), 0, PRESENCE_WATCH_MAX)?;
    let watched = body.watch_presence.iter().enumerate();
    let watched = watched.map(|(at, name)| names::user(&format!("watch_presence[{at}]"), name));
    let mut watched: Vec<UserId> = watched.collect::<Result<_, _>>()?;
    watched.sort();
    watched.dedup();
    let with_messages = body.with_messages && !call.locked;
    if call.locked {
        watched.clear(); // Who is there is not for whoever stands before it now.
    }
    let cluster = services.cluster()?;
    let from = services.position(&call, &body.cursor).await?;
    if let Some(number) = from
        && !services.reach(number, call.deadline).await
    {
        return Err(if services.inner.handle.stale_age().is_some() { Error::NoMajority } else { Error::Behind });
    }
    let with_content = with_messages || !watched.is_empty(); // Whose presence is watched, their status text is shown.
    if with_content {
        services.content_allowed(call.session)?;
    }
    let read = services.read(&call, Some(ReadOptions { allow_stale: true, ..ReadOptions::default() })).await?;
    let heads = state::view::heads(&read.view)?;
    let after = from.unwrap_or(heads.event);
    if after < heads.events_dropped {
        return Err(Error::CursorExpired);
    }
    if with_content {
        // What the stream brings as it happens is covered by this.
        let opened = audit::observe::seen(call.session, types::record::Action::OpenStream, Vec::new());
        services.observe(vec![opened], call.deadline).await?;
    }
    let queue = Arc::new(Queue::default());
    let streams_max = services.inner.limits.load().streams as usize;
    let id = services.inner.hub.enter(call.user, call.session, Arc::clone(&queue), watched.clone(), streams_max)?;
    let place = Place { services: services.clone(), call, id };
    // From here on the hub ends the stream when the session is locked or unlocked; this is for what came before.
    if session_locked(services, &call)? != call.locked {
        return Err(if call.locked { Error::Behind } else { Reject::SessionLocked.into() });
    }
    services.inner.connections.note(call.session, Connection::Active);
    // Watched from before they are read, so that no change falls between.
    let (first, _) = services.scan(read, move |read| presence::all(read, &watched)).await?;
    let first: VecDeque<SyncResponse> = first.into_iter().map(presence_item).collect();
    let now = Instant::now();
    let mut reader = Reader {
        stale: services.inner.stale.subscribe(),
        single_copy: services.inner.single_copy.subscribe(),
        mark_due: false,
        place,
        lineage: cluster.lineage,
        queue,
        with_messages,
        alerts: 0,
        stage: Stage::CatchUp(after),
        ready: first,
        fast: None,
        over: false,
        spoke: now,
        presence_told: now,
    };
    // One future for all items: what unfolds makes one, of some kilobytes, for each.
    let items = async_stream::stream! {
        while let Some(item) = reader.next().await {
            yield item;
        }
    };
    Ok(Box::pin(items))
}

/// Whether a session is locked, as this node knows it.
fn session_locked<H: Handle>(services: &Services<H>, call: &Call) -> Result<bool, Error> {
    let view = services.inner.handle.view();
    let now = state::view::heads(&view)?.clock;
    Ok(services.standing(&view, now, call.session)?.ok_or(Reject::NoSession)?.is_locked())
}

/// A stream's place in the hub; leaving it behind says that it has closed.
struct Place<H: Handle> {
    services: Services<H>,
    call: Call,
    id: StreamId,
}

impl<H: Handle> Drop for Place<H> {
    fn drop(&mut self) {
        let (inner, session) = (&self.services.inner, self.call.session);
        if inner.hub.leave(self.id) {
            inner.connections.note(session, Connection::Gone);
            // A stream that the session opened meanwhile may have noted itself before that.
            if inner.hub.has_session(session) {
                inner.connections.note(session, Connection::Active);
            }
        }
    }
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It reads what was missed after this event from the state; nothing is queued, so it may take its time.
    CatchUp(EventNumber),
    /// Its queue fills; it reads the last that was missed, up to where the queue begins.
    Close { after: EventNumber, to: EventNumber },
    /// It takes from its queue what comes after this event.
    Live(EventNumber),
}

/// One stream, driven by its reader: nothing is read or computed until the one before has been taken.
struct Reader<H: Handle> {
    place: Place<H>,
    lineage: Lineage,
    queue: Arc<Queue>,
    with_messages: bool,
    /// Urgent messages it was told of so far, in a locked session.
    alerts: usize,
    stage: Stage,
    ready: VecDeque<SyncResponse>,
    /// Its place among those that read much at once, until that has been taken.
    fast: Option<OwnedSemaphorePermit>,
    over: bool,
    /// When something was last ready: idle streams get a progress mark.
    spoke: Instant,
    presence_told: Instant,
    /// Whether this node has word of a leader: a change is told at once.
    stale: watch::Receiver<bool>,
    /// Likewise whether what is written lies on one disk alone.
    single_copy: watch::Receiver<bool>,
    /// That has changed, and no mark has said so yet: events came first.
    mark_due: bool,
}

impl<H: Handle> Reader<H> {
    async fn next(&mut self) -> Option<Result<SyncResponse, Status>> {
        loop {
            if !self.over
                && let Some(item) = self.last_word()
            {
                // What was read or waited before is not told any more: it may be someone else who reads.
                (self.ready, self.over) = (VecDeque::from([item]), true);
            }
            // Whoever stole a token has no use of a stream it opened, once that has had its time; nor of what is ready on it.
            if !self.over && self.place.services.inner.handle.heads().borrow().clock >= self.place.call.token_until {
                (self.ready, self.fast, self.over) = (VecDeque::new(), None, true);
                return Some(Err(self.place.services.status(&Error::TokenExpired)));
            }
            if let Some(item) = self.ready.pop_front() {
                self.spoke = Instant::now();
                return Some(Ok(item));
            }
            self.fast = None;
            if self.ready.capacity() > READY_KEPT {
                self.ready = VecDeque::new(); // An idle stream does not keep the room of its fullest moment.
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.over = true;
                return Some(Err(self.place.services.status(&error)));
            }
        }
    }

    /// What a stream says last whose session was locked, unlocked, or has ended. Without a cursor: there was more.
    fn last_word(&self) -> Option<SyncResponse> {
        let session = names::of_session(self.place.call.user, self.place.call.session);
        let item = match self.queue.ended()? {
            End::Locked => Item::SessionLocked(SessionLocked { session }),
            End::Unlocked => Item::SessionUnlocked(SessionUnlocked { session }),
            End::SignedOut => Item::SessionEnded(SessionEnded { session }),
            End::SlowReader | End::ShuttingDown => return None,
        };
        Some(SyncResponse { cursor: Vec::new(), time: None, item: Some(item) })
    }

    /// Makes something ready, or waits for it.
    async fn fill(&mut self) -> Result<(), Error> {
        match self.queue.ended() {
            Some(End::SlowReader) => return Err(Error::SlowReader),
            Some(End::ShuttingDown) => return Err(Error::ShuttingDown),
            Some(End::Locked | End::Unlocked | End::SignedOut) => return Ok(()), // Said by `last_word`.
            None => {}
        }
        match self.stage {
            Stage::CatchUp(after) => self.catch_up(after).await,
            Stage::Close { after, to } => self.close(after, to).await,
            Stage::Live(after) => self.live(after).await,
        }
    }

    async fn catch_up(&mut self, after: EventNumber) -> Result<(), Error> {
        let through = self.missed(after, None).await?;
        let newest = self.place.services.inner.handle.heads().borrow().event;
        self.stage = Stage::CatchUp(through);
        // Close to the newest, and with little to be taken before: what comes fits the queue meanwhile.
        let near = newest.0.saturating_sub(through.0) < CAUGHT_UP_EVENTS as u64;
        if near && self.ready.len() <= CAUGHT_UP_EVENTS {
            let to = self.attach().await?;
            self.stage = Stage::Close { after: through, to };
        }
        Ok(())
    }

    /// Lets the queue fill; gives the event from which on it is complete.
    async fn attach(&mut self) -> Result<EventNumber, Error> {
        let (services, id, user) = (&self.place.services, self.place.id, self.place.call.user);
        services.inner.hub.listen(id);
        let view = services.inner.handle.view(); // After listening began: what it does not have is noted.
        let found = raft::blocking::run(move || {
            let at = state::view::heads(&view)?.event;
            Ok::<_, Error>((at, replay::conversations(&view, user)?))
        });
        let (at, conversations) = found.await.map_err(|_| Error::Internal("a read was not finished"))??;
        Ok(services.inner.hub.attach(id, conversations, at))
    }

    async fn close(&mut self, after: EventNumber, to: EventNumber) -> Result<(), Error> {
        let through = if after < to { self.missed(after, Some(to)).await? } else { after };
        if through < to {
            self.stage = Stage::Close { after: through, to };
            return Ok(());
        }
        let at = after.max(to);
        self.stage = Stage::Live(at);
        self.ready.push_back(self.progress(at));
        Ok(())
    }

    /// Makes a page of what was missed ready; gives the event up to which that goes.
    async fn missed(&mut self, after: EventNumber, to: Option<EventNumber>) -> Result<EventNumber, Error> {
        let telling = self.telling();
        let view = self.place.services.inner.handle.view();
        let user = self.place.call.user;
        self.fast = self.place.services.inner.catching_up_fast.clone().try_acquire_owned().ok();
        let room = if self.fast.is_some() { MUCH } else { LITTLE };
        let read = raft::blocking::run(move || {
            let page = replay::page(&view, user, after, to, room)?;
            let events: Vec<Routed> = page.events.into_iter().map(Routed::new).collect();
            let told = telling.tell(&view, &events)?;
            Ok::<_, Error>((told, page.through))
        });
        let (told, through) = read.await.map_err(|_| Error::Internal("a read was not finished"))??;
        let call = Call { deadline: Instant::now() + RECORD_PATIENCE, ..self.place.call };
        self.place.services.fetched(&call, fetch::runs(&told.items)).await?; // Before any of it leaves.
        self.take(told);
        Ok(through)
    }

    async fn live(&mut self, after: EventNumber) -> Result<(), Error> {
        let taken = self.queue.take();
        let mut events = taken.events;
        events.retain(|routed| routed.event.number > after);
        if !events.is_empty() || !taken.typing.is_empty() {
            let last = events.last().map_or(after, |routed| routed.event.number);
            let view = self.place.services.inner.handle.view();
            let telling = self.telling();
            self.ready.extend(telling.typing(&view, &taken.typing)?);
            self.take(telling.tell(&view, &events)?);
            if let Some(since) = taken.since {
                self.place.services.inner.metrics.delivery.observe(since.elapsed().as_secs_f64());
            }
            self.stage = Stage::Live(last);
            return Ok(());
        }
        if self.queue.has_presence() && self.presence_due() <= Instant::now() {
            return self.tell_presence().await;
        }
        if taken.end.is_none() {
            self.wait(after).await?;
        }
        Ok(())
    }

    /// Waits for whatever comes first: something queued, presence that may be told again, or time for a progress mark.
    async fn wait(&mut self, after: EventNumber) -> Result<(), Error> {
        let now = Instant::now();
        let mark = if self.mark_due { now } else { self.spoke + Duration::from_millis(STREAM_PROGRESS_MS) };
        let presence = if self.queue.has_presence() { self.presence_due().min(mark) } else { mark };
        tokio::select! {
            () = self.queue.woken() => {}
            Ok(()) = self.stale.changed() => self.mark_due = true,
            Ok(()) = self.single_copy.changed() => self.mark_due = true,
            () = tokio::time::sleep_until(presence.into()) => {}
        }
        if !self.mark_due && Instant::now() < mark {
            return Ok(());
        }
        self.session_holds()?;
        if let Some(position) = self.place.services.inner.hub.idle_position(&self.queue) {
            self.mark_due = false;
            let at = position.max(after);
            self.stage = Stage::Live(at);
            self.ready.push_back(self.progress(at));
        }
        Ok(())
    }

    /// Ends the stream of a session that is over, should its event have been missed; and of one that is stale too long.
    fn session_holds(&self) -> Result<(), Error> {
        let services = &self.place.services;
        let limit = Duration::from_millis(types::limits::STALE_READS_MS_MAX);
        if services.inner.handle.stale_age().is_some_and(|age| age > limit) {
            return Err(Error::StaleLimit);
        }
        let view = services.inner.handle.view();
        let now = state::view::heads(&view)?.clock;
        let actor = self.place.services.standing(&view, now, self.place.call.session)?.ok_or(Reject::NoSession)?;
        if actor.is_locked() && !self.place.call.locked {
            self.queue.end(End::Locked); // Said by `last_word`, as if its event had come.
        }
        Ok(())
    }

    fn presence_due(&self) -> Instant {
        self.presence_told + Duration::from_millis(PRESENCE_INTERVAL_MS)
    }

    async fn tell_presence(&mut self) -> Result<(), Error> {
        self.presence_told = Instant::now();
        let users = self.queue.take_presence();
        let view = self.place.services.inner.handle.view();
        let now = state::view::heads(&view)?.clock;
        let actor = policy::actor_of(&view, now, self.place.call.session)?.ok_or(Reject::NoSession)?;
        let keyring = Arc::clone(&self.place.services.inner.keyring);
        let read = Read { view, user: actor.user, now, info: ReadInfo::default(), keyring };
        let (told, _) = self.place.services.scan(read, move |read| presence::all(read, &users)).await?;
        self.ready.extend(told.into_iter().map(presence_item));
        Ok(())
    }

    fn telling(&self) -> telling::Telling {
        telling::Telling {
            keyring: Arc::clone(&self.place.services.inner.keyring),
            user: self.place.call.user,
            session: self.place.call.session,
            lineage: self.lineage,
            with_messages: self.with_messages,
            locked: self.place.call.locked,
        }
    }

    fn take(&mut self, mut told: Told) {
        if self.place.call.locked && !matches!(self.stage, Stage::Live(_)) {
            told.items.truncate(ALERTS_MAX.saturating_sub(self.alerts)); // That many wait is enough to know.
            self.alerts += told.items.len();
        }
        self.place.services.inner.metrics.deliveries.inc_by(told.items.len() as u64);
        self.ready.extend(told.items);
        self.over |= told.over;
    }

    fn progress(&self, at: EventNumber) -> SyncResponse {
        let handle = &self.place.services.inner.handle;
        let (stale, single_copy) = (handle.stale_age().map(convert::duration), handle.single_copy());
        SyncResponse {
            // In a locked session it leads past what was not told.
            cursor: if self.place.call.locked { Vec::new() } else { cursor::encode(self.lineage, at) },
            time: None,
            item: Some(Item::Progress(Progress { live: true, stale, single_copy })),
        }
    }
}

fn presence_item(presence: Presence) -> SyncResponse {
    let item = Item::PresenceChanged(PresenceChanged { presence: Some(presence) });
    SyncResponse { cursor: Vec::new(), time: None, item: Some(item) }
}
