//! What streams and pages brought: each conversation step by step, and all streams in one order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::places::Places;
use crate::{Answer, Asked, Conversation, History, Source, Stream, Violation};

/// One message, wherever it is seen.
type Event = (Conversation, u64);

/// Checks all pages and streams.
pub fn check(history: &History, places: &Places) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for call in &history.calls {
        if let (&Asked::Read { client, conversation, .. }, Answer::Page { first, rows }) = (&call.asked, &call.answer) {
            let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
            let source = Source::Read { client, node: call.node };
            wrong.extend(steps(conversation, &source, first.saturating_sub(1), &seqs));
        }
    }
    for stream in &history.streams {
        wrong.extend(one(stream, places));
    }
    wrong.extend(one_order(&history.streams));
    wrong
}

/// Each seq must be the one after that before it, from the one after `before` on.
pub fn steps(conversation: Conversation, place: &Source, before: u64, seqs: &[u64]) -> Vec<Violation> {
    let (mut wrong, mut last) = (Vec::new(), before);
    let mut had = BTreeSet::new();
    for &seq in seqs {
        if !had.insert(seq) {
            wrong.push(Violation::Repeated { conversation, seq, place: place.clone() });
        } else if seq != last + 1 {
            wrong.push(Violation::Gap { conversation, after: last, next: seq, place: place.clone() });
        }
        last = last.max(seq);
    }
    wrong
}

fn one(stream: &Stream, places: &Places) -> Vec<Violation> {
    let place = Source::Stream(stream.name.clone());
    let mut came: BTreeMap<Conversation, Vec<u64>> = BTreeMap::new();
    for &(conversation, row) in &stream.events {
        came.entry(conversation).or_default().push(row.seq);
    }
    let mut wrong = Vec::new();
    for (&conversation, seqs) in &came {
        // A stream that began later begins anywhere.
        let first = stream.whole.get(&conversation).or(seqs.first()).copied().unwrap_or(1);
        wrong.extend(steps(conversation, &place, first.saturating_sub(1), seqs));
    }
    for (&conversation, &first) in &stream.whole {
        let has: BTreeSet<u64> = came.get(&conversation).into_iter().flatten().copied().collect();
        for (seq, known) in places.of(conversation).filter(|(seq, _)| *seq >= first && !has.contains(seq)) {
            let (body, place) = (Some(known.body), place.clone());
            wrong.push(Violation::Missing { conversation, seq, body, how: "there", place });
        }
    }
    wrong
}

/// There is one order of all events in the cluster: put each stream's order as arrows between events, and no arrows may lead
/// round in a circle.
fn one_order(streams: &[Stream]) -> Option<Violation> {
    let mut arrows: BTreeMap<Event, Vec<(Event, usize)>> = BTreeMap::new();
    let mut waits: BTreeMap<Event, usize> = BTreeMap::new();
    for (index, stream) in streams.iter().enumerate() {
        let (mut last, mut had) = (None, BTreeSet::new());
        for event in stream.events.iter().map(|&(conversation, row)| (conversation, row.seq)) {
            if !had.insert(event) {
                continue; // A repeat is told of as such.
            }
            waits.entry(event).or_default();
            if let Some(last) = last {
                arrows.entry(last).or_default().push((event, index));
                *waits.entry(event).or_default() += 1;
            }
            last = Some(event);
        }
    }
    let mut free: VecDeque<Event> = waits.iter().filter(|(_, waits)| **waits == 0).map(|(&event, _)| event).collect();
    while let Some(event) = free.pop_front() {
        waits.remove(&event);
        for (next, _) in arrows.get(&event).into_iter().flatten() {
            if let Some(count) = waits.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    free.push_back(*next);
                }
            }
        }
    }
    // What is left leads round, or waits for what does.
    let (before, after, stream) = waits.keys().find_map(|&event| {
        let (next, stream) = arrows.get(&event)?.iter().find(|(next, _)| waits.contains_key(next))?;
        Some((event, *next, *stream))
    })?;
    Some(Violation::StreamsDisagree { stream: streams[stream].name.clone(), before, after })
}
