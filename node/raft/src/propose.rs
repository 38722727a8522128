//! Commands on the leader: what waits together becomes one entry, and a few entries are on their way at a time, so
//! that batches grow with the load and no timer is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use store::Engine;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use types::limits::{
    CALLS_WAITING_MIN, ENTRIES_IN_FLIGHT_MAX, ENVELOPE_BYTES_MAX, PROPOSAL_BYTES_WAITING_MAX, PROPOSALS_WAITING_MAX,
};
use types::message::Priority;
use types::reply::Answer;
use types::{Author, Command, Entry, Envelope, NodeId};

use crate::claim::{Claim, WithdrawOnDrop};
use crate::clock::ClusterClock;
use crate::gate::Gate;
use crate::kinds::{Commands, TypeConfig};
use crate::lanes::{Caller, ENVELOPE_OVERHEAD, Proposal, Proposals, Ways};
use crate::leases::Leases;
use crate::machine::Core;
use crate::metrics::Metrics;

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
    ways: Ways,
    gate: Arc<Gate>,
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

/// How long a command may be made to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// As long as its caller does: a stream reads no more from its client meanwhile.
    Patient,
    /// Refused where it would be long: whoever called may have something better to do.
    Short,
}

pub(crate) fn channel(metrics: Metrics) -> (Proposer, Proposals, Arc<Gate>) {
    let (ways, proposals) = crate::lanes::channel();
    let gate = Gate::new(CALLS_WAITING_MIN);
    let proposer = Proposer {
        ways,
        gate: gate.clone(),
        bytes: Arc::new(Semaphore::new(PROPOSAL_BYTES_WAITING_MAX)),
        metrics,
        room: Arc::new(AtomicU8::new(Room::Enough as u8)),
        alone: Arc::default(),
    };
    (proposer, proposals, gate)
}

impl Proposer {
    /// Puts a command to this node as leader and waits for the answer until `deadline`.
    ///
    /// Errors: at the deadline [`Refusal::OutcomeUnknown`] once it was put into an entry; while it still waited it is
    /// withdrawn, and the error is [`Refusal::NotLeader`].
    pub(crate) async fn put(&self, envelope: Envelope, wait: Wait, deadline: Instant) -> Result<Answer, Refusal> {
        let answer = self.wait_for(envelope, wait, deadline).await;
        if let Err(why) = answer {
            self.metrics.refused(why);
        }
        answer
    }

    async fn wait_for(&self, envelope: Envelope, wait: Wait, deadline: Instant) -> Result<Answer, Refusal> {
        let bytes = codec::envelope_len(&envelope);
        if bytes > ENVELOPE_BYTES_MAX {
            return Err(Refusal::Refused);
        }
        if !self.room().takes(&envelope) {
            return Err(Refusal::DiskFull);
        }
        let of_client = matches!(envelope.author, Author::Session(_));
        if self.alone.load(Ordering::Relaxed) && of_client {
            return Err(Refusal::SingleCopy);
        }
        let bytes = bytes + ENVELOPE_OVERHEAD;
        let weight = u32::try_from(bytes).map_err(|_| Refusal::Refused)?;
        if self.ways.waiting() >= PROPOSALS_WAITING_MAX {
            return Err(Refusal::Overloaded);
        }
        let since = Instant::now();
        let inside = match wait {
            Wait::Short if of_client => Some(self.gate.enter(is_urgent(&envelope), since).ok_or(Refusal::Overloaded)?),
            // What nodes write of themselves is little, and much depends on it.
            Wait::Short | Wait::Patient => None,
        };
        let waiting = self.bytes.clone().try_acquire_many_owned(weight).map_err(|_| Refusal::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let claim = Claim::default();
        let way = if of_client && wait == Wait::Patient {
            &self.ways.patient
        } else {
            self.gate.waits(since);
            &self.ways.front
        };
        let caller = Caller { answer, since, inside };
        let proposal = Proposal { envelope, bytes, claim: claim.clone(), caller, _waiting: waiting };
        way.try_send(proposal).map_err(|error| match error {
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

    /// Calls that wait for an answer, and how many may.
    pub(crate) fn calls(&self) -> (usize, usize) {
        self.gate.inside()
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
        i64::try_from(self.ways.waiting()).unwrap_or(i64::MAX)
    }
}

/// What is written to be read at once has a place however many wait.
#[must_use]
pub fn is_urgent(envelope: &Envelope) -> bool {
    matches!(&envelope.command, Command::Post(post) if post.header.priority > Priority::Routine)
}

/// What the batcher works with.
pub(crate) struct Batcher<E: Engine> {
    pub(crate) raft: Core<E>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) metrics: Metrics,
    pub(crate) gate: Arc<Gate>,
}

impl<E: Engine> Batcher<E> {
    /// Makes entries of what waits until the queue or openraft ends.
    pub(crate) async fn run(self, mut proposals: Proposals) {
        let mut on_their_way = JoinSet::new();
        let mut newest = 0;
        let mut open = true;
        while open {
            tokio::select! {
                biased;
                _ = on_their_way.join_next(), if !on_their_way.is_empty() => {}
                more = proposals.more() => open = more,
            }
            self.metrics.proposals_waiting.set(i64::try_from(proposals.waiting()).unwrap_or(i64::MAX));
            while next_goes(on_their_way.len(), newest, proposals.waiting()) {
                let batch = proposals.batch();
                self.gate.taken(proposals.front_since());
                newest = batch.len();
                if !batch.is_empty() {
                    self.write(batch, &mut on_their_way).await;
                }
            }
        }
        on_their_way.detach_all();
    }

    async fn write(&self, batch: Vec<Proposal>, on_their_way: &mut JoinSet<()>) {
        let began = Instant::now();
        let (waiting, envelopes) = split(batch);
        self.metrics.batch_envelopes.observe(envelopes.len() as f64);
        let oldest = oldest(&waiting);
        if let Some(since) = oldest {
            self.metrics.wait_seconds.observe(began.saturating_duration_since(since).as_secs_f64());
        }
        let renewals = renewals(&envelopes);
        let entry = Entry { at: self.clock.read().now, envelopes };
        let data = Commands(codec::encode_entry(&entry).into());
        let (responder, written) = ProgressResponder::<TypeConfig, _>::complete_only();
        if self.raft.client_write_ff(data, Some(responder)).await.is_err() {
            return answer_all(waiting, Refusal::NotLeader); // openraft has ended: it took nothing.
        }
        let leases = self.leases.clone();
        let metrics = self.metrics.clone();
        let gate = self.gate.clone();
        on_their_way.spawn(async move {
            let result = written.await;
            let now = Instant::now();
            metrics.proposal_seconds.observe(now.duration_since(began).as_secs_f64());
            if let Some(since) = oldest {
                gate.answered(now.saturating_duration_since(since), now);
            }
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

/// Whether what waits becomes an entry now. An entry costs each node much and a command in it little (benches/README.md): a
/// second one goes beside the first when as much waits for it as the newest on its way holds, and gathers until then.
fn next_goes(on_their_way: usize, newest: usize, waiting: usize) -> bool {
    match on_their_way {
        0 => waiting > 0,
        _ => on_their_way < ENTRIES_IN_FLIGHT_MAX && waiting >= newest.max(1),
    }
}

type Waiting = Vec<Caller>;

fn split(batch: Vec<Proposal>) -> (Waiting, Vec<Envelope>) {
    batch.into_iter().map(|proposal| (proposal.caller, proposal.envelope)).unzip()
}

/// When the first of those came that count at the gate.
fn oldest(waiting: &[Caller]) -> Option<Instant> {
    waiting.iter().filter(|caller| caller.inside.is_some()).map(|caller| caller.since).min()
}

/// Who renews a lease, and at which place in the entry.
fn renewals(envelopes: &[Envelope]) -> Vec<(usize, NodeId)> {
    let renews = |envelope: &Envelope| matches!(envelope.command, Command::RenewLease(_));
    let all = envelopes.iter().enumerate().filter(|(_, envelope)| renews(envelope));
    all.map(|(at, envelope)| (at, envelope.origin)).collect()
}

fn answer_all(waiting: Waiting, refusal: Refusal) {
    waiting.into_iter().for_each(|caller| caller.tell(Err(refusal)));
}

/// Answers by position. What has no answer, which cannot be, is unknown to its caller rather than given another's.
fn answer_each(waiting: Waiting, answers: Vec<Answer>) {
    if waiting.len() != answers.len() {
        tracing::error!(asked = waiting.len(), answered = answers.len(), "an entry's answers do not fit its envelopes");
        return answer_all(waiting, Refusal::OutcomeUnknown);
    }
    for (caller, answer) in waiting.into_iter().zip(answers) {
        caller.tell(Ok(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use types::command::{Lease, Once};
    use types::identity::{Attempt, RefuseSignIn, Source};
    use types::limits::ENVELOPES_PER_ENTRY_MAX;
    use types::{Request, SessionId};

    fn envelope(node: u64) -> Envelope {
        Envelope { origin: NodeId(node), author: Author::Node, command: Command::Tick }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn what_waits_together_travels_together_in_order() {
        let (proposer, mut proposals, _) = channel(Metrics::default());
        let calls: Vec<_> = (0..5)
            .map(|node| {
                let proposer = proposer.clone();
                async move { proposer.put(envelope(node), Wait::Short, soon()).await }
            })
            .collect();
        let waiting = futures::future::join_all(calls);
        let serve = async {
            assert!(proposals.more().await, "one");
            tokio::task::yield_now().await;
            let batch = proposals.batch();
            let (waiting, envelopes) = split(batch);
            let origins: Vec<u64> = envelopes.iter().map(|envelope| envelope.origin.0).collect();
            answer_all(waiting, Refusal::OutcomeUnknown);
            origins
        };
        let (results, origins) = tokio::join!(waiting, serve);
        assert_eq!(origins, [0, 1, 2, 3, 4]);
        assert_eq!(results, vec![Err(Refusal::OutcomeUnknown); 5]);
    }

    #[test]
    fn nothing_waits_for_company_and_a_second_entry_is_as_large_as_the_first() {
        assert!(!next_goes(0, 0, 0));
        assert!(next_goes(0, 30, 1), "one alone goes at once");
        assert!(next_goes(1, 1, 1), "and so does one beside one");
        assert!(!next_goes(1, 30, 29));
        assert!(next_goes(1, 30, 30));
        assert!(!next_goes(1, 0, 0), "beside an entry of commands that were all withdrawn");
        assert!(!next_goes(ENTRIES_IN_FLIGHT_MAX, 1, 1_000));
    }

    #[tokio::test]
    async fn more_than_an_entry_holds_waits_for_the_next_in_order() {
        let (proposer, mut proposals, _) = channel(Metrics::default());
        let count = ENVELOPES_PER_ENTRY_MAX as u64 + 3;
        let calls = (0..count).map(|node| {
            let proposer = proposer.clone();
            async move { proposer.put(envelope(node), Wait::Short, soon()).await }
        });
        let serve = async {
            let mut origins = Vec::new();
            while origins.len() < count as usize {
                assert!(proposals.more().await, "more comes");
                let batch = proposals.batch();
                assert!(batch.len() <= ENVELOPES_PER_ENTRY_MAX);
                let (waiting, envelopes) = split(batch);
                origins.extend(envelopes.iter().map(|envelope| envelope.origin.0));
                answer_all(waiting, Refusal::OutcomeUnknown);
            }
            origins
        };
        let (_, origins) = tokio::join!(futures::future::join_all(calls), serve);
        assert!(origins.into_iter().eq(0..count));
    }

    #[tokio::test]
    async fn what_still_waits_at_its_deadline_is_never_written() {
        let (proposer, mut proposals, _) = channel(Metrics::default());
        assert_eq!(proposer.put(envelope(1), Wait::Short, Instant::now()).await, Err(Refusal::NotLeader));
        assert!(proposals.more().await, "it is in the queue still");
        assert!(proposals.batch().is_empty());
    }

    #[tokio::test]
    async fn what_waits_when_the_node_stops_was_certainly_not_written() {
        let (proposer, mut proposals, _) = channel(Metrics::default());
        let (waits, taken) =
            (proposer.put(envelope(1), Wait::Short, soon()), proposer.put(envelope(2), Wait::Short, soon()));
        let stop = async {
            assert!(proposals.more().await, "both");
            assert!(proposals.front.taken[0].claim.take());
            drop(proposals);
        };
        let (taken, waits, ()) = tokio::join!(taken, waits, stop);
        assert_eq!(taken, Err(Refusal::OutcomeUnknown));
        assert_eq!(waits, Err(Refusal::NotLeader));
    }

    #[tokio::test]
    async fn with_full_disks_clients_are_refused_and_nodes_are_not() {
        let (proposer, _proposals, _) = channel(Metrics::default());
        let request = Request { session: SessionId([1; 16]), number: 1, settled: 1, content: [0; 16] };
        let client = || Envelope { author: Author::Session(request.clone()), ..envelope(1) };
        assert_eq!(proposer.set_room(Room::Low), Room::Enough);
        assert_eq!(proposer.put(client(), Wait::Short, soon()).await, Err(Refusal::DiskFull));
        assert!(
            futures::poll!(Box::pin(proposer.put(envelope(1), Wait::Short, soon()))).is_pending(),
            "a node's own is taken"
        );
        let look = || Envelope { command: Command::Observe(Once::default(), Vec::new()), ..envelope(1) };
        assert!(
            futures::poll!(Box::pin(proposer.put(look(), Wait::Short, soon()))).is_pending(),
            "and reading goes on"
        );
        assert_eq!(proposer.set_room(Room::Enough), Room::Low);
        assert!(
            futures::poll!(Box::pin(proposer.put(client(), Wait::Short, soon()))).is_pending(),
            "there is room again"
        );
    }

    #[tokio::test]
    async fn reading_and_signing_in_cannot_take_the_last_of_the_room() {
        let (proposer, _proposals, _) = channel(Metrics::default());
        proposer.set_room(Room::Reserve);
        let attempt = Attempt { login: [1; 16], source: Source::Address([1; 16]) };
        let refuse = RefuseSignIn { user: None, attempt, pin: false, once: Once::default(), address: None };
        let records = [
            Command::Observe(Once::default(), Vec::new()),
            Command::Confirm(Vec::new()),
            Command::RefuseSignIn(refuse),
        ];
        for command in records {
            let envelope = Envelope { command, ..envelope(1) };
            assert_eq!(proposer.put(envelope, Wait::Short, soon()).await, Err(Refusal::DiskFull));
        }
        let lease = Envelope { command: Command::RenewLease(Lease { epoch: 1 }), ..envelope(1) };
        assert!(futures::poll!(Box::pin(proposer.put(lease, Wait::Short, soon()))).is_pending(), "the cluster lives");
    }

    #[tokio::test]
    async fn beyond_the_bound_it_is_refused_at_once() {
        let (proposer, _proposals, _) = channel(Metrics::default());
        let mut calls = futures::stream::FuturesUnordered::new();
        for _ in 0..PROPOSALS_WAITING_MAX {
            let call = Box::pin(proposer.put(envelope(1), Wait::Short, soon()));
            calls.push(call);
        }
        assert!(futures::poll!(futures::StreamExt::next(&mut calls)).is_pending());
        assert_eq!(proposer.put(envelope(1), Wait::Short, soon()).await, Err(Refusal::Overloaded));
    }

    fn of_client(number: u64) -> Envelope {
        let request = Request { session: SessionId([1; 16]), number, settled: 1, content: [0; 16] };
        Envelope { author: Author::Session(request), ..envelope(1) }
    }

    fn number(envelope: &Envelope) -> u64 {
        match &envelope.author {
            Author::Session(request) => request.number,
            Author::Node => 0,
        }
    }

    #[tokio::test]
    async fn calls_pass_what_comes_over_streams_which_keeps_a_quarter_of_each_entry() {
        let (proposer, mut proposals, _) = channel(Metrics::default());
        let mut waiting = Vec::new();
        for at in 0..2_000 {
            waiting.push(tokio::spawn({
                let proposer = proposer.clone();
                async move { proposer.put(of_client(10_000 + at), Wait::Patient, soon()).await }
            }));
        }
        for at in 0..2_000 {
            waiting.push(tokio::spawn({
                let proposer = proposer.clone();
                async move { proposer.put(envelope(at), Wait::Short, soon()).await }
            }));
        }
        tokio::task::yield_now().await;
        while proposer.ways.waiting() < waiting.len() {
            tokio::task::yield_now().await;
        }
        let mut streamed = Vec::new();
        let mut called = Vec::new();
        for entry in 0..3 {
            assert!(proposals.more().await, "much waits");
            let (callers, envelopes) = split(proposals.batch());
            let (own, client): (Vec<_>, Vec<_>) = envelopes.iter().partition(|one| number(one) == 0);
            if entry < 2 {
                assert_eq!((own.len(), client.len()), (768, 256));
            }
            called.extend(own.iter().map(|one| one.origin.0));
            streamed.extend(client.iter().map(|one| number(one)));
            answer_all(callers, Refusal::NotLeader);
        }
        assert_eq!(called, (0..2_000).collect::<Vec<u64>>(), "each lane keeps its order");
        assert!(streamed.is_sorted());
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn where_many_wait_a_call_is_refused_and_a_stream_waits_its_turn() {
        let (proposer, _proposals, gate) = channel(Metrics::default());
        let mut calls = futures::stream::FuturesUnordered::new();
        for at in 0..gate.limit() as u64 {
            calls.push(Box::pin(proposer.put(of_client(at + 1), Wait::Short, soon())));
        }
        assert!(futures::poll!(futures::StreamExt::next(&mut calls)).is_pending());
        assert_eq!(proposer.put(of_client(9_001), Wait::Short, soon()).await, Err(Refusal::Overloaded));
        assert!(futures::poll!(Box::pin(proposer.put(of_client(9_002), Wait::Patient, soon()))).is_pending());
        assert!(futures::poll!(Box::pin(proposer.put(envelope(1), Wait::Short, soon()))).is_pending(), "a node's own");
    }
}
