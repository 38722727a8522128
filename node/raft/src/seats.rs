//! The leader takes a node that was let in to its slot: as a learner first, then, once it has caught up, by one change of the
//! membership in which it takes the place of whoever was there. Each look begins with what is written, so whoever leads next goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use state::{View, keys};
use store::{Engine, Fault};
use tokio::time::{MissedTickBehavior, interval, timeout};
use types::limits::{SEAT_CHANGE_MS_MAX, SEAT_LAG_MAX, SEAT_LOOK_MS, SEATS_MAX};
use types::seat::Seat;
use types::{Command, Key, NodeId, Row, Slot};

use crate::duties;
use crate::handle::Role;
use crate::kinds::{NodeInfo, RaftMembership};
use crate::shared::Shared;
use crate::snapshots::is_revived;

/// Looks after nodes on their way while this node leads.
pub(crate) async fn run<E: Engine>(shared: Arc<Shared<E>>) {
    let mut ticks = interval(Duration::from_millis(SEAT_LOOK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if shared.leadership.borrow().own != Role::Leader {
            continue;
        }
        let seats = {
            let shared = shared.clone();
            crate::blocking::run(move || {
                Ok::<_, Fault>((read(&shared)?, is_revived(&shared.state.view(), &shared.log)?))
            })
            .await
        };
        match seats {
            Ok(Ok((seats, _))) if seats.is_empty() => {}
            Ok(Ok((seats, revived))) => {
                let limit = Duration::from_millis(SEAT_CHANGE_MS_MAX);
                let _ = timeout(limit, advance(&shared, &seats, revived)).await; // The next look sees what came of it.
            }
            Ok(Err(fault)) => (shared.on_fatal)(&format!("read the state: {fault}")),
            Err(_) => {}
        }
    }
}

/// All nodes that were let in after founding, ascending.
pub(crate) fn read<E: Engine>(shared: &Shared<E>) -> Result<Vec<(NodeId, Seat)>, Fault> {
    all(&shared.state.view())
}

/// As [`read`], of a view.
pub(crate) fn all<V: View<Fault = Fault>>(view: &V) -> Result<Vec<(NodeId, Seat)>, Fault> {
    let (from, to) = keys::seats();
    let rows = view.scan(&from, &to, false, SEATS_MAX)?;
    let seats = rows.into_iter().filter_map(|(key, row)| match (key, row) {
        (Key::Seat(node), Row::Seat(seat)) => Some((node, seat)),
        _ => None,
    });
    Ok(seats.collect())
}

async fn advance<E: Engine>(shared: &Arc<Shared<E>>, seats: &[(NodeId, Seat)], revived: bool) {
    let metrics = shared.raft.metrics().borrow_watched().clone();
    let last = metrics.last_log_index.unwrap_or_default();
    let replication = metrics.replication.unwrap_or_default();
    let lag = |node: NodeId| {
        let matched = replication.get(&node.0)?.as_ref()?;
        Some(last.saturating_sub(matched.index()))
    };
    let Some(step) = next(seats, metrics.membership_config.membership(), lag) else { return };
    if revived && matches!(step, Step::Learn(_)) {
        return; // A moment later it gets a snapshot, and not a log that does not begin with the founding.
    }
    tracing::info!(?step, "a node is on its way to its slot");
    let (learns, votes) = (matches!(step, Step::Learn(_)), matches!(step, Step::Vote(_)));
    if votes {
        store::failing::end_at("replace-before-vote");
    }
    let done = match step {
        Step::Learn(info) => shared.raft.add_learner(info.node.0, info, false).await.map(drop),
        Step::Vote(voters) => {
            shared.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await.map(drop)
        }
        Step::Forget(nodes) => shared.raft.change_membership(ChangeMembers::RemoveNodes(nodes), false).await.map(drop),
        Step::Seat(node) => {
            if let Some(Err(reject)) = duties::put(shared, Command::SeatNode(node)).await {
                tracing::warn!(%node, %reject, "a node that counts as one of three could not be written down as such");
            }
            return;
        }
    };
    if learns {
        store::failing::end_at("replace-after-learner");
    }
    if votes {
        store::failing::end_at("replace-after-vote");
    }
    if let Err(error) = done {
        tracing::warn!(%error, "change who counts; it is tried again");
    }
}

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// It gets the log, without a vote.
    Learn(NodeInfo),
    /// These vote.
    Vote(BTreeSet<u64>),
    /// These were let in, and gave way to others before they ever voted.
    Forget(BTreeSet<u64>),
    /// It votes, and nobody else of its slot does.
    Seat(NodeId),
}

fn next(seats: &[(NodeId, Seat)], membership: &RaftMembership, lag: impl Fn(NodeId) -> Option<u64>) -> Option<Step> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    if voters.is_empty() {
        return None;
    }
    if membership.get_joint_config().len() > 1 {
        return Some(Step::Vote(newest(&voters))); // A leader ended in the middle of it.
    }
    let known: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
    let gone = |node: &u64| seats.iter().any(|(other, seat)| other.0 == *node && seat.replaced.is_some());
    let forgotten: BTreeSet<u64> = known.difference(&voters).copied().filter(gone).collect();
    if !forgotten.is_empty() {
        return Some(Step::Forget(forgotten));
    }
    let (node, seat) = seats.iter().find(|(_, seat)| seat.is_pending())?;
    if voters.contains(&node.0) {
        return Some(Step::Seat(*node));
    }
    if !known.contains(&node.0) {
        return Some(Step::Learn(NodeInfo {
            node: *node,
            peer_address: seat.peer_address.clone(),
            client_address: seat.client_address.clone(),
            disk: seat.disk,
        }));
    }
    (lag(*node)? <= SEAT_LAG_MAX).then(|| Step::Vote(newest(&voters.iter().copied().chain([node.0]).collect())))
}

/// Of each slot the newest.
fn newest(nodes: &BTreeSet<u64>) -> BTreeSet<u64> {
    let of = |slot: Slot| nodes.iter().copied().filter(|node| NodeId(*node).slot() == Some(slot)).max();
    Slot::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::{Incarnation, Timestamp};

    use super::*;

    fn id(slot: Slot, incarnation: u32) -> NodeId {
        NodeId::new(slot, Incarnation(incarnation))
    }

    fn seat() -> Seat {
        Seat {
            disk: [2; 16],
            public: [2; 32],
            peer_address: String::from("b:2"),
            client_address: String::from("b:1"),
            admitted: Timestamp(1),
            seated: None,
            replaced: None,
        }
    }

    fn membership(voters: &[&[NodeId]], learners: &[NodeId]) -> RaftMembership {
        let configs: Vec<BTreeSet<u64>> = voters.iter().map(|set| set.iter().map(|node| node.0).collect()).collect();
        let all = voters.iter().flat_map(|set| set.iter()).chain(learners);
        let nodes: BTreeMap<u64, NodeInfo> = all.map(|node| (node.0, NodeInfo::default())).collect();
        RaftMembership::new(configs, nodes).expect("valid")
    }

    #[test]
    fn a_node_learns_then_votes_in_one_change_and_then_is_seated() {
        let (a, b1, b2, c) = (id(Slot::A, 1), id(Slot::B, 1), id(Slot::B, 2), id(Slot::C, 1));
        let seats = [(b2, seat())];
        let (old, new) = (&[a, b1, c][..], &[a, b2, c][..]);
        let voters = || Some(Step::Vote([a.0, b2.0, c.0].into()));
        assert!(matches!(next(&seats, &membership(&[old], &[]), |_| None), Some(Step::Learn(info)) if info.node == b2));
        assert_eq!(next(&seats, &membership(&[old], &[b2]), |_| None), None, "nothing of it is known");
        assert_eq!(next(&seats, &membership(&[old], &[b2]), |_| Some(SEAT_LAG_MAX + 1)), None, "it lacks too much");
        assert_eq!(next(&seats, &membership(&[old], &[b2]), |_| Some(0)), voters());
        assert_eq!(next(&seats, &membership(&[old, new], &[]), |_| None), voters(), "the leader ended in between");
        assert_eq!(next(&seats, &membership(&[new], &[]), |_| None), Some(Step::Seat(b2)));
        let seated = [(b2, Seat { seated: Some(Timestamp(2)), ..seat() })];
        assert_eq!(next(&seated, &membership(&[new], &[]), |_| None), None);
    }

    #[test]
    fn a_node_that_gave_way_before_it_voted_is_forgotten() {
        let (a, b1, b2, b3, c) = (id(Slot::A, 1), id(Slot::B, 1), id(Slot::B, 2), id(Slot::B, 3), id(Slot::C, 1));
        let seats = [(b2, Seat { replaced: Some(Timestamp(2)), ..seat() }), (b3, seat())];
        let old = &[a, b1, c][..];
        assert_eq!(next(&seats, &membership(&[old], &[b2]), |_| Some(0)), Some(Step::Forget([b2.0].into())));
        assert!(matches!(next(&seats, &membership(&[old], &[]), |_| None), Some(Step::Learn(info)) if info.node == b3));
    }

    #[test]
    fn a_survivor_alone_becomes_two_and_then_three() {
        let (a2, b2, c) = (id(Slot::A, 2), id(Slot::B, 2), id(Slot::C, 1));
        let two = next(&[(a2, seat())], &membership(&[&[c]], &[a2]), |_| Some(0));
        assert_eq!(two, Some(Step::Vote([a2.0, c.0].into())));
        let seated = Seat { seated: Some(Timestamp(2)), ..seat() };
        let three = next(&[(a2, seated), (b2, seat())], &membership(&[&[a2, c]], &[b2]), |_| Some(0));
        assert_eq!(three, Some(Step::Vote([a2.0, b2.0, c.0].into())));
    }
}
