//! The status page: is it well, since when, what to do. For a wall screen, so it says when it is no longer up to date, and
//! for whoever has only a browser at three in the morning. No names and no ids; nothing is fetched from elsewhere.

use std::time::{Duration, Instant};

use maud::{DOCTYPE, Markup, html};
use prost_types::Timestamp;
use proto::v1::{Alarm, AlarmSeverity, ClusterHealth, GetClusterStatusResponse, NodeRole, NodeStatus};

use crate::history::{History, Point};

/// What the page looks like.
pub const STYLE: &str = include_str!("page/status.css");
/// Renews it in place, and says so when that fails.
pub const SCRIPT: &str = include_str!("page/status.js");

/// The page as of now. `downtime` is the hospital's own words for when nothing can be sent.
pub fn render(status: Option<&GetClusterStatusResponse>, history: &History, downtime: Option<&str>) -> String {
    let (word, class) = match status.map(GetClusterStatusResponse::health) {
        Some(ClusterHealth::Ok) => ("Well", "ok"),
        Some(ClusterHealth::Degraded) => ("Attention", "degraded"),
        Some(ClusterHealth::NotAccepting | ClusterHealth::Unspecified) => ("Not accepting messages", "down"),
        None => ("Not founded yet", "down"),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (word) " – messaging status" }
                link rel="stylesheet" href="/status.css";
                script src="/status.js" defer {}
                noscript { meta http-equiv="refresh" content="5"; }
            }
            body {
                p #old role="alert" hidden { "This page is not up to date: the node does not answer. Last renewed " span #old-at {} "." }
                main #status {
                    header class=(class) {
                        h1 { (word) }
                        p { (sentence(status)) }
                        p.small { (since(status, history)) }
                    }
                    @if let Some(status) = status {
                        @if status.health() == ClusterHealth::NotAccepting { (downtime_box(status, downtime)) }
                        @if !status.alarms.is_empty() { (alarms(&status.alarms)) }
                        (nodes(&status.nodes))
                    }
                    (curves(history))
                }
            }
        }
    };
    page.into_string()
}

fn sentence(status: Option<&GetClusterStatusResponse>) -> String {
    let Some(status) = status else {
        return "Are all three nodes started? The cluster is founded when they have found each other.".to_owned();
    };
    // The heading says the first word already, and what people can read is said below.
    let summary = status.summary.split_once(". ").map_or(status.summary.as_str(), |(_, rest)| rest);
    match summary.split_once(READ_UP_TO).and_then(|(who, rest)| Some((who, rest.split_once(". ")?.1))) {
        Some((who, next)) => format!("{who}. {next}"),
        None => summary.to_owned(),
    }
}

/// How the summary goes on when people read what is old.
const READ_UP_TO: &str = "; people read as of ";

fn since(status: Option<&GetClusterStatusResponse>, history: &History) -> Markup {
    let long = roughly(history.unchanged(Instant::now()));
    html! {
        @match status {
            None => { "For " (long) "." }
            Some(status) => {
                "For " (long) " or longer. As node " (status.answered_by) " sees it"
                @if let Some(at) = &status.cluster_time { " at " (time(at)) } "."
            }
        }
    }
}

fn downtime_box(status: &GetClusterStatusResponse, downtime: Option<&str>) -> Markup {
    html! {
        section.downtime aria-labelledby="downtime" {
            h2 #downtime { "What people can do now" }
            p {
                @if let Some(upto) = &status.stale_since_time { "People are reading messages up to " (time(upto)) ". " }
                "Nothing can be sent. Nothing that was confirmed is lost."
            }
            @for line in downtime.unwrap_or("Use the hospital's downtime procedure for urgent messages.").lines() { p { (line) } }
        }
    }
}

fn alarms(alarms: &[Alarm]) -> Markup {
    html! {
        section aria-labelledby="todo" {
            h2 #todo { "To do" }
            ul.alarms {
                @for alarm in alarms {
                    li class=(if alarm.severity() == AlarmSeverity::Page { "page" } else { "warn" }) {
                        strong { @if alarm.severity() == AlarmSeverity::Page { "Now" } @else if alarm.severity() == AlarmSeverity::Warn { "Today" } @else { "This week" } }
                        span {
                            @if !alarm.slot.is_empty() { "Node " (alarm.slot) ": " }
                            (alarm.text) " "
                            span.small { "Runbook “" (alarm.runbook) "”." }
                        }
                    }
                }
            }
        }
    }
}

fn nodes(nodes: &[NodeStatus]) -> Markup {
    html! {
        section aria-labelledby="nodes" {
            h2 #nodes { "Nodes" }
            // With the roles that they have anyway: on a narrow screen they are laid out as a list, and some browsers would forget.
            table role="table" {
                thead role="rowgroup" { tr role="row" {
                    @for head in HEADS { th scope="col" role="columnheader" { (head) } }
                } }
                tbody role="rowgroup" { @for node in nodes { (row(node)) } }
            }
        }
    }
}

/// What the table of nodes says of each.
const HEADS: [&str; 8] = ["Node", "State", "Running for", "Behind", "Sessions", "Disk free", "Disk write", "Release"];

fn row(node: &NodeStatus) -> Markup {
    let vitals = node.vitals.as_ref().filter(|_| node.reachable);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let up = vitals.and_then(|one| one.start_time.as_ref()).map(|at| u64::try_from(at.seconds).unwrap_or_default());
    let size = vitals.map_or(0, |one| one.disk_size_bytes);
    let percent = node.disk_free_bytes.saturating_mul(100).checked_div(size);
    let fsync = vitals.and_then(|one| one.fsync_p99.as_ref()).map(millis);
    let cell = |index: usize, words: Markup| html! { td role="cell" data-head=(HEADS[index]) { span { (words) } } };
    let or_none = |words: Option<String>| html! { @if let Some(words) = words { (words) } @else { "–" } };
    html! {
        tr role="row" class=(if node.reachable { "up" } else { "away" }) {
            th scope="row" role="rowheader" { span.narrow { "Node " } (node.slot) }
            (cell(1, state(node)))
            (cell(2, or_none(up.map(|up| roughly(now.saturating_sub(Duration::from_secs(up)))))))
            (cell(3, or_none(node.reachable.then(|| if node.lag < 1_000 { "no".into() } else { node.lag.to_string() }))))
            (cell(4, or_none(vitals.map(|vitals| vitals.sessions.to_string()))))
            (cell(5, or_none(percent.map(|percent| format!("{percent} %")))))
            (cell(6, or_none(fsync.map(|ms| format!("{ms:.1} ms")))))
            (cell(7, html! { (node.version) }))
        }
    }
}

fn state(node: &NodeStatus) -> Markup {
    let words = match node.role() {
        _ if !node.reachable => {
            return html! { "no answer" @if let Some(at) = &node.last_seen_time { " since " (time(at)) } };
        }
        NodeRole::Leader => "leads",
        NodeRole::Follower => "follows",
        NodeRole::Candidate => "stands for election",
        NodeRole::Learner => "catches up",
        NodeRole::Unspecified => "starts",
    };
    html! { (words) }
}

/// What is drawn of the last hour.
type Value = fn(&Point) -> f64;

fn curves(history: &History) -> Markup {
    let all: [(&str, &str, usize, Value); 4] = [
        ("Messages a second", "", 1, |point| point.sends),
        ("Slowest sending", " ms", 1, |point| point.send_p99_ms),
        ("Slowest delivery", " ms", 1, |point| point.delivery_p99_ms),
        ("Sessions", "", 0, |point| point.sessions),
    ];
    html! {
        section aria-labelledby="hour" {
            h2 #hour { "The last hour" }
            div.curves {
                @for (name, unit, places, value) in all { (curve(name, unit, places, &history.points().map(|point| value(&point)).collect::<Vec<_>>())) }
            }
        }
    }
}

fn curve(name: &str, unit: &str, places: usize, values: &[f64]) -> Markup {
    let (last, top) = (values.last().copied().unwrap_or(0.0), values.iter().copied().fold(0.0, f64::max));
    let scale = if top > 0.0 { 38.0 / top } else { 0.0 };
    // The newest stands at the right edge: an hour that has just begun fills from there.
    let left = 60.0 - values.len() as f64;
    let mut points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, value)| format!("{:.1},{:.1}", (left + index as f64) * 4.0 + 2.0, 39.0 - value * scale))
        .collect();
    // The minute that runs has begun: a first one alone would be a point, and not seen.
    points.push(format!("240.0,{:.1}", 39.0 - last * scale));
    let (now, most) = (format!("{last:.places$}{unit}"), format!("{top:.places$}{unit}"));
    let said = format!("{name}: now {now}, at most {most}");
    html! {
        figure {
            figcaption { (name) ": " span { b { (now) } span.small { " at most " (most) } } }
            svg viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label=(said) {
                polyline points=(points.join(" ")) {}
            }
        }
    }
}

fn millis(time: &prost_types::Duration) -> f64 {
    time.seconds as f64 * 1e3 + f64::from(time.nanos) / 1e6
}

/// A time of day; the script says it as clocks on the wall do.
fn time(at: &Timestamp) -> Markup {
    let minutes = at.seconds.div_euclid(60);
    let at = Timestamp { nanos: 0, ..*at };
    html! { time datetime=(at) { (format!("{:02}:{:02}", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))) " UTC" } }
}

fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::NodeVitals;

    fn history() -> History {
        History::new(Instant::now())
    }

    fn status(health: ClusterHealth) -> GetClusterStatusResponse {
        let node = |slot: &str| NodeStatus {
            slot: slot.into(),
            reachable: slot != "b",
            role: NodeRole::Follower.into(),
            version: "1.2.3".into(),
            client_address: "tricord-a.ward.example:7401".into(),
            vitals: Some(NodeVitals { sessions: 12, ..Default::default() }),
            ..Default::default()
        };
        GetClusterStatusResponse {
            health: health.into(),
            summary: "ATTENTION. Serving, but do not stop a or c: b does not answer.".into(),
            display_name: "St Elsewhere".into(),
            nodes: ["a", "b", "c"].map(node).into(),
            answered_by: "a".into(),
            ..Default::default()
        }
    }

    #[test]
    fn it_says_how_it_is_and_what_to_do() {
        let mut status = status(ClusterHealth::Degraded);
        let text = "It does not answer.".to_owned();
        let severity = AlarmSeverity::Warn.into();
        status.alarms = vec![Alarm { severity, slot: "b".into(), text, runbook: "node-down".into() }];
        let page = render(Some(&status), &history(), None);
        for part in
            ["<h1>Attention</h1>", "Serving, but do not stop a or c", "Node b: It does not answer.", "node-down"]
        {
            assert!(page.contains(part), "{part} is missing: {page}");
        }
        assert!(!page.contains("What people can do now"));
    }

    #[test]
    fn without_a_majority_it_shows_the_hospitals_own_words_and_nothing_in_them_is_markup() {
        let mut status = status(ClusterHealth::NotAccepting);
        status.stale_since_time = Some(Timestamp { seconds: 1_772_592_367, nanos: 5 });
        status.summary =
            "NOT ACCEPTING MESSAGES. Only a answers; people read as of 02:46 UTC. Next: start b or c.".into();
        let page = render(Some(&status), &history(), Some("Urgent: call 4711\n<script>alert(1)</script>"));
        assert!(page.contains("Urgent: call 4711") && page.contains("Nothing can be sent"), "{page}");
        assert!(page.contains("<p>Only a answers. Next: start b or c.</p>"), "one time is told once: {page}");
        assert!(page.contains("up to <time datetime=\"2026-03-04T02:46:07Z\">02:46 UTC</time>. Nothing"), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    }

    #[test]
    fn no_name_of_the_hospital_and_no_address_is_on_it() {
        let page = render(Some(&status(ClusterHealth::Ok)), &history(), None);
        assert!(!page.contains("Elsewhere") && !page.contains("example"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing comes from elsewhere: {page}");
    }

    #[test]
    fn before_the_founding_there_is_a_page_too() {
        assert!(render(None, &history(), None).contains("Not founded yet"));
    }
}
