//! What waits for the leader's next entry, in two lanes: what somebody waits for goes before what comes over streams, and
//! leaves it room.

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use types::Envelope;
use types::limits::{ENTRY_BYTES_MAX, ENVELOPES_PER_ENTRY_MAX, PROPOSALS_WAITING_MAX};
use types::reply::Answer;

use crate::claim::Claim;
use crate::gate::Inside;
use crate::propose::Refusal;

/// Bytes an envelope takes in an entry beyond its own: a key and a length.
pub(crate) const ENVELOPE_OVERHEAD: usize = 4;
/// Bytes of an entry without envelopes.
const ENTRY_OVERHEAD: usize = 16;

/// A command that waits for its entry.
pub(crate) struct Proposal {
    pub(crate) envelope: Envelope,
    /// What it takes in an entry.
    pub(crate) bytes: usize,
    pub(crate) claim: Claim,
    pub(crate) caller: Caller,
    pub(crate) _waiting: OwnedSemaphorePermit,
}

/// Who is told what came of it.
pub(crate) struct Caller {
    pub(crate) answer: oneshot::Sender<Result<Answer, Refusal>>,
    /// When it came to this leader.
    pub(crate) since: Instant,
    /// For a call that might have been refused for the time it would wait.
    pub(crate) inside: Option<Inside>,
}

impl Caller {
    /// Tells it, and lets the next one in.
    pub(crate) fn tell(self, result: Result<Answer, Refusal>) {
        drop(self.answer.send(result));
    }
}

/// The ends where commands are put. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ways {
    pub(crate) front: mpsc::Sender<Proposal>,
    pub(crate) patient: mpsc::Sender<Proposal>,
}

/// The ends where entries are made of them.
pub(crate) struct Proposals {
    pub(crate) front: Lane,
    patient: Lane,
}

/// What waits in one lane, in order.
pub(crate) struct Lane {
    queue: mpsc::Receiver<Proposal>,
    /// Taken from the queue for the next entry: at most what one entry can hold.
    pub(crate) taken: VecDeque<Proposal>,
    /// When the newest of what went into an entry had come; what is left came later.
    newest: Option<Instant>,
}

pub(crate) fn channel() -> (Ways, Proposals) {
    let (front, front_queue) = mpsc::channel(PROPOSALS_WAITING_MAX);
    let (patient, patient_queue) = mpsc::channel(PROPOSALS_WAITING_MAX);
    (Ways { front, patient }, Proposals { front: Lane::new(front_queue), patient: Lane::new(patient_queue) })
}

impl Ways {
    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        [&self.front, &self.patient].map(|lane| lane.max_capacity() - lane.capacity()).iter().sum()
    }
}

impl Proposals {
    /// Waits until more waits for the next entry than was known of; false when nothing more can come.
    pub(crate) async fn more(&mut self) -> bool {
        let Self { front, patient } = self;
        tokio::select! {
            biased;
            true = front.more() => true,
            true = patient.more() => true,
            else => false,
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.front.waiting() + self.patient.waiting()
    }

    /// When the oldest of what waits in front came, or a little before.
    pub(crate) fn front_since(&self) -> Option<Instant> {
        match self.front.taken.front() {
            Some(oldest) => Some(oldest.caller.since),
            None if self.front.queue.is_empty() => None,
            None => self.front.newest,
        }
    }

    /// All that waits and fits into one entry, without what was withdrawn. While the patient wait too, a quarter of the entry is
    /// theirs.
    pub(crate) fn batch(&mut self) -> Vec<Proposal> {
        let mut batch = Batch { proposals: Vec::new(), bytes: ENTRY_OVERHEAD };
        let (count, bytes) = (ENVELOPES_PER_ENTRY_MAX, ENTRY_BYTES_MAX);
        if self.patient.waiting() > 0 {
            batch.fill(&mut self.front, count / 4 * 3, bytes / 4 * 3);
            batch.fill(&mut self.patient, count, bytes);
        }
        batch.fill(&mut self.front, count, bytes);
        batch.proposals
    }
}

impl Lane {
    const fn new(queue: mpsc::Receiver<Proposal>) -> Self {
        Self { queue, taken: VecDeque::new(), newest: None }
    }

    fn waiting(&self) -> usize {
        self.taken.len() + self.queue.len()
    }

    async fn more(&mut self) -> bool {
        let room = ENVELOPES_PER_ENTRY_MAX.saturating_sub(self.taken.len());
        if room == 0 {
            return std::future::pending().await;
        }
        let mut more = Vec::new();
        let count = self.queue.recv_many(&mut more, room).await;
        self.taken.extend(more);
        count > 0
    }

    /// The next, if it takes no more than these bytes.
    fn next_within(&mut self, bytes: usize) -> Option<Proposal> {
        let next = self.taken.pop_front().or_else(|| self.queue.try_recv().ok())?;
        if next.bytes > bytes {
            self.taken.push_front(next);
            return None;
        }
        self.newest = Some(next.caller.since);
        Some(next)
    }
}

struct Batch {
    proposals: Vec<Proposal>,
    bytes: usize,
}

impl Batch {
    /// Takes from a lane up to so many in all, and so many bytes. One that is larger than all of an entry goes alone.
    fn fill(&mut self, lane: &mut Lane, count: usize, bytes: usize) {
        while self.proposals.len() < count {
            let room = if self.proposals.is_empty() { usize::MAX } else { bytes.saturating_sub(self.bytes) };
            let Some(next) = lane.next_within(room) else { return };
            if next.claim.take() {
                self.bytes += next.bytes;
                self.proposals.push(next);
            }
        }
    }
}
