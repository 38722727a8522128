//! How the cluster is, in one plain line.

use std::time::Duration;

use proto::v1::{ClusterHealth, NodeRole};
use raft::{ClusterStatus, NodeStatus, Role};
use types::limits::NODES_WITH_LOW_DISK_MAX;
use types::{NodeId, Slot, Timestamp};

use crate::alarms::{Alone, Replicated};

/// A node that lacks more log entries than this is behind: a reader would notice.
const BEHIND_ENTRIES: u64 = 1_000;

/// A disk that has not made a message safe for so long does not count as one of three.
pub(crate) const DISK_STUCK: Duration = Duration::from_secs(5);

/// A node's vote is held, in [`raft::Vitals::vote_held`]: its log lost what it had, and it has yet to catch up.
pub(crate) const VOTE_HELD_BEHIND: u32 = 2;
/// Likewise: its disk is an old copy.
pub(crate) const VOTE_HELD_OLD_COPY: u32 = 3;

/// Whether the cluster serves, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it serves.
    pub health: ClusterHealth,
    /// For people: how it is, and what to do next.
    pub summary: String,
}

/// How the cluster is, with what its state says of it: see [`summary`].
#[must_use]
pub(crate) fn whole(
    status: &ClusterStatus,
    answered_by: Slot,
    stale: Option<Duration>,
    clock: Timestamp,
    state: Replicated,
) -> Health {
    let led = status.leader.is_some() && stale.is_none();
    // Whoever leads a cluster of one is it; the one that is on its way to join may be who answers.
    let only = status.nodes.iter().find(|node| Some(node.node) == status.leader);
    let at = only.map_or(answered_by, |node| node.slot);
    let low = only.is_some_and(|node| node.disk_low || node.disk_full);
    let (health, summary) = match state.alone {
        Some(_) if led && low => {
            let people = if only.is_some_and(|node| node.disk_full) { "nobody can read" } else { "people read" };
            (
                ClusterHealth::NotAccepting,
                format!(
                    "NOT ACCEPTING MESSAGES. The disk of {at}, the only node of the cluster, is nearly full; {people}. Next: make \
                     room on it, then have another one join (tricord node replace)."
                ),
            )
        }
        Some(Alone::Waits) if led => (
            ClusterHealth::NotAccepting,
            format!(
                "NOT ACCEPTING MESSAGES. {at} is the only node of the cluster; people read. Next: have another one join \
                 (tricord node replace)."
            ),
        ),
        Some(Alone::Accepted) if led => (
            ClusterHealth::Degraded,
            format!(
                "ATTENTION. Serving, but do not stop {at}: what is written lies on its disk alone. Have another node join \
                 (tricord node replace)."
            ),
        ),
        _ if led && state.diverged => (
            ClusterHealth::NotAccepting,
            "NOT ACCEPTING MESSAGES. Two nodes hold different records; people read. Next: start the third.".into(),
        ),
        _ => return summary(status, answered_by, stale, clock),
    };
    Health { health, summary }
}

/// How the cluster is as the node asked sees it. `answered_by` is that node, `stale` for how long it has had no word from
/// a leader, `clock` cluster time as it knows it.
#[must_use]
pub fn summary(status: &ClusterStatus, answered_by: Slot, stale: Option<Duration>, clock: Timestamp) -> Health {
    if status.leader.is_none() || stale.is_some() {
        return not_accepting(status, answered_by, stale, clock);
    }
    let silent: Vec<Slot> = slots(status, |node| !node.reachable);
    let head = status.nodes.iter().map(|node| node.last_log).max().unwrap_or(0);
    let behind: Vec<&NodeStatus> = status
        .nodes
        .iter()
        .filter(|node| node.reachable && (lag(node, head) > BEHIND_ENTRIES || node.role == Role::Learner))
        .collect();
    let full: Vec<Slot> = slots(status, |node| node.disk_full);
    if full.len() >= NODES_WITH_LOW_DISK_MAX {
        let summary = format!(
            "NOT ACCEPTING MESSAGES. The disks of {} are full; nobody can read. Next: make room on them.",
            join(&full, "and")
        );
        return Health { health: ClusterHealth::NotAccepting, summary };
    }
    let low: Vec<Slot> = slots(status, |node| node.disk_low);
    if low.len() >= NODES_WITH_LOW_DISK_MAX {
        let summary = format!(
            "NOT ACCEPTING MESSAGES. The disks of {} are nearly full; people read. Next: make room on them.",
            join(&low, "and")
        );
        return Health { health: ClusterHealth::NotAccepting, summary };
    }
    let stuck: Vec<Slot> = slots(status, |node| node.reachable && is_stuck(node));
    let voteless: Vec<Slot> = slots(status, |node| node.reachable && is_voteless(node));
    let fine = silent.is_empty() && behind.is_empty() && stuck.is_empty() && voteless.is_empty();
    if let ([slot], true) = (low.as_slice(), fine) {
        // Soon it may keep nothing more: whoever stopped another would be left with one.
        let others = join(&slots(status, |node| node.slot != *slot), "or");
        let summary = format!(
            "ATTENTION. Serving, but do not stop {others}: the disk of {slot} is nearly full. Make room on it."
        );
        return Health { health: ClusterHealth::Degraded, summary };
    }
    if fine {
        let summary = "OK. All three nodes are well; any one may be stopped now.".into();
        return Health { health: ClusterHealth::Ok, summary };
    }
    let well: Vec<Slot> = slots(status, |node| {
        let counts = |others: &[Slot]| !others.contains(&node.slot);
        counts(&silent) && counts(&stuck) && counts(&voteless) && behind.iter().all(|one| one.slot != node.slot)
    });
    let mut causes: Vec<String> = Vec::new();
    if !silent.is_empty() {
        causes.push(format!("{} {} not answer", join(&silent, "and"), if silent.len() == 1 { "does" } else { "do" }));
    }
    causes.extend(behind.iter().map(|node| catching_up(node, head)));
    causes.extend(stuck.iter().map(|slot| format!("the disk of {slot} does not finish writing")));
    causes.extend(voteless.iter().map(|slot| format!("{slot} does not vote")));
    causes.extend(low.iter().map(|slot| format!("the disk of {slot} is nearly full")));
    let keep = if well.is_empty() { "any node".into() } else { join(&well, "or") };
    let summary = format!("ATTENTION. Serving, but do not stop {keep}: {}.", causes.join("; "));
    Health { health: ClusterHealth::Degraded, summary }
}

/// It keeps what it is sent, but has no voice when the others have to elect a leader.
fn is_voteless(node: &NodeStatus) -> bool {
    node.vitals.is_some_and(|vitals| matches!(vitals.vote_held, VOTE_HELD_BEHIND | VOTE_HELD_OLD_COPY))
}

fn is_stuck(node: &NodeStatus) -> bool {
    node.vitals.and_then(|vitals| vitals.fsync_p99).is_some_and(|time| time >= DISK_STUCK)
}

/// Log entries a node has yet to apply.
pub(crate) fn lag(node: &NodeStatus, head: u64) -> u64 {
    head.saturating_sub(node.applied)
}

fn catching_up(node: &NodeStatus, head: u64) -> String {
    let percent = node.applied.saturating_mul(100).checked_div(head).unwrap_or(100).min(99);
    format!("{} is catching up ({percent} %)", node.slot)
}

/// What a node is to the others. Whoever led and has no word of the others any more leads nobody, and says so only later.
pub(crate) fn role(node: &NodeStatus, leader: Option<NodeId>) -> NodeRole {
    match node.role {
        Role::Unknown => NodeRole::Unspecified,
        Role::Leader if leader == Some(node.node) => NodeRole::Leader,
        Role::Leader | Role::Candidate => NodeRole::Candidate,
        Role::Follower => NodeRole::Follower,
        Role::Learner => NodeRole::Learner,
    }
}

fn not_accepting(status: &ClusterStatus, by: Slot, stale: Option<Duration>, clock: Timestamp) -> Health {
    let answering = slots(status, |node| node.reachable || node.slot == by);
    let silent = slots(status, |node| !node.reachable && node.slot != by);
    let who = match answering.len() {
        1 => format!("Only {by} answers"),
        _ if silent.is_empty() => "All nodes answer, but none leads".into(),
        _ => format!("{} answer, but none leads", join(&answering, "and")),
    };
    let next = match (silent.is_empty(), answering.len()) {
        (false, _) => format!("Next: start {}.", join(&silent, "or")),
        (true, _) => "Next: wait a few seconds; if this stays, look at the network between the nodes.".into(),
    };
    let people = if stale.is_some() { format!("; people read as of {}", hour_minute(clock)) } else { String::new() };
    let summary = format!("NOT ACCEPTING MESSAGES. {who}{people}. {next}");
    Health { health: ClusterHealth::NotAccepting, summary }
}

fn slots(status: &ClusterStatus, which: impl Fn(&NodeStatus) -> bool) -> Vec<Slot> {
    status.nodes.iter().filter(|node| which(node)).map(|node| node.slot).collect()
}

fn join(slots: &[Slot], word: &str) -> String {
    let letters: Vec<&str> = slots.iter().map(|slot| slot.letter()).collect();
    match letters.as_slice() {
        [] => String::new(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// The time of day, in UTC: the hospital's own zone is not known here.
fn hour_minute(at: Timestamp) -> String {
    let minutes = at.0 / 60_000;
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Incarnation;

    fn node(slot: Slot, role: Role, reachable: bool, applied: u64) -> NodeStatus {
        NodeStatus {
            slot,
            node: NodeId::new(slot, Incarnation(1)),
            reachable,
            role,
            applied,
            last_log: applied,
            version: String::new(),
            client_address: String::new(),
            last_seen: None,
            streams: 0,
            disk_free: None,
            disk_low: false,
            disk_full: false,
            public_key: None,
            key_protection: String::new(),
            feature_level: 0,
            certificates_expire: None,
            snapshot: None,
            vitals: None,
        }
    }

    fn status(leader: Option<Slot>, nodes: [(bool, u64); 3]) -> ClusterStatus {
        let nodes = [0, 1, 2].map(|at| {
            let (slot, (reachable, applied)) = (Slot::ALL[at], nodes[at]);
            let role = if leader == Some(slot) { Role::Leader } else { Role::Follower };
            node(slot, role, reachable, applied)
        });
        ClusterStatus { term: 7, leader: leader.map(|slot| NodeId::new(slot, Incarnation(1))), nodes }
    }

    #[test]
    fn a_node_that_is_the_whole_cluster_and_records_that_differ_are_not_called_serving() {
        let one = status(Some(Slot::A), [(true, 100), (false, 0), (false, 0)]);
        let told = |status: &ClusterStatus, stale, state| whole(status, Slot::A, stale, Timestamp(0), state);
        let alone = |alone| Replicated { alone: Some(alone), ..Replicated::default() };
        let waits = told(&one, None, alone(Alone::Waits));
        assert_eq!(waits.health, ClusterHealth::NotAccepting);
        assert!(waits.summary.starts_with("NOT ACCEPTING MESSAGES. a is the only node"), "{}", waits.summary);
        let accepted = told(&one, None, alone(Alone::Accepted));
        assert_eq!(accepted.health, ClusterHealth::Degraded);
        assert!(accepted.summary.starts_with("ATTENTION. Serving, but do not stop a:"), "{}", accepted.summary);
        for (low, full, people) in [(true, false, "people read"), (true, true, "nobody can read")] {
            let mut one = one.clone();
            (one.nodes[0].disk_low, one.nodes[0].disk_full) = (low, full);
            for alone in [Alone::Waits, Alone::Accepted].map(alone) {
                let told = told(&one, None, alone);
                assert_eq!(told.health, ClusterHealth::NotAccepting);
                let disk = "The disk of a, the only node of the cluster, is nearly full";
                assert!(told.summary.contains(disk) && told.summary.contains(people), "{}", told.summary);
            }
        }
        // The one that is about to join is asked, and its own disk is nearly full: that is not the disk that counts.
        let mut joining = status(Some(Slot::A), [(true, 100), (true, 40), (false, 0)]);
        (joining.nodes[1].role, joining.nodes[1].disk_low) = (Role::Learner, true);
        let asked = |status: &ClusterStatus, state| whole(status, Slot::B, None, Timestamp(0), state).summary;
        assert!(asked(&joining, alone(Alone::Accepted)).contains("do not stop a: what is written lies on its disk"));
        assert!(asked(&joining, alone(Alone::Waits)).contains("a is the only node"));
        (joining.nodes[0].disk_low, joining.nodes[1].disk_low) = (true, false);
        assert!(asked(&joining, alone(Alone::Accepted)).contains("The disk of a, the only node"));
        let two = status(Some(Slot::A), [(true, 100), (true, 100), (false, 0)]);
        let differ = Replicated { diverged: true, ..Replicated::default() };
        assert_eq!(told(&two, None, differ).health, ClusterHealth::NotAccepting);
        let nobody = status(None, [(true, 100), (false, 0), (false, 0)]);
        let none_leads = told(&nobody, Some(Duration::from_secs(9)), alone(Alone::Accepted));
        assert!(none_leads.summary.contains("Only a answers"), "{}", none_leads.summary);
    }

    #[test]
    fn nobody_leads_without_a_majority() {
        let status = status(Some(Slot::C), [(false, 0), (false, 0), (true, 100)]);
        let last = &status.nodes[2];
        assert_eq!(role(last, status.leader), NodeRole::Leader);
        assert_eq!(role(last, None), NodeRole::Candidate);
        assert_eq!(role(last, Some(status.nodes[0].node)), NodeRole::Candidate, "another leads by now");
    }

    #[test]
    fn a_node_whose_disk_does_not_finish_writing_is_not_one_to_go_on_with() {
        let mut status = status(Some(Slot::A), [(true, 100); 3]);
        status.nodes[1].vitals = Some(raft::Vitals { fsync_p99: Some(DISK_STUCK), ..raft::Vitals::default() });
        let told = summary(&status, Slot::A, None, Timestamp(0));
        assert_eq!(told.health, ClusterHealth::Degraded);
        let wanted = "ATTENTION. Serving, but do not stop a or c: the disk of b does not finish writing.";
        assert_eq!(told.summary, wanted);
    }

    #[test]
    fn a_node_that_does_not_vote_is_not_one_to_go_on_with() {
        for held in [VOTE_HELD_BEHIND, VOTE_HELD_OLD_COPY] {
            let mut status = status(Some(Slot::A), [(true, 100); 3]);
            status.nodes[2].vitals = Some(raft::Vitals { vote_held: held, ..raft::Vitals::default() });
            assert_eq!(line(&status, None), "ATTENTION. Serving, but do not stop a or b: c does not vote.");
        }
    }

    fn line(status: &ClusterStatus, stale: Option<Duration>) -> String {
        summary(status, Slot::A, stale, Timestamp((2 * 60 + 46) * 60_000)).summary
    }

    #[test]
    fn all_well() {
        let status = status(Some(Slot::B), [(true, 9_000), (true, 9_010), (true, 8_990)]);
        assert_eq!(line(&status, None), "OK. All three nodes are well; any one may be stopped now.");
    }

    #[test]
    fn one_silent() {
        let status = status(Some(Slot::A), [(true, 9_000), (false, 0), (true, 9_000)]);
        assert_eq!(line(&status, None), "ATTENTION. Serving, but do not stop a or c: b does not answer.");
    }

    #[test]
    fn one_behind() {
        let status = status(Some(Slot::A), [(true, 10_000), (true, 8_100), (true, 10_000)]);
        assert_eq!(line(&status, None), "ATTENTION. Serving, but do not stop a or c: b is catching up (81 %).");
    }

    #[test]
    fn full_disks() {
        let mut status = status(Some(Slot::A), [(true, 9_000), (true, 9_000), (true, 9_000)]);
        status.nodes[2].disk_low = true;
        assert_eq!(
            line(&status, None),
            "ATTENTION. Serving, but do not stop a or b: the disk of c is nearly full. Make room on it."
        );
        status.nodes[0].disk_low = true;
        assert_eq!(
            line(&status, None),
            "NOT ACCEPTING MESSAGES. The disks of a and c are nearly full; people read. Next: make room on them."
        );
        status.nodes[0].disk_low = false;
        status.nodes[1].reachable = false;
        assert_eq!(
            line(&status, None),
            "ATTENTION. Serving, but do not stop a or c: b does not answer; the disk of c is nearly full."
        );
    }

    #[test]
    fn no_majority() {
        let status = status(None, [(true, 9_000), (false, 0), (false, 0)]);
        let expected = "NOT ACCEPTING MESSAGES. Only a answers; people read as of 02:46 UTC. Next: start b or c.";
        assert_eq!(line(&status, Some(Duration::from_secs(5))), expected);
    }

    #[test]
    fn between_two_leaders() {
        let status = status(None, [(true, 9_000), (true, 9_000), (true, 9_000)]);
        assert!(
            line(&status, None).starts_with("NOT ACCEPTING MESSAGES. All nodes answer, but none leads. Next: wait")
        );
    }
}
