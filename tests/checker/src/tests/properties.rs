//! Made histories: those of a machine that works pass, those of one that fails in one way do not; and the search agrees with one
//! that simply tries every order.

use proptest::prelude::*;

use crate::linear::{Model, Span, Verdict, linearizable};
use crate::{Answer, Asked, Freshness, History, Recorder, Request, Row, check};

/// What a client does, and when: the effect lies between begin and end.
#[derive(Clone, Debug)]
struct Step {
    client: u64,
    read: bool,
    before: u64,
    after: u64,
    /// The answer is lost, and the attempt is made again.
    lost: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..4_u64, any::<bool>(), 0..40_u64, 0..40_u64, prop::bool::weighted(0.2));
    let step = step.prop_map(|(client, read, before, after, lost)| Step { client, read, before, after, lost });
    prop::collection::vec(step, 1..60)
}

/// Runs the steps against a machine that works: step number n takes effect at 100 n. `client` says who a step is of, so that
/// steps of one client never overlap.
fn run(steps: &[Step]) -> History {
    let log = Recorder::default();
    let mut rows: Vec<Row> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let effect = 1_000 + 100 * index as u64;
        let (begin, end) = (effect - step.before, effect + step.after);
        if step.read {
            let asked = Asked::Read { client: step.client, conversation: 1, freshness: Freshness::Linearizable };
            let call = log.begin(begin, 0, asked);
            let first = (rows.len() as u64).saturating_sub(step.before).max(1);
            log.end(call, end, Answer::Page { first, rows: rows[first as usize - 1..].to_vec() });
            continue;
        }
        let (seq, body) = (rows.len() as u64 + 1, index as u64 + 500);
        rows.push(Row { seq, body });
        let request = Request { client: step.client, number: index as u64 };
        let asked = Asked::Post { request, conversation: 1, body };
        let call = log.begin(begin, 0, asked);
        if step.lost {
            log.end(call, end, Answer::Unknown);
            let again = log.begin(end, 1, asked);
            log.end(again, end + 3, Answer::Posted(seq));
        } else {
            log.end(call, end, Answer::Posted(seq));
        }
    }
    for node in 0..3 {
        log.listed(node, 1, rows.clone());
        let stream = log.follow(format!("at {node}"));
        rows.iter().for_each(|&row| log.received(stream, 1, row));
        log.settled(stream, 1, 1);
    }
    log.history()
}

/// A counter that is added to and read: the smallest machine whose histories can go wrong.
struct Counter;

impl Model for Counter {
    type State = u64;
    /// Add, and what was there before; or read.
    type Operation = (bool, u64);

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: u64, &(add, saw): &(bool, u64)) -> Option<u64> {
        (saw == state).then_some(state + u64::from(add))
    }
}

/// Tries every order.
fn any_order(spans: &[Span<(bool, u64)>], taken: &mut Vec<usize>, state: u64) -> bool {
    let left: Vec<usize> = (0..spans.len()).filter(|span| !taken.contains(span)).collect();
    if left.is_empty() {
        return true;
    }
    for &span in &left {
        // Nothing that is left may have ended before this one began.
        let earlier = |&other: &usize| spans[other].end.is_some_and(|end| end < spans[span].begin);
        if left.iter().any(earlier) {
            continue;
        }
        if let Some(next) = Counter.step(state, &spans[span].operation) {
            taken.push(span);
            if any_order(spans, taken, next) {
                return true;
            }
            taken.pop();
        }
    }
    false
}

proptest! {
    #[test]
    fn what_a_machine_that_works_does_passes(steps in steps()) {
        let report = check(&run(&steps));
        prop_assert!(report.is_clean(), "{report}");
    }

    #[test]
    fn any_message_taken_away_anywhere_is_noticed(steps in steps(), place in 0..6_usize, which in any::<prop::sample::Index>()) {
        let mut history = run(&steps);
        let rows = history.listings[0].rows.len();
        prop_assume!(rows > 0);
        let which = which.index(rows);
        if place < 3 {
            history.listings[place].rows.remove(which);
        } else {
            history.streams[place - 3].events.remove(which);
        }
        prop_assert!(!check(&history).is_clean());
    }

    #[test]
    fn a_read_that_lacks_what_was_acknowledged_before_it_is_noticed(steps in steps(), which in any::<prop::sample::Index>()) {
        let mut history = run(&steps);
        let reads: Vec<usize> = (0..history.calls.len())
            .filter(|&call| matches!(&history.calls[call].answer, Answer::Page { rows, .. } if !rows.is_empty()))
            .collect();
        prop_assume!(!reads.is_empty());
        // The last effect before a read lies 100 earlier, and its answer at most 43 after that.
        if let Answer::Page { rows, .. } = &mut history.calls[reads[which.index(reads.len())]].answer {
            rows.pop();
        }
        prop_assert!(!check(&history).is_clean());
    }

    #[test]
    fn the_search_agrees_with_trying_every_order(
        made in prop::collection::vec((0..20_u64, prop::option::weighted(0.8, 0..8_u64), any::<bool>(), 0..4_u64), 0..7),
    ) {
        let spans: Vec<Span<(bool, u64)>> = made
            .into_iter()
            .map(|(begin, length, add, saw)| Span { begin, end: length.map(|length| begin + length), operation: (add, saw) })
            .collect();
        let found = linearizable(&Counter, &spans) == Verdict::Linearizable;
        prop_assert_eq!(found, any_order(&spans, &mut Vec::new(), 0));
    }
}
