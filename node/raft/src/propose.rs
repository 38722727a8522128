//! Commands on the leader: what waits together becomes one entry, and a few entries are on their way at a time, so
//! that batches grow with the load and no timer is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use store::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use types::limits::{
    ENTRIES_IN_FLIGHT_MAX, ENTRY_BYTES_MAX, ENVELOPE_BYTES_MAX, ENVELOPES_PER_ENTRY_MAX, PROPOSAL_BYTES_WAITING_MAX,
    PROPOSALS_WAITING_MAX,
};
use types::reply::Answer;
use types::{Author, Command, Entry, Envelope, NodeId};

use crate::claim::{Claim, WithdrawOnDrop};
use crate::clock::ClusterClock;
use crate::kinds::{Commands, TypeConfig};
use crate::leases::Leases;
use crate::machine::Core;
use crate::metrics::Metrics;

/// Bytes an envelope takes in an entry beyond its own: a key and a length.
const ENVELOPE_OVERHEAD: usize = 4;
/// Bytes of an entry without envelopes.
const ENTRY_OVERHEAD: usize = 16;

/// Why a leader gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// This node does not lead, or may not now. Nothing was written.
    NotLeader,
    /// Too much waits. Nothing was written.
    Overloaded,
    /// The disks of most nodes are nearly full. Nothing was written.
    DiskFull,
    /// This node is the only one, and nobody accepted that. Nothing was written.
    SingleCopy,
    /// It may yet be carried out.
    OutcomeUnknown,
    /// Not a command, or not the sender's to put. Nothing was written.
    Refused,
}

/// Where commands for this node as leader are put. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Proposal>,
    bytes: Arc<Semaphore>,
    metrics: Metrics,
    /// What is refused for want of room on the disks, as [`Room`].
    room: Arc<AtomicU8>,
    /// Set while clients' writes wait for a second node.
    alone: Arc<AtomicBool>,
}

/// How much room the disks of most nodes have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Room {
    /// The last reserve: only that without which the cluster does not live is taken.
    Reserve = 0,
    /// Little: clients' writes are refused, and reading, which is recorded, goes on.
    Low = 1,
    /// Enough.
    Enough = 2,
}

impl Room {
    /// Whether there is room for this. What nodes write of themselves is little, and without it nobody could sign in to
    /// read; but each sign-in and each look is a record, and those must not take the last of the room.
    fn takes(self, envelope: &Envelope) -> bool {
        match (self, &envelope.author, &envelope.command) {
            (Self::Enough, _, _) => true,
            (_, Author::Session(_), _) => false,
            (Self::Low, Author::Node, _) => true,
            (Self::Reserve, Author::Node, command) => !matches!(
                command,
                Command::Observe(..)
                    | Command::Confirm(_)
                    | Command::SignIn(_)
                    | Command::Enrol(_)
                    | Command::RefuseSignIn(_)
                    | Command::AddDataKey(_)
            ),
        }
    }
}

/// The other end of [`Proposer`].
pub(crate) struct Proposals {
    queue: mpsc::Receiver<Proposal>,
    /// Taken from the queue, and too large for the entry it would have been in.
    held: Option<Proposal>,
}

struct Proposal {
    envelope: Envelope,
    bytes: usize,
    claim: Claim,
    answer: oneshot::Sender<Result<Answer, Refusal>>,
    _waiting: OwnedSemaphorePermit,
}

pub(crate) fn channel(metrics: Metrics) -> (Proposer, Proposals) {
    let (sender, queue) = mpsc::channel(PROPOSALS_WAITING_MAX);
    let bytes = Arc::new(Semaphore::new(PROPOSAL_BYTES_WAITING_MAX));
    (
        Proposer {
            queue: sender,
            bytes,
            metrics,
            room: Arc::new(AtomicU8::new(Room::Enough as u8)),
            alone: Arc::default(),
        },
        Proposals { queue, held: None },
    )
}

impl Proposer {
    /// Puts a command to this node as leader and waits for the answer until `deadline`.
    ///
    /// Errors: at the deadline [`Refusal::OutcomeUnknown`] once it was put into an entry; while it still waited it is
    /// withdrawn, and the error is [`Refusal::NotLeader`].
    pub(crate) async fn put(&self, envelope: Envelope, deadline: Instant) -> Result<Answer, Refusal> {
        let answer = self.wait_for(envelope, deadline).await;
        if let Err(why) = answer {
            self.metrics.refused(why);
        }
        answer
    }

    async fn wait_for(&self, envelope: Envelope, deadline: Instant) -> Result<Answer, Refusal> {
        let bytes = codec::envelope_len(&envelope);
        if bytes > ENVELOPE_BYTES_MAX {
            return Err(Refusal::Refused);
        }
        if !self.room().takes(&envelope) {
            return Err(Refusal::DiskFull);
        }
        if self.alone.load(Ordering::Relaxed) && matches!(envelope.author, Author::Session(_)) {
            return Err(Refusal::SingleCopy);
        }
        let bytes = bytes + ENVELOPE_OVERHEAD;
        let weight = u32::try_from(bytes).map_err(|_| Refusal::Refused)?;
        let waiting = self.bytes.clone().try_acquire_many_owned(weight).map_err(|_| Refusal::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let claim = Claim::default();
        let proposal = Proposal { envelope, bytes, claim: claim.clone(), answer, _waiting: waiting };
        self.queue.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Refusal::NotLeader,
        })?;
        self.metrics.proposals_waiting.set(self.waiting());
        let _withdraw = WithdrawOnDrop(claim.clone());
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) if claim.withdraw() => Err(Refusal::NotLeader),
            Ok(Err(_)) | Err(_) => Err(Refusal::OutcomeUnknown),
        }
    }

    /// Takes what there is this much room for, from now on; answers what it was before.
    pub(crate) fn set_room(&self, room: Room) -> Room {
        let before = self.room();
        self.room.store(room as u8, Ordering::Relaxed);
        before
    }

    fn room(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Reserve,
            1 => Room::Low,
            _ => Room::Enough,
        }
    }

    /// Bytes of what waits to become an entry, or is in one that is not yet answered.
    pub(crate) fn waiting_bytes(&self) -> i64 {
        i64::try_from(PROPOSAL_BYTES_WAITING_MAX.saturating_sub(self.bytes.available_permits())).unwrap_or(i64::MAX)
    }

    /// Refuses clients' writes while this node is the only one, or takes them again; answers whether that is a change.
    pub(crate) fn set_alone(&self, alone: bool) -> bool {
        self.alone.swap(alone, Ordering::Relaxed) != alone
    }

    fn waiting(&self) -> i64 {
        i64::try_from(self.queue.max_capacity() - self.queue.capacity()).unwrap_or(i64::MAX)
    }
}

/// What the batcher works with.
pub(crate) struct Batcher<E: Engine> {
    pub(crate) raft: Core<E>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) metrics: Metrics,
}

impl<E: Engine> Batcher<E> {
    /// Makes entries of what waits until the queue or openraft ends.
    pub(crate) async fn run(self, mut proposals: Proposals) {
        let in_flight = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT_MAX));
        while let Some(first) = proposals.next().await {
            let Ok(place) = in_flight.clone().acquire_owned().await else { return };
            let batch = proposals.batch(first);
            self.metrics.proposals_waiting.set(i64::try_from(proposals.queue.len()).unwrap_or(i64::MAX));
            if !batch.is_empty() {
                self.write(batch, place).await;
            }
        }
    }

    async fn write(&self, batch: Vec<Proposal>, place: OwnedSemaphorePermit) {
        let began = Instant::now();
        let (waiting, envelopes) = split(batch);
        self.metrics.batch_envelopes.observe(envelopes.len() as f64);
        let renewals = renewals(&envelopes);
        let entry = Entry { at: self.clock.read().now, envelopes };
        let data = Commands(codec::encode_entry(&entry).into());
        let (responder, written) = ProgressResponder::<TypeConfig, _>::complete_only();
        if self.raft.client_write_ff(data, Some(responder)).await.is_err() {
            return answer_all(waiting, Refusal::NotLeader); // openraft has ended: it took nothing.
        }
        let leases = self.leases.clone();
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            let result = written.await;
            drop(place);
            metrics.proposal_seconds.observe(began.elapsed().as_secs_f64());
            match result {
                Ok(Ok(response)) => {
                    let answers = response.data.0;
                    let accepted = |at: usize| answers.get(at).is_some_and(|answer| answer.result.is_ok());
                    renewals.into_iter().filter(|(at, _)| accepted(*at)).for_each(|(_, node)| leases.renewed(node));
                    answer_each(waiting, answers);
                }
                Ok(Err(ClientWriteError::ForwardToLeader(_))) => answer_all(waiting, Refusal::NotLeader),
                Ok(Err(_)) | Err(_) => answer_all(waiting, Refusal::OutcomeUnknown),
            }
        });
    }
}

impl Proposals {
    async fn next(&mut self) -> Option<Proposal> {
        match self.held.take() {
            Some(held) => Some(held),
            None => self.queue.recv().await,
        }
    }

    /// All that waits behind `first` and fits into one entry with it, without what was withdrawn.
    fn batch(&mut self, first: Proposal) -> Vec<Proposal> {
        let mut batch = Vec::new();
        let mut bytes = ENTRY_OVERHEAD;
        let mut next = Some(first);
        while let Some(proposal) = next {
            if !batch.is_empty() && bytes + proposal.bytes > ENTRY_BYTES_MAX {
                self.held = Some(proposal);
                break;
            }
            if proposal.claim.take() {
                bytes += proposal.bytes;
                batch.push(proposal);
            }
            if batch.len() == ENVELOPES_PER_ENTRY_MAX {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        batch
    }
}

type Waiting = Vec<oneshot::Sender<Result<Answer, Refusal>>>;

fn split(batch: Vec<Proposal>) -> (Waiting, Vec<Envelope>) {
    batch.into_iter().map(|proposal| (proposal.answer, proposal.envelope)).unzip()
}

/// Who renews a lease, and at which place in the entry.
fn renewals(envelopes: &[Envelope]) -> Vec<(usize, NodeId)> {
    let renews = |envelope: &Envelope| matches!(envelope.command, Command::RenewLease(_));
    let all = envelopes.iter().enumerate().filter(|(_, envelope)| renews(envelope));
    all.map(|(at, envelope)| (at, envelope.origin)).collect()
}

fn answer_all(waiting: Waiting, refusal: Refusal) {
    waiting.into_iter().for_each(|answer| drop(answer.send(Err(refusal))));
}

/// Answers by position. What has no answer, which cannot be, is unknown to its caller rather than given another's.
fn answer_each(waiting: Waiting, answers: Vec<Answer>) {
    if waiting.len() != answers.len() {
        tracing::error!(asked = waiting.len(), answered = answers.len(), "an entry's answers do not fit its envelopes");
        return answer_all(waiting, Refusal::OutcomeUnknown);
    }
    for (caller, answer) in waiting.into_iter().zip(answers) {
        drop(caller.send(Ok(answer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use types::command::{Lease, Once};
    use types::identity::{Attempt, RefuseSignIn, Source};
    use types::{Request, SessionId};

    fn envelope(node: u64) -> Envelope {
        Envelope { origin: NodeId(node), author: Author::Node, command: Command::Tick }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn what_waits_together_travels_together_in_order() {
        let (proposer, mut proposals) = channel(Metrics::default());
        let calls: Vec<_> = (0..5)
            .map(|node| {
                let proposer = proposer.clone();
                async move { proposer.put(envelope(node), soon()).await }
            })
            .collect();
        let waiting = futures::future::join_all(calls);
        let serve = async {
            let first = proposals.next().await.expect("one");
            tokio::task::yield_now().await;
            let batch = proposals.batch(first);
            let (waiting, envelopes) = split(batch);
            let origins: Vec<u64> = envelopes.iter().map(|envelope| envelope.origin.0).collect();
            answer_all(waiting, Refusal::OutcomeUnknown);
            origins
        };
        let (results, origins) = tokio::join!(waiting, serve);
        assert_eq!(origins, [0, 1, 2, 3, 4]);
        assert_eq!(results, vec![Err(Refusal::OutcomeUnknown); 5]);
    }

    #[tokio::test]
    async fn what_still_waits_at_its_deadline_is_never_written() {
        let (proposer, mut proposals) = channel(Metrics::default());
        assert_eq!(proposer.put(envelope(1), Instant::now()).await, Err(Refusal::NotLeader));
        let first = proposals.next().await.expect("it is in the queue still");
        assert!(proposals.batch(first).is_empty());
    }

    #[tokio::test]
    async fn what_waits_when_the_node_stops_was_certainly_not_written() {
        let (proposer, mut proposals) = channel(Metrics::default());
        let (waits, taken) = (proposer.put(envelope(1), soon()), proposer.put(envelope(2), soon()));
        let stop = async {
            let first = proposals.next().await.expect("one");
            assert!(first.claim.take());
            drop(first);
            drop(proposals);
        };
        let (taken, waits, ()) = tokio::join!(taken, waits, stop);
        assert_eq!(taken, Err(Refusal::OutcomeUnknown));
        assert_eq!(waits, Err(Refusal::NotLeader));
    }

    #[tokio::test]
    async fn with_full_disks_clients_are_refused_and_nodes_are_not() {
        let (proposer, _proposals) = channel(Metrics::default());
        let request = Request { session: SessionId([1; 16]), number: 1, settled: 1, content: [0; 16] };
        let client = || Envelope { author: Author::Session(request.clone()), ..envelope(1) };
        assert_eq!(proposer.set_room(Room::Low), Room::Enough);
        assert_eq!(proposer.put(client(), soon()).await, Err(Refusal::DiskFull));
        assert!(futures::poll!(Box::pin(proposer.put(envelope(1), soon()))).is_pending(), "a node's own is taken");
        let look = || Envelope { command: Command::Observe(Once::default(), Vec::new()), ..envelope(1) };
        assert!(futures::poll!(Box::pin(proposer.put(look(), soon()))).is_pending(), "and reading goes on");
        assert_eq!(proposer.set_room(Room::Enough), Room::Low);
        assert!(futures::poll!(Box::pin(proposer.put(client(), soon()))).is_pending(), "there is room again");
    }

    #[tokio::test]
    async fn reading_and_signing_in_cannot_take_the_last_of_the_room() {
        let (proposer, _proposals) = channel(Metrics::default());
        proposer.set_room(Room::Reserve);
        let attempt = Attempt { login: [1; 16], source: Source::Address([1; 16]) };
        let refuse = RefuseSignIn { user: None, attempt, pin: false, once: Once::default() };
        let records = [
            Command::Observe(Once::default(), Vec::new()),
            Command::Confirm(Vec::new()),
            Command::RefuseSignIn(refuse),
        ];
        for command in records {
            let envelope = Envelope { command, ..envelope(1) };
            assert_eq!(proposer.put(envelope, soon()).await, Err(Refusal::DiskFull));
        }
        let lease = Envelope { command: Command::RenewLease(Lease { epoch: 1 }), ..envelope(1) };
        assert!(futures::poll!(Box::pin(proposer.put(lease, soon()))).is_pending(), "the cluster lives");
    }

    #[tokio::test]
    async fn beyond_the_bound_it_is_refused_at_once() {
        let (proposer, _proposals) = channel(Metrics::default());
        let mut calls = futures::stream::FuturesUnordered::new();
        for _ in 0..PROPOSALS_WAITING_MAX {
            let call = Box::pin(proposer.put(envelope(1), soon()));
            calls.push(call);
        }
        assert!(futures::poll!(futures::StreamExt::next(&mut calls)).is_pending());
        assert_eq!(proposer.put(envelope(1), soon()).await, Err(Refusal::Overloaded));
    }
}
