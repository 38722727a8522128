//! All checks of one history.

use std::collections::BTreeSet;
use std::fmt;

use crate::places::Places;
use crate::requests::Requests;
use crate::{Answer, Asked, History, Violation, agreement, listings, log, sessions, streams};

/// Violations that are kept; more are only counted. One cause has many.
const KEPT_MAX: usize = 100;

/// What was checked, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first of what must not be.
    pub violations: Vec<Violation>,
    /// How many there were in all.
    pub found: usize,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes of which each attempt was refused.
    pub refused: usize,
    /// Writes of which nobody was told whether they took effect.
    pub unknown: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Messages that streams brought.
    pub events: usize,
    /// Conversations listed in the end.
    pub conversations: usize,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} writes acknowledged, {} refused, {} unknown; {} reads, {} events, {} conversations: {} violations",
            self.acknowledged, self.refused, self.unknown, self.reads, self.events, self.conversations, self.found
        )?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// Checks everything.
#[must_use]
pub fn check(history: &History) -> Report {
    let requests = Requests::of_history(history);
    let (places, mut violations) = Places::of_history(history);
    violations.extend(requests.check());
    violations.extend(places.check(&requests));
    violations.extend(listings::check(history, &requests, &places));
    violations.extend(streams::check(history, &places));
    violations.extend(log::check(history, &requests, &places));
    violations.extend(sessions::check(history));
    violations.extend(agreement::nodes(history));
    violations.extend(agreement::presence(history));
    let found = violations.len();
    violations.truncate(KEPT_MAX);

    let mut report = Report { violations, found, ..Report::default() };
    for written in requests.all() {
        match (written.acknowledged_at, written.refused) {
            (Some(_), _) => report.acknowledged += 1,
            (None, true) => report.refused += 1,
            (None, false) => report.unknown += 1,
        }
    }
    let read =
        |asked: &Asked, answer: &Answer| matches!(asked, Asked::Read { .. }) && matches!(answer, Answer::Page { .. });
    report.reads = history.calls.iter().filter(|call| read(&call.asked, &call.answer)).count();
    report.events = history.streams.iter().map(|stream| stream.events.len()).sum();
    report.conversations = history.listings.iter().map(|listing| listing.conversation).collect::<BTreeSet<_>>().len();
    report
}
