//! `cluster …`

use proto::v1;
use proto::v1::cluster_service_client::ClusterServiceClient;
use serde::Serialize;

use super::clock;
use crate::args::{ClusterCommand, Format, Global};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::figures::{NONE, behind, free, gone, millis, rate, time, vitals};
use crate::output::{print, say, table};
use crate::pki::found;
use crate::rpc;
use crate::session::Session;
use crate::when::{minute, rfc3339};

/// Exit status when a node is missing or behind.
const DEGRADED: u8 = 3;
/// Exit status when no message is accepted.
const NOT_ACCEPTING: u8 = 4;

/// Does it; the exit status.
pub async fn run(global: &Global, command: ClusterCommand) -> Result<u8> {
    match command {
        ClusterCommand::Init(init) => {
            let here = crate::pki::slot(&init.here)?;
            found::run(global, &init)?;
            if let Some(address) = init.invite {
                crate::pki::invite::run(&init.name, &init.out, address, here).await?;
            }
            Ok(0)
        }
        ClusterCommand::Status => status(&Session::open(global)?, global).await,
        ClusterCommand::Finalize(socket) => super::upgrade::finalize(global, &socket).await.map(|()| 0),
        ClusterCommand::Certificate(command) => {
            super::certificate::run(&Session::open(global)?, global, command).await.map(|()| 0)
        }
        ClusterCommand::ConfirmTime => clock::confirm(&Session::open(global)?, global).await.map(|()| 0),
    }
}

#[derive(Serialize)]
struct NodeRow {
    slot: String,
    node: String,
    reachable: bool,
    role: &'static str,
    applied_index: u64,
    lag: u64,
    streams: u32,
    sends_per_second: Option<f64>,
    delivery_p99_ms: Option<f64>,
    sessions: Option<u32>,
    disk_free_bytes: u64,
    disk_size_bytes: Option<u64>,
    fsync_p99_ms: Option<f64>,
    version: String,
    client_address: String,
    last_seen: Option<String>,
    certificates_expire: Option<String>,
}

async fn status(session: &Session, global: &Global) -> Result<u8> {
    let call = Call::read("ask how the cluster is");
    let body = |_| v1::GetClusterStatusRequest {};
    let answer = match session.client.call(&call, body, rpc!(ClusterServiceClient.get_cluster_status)).await {
        Ok(answer) => answer,
        Err(Error::NoAnswer { tried, .. }) => return nobody(session, global, &tried),
        Err(error) => return Err(error),
    };
    if global.output == Format::Json {
        crate::output::json(&document(&answer))?;
    } else {
        show(&answer)?;
    }
    Ok(exit(&answer))
}

/// The exit status that says how the cluster is.
pub(super) fn exit(answer: &v1::GetClusterStatusResponse) -> u8 {
    match answer.health() {
        v1::ClusterHealth::Ok => 0,
        v1::ClusterHealth::Degraded => DEGRADED,
        v1::ClusterHealth::NotAccepting | v1::ClusterHealth::Unspecified => NOT_ACCEPTING,
    }
}

/// The status for people: one plain line, the three nodes, what needs an operator.
pub(super) fn show(answer: &v1::GetClusterStatusResponse) -> Result<()> {
    print(&crate::text::line(&answer.summary))?;
    print("")?;
    print(&nodes(&answer.nodes))?;
    let below = [alarms(&answer.alarms), vec![String::new()], addresses(&answer.nodes), backups(answer)];
    for line in below.concat() {
        print(&line)?;
    }
    if let Some(step) = &answer.clock_step {
        clock::show(step)?;
    }
    let stale = answer
        .stale_age
        .map_or_else(String::new, |age| format!("; people read as of {} ago", crate::when::roughly(age.seconds)));
    say(&format!(
        "{}, asked {}, cluster time {}{stale}.",
        crate::text::line(&answer.display_name),
        crate::text::line(&answer.answered_by),
        minute(answer.cluster_time.as_ref())
    ));
    Ok(())
}

/// What an operator should do something about, the most pressing first; none is no line.
fn alarms(alarms: &[v1::Alarm]) -> Vec<String> {
    let mut lines = Vec::new();
    for alarm in alarms {
        let word = match severity(alarm) {
            "page" => "NOW    ",
            "warn" => "Today  ",
            _ => "Later  ",
        };
        let whose = if alarm.slot.is_empty() { String::new() } else { format!("{}: ", alarm.slot) };
        let text = crate::text::line(&format!("{whose}{} Runbook {}.", alarm.text, alarm.runbook));
        let rows = crate::text::wrap(&text, usize::from(crate::output::COLUMNS) - word.len());
        let first = |index| if index == 0 { word } else { "       " };
        lines.extend(rows.into_iter().enumerate().map(|(index, row)| format!("{}{row}", first(index))));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn severity(alarm: &v1::Alarm) -> &'static str {
    match alarm.severity() {
        v1::AlarmSeverity::Unspecified => "unknown",
        v1::AlarmSeverity::Note => "note",
        v1::AlarmSeverity::Warn => "warn",
        v1::AlarmSeverity::Page => "page",
    }
}

/// A backup older than this is named as old.
const BACKUP_OLD_S: i64 = 3 * 24 * 60 * 60;

/// How the cluster's backups are, in a line or two.
fn backups(answer: &v1::GetClusterStatusResponse) -> Vec<String> {
    let Some(backup) = &answer.backup else { return Vec::new() };
    let now = answer.cluster_time.as_ref().map_or(0, |at| at.seconds);
    let ago = |at: &prost_types::Timestamp| now.saturating_sub(at.seconds);
    let mut lines = vec![match &backup.last_time {
        None => "Backups: NONE was ever made. Runbook backup.".to_owned(),
        Some(last) => {
            let old = if ago(last) > BACKUP_OLD_S { " THAT IS OLD: runbook backup." } else { "" };
            let verified = match &backup.verify_time {
                Some(at) => format!("one was verified {} ago", crate::when::roughly(ago(at))),
                None => "none was verified yet".to_owned(),
            };
            let node = crate::text::line(&backup.node);
            format!("Backups: the newest is {} old (by {node}); {verified}.{old}", crate::when::roughly(ago(last)))
        }
    }];
    if let Some(at) = &backup.fail_time {
        lines.push(format!("Backups: FAILED {} ago: {}", crate::when::roughly(ago(at)), backup.failure));
    }
    let columns = usize::from(crate::output::COLUMNS);
    lines.iter().flat_map(|line| crate::text::wrap(&crate::text::line(line), columns)).collect()
}

/// What to say when not a single node answers.
fn nobody(session: &Session, global: &Global, tried: &str) -> Result<u8> {
    // A wrong address or authority looks alike: whether others send is not known.
    let summary = "NO NODE ANSWERS FROM HERE. Whether messages are accepted elsewhere is not known.";
    if global.output == Format::Json {
        let document = serde_json::json!({"health": "unknown", "summary": summary, "nodes": [], "tried": tried});
        crate::output::json(&document)?;
        return Ok(NOT_ACCEPTING);
    }
    print(summary)?;
    say(&format!("Asked {}: {}.", session.client.addresses().join(", "), crate::text::line(tried)));
    say("Next: 1. Are these the nodes' addresses (--node), and is --ca the authority of their certificates?");
    say("      2. Can this machine reach the server rooms at all (ping, cable, VPN)?");
    say("      3. On any two of the three machines: systemctl status tricordd; start it if it is down.");
    say("      4. With two running, ask again. Nothing that was acknowledged is lost.");
    Ok(NOT_ACCEPTING)
}

fn role(node: &v1::NodeStatus) -> &'static str {
    match node.role() {
        v1::NodeRole::Unspecified => "unknown",
        v1::NodeRole::Leader => "leader",
        v1::NodeRole::Follower => "follower",
        v1::NodeRole::Candidate => "candidate",
        v1::NodeRole::Learner => "learner",
    }
}

fn nodes(nodes: &[v1::NodeStatus]) -> String {
    let row = |node: &v1::NodeStatus| {
        let none = || NONE.to_owned();
        let told = vitals(node);
        vec![
            format!("{} ({})", node.slot, node.node),
            if node.reachable { role(node).to_owned() } else { gone(node) },
            behind(node).unwrap_or_default(),
            told.map_or_else(none, |one| rate(one.sends_per_second)),
            time(node, |one| one.delivery_p99.as_ref()),
            told.map_or_else(none, |one| crate::text::thousands(one.sessions.into())),
            free(node),
            time(node, |one| one.fsync_p99.as_ref()),
            node.version.clone(),
        ]
    };
    let heads = ["node", "state", "behind", "sent/s", "deliver", "sessions", "free", "fsync", "version"];
    table(&heads, nodes.iter().map(row).collect())
}

/// Where clients reach the nodes, in a line or two.
fn addresses(nodes: &[v1::NodeStatus]) -> Vec<String> {
    let known = nodes.iter().filter(|node| !node.client_address.is_empty());
    let each: Vec<String> = known.map(|node| format!("{} {}", node.slot, node.client_address)).collect();
    let words = crate::text::line(&format!("Clients reach {}.", each.join(", ")));
    if each.is_empty() { Vec::new() } else { crate::text::wrap(&words, usize::from(crate::output::COLUMNS)) }
}

pub(super) fn document(answer: &v1::GetClusterStatusResponse) -> serde_json::Value {
    let nodes: Vec<NodeRow> = answer
        .nodes
        .iter()
        .map(|node| NodeRow {
            slot: node.slot.clone(),
            node: node.node.clone(),
            reachable: node.reachable,
            role: role(node),
            applied_index: node.applied_index,
            lag: node.lag,
            streams: node.streams,
            sends_per_second: vitals(node).map(|one| one.sends_per_second),
            delivery_p99_ms: vitals(node).and_then(|one| one.delivery_p99.as_ref()).map(millis),
            sessions: vitals(node).map(|one| one.sessions),
            disk_free_bytes: node.disk_free_bytes,
            disk_size_bytes: vitals(node).map(|one| one.disk_size_bytes),
            fsync_p99_ms: vitals(node).and_then(|one| one.fsync_p99.as_ref()).map(millis),
            version: node.version.clone(),
            client_address: node.client_address.clone(),
            last_seen: rfc3339(node.last_seen_time.as_ref()),
            certificates_expire: rfc3339(node.certificates_expire_time.as_ref()),
        })
        .collect();
    let alarms: Vec<serde_json::Value> = answer
        .alarms
        .iter()
        .map(|alarm| {
            serde_json::json!({
                "severity": severity(alarm), "slot": alarm.slot, "text": alarm.text, "runbook": alarm.runbook,
            })
        })
        .collect();
    let health = match answer.health() {
        v1::ClusterHealth::Unspecified => "unknown",
        v1::ClusterHealth::Ok => "ok",
        v1::ClusterHealth::Degraded => "degraded",
        v1::ClusterHealth::NotAccepting => "not_accepting",
    };
    serde_json::json!({
        "health": health, "summary": answer.summary, "name": answer.display_name, "cluster": answer.cluster,
        "answered_by": answer.answered_by, "term": answer.term, "feature_level": answer.feature_level,
        "cluster_time": rfc3339(answer.cluster_time.as_ref()), "stale_since": rfc3339(answer.stale_since_time.as_ref()),
        "stale_age_s": answer.stale_age.map(|age| age.seconds), "nodes": nodes,
        "backup": answer.backup.as_ref().map(|backup| serde_json::json!({
            "last_time": rfc3339(backup.last_time.as_ref()), "node": backup.node, "bytes": backup.bytes,
            "verify_time": rfc3339(backup.verify_time.as_ref()), "fail_time": rfc3339(backup.fail_time.as_ref()),
            "failure": backup.failure,
        })),
        "alarms": alarms,
        "clock_step": answer.clock_step.as_ref().map(clock::document),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_lines_of_80_columns_and_name_their_runbook() {
        let alarm = |severity: v1::AlarmSeverity, slot: &str, text: &str| v1::Alarm {
            severity: severity.into(),
            slot: slot.into(),
            text: text.into(),
            runbook: "certificates".into(),
        };
        let lines = alarms(&[
            alarm(v1::AlarmSeverity::Page, "c", "A certificate HAS EXPIRED. Renew it now."),
            alarm(v1::AlarmSeverity::Warn, "", &"It goes on and on. ".repeat(6)),
        ]);
        assert!(lines[1].starts_with("NOW    c: A certificate HAS EXPIRED"), "{lines:?}");
        assert!(lines[1].ends_with("Runbook certificates."), "{lines:?}");
        assert!(lines.len() > 3 && lines.iter().all(|line| crate::text::width(line) <= 80), "{lines:?}");
        assert_eq!(alarms(&[]), Vec::<String>::new());
    }

    #[test]
    fn old_failed_and_missing_backups_are_said_in_lines_that_fit() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let day = 24 * 60 * 60;
        let of = |backup| {
            let answer = v1::GetClusterStatusResponse {
                cluster_time: at(100 * day),
                backup: Some(backup),
                ..Default::default()
            };
            let lines = backups(&answer);
            assert!(lines.iter().all(|line| crate::text::width(line) <= 80), "{lines:?}");
            lines.join(" ")
        };
        assert!(of(v1::BackupStatus::default()).contains("NONE"));
        let made = v1::BackupStatus { last_time: at(99 * day + 3_600), node: "a1".into(), ..Default::default() };
        assert_eq!(of(made.clone()), "Backups: the newest is 23 h old (by a1); none was verified yet.");
        let old = v1::BackupStatus { last_time: at(90 * day), verify_time: at(91 * day), ..made.clone() };
        assert!(of(old).contains("OLD"));
        let failure = "/mnt/backup is no target for backups: it holds no backups; is the right disk mounted?".into();
        let failed = v1::BackupStatus { fail_time: at(100 * day - 60), failure, ..made };
        assert!(of(failed).contains("FAILED 60 s ago: /mnt/backup"));
    }

    fn told(slot: &str, reachable: bool) -> v1::NodeStatus {
        let time = |ms: i32| Some(prost_types::Duration { seconds: 0, nanos: ms * 1_000_000 });
        v1::NodeStatus {
            slot: slot.into(),
            node: format!("{slot}12"),
            reachable,
            role: v1::NodeRole::Follower.into(),
            applied_index: 123_456_789_012,
            lag: 98_765_432,
            version: "0.10.0-alpha.37".into(),
            client_address: format!("tricord-{slot}.serverroom-2.hospital.example.org:7401"),
            last_seen_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            streams: 20_000,
            disk_free_bytes: 40 << 30,
            vitals: Some(v1::NodeVitals {
                sends_per_second: 12_345.6,
                delivery_p99: time(214),
                fsync_p99: time(3),
                sessions: 10_000,
                disk_size_bytes: 50 << 30,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_table_of_nodes_fits_80_columns_with_the_longest_values() {
        let all = [told("a", true), told("b", false), told("c", true)];
        let text = nodes(&all);
        assert!(text.lines().all(|line| crate::text::width(line) <= 80), "{text}");
        for part in ["gone", "98.7M", "12,346", "214 ms", "10,000", "80 %", "3.0 ms"] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        let below = addresses(&all);
        assert!(below.len() > 1 && below.iter().all(|line| crate::text::width(line) <= 80), "{below:?}");
        assert!(below[0].starts_with("Clients reach a tricord-a.serverroom-2.hospital.example.org:7401,"), "{below:?}");
    }

    #[test]
    fn as_usual_each_node_is_one_line() {
        let usual = |slot, role: v1::NodeRole| v1::NodeStatus {
            role: role.into(),
            lag: 3,
            version: "1.12.3".into(),
            node: format!("{slot}1"),
            ..told(slot, true)
        };
        let gone = v1::NodeStatus { version: "1.12.3".into(), node: "b1".into(), ..told("b", false) };
        let text = nodes(&[usual("a", v1::NodeRole::Leader), gone, usual("c", v1::NodeRole::Follower)]);
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn programs_read_what_people_see() {
        let answer =
            v1::GetClusterStatusResponse { nodes: vec![told("a", true), told("b", false)], ..Default::default() };
        let document = document(&answer);
        let (here, gone) = (&document["nodes"][0], &document["nodes"][1]);
        assert_eq!((&here["delivery_p99_ms"], &here["fsync_p99_ms"]), (&214.0.into(), &3.0.into()));
        assert_eq!((&here["sends_per_second"], &here["sessions"]), (&12_345.6.into(), &10_000.into()));
        assert_eq!(here["disk_size_bytes"], 50_u64 << 30);
        assert!(gone["sessions"].is_null() && gone["delivery_p99_ms"].is_null(), "what it told before is old: {gone}");
    }
}
