//! Sessions that idle while there is no leader: nobody fires the timer then that locks them, and what was on a screen must not
//! stay open to whoever walks by. So a node that has no word of a leader takes a session for locked once nothing was done in it
//! here for its time, counted by this node's monotonic clock. It says so like any lock; to unlock takes a majority.
//!
//! When a leader is back, such a session stays locked here until the state says otherwise: until its timer has fired, or
//! something that was done in it elsewhere has set it anew.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use raft::Handle;
use state::policy::{self, Actor};
use state::view::{Rows, View};
use types::limits::ACTIVITY_WAITING_MAX;
use types::session::SessionState;
use types::{SessionId, Timestamp};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;
use crate::queue::End;

/// Sessions that this node has taken for locked, and the time at which they were due.
#[derive(Default)]
pub(crate) struct Idled(Mutex<BTreeMap<SessionId, Timestamp>>);

impl<H: Handle> Services<H> {
    /// See [`policy::standing`]; locked, too, where only this node can know by now.
    pub(crate) fn standing<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        now: Timestamp,
        session: SessionId,
    ) -> Result<Option<Actor>, Error> {
        let Some(mut actor) = policy::standing(view, now, session)? else { return Ok(None) };
        if !actor.is_locked() && self.has_idled(&actor, now) {
            actor.session.state = SessionState::Locked;
        }
        Ok(Some(actor))
    }

    /// Takes a session for what the state says of it again: whoever is there has just shown who they are.
    pub(crate) fn forget_idled(&self, session: SessionId) {
        self.inner.activity.note(session, Instant::now());
        lock(&self.inner.idled.0).remove(&session);
    }

    fn has_idled(&self, actor: &Actor, now: Timestamp) -> bool {
        let (id, mut idled) = (actor.session.id, lock(&self.inner.idled.0));
        let Some(due) = actor.session.idle_due else {
            idled.remove(&id);
            return false;
        };
        let before = idled.get(&id) == Some(&due);
        let Some(age) = self.inner.handle.stale_age() else {
            if !before {
                idled.remove(&id);
            }
            return before;
        };
        let limit = Duration::from_millis(due.since_ms(actor.session.active));
        let used = self.inner.activity.last(id).is_some_and(|last| last.elapsed() < limit);
        let over = before || (due <= now.plus_ms(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)) && !used);
        // Where no more can be remembered it is asked anew each time.
        if over && idled.len() < ACTIVITY_WAITING_MAX {
            idled.insert(id, due);
        }
        over
    }
}

/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);

/// Ends the streams of sessions that have idled here without a leader, until the services end; and those that stayed with such a
/// session once the state says that it is not locked, so that their clients open them as they should be.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let (hub, mut ended) = (&services.inner.hub, BTreeMap::new());
    loop {
        tokio::time::sleep(LOOK).await;
        if services.inner.handle.stale_age().is_none() && ended.is_empty() && lock(&services.inner.idled.0).is_empty() {
            continue;
        }
        let view = services.inner.handle.view();
        let Ok(now) = state::view::heads(&view).map(|heads| heads.clock) else { continue };
        for session in hub.sessions() {
            let Ok(Some(row)) = policy::standing(&view, now, session) else { continue };
            let is_locked =
                services.standing(&view, now, session).is_ok_and(|actor| actor.is_some_and(|one| one.is_locked()));
            if row.is_locked() {
                ended.remove(&session); // It was told as an event.
            } else if is_locked && ended.insert(session, Instant::now()).is_none() {
                hub.end_session(session, End::Locked);
            } else if !is_locked && ended.remove(&session).is_some() {
                hub.end_session(session, End::ShuttingDown);
            }
        }
        if services.inner.handle.stale_age().is_none() {
            ended.retain(|session, _| hub.has_session(*session));
            let is_due = |id: &SessionId, due: &Timestamp| {
                view.session(*id).is_ok_and(|row| row.is_some_and(|row| row.idle_due == Some(*due)))
            };
            lock(&services.inner.idled.0).retain(|id, due| is_due(id, due));
        }
    }
}
