//! Clean histories pass; each planted fault is found, and as what it is.

use crate::{Answer, Asked, Freshness, History, Print, Recorder, Report, Request, Row, Violation, check};

mod properties;

/// Two clients and three nodes: three posts, one of them retried, reads, two streams, and what the nodes hold.
fn clean() -> History {
    let log = Recorder::default();
    post(&log, 0, (1, 1), 101, (0, 10), Answer::Posted(1));
    post(&log, 1, (2, 1), 102, (11, 20), Answer::Posted(2));
    post(&log, 0, (1, 2), 103, (21, 30), Answer::Unknown);
    post(&log, 1, (1, 2), 103, (31, 40), Answer::Posted(3));
    post(&log, 2, (2, 2), 104, (31, 40), Answer::Refused);
    read(&log, 2, 2, Freshness::Linearizable, (41, 50), 1, &[101, 102, 103]);
    read(&log, 0, 1, Freshness::Own, (41, 50), 2, &[102, 103]);
    read(&log, 0, 2, Freshness::Any, (51, 60), 1, &[101]);
    for name in ["at a", "at b"] {
        let stream = log.follow(name);
        for (index, body) in [101, 102, 103].into_iter().enumerate() {
            log.received(stream, 7, row(index as u64 + 1, body));
        }
        log.settled(stream, 7, 1);
    }
    for node in 0..3 {
        log.listed(node, 7, vec![row(1, 101), row(2, 102), row(3, 103)]);
        log.fingerprint(node, Print::AuditRoot, 40, &[1; 32]);
        log.saw_presence(format!("client 1 at {node}"), 1, "available");
        log.saw_presence(format!("client 1 at {node}"), 2, "offline");
    }
    log.expect_presence(1, "available");
    log.expect_presence(2, "offline");
    log.history()
}

fn row(seq: u64, body: u64) -> Row {
    Row { seq, body }
}

fn post(
    log: &Recorder,
    node: usize,
    (client, number): (u64, u64),
    body: u64,
    (begin, end): (u64, u64),
    answer: Answer,
) {
    let request = Request { client, number };
    let call = log.begin(begin, node, Asked::Post { request, conversation: 7, body });
    log.end(call, end, answer);
}

fn read(
    log: &Recorder,
    node: usize,
    client: u64,
    freshness: Freshness,
    (begin, end): (u64, u64),
    first: u64,
    bodies: &[u64],
) {
    let call = log.begin(begin, node, Asked::Read { client, conversation: 7, freshness });
    let rows = bodies.iter().zip(first..).map(|(&body, seq)| row(seq, body)).collect();
    log.end(call, end, Answer::Page { first, rows });
}

/// Adds what `more` records.
fn with(more: impl Fn(&Recorder)) -> History {
    let (mut history, log) = (clean(), Recorder::default());
    more(&log);
    history.calls.extend(log.history().calls);
    history
}

#[track_caller]
fn finds(history: &History, expected: fn(&Violation) -> bool) -> Report {
    let report = check(history);
    assert!(report.violations.iter().any(expected), "{report}");
    report
}

#[test]
fn a_clean_history_passes() {
    let report = check(&clean());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.acknowledged, report.refused, report.reads, report.events), (3, 1, 3, 6));
}

#[test]
fn an_acknowledged_message_that_is_gone_is_found() {
    let mut history = clean();
    history.listings[1].rows.pop();
    finds(&history, |found| matches!(found, Violation::Missing { seq: 3, how: "acknowledged", .. }));
    history.listings.clear();
    finds(&history, |found| matches!(found, Violation::NotListed { .. }));
}

#[test]
fn a_message_seen_without_an_acknowledgement_must_stay_too() {
    let mut history = clean();
    history.calls[3].answer = Answer::Unknown;
    for listing in &mut history.listings {
        listing.rows.pop();
    }
    finds(&history, |found| matches!(found, Violation::Missing { seq: 3, how: "seen", .. }));
}

#[test]
fn a_stream_that_leaves_something_out_is_found() {
    let mut history = clean();
    history.streams[0].events.remove(1);
    finds(&history, |found| matches!(found, Violation::Gap { after: 1, next: 3, .. }));
    let mut history = clean();
    history.streams[1].events.pop();
    finds(&history, |found| matches!(found, Violation::Missing { seq: 3, how: "there", .. }));
}

#[test]
fn a_stream_that_repeats_is_found() {
    let mut history = clean();
    let last = history.streams[0].events[2];
    history.streams[0].events.push(last);
    finds(&history, |found| matches!(found, Violation::Repeated { seq: 3, .. }));
}

#[test]
fn two_orders_are_found_on_nodes_and_on_streams() {
    let mut history = clean();
    history.listings[2].rows = vec![row(1, 102), row(2, 101), row(3, 103)];
    finds(&history, |found| matches!(found, Violation::DifferentOrder { seq: 1, .. }));
    let mut history = clean();
    history.streams[0].events.swap(0, 1);
    finds(&history, |found| matches!(found, Violation::Gap { .. }));
}

#[test]
fn streams_that_order_conversations_differently_are_found() {
    let mut history = clean();
    let other = (8, row(1, 200));
    history.streams[0].events.insert(1, other);
    history.streams[1].events.insert(2, other);
    finds(&history, |found| matches!(found, Violation::StreamsDisagree { .. }));
    history.streams[1].events.swap(1, 2);
    let report = check(&history);
    assert!(!report.violations.iter().any(|found| matches!(found, Violation::StreamsDisagree { .. })), "{report}");
}

#[test]
fn a_stale_linearizable_read_is_found() {
    let history = with(|log| read(log, 2, 3, Freshness::Linearizable, (45, 55), 1, &[101, 102]));
    finds(&history, |found| matches!(found, Violation::NotLinearizable { .. }));
    // It began before the third was acknowledged: fine.
    let history = with(|log| read(log, 2, 3, Freshness::Linearizable, (35, 55), 1, &[101, 102]));
    assert!(check(&history).is_clean());
}

#[test]
fn a_read_of_what_was_not_sent_yet_is_found() {
    let history = with(|log| read(log, 2, 3, Freshness::Linearizable, (12, 19), 1, &[101, 102, 103]));
    finds(&history, |found| matches!(found, Violation::NotLinearizable { .. }));
}

#[test]
fn two_linearizable_reads_that_go_back_are_found() {
    let history = with(|log| {
        read(log, 0, 3, Freshness::Linearizable, (32, 33), 1, &[101, 102, 103]);
        read(log, 1, 4, Freshness::Linearizable, (34, 35), 1, &[101, 102]);
    });
    finds(&history, |found| matches!(found, Violation::NotLinearizable { .. }));
}

#[test]
fn a_request_that_took_effect_twice_is_found() {
    let mut history = clean();
    for listing in &mut history.listings {
        listing.rows.push(row(4, 103));
    }
    finds(&history, |found| matches!(found, Violation::TookEffectTwice { seqs, .. } if *seqs == [3, 4]));
    let history = with(|log| post(log, 2, (1, 2), 103, (41, 50), Answer::Posted(4)));
    finds(&history, |found| matches!(found, Violation::TookEffectTwice { seqs, .. } if *seqs == [3, 4]));
}

#[test]
fn an_own_write_unseen_is_found() {
    let history = with(|log| read(log, 0, 1, Freshness::Own, (45, 55), 1, &[101, 102]));
    finds(&history, |found| matches!(found, Violation::OwnWriteUnseen { wrote: 3, top: 2, .. }));
}

#[test]
fn a_client_that_sees_less_than_before_is_told_of() {
    let history = with(|log| read(log, 0, 2, Freshness::Own, (61, 70), 1, &[101, 102]));
    finds(&history, |found| matches!(found, Violation::WentBack { before: 3, top: 2, .. }));
}

#[test]
fn wrong_presence_is_found() {
    let mut history = clean();
    history.seen[1].presence = "available".into();
    finds(&history, |found| matches!(found, Violation::PresenceWrong { user: 2, seen: Some(_), .. }));
    history.seen.remove(1);
    finds(&history, |found| matches!(found, Violation::PresenceWrong { user: 2, seen: None, .. }));
}

#[test]
fn nodes_that_differ_are_found() {
    let mut history = clean();
    history.fingerprints[2].value[0] = 2;
    finds(&history, |found| matches!(found, Violation::NodesDiffer { at: 40, .. }));
}

#[test]
fn an_altered_message_and_a_refused_one_that_is_there_are_found() {
    let mut history = clean();
    for listing in &mut history.listings {
        listing.rows.extend([row(4, 104), row(5, 999)]);
    }
    finds(&history, |found| matches!(found, Violation::RefusedTookEffect { seq: 4, .. }));
    finds(&history, |found| matches!(found, Violation::NeverSent { body: 999, .. }));
}
