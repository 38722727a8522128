//! What an operator should do something about, in plain lines: the same on the page, in `top` and in `cluster status`, and
//! there without a Prometheus.

use std::time::Duration;

use proto::v1::{Alarm, AlarmSeverity};
use raft::{ClusterStatus, NodeStatus, Role};
use types::Timestamp;
use types::limits::{NODE_LAG_ALARM_ENTRIES, NODES_WITH_LOW_DISK_MAX};

use crate::health::{DISK_STUCK, VOTE_HELD_BEHIND, VOTE_HELD_OLD_COPY};

/// At most so many are told.
const ALARMS_MAX: usize = 32;
/// From this long before a certificate's end.
const EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// From here on a certificate's end is pressing.
const EXPIRY_PRESSING: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// A clock further off than this is wrong.
const CLOCK_OFF_MS: u64 = 500;
/// A disk that takes longer than this for one in a hundred batches is slow.
const FSYNC_SLOW: Duration = Duration::from_millis(50);
/// One in a hundred messages taking longer than this is slow.
const SEND_SLOW: Duration = Duration::from_millis(250);

/// What the state itself says that is a reason to look: above all how far the audit log is sealed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replicated {
    /// Records there are.
    pub records: u64,
    /// Records the newest sealed head covers, and when it was sealed.
    pub sealed: Option<(u64, Timestamp)>,
    /// Writes are refused, the nodes' records being different.
    pub diverged: bool,
    /// A recovery kit that one administrator proposed waits for another's word.
    pub kit_waits: bool,
    /// The cluster is this node alone.
    pub alone: Option<Alone>,
}

/// What a node does that is the whole cluster, as after a refounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// It waits for a second one: nobody writes.
    Waits,
    /// An operator has accepted that what is written lies on its disk alone.
    Accepted,
}

/// All that is the matter, the most pressing first.
#[must_use]
pub fn alarms(status: &ClusterStatus, state: Replicated, now: Timestamp) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let low = status.nodes.iter().filter(|node| node.disk_low).count();
    if low >= NODES_WITH_LOW_DISK_MAX {
        alarms.push(page(
            "",
            "Sending is refused: the disks of two nodes are nearly full. Make room on them.",
            "disk-full",
        ));
    }
    if state.diverged {
        alarms.push(page("", "Writing is refused: two nodes hold different records. Start the third.", "audit"));
    } else if unsealed(state, now) && status.nodes.iter().filter(|node| node.reachable).count() > 1 {
        alarms.push(warn("", "The newest audit records are not signed by two nodes.", "audit"));
    }
    if state.kit_waits {
        let text =
            "A new recovery kit waits for a second administrator; if nobody knows of it, find out who proposed it.";
        alarms.push(warn("", text, "recovery-kit"));
    }
    let silent = status.nodes.iter().filter(|node| !node.reachable).count();
    if let Some(alone) = state.alone {
        alarms.push(match alone {
            Alone::Waits => page("", "Nobody can send until another node has joined this one.", "two-nodes-lost"),
            Alone::Accepted => {
                page("", "What is written lies on one disk alone. Have another node join.", "two-nodes-lost")
            }
        });
    } else if silent > 1 {
        alarms.push(page("", "Nobody can send: two nodes do not answer. Start one of them.", "no-majority"));
    }
    let head = status.nodes.iter().map(|node| node.last_log).max().unwrap_or(0);
    for node in &status.nodes {
        of_node(node, head, now, &mut alarms);
    }
    let mut versions: Vec<&str> =
        status.nodes.iter().filter(|node| node.reachable).map(|node| &*node.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        let text = format!("The nodes run different releases: {}. Finish the upgrade.", versions.join(", "));
        alarms.push(alarm(AlarmSeverity::Note, "", text, "upgrade"));
    }
    alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.severity));
    alarms.truncate(ALARMS_MAX);
    alarms
}

fn unsealed(state: Replicated, now: Timestamp) -> bool {
    let (size, at) = state.sealed.unwrap_or_default();
    state.records > size && now.0.saturating_sub(at.0) > 120_000
}

fn of_node(node: &NodeStatus, head: u64, now: Timestamp, alarms: &mut Vec<Alarm>) {
    let slot = node.slot.letter();
    if !node.reachable {
        alarms.push(warn(
            slot,
            "It does not answer. Until it does, no other may stop. Look at its machine.",
            "node-down",
        ));
        return; // What it told before is old.
    }
    if node.disk_low {
        alarms.push(page(slot, "Its disk is nearly full. Make room before a second one is.", "disk-full"));
    }
    let behind = head.saturating_sub(node.applied);
    if behind > NODE_LAG_ALARM_ENTRIES && node.role != Role::Leader {
        alarms.push(warn(
            slot,
            &format!("It is {behind} log entries behind. Until it is not, no other may stop."),
            "node-down",
        ));
    }
    if let Some(end) = node.certificates_expire {
        expiry(slot, Duration::from_millis(end.0.saturating_sub(now.0)), alarms);
    }
    let Some(vitals) = node.vitals else { return };
    match vitals.vote_held {
        VOTE_HELD_BEHIND => alarms.push(warn(
            slot,
            "It does not vote: its log lost what it had. It does again once it has caught up.",
            "node-down",
        )),
        VOTE_HELD_OLD_COPY => {
            alarms.push(warn(slot, "It does not vote: its disk is an old copy. Replace the node.", "node-down"))
        }
        _ => {}
    }
    if vitals.clock_alone {
        alarms.push(page(slot, "It finds no two clocks that agree. Set the clocks of two nodes right.", "clock-off"));
    } else if vitals.clock_offset_ms.unsigned_abs() > CLOCK_OFF_MS {
        let off = vitals.clock_offset_ms as f64 / 1e3;
        alarms.push(warn(slot, &format!("Its clock is {off:+.1} s off. Look at its time service."), "clock-off"));
    }
    if vitals.fsync_p99.is_some_and(|time| time >= DISK_STUCK) {
        let text = "Its disk does not finish writing. Until it does, no other may stop.";
        alarms.push(page(slot, text, "disk-slow"));
    } else if let Some(p99) = vitals.fsync_p99.filter(|p99| *p99 > FSYNC_SLOW) {
        alarms.push(warn(
            slot,
            &format!("Its disk is slow: {} ms to make a message safe.", p99.as_millis()),
            "disk-slow",
        ));
    }
    if vitals.renewal_failed {
        let text = "It could not renew its certificates. 'tricord node status' on its machine says why.";
        alarms.push(warn(slot, text, "certificates"));
    }
    if let Some(p99) = vitals.send_p99.filter(|p99| *p99 > SEND_SLOW) {
        let text = format!("Sending through it is slow: {} ms. Look at the disks and the network.", p99.as_millis());
        alarms.push(warn(slot, &text, "disk-slow"));
    }
}

fn expiry(slot: &str, left: Duration, alarms: &mut Vec<Alarm>) {
    let days = left.as_secs() / (24 * 60 * 60);
    if left.is_zero() {
        alarms.push(page(slot, "A certificate HAS EXPIRED. Renew it now.", "certificates"));
    } else if left < EXPIRY_PRESSING {
        alarms.push(page(slot, &format!("A certificate expires in {days} days. Renew it now."), "certificates"));
    } else if left < EXPIRY {
        alarms.push(warn(slot, &format!("A certificate expires in {days} days. Renew it."), "certificates"));
    }
}

fn page(slot: &str, text: &str, runbook: &str) -> Alarm {
    alarm(AlarmSeverity::Page, slot, text.into(), runbook)
}

fn warn(slot: &str, text: &str, runbook: &str) -> Alarm {
    alarm(AlarmSeverity::Warn, slot, text.into(), runbook)
}

fn alarm(severity: AlarmSeverity, slot: &str, text: String, runbook: &str) -> Alarm {
    Alarm { severity: severity.into(), slot: slot.into(), text, runbook: runbook.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::Vitals;
    use types::{Incarnation, NodeId, Slot};

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn well() -> ClusterStatus {
        let nodes = Slot::ALL.map(|slot| NodeStatus {
            slot,
            node: NodeId::new(slot, Incarnation(1)),
            reachable: true,
            role: if slot == Slot::A { Role::Leader } else { Role::Follower },
            applied: 5_000,
            last_log: 5_000,
            version: "1.0.0".into(),
            client_address: String::new(),
            last_seen: None,
            streams: 0,
            disk_free: Some(1 << 40),
            disk_low: false,
            disk_full: false,
            public_key: None,
            key_protection: String::new(),
            feature_level: 2,
            certificates_expire: Some(Timestamp(NOW.0 + 400 * DAY_MS)),
            snapshot: None,
            vitals: Some(Vitals { fsync_p99: Some(Duration::from_millis(2)), ..Vitals::default() }),
        });
        ClusterStatus { term: 3, leader: Some(NodeId::new(Slot::A, Incarnation(1))), nodes }
    }

    fn sealed() -> Replicated {
        Replicated { records: 90, sealed: Some((88, Timestamp(NOW.0 - 4_000))), ..Replicated::default() }
    }

    fn told(change: impl FnOnce(&mut ClusterStatus)) -> Vec<(AlarmSeverity, String, String)> {
        let mut status = well();
        change(&mut status);
        let told = alarms(&status, sealed(), NOW);
        told.into_iter().map(|alarm| (alarm.severity(), alarm.slot, alarm.runbook)).collect()
    }

    fn vitals(status: &mut ClusterStatus) -> &mut Vitals {
        status.nodes[1].vitals.get_or_insert_default()
    }

    #[test]
    fn a_cluster_that_is_well_raises_none() {
        assert_eq!(told(|_| {}), []);
    }

    #[test]
    fn each_thing_that_is_the_matter_raises_its_own() {
        let one = |change: fn(&mut ClusterStatus), severity: AlarmSeverity, slot: &str, runbook: &str| {
            assert_eq!(told(change), [(severity, slot.to_owned(), runbook.to_owned())]);
        };
        let (warn, page) = (AlarmSeverity::Warn, AlarmSeverity::Page);
        one(|s| s.nodes[1].reachable = false, warn, "b", "node-down");
        let behind: fn(&mut ClusterStatus) = |s| {
            s.nodes.iter_mut().for_each(|node| (node.applied, node.last_log) = (50_000, 50_000));
            s.nodes[1].applied = 100;
        };
        one(behind, warn, "b", "node-down");
        one(|s| s.nodes[1].disk_low = true, page, "b", "disk-full");
        one(|s| s.nodes[1].certificates_expire = Some(Timestamp(NOW.0 + 20 * DAY_MS)), warn, "b", "certificates");
        one(|s| s.nodes[1].certificates_expire = Some(Timestamp(NOW.0 + DAY_MS)), page, "b", "certificates");
        one(|s| s.nodes[1].certificates_expire = Some(Timestamp(NOW.0 - DAY_MS)), page, "b", "certificates");
        one(|s| vitals(s).vote_held = 3, warn, "b", "node-down");
        one(|s| vitals(s).clock_offset_ms = -700, warn, "b", "clock-off");
        one(|s| vitals(s).clock_alone = true, page, "b", "clock-off");
        one(|s| vitals(s).fsync_p99 = Some(Duration::from_millis(51)), warn, "b", "disk-slow");
        one(|s| vitals(s).fsync_p99 = Some(Duration::from_secs(9)), page, "b", "disk-slow");
        one(|s| vitals(s).send_p99 = Some(Duration::from_millis(300)), warn, "b", "disk-slow");
        one(|s| vitals(s).renewal_failed = true, warn, "b", "certificates");
        one(|s| s.nodes[1].version = "1.1.0".into(), AlarmSeverity::Note, "", "upgrade");
    }

    #[test]
    fn the_most_pressing_comes_first() {
        let told = told(|status| {
            status.nodes[0].reachable = false;
            status.nodes[1].disk_low = true;
            status.nodes[2].disk_low = true;
        });
        let severities: Vec<AlarmSeverity> = told.iter().map(|one| one.0).collect();
        assert_eq!(severities, [AlarmSeverity::Page, AlarmSeverity::Page, AlarmSeverity::Page, AlarmSeverity::Warn]);
        assert_eq!(told[0].1, "", "that nothing can be sent stands above which disk it is");
    }

    #[test]
    fn with_two_nodes_gone_the_first_thing_said_is_that_nobody_can_send() {
        let told = told(|status| {
            status.nodes[1].reachable = false;
            status.nodes[2].reachable = false;
        });
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], (AlarmSeverity::Page, String::new(), "no-majority".to_owned()));
    }

    #[test]
    fn an_audit_log_nobody_seals_is_told_of_while_somebody_could() {
        let mut audit = Replicated { sealed: Some((80, Timestamp(NOW.0 - 600_000))), ..sealed() };
        assert_eq!(alarms(&well(), audit, NOW).len(), 1);
        audit.records = 80;
        assert_eq!(alarms(&well(), audit, NOW), []);
        audit.diverged = true;
        assert_eq!(alarms(&well(), audit, NOW)[0].severity(), AlarmSeverity::Page);
    }

    #[test]
    fn a_recovery_kit_that_waits_is_told_of_so_that_none_is_slipped_in() {
        let told = alarms(&well(), Replicated { kit_waits: true, ..sealed() }, NOW);
        assert_eq!((told.len(), told[0].severity(), &*told[0].runbook), (1, AlarmSeverity::Warn, "recovery-kit"));
    }

    #[test]
    fn a_node_that_is_the_whole_cluster_waits_for_another_and_not_for_those_that_are_lost() {
        for (alone, words) in [(Alone::Waits, "until another node has joined"), (Alone::Accepted, "one disk alone")] {
            let mut status = well();
            status.nodes[1].reachable = false;
            status.nodes[2].reachable = false;
            let told = alarms(&status, Replicated { alone: Some(alone), ..sealed() }, NOW);
            assert!(told[0].text.contains(words) && told[0].severity() == AlarmSeverity::Page, "{told:?}");
            assert!(told.iter().all(|alarm| !alarm.text.contains("two nodes do not answer")), "{told:?}");
        }
    }

    #[test]
    fn every_line_fits_a_terminal_and_names_a_runbook() {
        let mut status = well();
        for node in &mut status.nodes {
            node.applied = 100_000_000_000;
            node.certificates_expire = Some(NOW);
            node.vitals = Some(Vitals {
                vote_held: 2,
                clock_offset_ms: -86_400_000,
                fsync_p99: Some(Duration::from_secs(100)),
                send_p99: Some(Duration::from_secs(100)),
                renewal_failed: true,
                ..Vitals::default()
            });
        }
        status.nodes[0].applied = 0;
        status.nodes[1].version = "1.1.0".into();
        for alarm in alarms(&status, Replicated { diverged: true, kit_waits: true, ..sealed() }, NOW) {
            assert!(alarm.text.len() <= 110 && alarm.text.ends_with('.'), "{alarm:?}");
            let runbook = format!("{}/../../ops/runbooks/{}.md", env!("CARGO_MANIFEST_DIR"), alarm.runbook);
            assert!(std::path::Path::new(&runbook).exists(), "{alarm:?}: no such runbook");
        }
    }
}
