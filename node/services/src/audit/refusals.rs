//! Refusals of one source: up to so many a minute are recorded one by one, the rest as one record that says how many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use raft::Handle;
use types::SessionId;
use types::command::Observation;
use types::limits::{REFUSAL_SOURCES_MAX, REFUSALS_PER_MINUTE_MAX};

use crate::Services;
use crate::limiter::lock;

const MINUTE: Duration = Duration::from_secs(60);

struct Minute {
    began: Instant,
    count: u32,
    /// The last that was not recorded by itself.
    folded: Option<Observation>,
}

/// The refusals of the last minute, by source: a session, or all that have none.
#[derive(Default)]
pub(crate) struct Refusals {
    sources: HashMap<Option<SessionId>, Minute>,
}

impl Refusals {
    /// The refusal, if it is to be recorded by itself.
    pub(crate) fn admit(&mut self, observation: Observation, now: Instant) -> Option<Observation> {
        let mut source = observation.session;
        if self.sources.len() >= REFUSAL_SOURCES_MAX && !self.sources.contains_key(&source) {
            source = None; // Too many at once to tell apart.
        }
        let minute = self.sources.entry(source).or_insert(Minute { began: now, count: 0, folded: None });
        minute.count = minute.count.saturating_add(1);
        if minute.count <= REFUSALS_PER_MINUTE_MAX {
            return Some(observation);
        }
        let folded = minute.folded.as_ref().and_then(|folded| folded.count).unwrap_or(0);
        minute.folded = Some(Observation { count: Some(folded.saturating_add(1)), ..observation });
        None
    }

    /// What was folded in minutes that are over.
    fn over(&mut self, now: Instant) -> Vec<Observation> {
        let mut folded = Vec::new();
        self.sources.retain(|_, minute| {
            let goes_on = now.duration_since(minute.began) < MINUTE;
            if !goes_on {
                folded.extend(minute.folded.take());
            }
            goes_on
        });
        folded
    }
}

/// Records what was folded, once its minute is over, until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let folded = lock(&services.inner.refusals).over(Instant::now());
        if !folded.is_empty() {
            services.note(folded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::record::Action;

    #[test]
    fn beyond_a_hundred_a_minute_refusals_become_one_record_that_counts_them() {
        let mut refusals = Refusals::default();
        let refusal = |session: u8| crate::audit::observe::seen(SessionId([session; 16]), Action::Look, Vec::new());
        let began = Instant::now();
        let alone = (0..250).filter(|_| refusals.admit(refusal(1), began).is_some()).count();
        assert_eq!(alone, REFUSALS_PER_MINUTE_MAX as usize);
        assert!(refusals.admit(refusal(2), began).is_some(), "another source is not held back");
        assert!(refusals.over(began + MINUTE / 2).is_empty());
        let folded = refusals.over(began + MINUTE);
        assert_eq!(
            folded.iter().map(|one| (one.session, one.count)).collect::<Vec<_>>(),
            [(Some(SessionId([1; 16])), Some(150))]
        );
        assert!(refusals.admit(refusal(1), began + MINUTE).is_some(), "a new minute");
    }
}
