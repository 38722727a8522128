//! Which message is at which place, as all who saw it say.

use std::collections::{BTreeMap, BTreeSet};

use crate::requests::Requests;
use crate::{Answer, Asked, Body, Conversation, History, Row, Source, Violation};

/// What is at a place, and who was the first to say so.
#[derive(Clone, Debug)]
pub struct Place {
    /// The content.
    pub body: Body,
    /// Who saw it.
    pub source: Source,
}

/// All places that anybody saw.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<Conversation, BTreeMap<u64, Place>>);

impl Places {
    /// Collects what all saw; where two differ, the first is kept, and the difference is told.
    pub fn of_history(history: &History) -> (Self, Vec<Violation>) {
        let (mut places, mut wrong) = (Self::default(), Vec::new());
        // What the nodes hold comes first, so that a single wrong answer is measured by it.
        for listing in &history.listings {
            for &row in &listing.rows {
                wrong.extend(places.note(listing.conversation, row, || Source::Listing(listing.node)));
            }
        }
        for call in &history.calls {
            match (&call.asked, &call.answer) {
                (&Asked::Post { request, conversation, body }, &Answer::Posted(seq)) => {
                    wrong.extend(places.note(conversation, Row { seq, body }, || Source::Answer(request)));
                }
                (&Asked::Read { client, conversation, .. }, Answer::Page { rows, .. }) => {
                    for &row in rows {
                        let source = || Source::Read { client, node: call.node };
                        wrong.extend(places.note(conversation, row, source));
                    }
                }
                _ => {}
            }
        }
        for stream in &history.streams {
            for &(conversation, row) in &stream.events {
                wrong.extend(places.note(conversation, row, || Source::Stream(stream.name.clone())));
            }
        }
        (places, wrong)
    }

    /// Conversation, seq, and what is there, in this order.
    pub fn all(&self) -> impl Iterator<Item = (Conversation, u64, &Place)> {
        self.0.iter().flat_map(|(&conversation, rows)| rows.iter().map(move |(&seq, place)| (conversation, seq, place)))
    }

    /// The places of one conversation.
    pub fn of(&self, conversation: Conversation) -> impl Iterator<Item = (u64, &Place)> {
        self.0.get(&conversation).into_iter().flatten().map(|(&seq, place)| (seq, place))
    }

    /// Messages that nobody sent, that were refused, or that are there twice.
    pub fn check(&self, requests: &Requests) -> Vec<Violation> {
        let mut wrong = Vec::new();
        let mut seqs: BTreeMap<(Conversation, Body), BTreeSet<u64>> = BTreeMap::new();
        for (conversation, seq, place) in self.all() {
            let Some(written) = requests.of(conversation, place.body) else {
                let (body, place) = (place.body, place.source.clone());
                wrong.push(Violation::NeverSent { conversation, seq, body, place });
                continue;
            };
            if written.refused {
                wrong.push(Violation::RefusedTookEffect { conversation, request: written.request, seq });
            }
            seqs.entry((conversation, place.body)).or_default().insert(seq);
        }
        for ((conversation, body), seqs) in seqs.into_iter().filter(|(_, seqs)| seqs.len() > 1) {
            if let Some(written) = requests.of(conversation, body) {
                let seqs = seqs.into_iter().collect();
                wrong.push(Violation::TookEffectTwice { conversation, request: written.request, seqs });
            }
        }
        wrong
    }

    fn note(&mut self, conversation: Conversation, row: Row, source: impl Fn() -> Source) -> Option<Violation> {
        let rows = self.0.entry(conversation).or_default();
        let known = rows.entry(row.seq).or_insert_with(|| Place { body: row.body, source: source() });
        (known.body != row.body).then(|| Violation::DifferentOrder {
            conversation,
            seq: row.seq,
            body: known.body,
            one: known.source.clone(),
            different: row.body,
            other: source(),
        })
    }
}
