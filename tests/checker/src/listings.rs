//! What the nodes hold in the end: everything that was acknowledged or seen, from 1 on, without a gap.

use std::collections::{BTreeMap, BTreeSet};

use crate::places::Places;
use crate::requests::Requests;
use crate::streams::steps;
use crate::{Conversation, History, Source, Violation};

/// Checks each listing against what anybody was told.
pub fn check(history: &History, requests: &Requests, places: &Places) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut acknowledged: BTreeMap<Conversation, BTreeSet<u64>> = BTreeMap::new();
    for written in requests.all() {
        acknowledged.entry(written.conversation).or_default().extend(&written.seqs);
    }
    for listing in &history.listings {
        let (conversation, place) = (listing.conversation, Source::Listing(listing.node));
        let seqs: Vec<u64> = listing.rows.iter().map(|row| row.seq).collect();
        wrong.extend(steps(conversation, &place, 0, &seqs));
        let has: BTreeSet<u64> = seqs.into_iter().collect();
        for (seq, known) in places.of(conversation).filter(|(seq, _)| !has.contains(seq)) {
            let promised = acknowledged.get(&conversation).is_some_and(|seqs| seqs.contains(&seq));
            wrong.push(Violation::Missing {
                conversation,
                seq,
                body: Some(known.body),
                how: if promised { "acknowledged" } else { "seen" },
                place: place.clone(),
            });
        }
    }
    let listed: BTreeSet<Conversation> = history.listings.iter().map(|listing| listing.conversation).collect();
    let unlisted =
        acknowledged.iter().filter(|(conversation, seqs)| !seqs.is_empty() && !listed.contains(conversation));
    wrong.extend(unlisted.map(|(&conversation, _)| Violation::NotListed { conversation }));
    wrong
}
