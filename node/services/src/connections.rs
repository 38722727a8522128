//! Which sessions are connected to this node, put to the cluster in batches: the newest of each session, in its order.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use raft::Handle;
use state::view::Rows;
use tokio::sync::Notify;
use types::command::Connections;
use types::limits::{PRESENCE_CHANGES_MAX, PRESENCE_INTERVAL_MS};
use types::presence::Connection;
use types::session::Attachment;
use types::{Command, Reject, SessionId};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;

/// Changes are folded for this long when none was put lately, so that one that opens shows soon.
const FOLD: Duration = Duration::from_millis(50);
/// How long one try may take; then it is tried again.
const TRY: Duration = Duration::from_secs(5);
/// How often is checked that the cluster knows all sessions connected here: after a lost lease it does not.
const RECONCILE: Duration = Duration::from_secs(20);

/// Changes that wait. Bounded: one for each session, and only sessions with a stream, or one lately, have any.
#[derive(Default)]
pub(crate) struct ConnectionChanges {
    waiting: Mutex<BTreeMap<SessionId, Connection>>,
    added: Notify,
}

impl ConnectionChanges {
    /// Notes how a session stands now.
    pub(crate) fn note(&self, session: SessionId, connection: Connection) {
        lock(&self.waiting).insert(session, connection);
        self.added.notify_one();
    }

    fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    fn take(&self) -> Vec<(SessionId, Connection)> {
        let mut waiting = lock(&self.waiting);
        let rest = match waiting.keys().nth(PRESENCE_CHANGES_MAX).copied() {
            Some(first) => waiting.split_off(&first),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut *waiting, rest).into_iter().collect()
    }

    /// Puts back what could not be put to the cluster, unless something newer waits.
    fn put_back(&self, changes: Vec<(SessionId, Connection)>) {
        let mut waiting = lock(&self.waiting);
        for (session, connection) in changes {
            waiting.entry(session).or_insert(connection);
        }
    }

    fn note_if_silent(&self, session: SessionId, connection: Connection) {
        lock(&self.waiting).entry(session).or_insert(connection);
        self.added.notify_one();
    }
}

/// Puts changes to the cluster, at most one command a second, until the services end.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let connections = &services.inner.connections;
    let interval = Duration::from_millis(PRESENCE_INTERVAL_MS);
    let mut reconciled = Instant::now();
    loop {
        if connections.len() == 0 {
            let wait = connections.added.notified();
            let _ = tokio::time::timeout(RECONCILE, wait).await;
        }
        if reconciled.elapsed() >= RECONCILE {
            reconciled = Instant::now();
            reconcile(&services).await;
        }
        tokio::time::sleep(FOLD).await;
        let began = Instant::now();
        flush(&services, began + TRY).await;
        tokio::time::sleep(interval.saturating_sub(FOLD).saturating_sub(began.elapsed())).await;
    }
}

/// Puts one command; says whether it was taken.
async fn flush<H: Handle>(services: &Services<H>, deadline: Instant) -> bool {
    let inner = &services.inner;
    let changes = inner.connections.take();
    if changes.is_empty() {
        return true;
    }
    let command = Command::Connections(Connections { epoch: inner.config.epoch, changes: changes.clone() });
    let taken = match services.put_own(command, deadline).await {
        Ok(_) => true,
        // This node's lease is not there yet, or was given up on: it is renewed, and then the changes count.
        Err(Error::Reject(Reject::LeaseOver)) => false,
        Err(Error::Reject(reject)) => {
            tracing::warn!(%reject, "changes of connected sessions were refused");
            true
        }
        Err(_) => false,
    };
    if !taken {
        inner.connections.put_back(changes);
    }
    inner.metrics.connections_waiting.set(i64::try_from(inner.connections.len()).unwrap_or(i64::MAX));
    taken
}

/// Notes anew the sessions that are connected here without the cluster knowing.
async fn reconcile<H: Handle>(services: &Services<H>) {
    let sessions = services.inner.hub.sessions();
    let here = Attachment { node: services.inner.handle.node(), epoch: services.inner.config.epoch };
    let view = services.inner.handle.view();
    let found = raft::blocking::run(move || {
        let mut lost = Vec::new();
        for session in sessions {
            if view.session(session)?.is_some_and(|row| row.attached != Some(here)) {
                lost.push(session);
            }
        }
        Ok::<_, raft::Fault>(lost)
    });
    match found.await {
        Ok(Ok(lost)) => {
            lost.into_iter().for_each(|session| services.inner.connections.note_if_silent(session, Connection::Active));
        }
        Ok(Err(fault)) => {
            services.status(&Error::Fault(fault));
        }
        Err(_) => {}
    }
}

/// Marks all sessions connected here as gone; says whether the cluster took it.
pub(crate) async fn part<H: Handle>(services: &Services<H>, deadline: Instant) -> bool {
    for session in services.inner.hub.sessions() {
        services.inner.connections.note(session, Connection::Gone);
    }
    while services.inner.connections.len() > 0 {
        if !flush(services, deadline).await {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_change_of_a_session_counts() {
        let (connections, session) = (ConnectionChanges::default(), SessionId([1; 16]));
        connections.note(session, Connection::Gone);
        connections.note(session, Connection::Active);
        let taken = connections.take();
        assert_eq!(taken, [(session, Connection::Active)]);
        connections.note(session, Connection::Gone);
        connections.put_back(taken);
        assert_eq!(connections.take(), [(session, Connection::Gone)]);
    }
}
