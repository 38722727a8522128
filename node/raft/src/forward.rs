//! Commands on a node that does not lead: forwarded to the leader over one stream, answered out of order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream;
use proto::peer::{self, ForwardFailure, forwarded_answer};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tonic::Streaming;
use types::limits::{ENTRY_BYTES_MAX, FORWARDS_IN_FLIGHT_MAX, PEER_CONNECT_MS_MAX, PROPOSAL_BYTES_WAITING_MAX};
use types::reply::Answer;
use types::{Envelope, NodeId};

use crate::claim::{Claim, WithdrawOnDrop};
use crate::peer::connect::Client;
use crate::peer::directory::{Directory, Lane};
use crate::propose::{Refusal, Wait};

/// Where commands for another node as leader are put.
pub(crate) struct Forwarder {
    directory: Arc<Directory>,
    lines: std::sync::Mutex<HashMap<NodeId, mpsc::Sender<Forward>>>,
    /// Of what waits to be sent, on all lines.
    bytes: Arc<Semaphore>,
    /// Where lines and their connections run: beside consensus, whoever asks first.
    runtime: Handle,
}

struct Forward {
    envelope: Vec<u8>,
    wait: Wait,
    deadline: Instant,
    claim: Claim,
    answer: oneshot::Sender<Result<Answer, Refusal>>,
    _waiting: OwnedSemaphorePermit,
}

impl Forwarder {
    /// One whose lines run on the runtime this is called on.
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self {
            runtime: Handle::current(),
            directory,
            lines: std::sync::Mutex::default(),
            bytes: Arc::new(Semaphore::new(PROPOSAL_BYTES_WAITING_MAX)),
        }
    }

    /// Puts a command to `leader` and waits for the answer until `deadline`.
    ///
    /// Errors: [`Refusal::NotLeader`] when it was not sent, [`Refusal::OutcomeUnknown`] when it was and nothing came,
    /// [`Refusal::Overloaded`] when too much waits to be sent, or at the leader.
    pub(crate) async fn put(
        &self,
        leader: NodeId,
        envelope: &Envelope,
        wait: Wait,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let line = self.line(leader).ok_or(Refusal::NotLeader)?;
        let (answer, answered) = oneshot::channel();
        let claim = Claim::default();
        let envelope = codec::encode_envelope(envelope);
        let weight = u32::try_from(envelope.len()).map_err(|_| Refusal::Refused)?;
        let waiting = self.bytes.clone().try_acquire_many_owned(weight).map_err(|_| Refusal::Overloaded)?;
        let forward = Forward { envelope, wait, deadline, claim: claim.clone(), answer, _waiting: waiting };
        let _withdraw = WithdrawOnDrop(claim.clone());
        line.try_send(forward).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Refusal::NotLeader,
        })?;
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) if claim.withdraw() => Err(Refusal::NotLeader),
            Ok(Err(_)) | Err(_) => Err(Refusal::OutcomeUnknown),
        }
    }

    fn line(&self, leader: NodeId) -> Option<mpsc::Sender<Forward>> {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = lines.get(&leader).filter(|line| !line.is_closed()) {
            return Some(line.clone());
        }
        let info = self.directory.get(leader)?;
        let (sender, queue) = mpsc::channel(FORWARDS_IN_FLIGHT_MAX);
        let directory = self.directory.clone();
        self.runtime.spawn(async move {
            // Here, for the connection's task runs where the client is made.
            if let Some(client) = directory.client(&info, Lane::Data) {
                run(client, queue).await;
            }
        });
        lines.insert(leader, sender.clone());
        Some(sender)
    }
}

/// One line to one node: ends with the stream, and with it all that waited; the next command makes a new one.
async fn run(mut client: Client, mut queue: mpsc::Receiver<Forward>) {
    let (requests, sent) = mpsc::channel::<peer::ForwardRequest>(1);
    let requests_stream = stream::unfold(sent, |mut sent| async move { sent.recv().await.map(|next| (next, sent)) });
    let connecting = timeout(Duration::from_millis(PEER_CONNECT_MS_MAX), client.forward(requests_stream));
    let Ok(Ok(response)) = connecting.await else {
        queue.close();
        while let Some(forward) = queue.recv().await {
            drop(forward.answer.send(Err(Refusal::NotLeader))); // Nothing was sent.
        }
        return;
    };
    Line { requests, answers: response.into_inner(), waiting: HashMap::new(), next_id: 1 }.serve(&mut queue).await;
    queue.close();
    while let Some(forward) = queue.recv().await {
        drop(forward.answer.send(Err(Refusal::NotLeader)));
    }
}

struct Line {
    requests: mpsc::Sender<peer::ForwardRequest>,
    answers: Streaming<peer::ForwardResponse>,
    /// Sent and not answered; dropped with the line, which tells its callers that the outcome is unknown.
    waiting: HashMap<u64, oneshot::Sender<Result<Answer, Refusal>>>,
    next_id: u64,
}

impl Line {
    /// What waits while a message is on its way to the connection goes with the next one, together.
    async fn serve(mut self, queue: &mut mpsc::Receiver<Forward>) {
        let mut taken = VecDeque::new();
        let mut more = Vec::new();
        loop {
            let free = FORWARDS_IN_FLIGHT_MAX.saturating_sub(self.waiting.len());
            tokio::select! {
                answers = self.answers.message() => match answers {
                    Ok(Some(response)) => response.answers.into_iter().for_each(|answer| self.answered(answer)),
                    Ok(None) | Err(_) => return,
                },
                count = queue.recv_many(&mut more, free), if free > 0 && taken.is_empty() => {
                    if count == 0 {
                        return;
                    }
                    taken.extend(more.drain(..));
                },
                place = self.requests.clone().reserve_owned(), if !taken.is_empty() => {
                    let Ok(place) = place else { return };
                    while taken.len() < free && let Ok(next) = queue.try_recv() {
                        taken.push_back(next);
                    }
                    self.send(&mut taken, place);
                }
            }
            if self.waiting.len() >= FORWARDS_IN_FLIGHT_MAX {
                self.waiting.retain(|_, answer| !answer.is_closed());
            }
        }
    }

    /// Sends what was taken, as far as it fits into one message.
    fn send(&mut self, taken: &mut VecDeque<Forward>, place: mpsc::OwnedPermit<peer::ForwardRequest>) {
        let (now, mut bytes, mut commands) = (Instant::now(), 0, Vec::with_capacity(taken.len()));
        while let Some(next) = taken.front()
            && (bytes == 0 || bytes + next.envelope.len() <= ENTRY_BYTES_MAX)
            && let Some(forward) = taken.pop_front()
        {
            let patience = forward.deadline.saturating_duration_since(now);
            if patience.is_zero() || forward.answer.is_closed() || !forward.claim.take() {
                drop(forward.answer.send(Err(Refusal::NotLeader)));
                continue;
            }
            bytes += forward.envelope.len();
            let id = self.next_id;
            self.next_id += 1;
            self.waiting.insert(id, forward.answer);
            let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
            let short_wait = forward.wait == Wait::Short;
            commands.push(peer::ForwardedCommand { id, envelope: forward.envelope.into(), patience_ms, short_wait });
        }
        if !commands.is_empty() {
            place.send(peer::ForwardRequest { commands });
        }
    }

    fn answered(&mut self, answer: peer::ForwardedAnswer) {
        let Some(waiting) = self.waiting.remove(&answer.id) else { return };
        drop(waiting.send(result_of(answer.result)));
    }
}

fn result_of(result: Option<forwarded_answer::Result>) -> Result<Answer, Refusal> {
    match result {
        Some(forwarded_answer::Result::Answer(bytes)) => {
            codec::decode_answer(&bytes).map_err(|_| Refusal::OutcomeUnknown)
        }
        Some(forwarded_answer::Result::Failure(failure)) => Err(match ForwardFailure::try_from(failure) {
            Ok(ForwardFailure::NotLeader) => Refusal::NotLeader,
            Ok(ForwardFailure::Overloaded) => Refusal::Overloaded,
            Ok(ForwardFailure::Refused) => Refusal::Refused,
            Ok(ForwardFailure::DiskFull) => Refusal::DiskFull,
            Ok(ForwardFailure::SingleCopy) => Refusal::SingleCopy,
            Ok(ForwardFailure::OutcomeUnknown | ForwardFailure::Unspecified) | Err(_) => Refusal::OutcomeUnknown,
        }),
        None => Err(Refusal::OutcomeUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;
    use tokio::net::TcpListener;
    use types::command::NewUser;
    use types::user::{Realm, UserKind};
    use types::{Author, ClusterId, Command, Incarnation, Lineage, Slot, UserId};

    use crate::kinds::NodeInfo;
    use crate::peer::directory::Identity;
    use crate::peer::tls::tests_support::Authority;

    fn large(origin: NodeId) -> Envelope {
        let user = NewUser {
            id: UserId([1; 16]),
            kind: UserKind::Person,
            realm: Realm::Staff,
            login: String::from("x"),
            display_name: "x".repeat(500_000),
            unit: String::new(),
            words: Vec::new(),
            external_ids: Vec::new(),
            may_message: true,
            permissions: Vec::new(),
            enrolment: None,
            sealed_name: Vec::new(),
            key: None,
        };
        Envelope { origin, author: Author::Node, command: Command::CreateUsers(vec![user]) }
    }

    #[tokio::test]
    async fn what_waits_for_a_leader_is_bounded_in_bytes_and_what_it_never_got_was_not_written() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port"); // Connects, and says nothing.
        let cluster = ClusterId([7; 16]);
        let [own, leader] = [Slot::A, Slot::B].map(|slot| NodeId::new(slot, Incarnation(1)));
        let identity = Identity { cluster, lineage: Lineage([8; 16]), node: own, disk: [1; 16] };
        let address = silent.local_addr().expect("bound").to_string();
        let info = NodeInfo { node: leader, peer_address: address, client_address: String::new(), disk: [2; 16] };
        let tls = Arc::new(Authority::new().tls(cluster, Slot::A));
        let memory = crate::memory::Memory::detached(identity.node);
        let directory = Arc::new(Directory::new(identity, tls, memory, &[info]));
        let forwarder = Forwarder::new(directory);
        let envelope = large(own);
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut waiting = FuturesUnordered::new();
        for _ in 0..PROPOSAL_BYTES_WAITING_MAX / codec::envelope_len(&envelope) {
            waiting.push(forwarder.put(leader, &envelope, Wait::Short, deadline));
        }
        assert!(futures::poll!(waiting.next()).is_pending(), "these fit");
        assert_eq!(forwarder.put(leader, &envelope, Wait::Short, deadline).await, Err(Refusal::Overloaded));
        while let Some(result) = waiting.next().await {
            assert_eq!(result, Err(Refusal::NotLeader));
        }
        assert_eq!(
            forwarder.put(leader, &envelope, Wait::Short, deadline).await,
            Err(Refusal::NotLeader),
            "there is room again"
        );
    }
}
