//! Who does something in which session, told to the cluster now and then: a keystroke costs no commit.
//!
//! What is told says how long ago it was, so that the time until a session locks counts from the last thing that was done in
//! it, whenever that was told. If this node dies before it told, a session locks earlier by at most a step.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use raft::Handle;
use state::view::Rows;
use types::command::Connections;
use types::limits::{ACTIVITY_STEP_MS, ACTIVITY_WAITING_MAX, LOCK_MS_MIN, PRESENCE_CHANGES_MAX};
use types::presence::Connection;
use types::{Command, SessionId};

use crate::Services;
use crate::limiter::lock;

/// How often is looked what is to be told.
const LOOK: Duration = Duration::from_millis(500);
/// How long one try may take; then it is tried again.
const TRY: Duration = Duration::from_secs(5);

/// Sessions in which something was done lately.
#[derive(Default)]
pub(crate) struct Activity {
    sessions: Mutex<BTreeMap<SessionId, Done>>,
}

#[derive(Clone, Copy)]
struct Done {
    /// When something was last done.
    last: Instant,
    /// What was told last, and when.
    told: Option<(Instant, Instant)>,
}

impl Activity {
    /// Notes that something was done.
    pub(crate) fn note(&self, session: SessionId, now: Instant) {
        let mut sessions = lock(&self.sessions);
        if let Some(done) = sessions.get_mut(&session) {
            done.last = done.last.max(now);
        } else if sessions.len() < ACTIVITY_WAITING_MAX {
            sessions.insert(session, Done { last: now, told: None });
        }
    }

    /// When something was last done in a session on this node, as far as it is still to be told, or was lately.
    pub(crate) fn last(&self, session: SessionId) -> Option<Instant> {
        lock(&self.sessions).get(&session).map(|done| done.last)
    }

    /// Sessions to tell of, with when something was done in them; forgets those in which nothing was since.
    fn due(&self, step: Duration, now: Instant) -> Vec<(SessionId, Instant)> {
        let mut due = Vec::new();
        lock(&self.sessions).retain(|session, done| match done.told {
            None => {
                due.push((*session, done.last));
                true
            }
            Some((_, at)) if now.duration_since(at) < step => true,
            Some((last, _)) if last == done.last => false,
            Some(_) => {
                due.push((*session, done.last));
                true
            }
        });
        due.sort_by_key(|(_, last)| *last); // Whoever waits longest comes first.
        due.truncate(PRESENCE_CHANGES_MAX);
        due
    }

    fn told(&self, told: &[(SessionId, Instant)], now: Instant) {
        let mut sessions = lock(&self.sessions);
        for (session, last) in told {
            if let Some(done) = sessions.get_mut(session) {
                done.told = Some((*last, now));
            }
        }
    }
}

/// Whether a call means that someone is there. Not what clients do by themselves: keep a stream, confirm, look up names,
/// fetch what came.
pub(crate) fn is_use(method: &str) -> bool {
    !matches!(
        method,
        "Sync"
            | "ConfirmMessages"
            | "ReportActivity" // Says so itself.
            | "GetSelf"
            | "ListSessions"
            | "GetUser"
            | "BatchGetUsers"
            | "BatchGetPresence"
            | "ListConversations"
            | "GetConversation"
            | "ListParticipants"
            | "ListMessages"
            | "GetMessage"
            | "ListReceipts"
            | "StreamMessages" // Each message over it is.
            | "GetClusterStatus"
            | "SignOut"
            | "LockSession"
    )
}

/// Tells the cluster, at most one command a look, until the services end.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let inner = &services.inner;
    loop {
        tokio::time::sleep(LOOK).await;
        let due = inner.activity.due(step(&services), Instant::now());
        if due.is_empty() {
            continue;
        }
        let now = Instant::now();
        let ago = |last: Instant| u64::try_from(now.duration_since(last).as_millis()).unwrap_or(u64::MAX);
        let changes = due.iter().map(|(session, last)| (*session, Connection::Used(ago(*last)))).collect();
        let command = Command::Connections(Connections { epoch: inner.config.epoch, changes });
        if services.put_own(command, now + TRY).await.is_ok() {
            inner.activity.told(&due, now); // Else it is told at the next look.
        }
    }
}

/// How often is told of one session: four times at least in the time after which it would lock.
fn step<H: Handle>(services: &Services<H>) -> Duration {
    let settings = services.inner.handle.view().settings().ok().flatten().unwrap_or_default();
    let soonest = settings.locks_after().unwrap_or(u64::MAX).min(settings.part_ends_after());
    Duration::from_millis((soonest / 4).clamp(LOCK_MS_MIN / 4, ACTIVITY_STEP_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(30);

    #[test]
    fn a_keystroke_costs_nothing_and_the_last_one_is_told() {
        let (activity, session, began) = (Activity::default(), SessionId([1; 16]), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        activity.note(session, at(0));
        assert_eq!(activity.due(STEP, at(1)), [(session, at(0))], "the first at once");
        assert_eq!(activity.due(STEP, at(1)), [(session, at(0))], "until it was told");
        activity.told(&[(session, at(0))], at(1));
        for second in 1..20 {
            activity.note(session, at(second));
            assert!(activity.due(STEP, at(second)).is_empty());
        }
        assert_eq!(activity.due(STEP, at(31)), [(session, at(19))], "when it was, not when it is told");
        activity.told(&[(session, at(19))], at(31));
        assert!(activity.due(STEP, at(62)).is_empty());
        assert!(lock(&activity.sessions).is_empty(), "nothing is kept of who went away");
    }

    #[test]
    fn what_came_while_it_was_told_is_not_lost() {
        let (activity, session, began) = (Activity::default(), SessionId([1; 16]), Instant::now());
        activity.note(session, began);
        let due = activity.due(STEP, began);
        activity.note(session, began + Duration::from_millis(1));
        activity.told(&due, began);
        assert_eq!(activity.due(STEP, began + STEP), [(session, began + Duration::from_millis(1))]);
    }
}
