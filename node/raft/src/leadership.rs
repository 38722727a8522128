//! Who leads, as openraft says it, for everything else in this crate; and what has to happen when that changes.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::{RecvError, WatchReceiver};
use openraft::errors::Fatal;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Instant, RaftMetrics, ServerState};
use store::Engine;
use tokio::sync::watch;
use types::NodeId;

use crate::handle::Role;
use crate::kinds::TypeConfig;
use crate::shared::Shared;

/// Who leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Leadership {
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
    pub(crate) own: Role,
}

impl Default for Leadership {
    fn default() -> Self {
        Self { term: 0, leader: None, own: Role::Unknown }
    }
}

/// Follows openraft until it ends. An end that nobody asked for is this node's end.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>, leadership: watch::Sender<Leadership>) {
    let mut metrics = shared.raft.metrics();
    loop {
        let looked = tokio::time::Instant::now();
        let now = metrics.borrow_watched().clone();
        if let Err(fatal) = &now.running_state {
            return end(&shared, Some(fatal));
        }
        shared.directory.update(now.membership_config.membership());
        if let Some(acked) = &now.last_quorum_acked {
            let age = acked.elapsed();
            shared.contact.heard_at(shared.clock.monotonic().saturating_sub(age));
        }
        shared.measure_core(now.last_log_index, now.current_term);
        let next = Leadership { term: now.current_term, leader: now.current_leader.map(NodeId), own: role(now.state) };
        let before = *leadership.borrow();
        if next != before {
            changed(&shared, before, next);
            leadership.send_replace(next);
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            more = worth_a_look(&mut metrics, next, looked) => if more.is_err() {
                let state = metrics.borrow_watched().running_state.clone();
                return end(&shared, state.as_ref().err());
            },
        }
    }
}

/// openraft says something after every step it takes; most of it changes nothing that is asked for here. Waits until it
/// says something of who leads, or has said anything at all and the last look, at `looked`, is [`LOOK_EVERY`] ago.
async fn worth_a_look(
    metrics: &mut WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    known: Leadership,
    looked: tokio::time::Instant,
) -> Result<(), RecvError> {
    metrics.changed().await?;
    let later = tokio::time::sleep_until(looked + LOOK_EVERY);
    tokio::pin!(later);
    while !is_news(&metrics.borrow_watched(), known) {
        tokio::select! {
            () = &mut later => break,
            more = metrics.changed() => more?,
        }
    }
    Ok(())
}

/// How often everything is looked at while there is no news.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether openraft has ended, or says something else of who leads.
fn is_news(now: &RaftMetrics<TypeConfig>, known: Leadership) -> bool {
    let leader = now.current_leader.map(NodeId);
    now.running_state.is_err() || (now.current_term, leader, role(now.state)) != (known.term, known.leader, known.own)
}

fn changed<E: Engine>(shared: &Shared<E>, before: Leadership, next: Leadership) {
    tracing::info!(term = next.term, leader = ?next.leader.map(|node| node.to_string()), role = ?next.own, "raft changed");
    if next.own == Role::Leader && (before.own != Role::Leader || before.term != next.term) {
        shared.leases.elected();
        shared.metrics.elections.inc();
    }
    if next.leader.is_some() && next.leader != before.leader {
        shared.metrics.leader_changes.inc();
    }
    shared.metrics.role.set(i64::from(crate::gossip::role_number(next.own)));
}

fn end<E: Engine>(shared: &Shared<E>, fatal: Option<&Fatal<TypeConfig>>) {
    if shared.stop.is_cancelled() {
        return;
    }
    match fatal {
        Some(Fatal::Stopped) => {}
        Some(fatal) => (shared.on_fatal)(&format!("consensus failed: {fatal}")),
        None => (shared.on_fatal)("consensus ended"),
    }
}

const fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Unknown,
    }
}

/// Waits until another node leads.
pub(crate) async fn replaced(mut leadership: watch::Receiver<Leadership>, leader: NodeId) {
    let other = leadership.wait_for(|now| now.leader.is_some_and(|now| now != leader));
    if other.await.is_err() {
        std::future::pending().await // The node stops; whoever waits has a deadline.
    }
}

/// A short wait that differs between callers, so that they do not come back all at once.
pub(crate) fn jitter() -> Duration {
    Duration::from_millis(10 + RandomState::new().hash_one(0) % 30)
}

#[cfg(test)]
mod tests {
    use openraft::async_runtime::watch::WatchSender;
    use openraft::type_config::TypeConfigExt;
    use tokio::time::Instant;

    use super::*;

    fn known(metrics: &RaftMetrics<TypeConfig>) -> Leadership {
        let leader = metrics.current_leader.map(NodeId);
        Leadership { term: metrics.current_term, leader, own: role(metrics.state) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_right_after_a_look_is_seen_soon_though_nothing_more_is_said() {
        let start = RaftMetrics::new_initial(1);
        let (say, mut heard) = TypeConfig::watch_channel(start.clone());
        let looked = Instant::now();
        let more = RaftMetrics { last_log_index: Some(7), ..start.clone() };
        say.send(more).expect("it is heard");
        worth_a_look(&mut heard, known(&start), looked).await.expect("it goes on");
        assert_eq!(heard.borrow_watched().last_log_index, Some(7));
        assert!(looked.elapsed() <= LOOK_EVERY + Duration::from_millis(1), "{:?}", looked.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_is_seen_at_once() {
        let start = RaftMetrics::new_initial(1);
        let (say, mut heard) = TypeConfig::watch_channel(start.clone());
        let looked = Instant::now();
        say.send(RaftMetrics { current_leader: Some(2), ..start.clone() }).expect("it is heard");
        worth_a_look(&mut heard, known(&start), looked).await.expect("it goes on");
        assert_eq!(looked.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_anything_said_it_waits_and_an_end_is_told() {
        let start = RaftMetrics::new_initial(1);
        let (say, mut heard) = TypeConfig::watch_channel(start.clone());
        let mut look = Box::pin(worth_a_look(&mut heard, known(&start), Instant::now()));
        tokio::time::advance(LOOK_EVERY * 3).await;
        assert!(futures::poll!(&mut look).is_pending());
        drop(say);
        assert!(look.await.is_err());
    }
}
