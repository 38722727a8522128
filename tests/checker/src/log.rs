//! A conversation as a log that grows: linearizability of its posts and reads.

use std::collections::BTreeMap;

use crate::linear::{Model, Span, Verdict, linearizable};
use crate::places::Places;
use crate::requests::Requests;
use crate::{Answer, Asked, Conversation, Freshness, History, Violation};

/// A log whose order is known: its state is its length.
struct Log;

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// The message that has this seq came in.
    Append(u64),
    /// This was the last seq.
    Top(u64),
}

impl Model for Log {
    type State = u64;
    type Operation = Operation;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, length: u64, operation: &Operation) -> Option<u64> {
        match *operation {
            Operation::Append(seq) => (seq == length + 1).then_some(seq),
            Operation::Top(seq) => (seq == length).then_some(length),
        }
    }
}

/// Checks each conversation by itself: linearizability is compositional.
pub fn check(history: &History, requests: &Requests, places: &Places) -> Vec<Violation> {
    let mut spans: BTreeMap<Conversation, Vec<Span<Operation>>> = BTreeMap::new();
    for (conversation, seq, place) in places.all() {
        let request = requests.of(conversation, place.body);
        // What nobody sent is told of elsewhere; here it fills its place.
        let (begin, end) = request.map_or((0, None), |request| (request.begin, request.acknowledged_at));
        spans.entry(conversation).or_default().push(Span { begin, end, operation: Operation::Append(seq) });
    }
    for call in &history.calls {
        let Asked::Read { conversation, freshness: Freshness::Linearizable, .. } = call.asked else { continue };
        if let (Answer::Page { first, rows }, Some(end)) = (&call.answer, call.end) {
            let top = rows.last().map_or(first.saturating_sub(1), |row| row.seq);
            let span = Span { begin: call.begin, end: Some(end), operation: Operation::Top(top) };
            spans.entry(conversation).or_default().push(span);
        }
    }
    spans.into_iter().filter_map(|(conversation, spans)| judge(conversation, &spans)).collect()
}

fn judge(conversation: Conversation, spans: &[Span<Operation>]) -> Option<Violation> {
    match linearizable(&Log, spans) {
        Verdict::Linearizable => None,
        Verdict::Undecided => Some(Violation::Undecided { conversation }),
        Verdict::Stuck(index) => {
            let Span { begin, end, operation } = &spans[index];
            let end = end.map_or("open".to_owned(), |end| end.to_string());
            let what = match operation {
                Operation::Append(seq) => format!("the post that got seq {seq}, from {begin} to {end}"),
                Operation::Top(seq) => format!("the read from {begin} to {end} that saw seq {seq} as the last"),
            };
            Some(Violation::NotLinearizable { conversation, what })
        }
    }
}
