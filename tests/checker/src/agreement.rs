//! What all must agree on in the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::{History, Violation};

/// Checks that nodes computed the same.
pub fn nodes(history: &History) -> Vec<Violation> {
    let (mut first, mut wrong) = (BTreeMap::new(), Vec::new());
    for print in &history.fingerprints {
        let (node, value) = *first.entry((print.print, print.at)).or_insert((print.node, &print.value));
        if *value != print.value {
            wrong.push(Violation::NodesDiffer { print: print.print, at: print.at, one: node, other: print.node });
        }
    }
    wrong
}

/// Checks that every observer sees every user as they are.
pub fn presence(history: &History) -> Vec<Violation> {
    // The last word of an observer counts.
    let seen: BTreeMap<(&str, u64), &str> =
        history.seen.iter().map(|seen| ((seen.observer.as_str(), seen.user), seen.presence.as_str())).collect();
    let observers: BTreeSet<&str> = seen.keys().map(|(observer, _)| *observer).collect();
    let mut wrong = Vec::new();
    for observer in observers {
        for (&user, expected) in &history.presence {
            let seen = seen.get(&(observer, user)).copied();
            if seen != Some(expected.as_str()) {
                wrong.push(Violation::PresenceWrong {
                    observer: observer.to_owned(),
                    user,
                    expected: expected.clone(),
                    seen: seen.map(str::to_owned),
                });
            }
        }
    }
    wrong
}
