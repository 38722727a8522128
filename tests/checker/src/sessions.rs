//! What one client may expect of its own reads: to see what it wrote, and never less than before.

use std::collections::BTreeMap;

use crate::{Answer, Asked, Conversation, Freshness, History, Moment, Violation};

/// Up to which seq a client knew a conversation, and from when on.
#[derive(Clone, Copy)]
struct Known {
    end: Moment,
    seq: u64,
    wrote: bool,
}

/// A read that promised to show it.
#[derive(Clone, Copy)]
struct Looked {
    begin: Moment,
    top: u64,
}

/// Checks the reads for which clients passed their cursor, and the linearizable ones.
pub fn check(history: &History) -> Vec<Violation> {
    let mut clients: BTreeMap<(u64, Conversation), (Vec<Known>, Vec<Looked>)> = BTreeMap::new();
    for call in &history.calls {
        let Some(end) = call.end else { continue };
        match (&call.asked, &call.answer) {
            (&Asked::Post { request, conversation, .. }, &Answer::Posted(seq)) => {
                let (known, _) = clients.entry((request.client, conversation)).or_default();
                known.push(Known { end, seq, wrote: true });
            }
            (&Asked::Read { client, conversation, freshness }, Answer::Page { first, rows }) => {
                let top = rows.last().map_or(first.saturating_sub(1), |row| row.seq);
                let (known, looked) = clients.entry((client, conversation)).or_default();
                known.push(Known { end, seq: top, wrote: false });
                if freshness != Freshness::Any {
                    looked.push(Looked { begin: call.begin, top });
                }
            }
            _ => {}
        }
    }
    let each = clients.into_iter();
    each.flat_map(|((client, conversation), (known, looked))| one(client, conversation, known, looked)).collect()
}

fn one(client: u64, conversation: Conversation, mut known: Vec<Known>, mut looked: Vec<Looked>) -> Vec<Violation> {
    known.sort_by_key(|known| known.end);
    looked.sort_by_key(|looked| looked.begin);
    let (mut wrong, mut known) = (Vec::new(), known.into_iter().peekable());
    let (mut wrote, mut before) = (0, 0);
    for Looked { begin, top } in looked {
        // What ended when this began is before it for the one client that did both.
        while let Some(known) = known.next_if(|known| known.end <= begin) {
            let highest = if known.wrote { &mut wrote } else { &mut before };
            *highest = known.seq.max(*highest);
        }
        if top < wrote {
            wrong.push(Violation::OwnWriteUnseen { conversation, client, begin, wrote, top });
        } else if top < before {
            wrong.push(Violation::WentBack { conversation, client, begin, before, top });
        }
    }
    wrong
}
