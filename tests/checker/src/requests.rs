//! Attempts put together into requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Answer, Asked, Body, Conversation, History, Moment, Request, Violation};

/// A write with all its attempts.
#[derive(Clone, Debug)]
pub struct Written {
    /// Who wrote.
    pub request: Request,
    /// Where to.
    pub conversation: Conversation,
    /// When it was first tried.
    pub begin: Moment,
    /// When it was first acknowledged.
    pub acknowledged_at: Option<Moment>,
    /// The seqs it was given: more than one is a violation.
    pub seqs: BTreeSet<u64>,
    /// Whether no attempt may have had an effect.
    pub refused: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Requests {
    by_request: BTreeMap<Request, Written>,
    by_content: HashMap<(Conversation, Body), Request>,
}

impl Requests {
    /// Puts the attempts together.
    pub fn of_history(history: &History) -> Self {
        let mut requests = Self::default();
        for call in &history.calls {
            let Asked::Post { request, conversation, body } = call.asked else { continue };
            requests.by_content.insert((conversation, body), request);
            let written = requests.by_request.entry(request).or_insert_with(|| Written {
                request,
                conversation,
                begin: call.begin,
                acknowledged_at: None,
                seqs: BTreeSet::new(),
                refused: true,
            });
            written.begin = written.begin.min(call.begin);
            written.refused &= call.answer == Answer::Refused;
            if let Answer::Posted(seq) = call.answer {
                written.seqs.insert(seq);
                let at = call.end.unwrap_or(Moment::MAX);
                written.acknowledged_at = Some(written.acknowledged_at.map_or(at, |first| first.min(at)));
            }
        }
        requests
    }

    /// The request that posted this content there.
    pub fn of(&self, conversation: Conversation, body: Body) -> Option<&Written> {
        self.by_content.get(&(conversation, body)).and_then(|request| self.by_request.get(request))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Written> {
        self.by_request.values()
    }

    /// Requests that were given two seqs.
    pub fn check(&self) -> Vec<Violation> {
        let twice = self.all().filter(|written| written.seqs.len() > 1);
        twice
            .map(|written| Violation::TookEffectTwice {
                conversation: written.conversation,
                request: written.request,
                seqs: written.seqs.iter().copied().collect(),
            })
            .collect()
    }
}
