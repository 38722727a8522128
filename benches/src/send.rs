//! So many sends in flight for so long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Person, Result, create_group, enrol_all, reason};
use hdrhistogram::Histogram;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::stream_messages_response::Result as Answer;
use proto::v1::{ListMessagesRequest, OutgoingMessage, SendMessageRequest, StreamMessagesRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::floor::micros;
use crate::usage;

/// Bytes of each text.
pub const TEXT_BYTES: usize = 200;
/// Users who share a group, so that there are several conversations as in a hospital.
const GROUP: usize = 8;
/// Most sends that one stream may have unanswered.
const STREAM_WINDOW_MAX: usize = 512;

/// How to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A call for each message.
    Unary,
    /// A stream of messages for each sender.
    Streaming,
}

impl Mode {
    /// As rows are called.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Streaming => "stream",
        }
    }
}

/// What was measured.
pub struct Sends {
    /// How.
    pub mode: Mode,
    /// Unanswered at a time.
    pub in_flight: usize,
    /// Acknowledged.
    pub messages: u64,
    /// In this time.
    pub time: Duration,
    /// From sending to the acknowledgement, in microseconds.
    pub latency: Histogram<u64>,
    /// Processor time of all nodes meanwhile.
    pub processor: Duration,
}

/// Users with sessions on all three nodes, in groups.
pub struct Senders(Vec<(Arc<Client>, String)>);

impl Senders {
    /// Makes so many, and their groups.
    pub async fn sign_in(cluster: &Cluster, count: usize) -> Result<Self> {
        let people: Vec<Person> =
            (0..count).map(|index| Person::new(&format!("sender-{index}"), &format!("Sender {index}"))).collect();
        let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
        let mut senders = Vec::new();
        for (index, group) in clients.chunks(GROUP).enumerate() {
            let others: Vec<String> = group[1..].iter().map(|client| client.user().to_owned()).collect();
            let conversation = create_group(&group[0], &format!("Ward {index}"), &others).await?;
            senders.extend(group.iter().map(|client| (Arc::clone(client), conversation.clone())));
        }
        Ok(Self(senders))
    }

    /// One of them, and the conversation.
    pub fn one(&self, index: usize) -> (&Arc<Client>, &str) {
        let (client, conversation) = &self.0[index % self.0.len()];
        (client, conversation)
    }

    /// Those that talk to a node go on to the others; gives who did.
    pub fn leave(&self, node: usize) -> Vec<Arc<Client>> {
        let here: Vec<_> =
            self.0.iter().map(|(client, _)| Arc::clone(client)).filter(|one| one.node() == node).collect();
        here.iter().enumerate().for_each(|(index, client)| client.move_to((node + 1 + index % 2) % 3));
        here
    }

    /// Messages in all their conversations: each that was acknowledged, and none twice.
    pub async fn stored(&self) -> Result<u64> {
        let mut stored = 0;
        for (client, conversation) in self.0.iter().step_by(GROUP) {
            stored += length(client, conversation).await?;
        }
        Ok(stored)
    }

    /// Keeps so many sends unanswered for so long.
    pub async fn run(&self, cluster: &Cluster, mode: Mode, in_flight: usize, time: Duration) -> Result<Sends> {
        let processor = usage::processor(cluster)?;
        let began = Instant::now();
        let until = began + time;
        let mut tasks = JoinSet::new();
        let senders = in_flight.min(self.0.len());
        for (index, (client, conversation)) in self.0.iter().take(senders).enumerate() {
            let window = in_flight / senders + usize::from(index < in_flight % senders);
            let (client, conversation) = (Arc::clone(client), conversation.clone());
            match mode {
                Mode::Unary => {
                    // Those who would idle take turns, so that no session comes near its bounded rate.
                    let turns: Vec<_> = self.0.iter().skip(index).step_by(senders).cloned().collect();
                    for _ in 0..window {
                        tasks.spawn(unary(turns.clone(), until));
                    }
                }
                Mode::Streaming => {
                    tasks.spawn(streaming(client, conversation, window.min(STREAM_WINDOW_MAX), until));
                }
            }
        }
        let mut latency = Histogram::new(3)?;
        while let Some(ended) = tasks.join_next().await {
            latency.add(ended??)?;
        }
        let time = began.elapsed();
        let processor = usage::processor(cluster)?.saturating_sub(processor);
        Ok(Sends { mode, in_flight, messages: latency.len(), time, latency, processor })
    }
}

async fn length(client: &Client, conversation: &str) -> Result<u64> {
    let request =
        ListMessagesRequest { parent: conversation.to_owned(), page_size: 1, ..ListMessagesRequest::default() };
    let answer = client.read(|wire| {
        let request = request.clone();
        async move { MessageServiceClient::new(wire).list_messages(request).await }
    });
    let answer = answer.await.map_err(|status| format!("list: {} {}", reason(&status), status.message()))?;
    Ok(answer.last_seq)
}

/// A message of the size that is measured.
pub fn message(conversation: &str, text: String) -> OutgoingMessage {
    let mut text = text.into_bytes();
    text.resize(TEXT_BYTES, b'.');
    OutgoingMessage { conversation: conversation.to_owned(), text, ..OutgoingMessage::default() }
}

async fn unary(turns: Vec<(Arc<Client>, String)>, until: Instant) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    for (client, conversation) in turns.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let message = message(conversation, String::new());
        let began = Instant::now();
        client
            .write(|wire, id| {
                let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
                async move { MessageServiceClient::new(wire).send_message(request).await }
            })
            .await
            .map_err(|status| format!("send: {} {}", reason(&status), status.message()))?;
        latency.record(micros(began.elapsed()))?;
    }
    Ok(latency)
}

async fn streaming(client: Arc<Client>, conversation: String, window: usize, until: Instant) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let (requests, receiver) = mpsc::channel(window);
    let mut service = MessageServiceClient::new(client.own_wire_to(client.node())?);
    let mut sent: HashMap<u64, Instant> = HashMap::new();
    let next = |sent: &mut HashMap<u64, Instant>| {
        let number = client.numbers.take();
        sent.insert(number, Instant::now());
        StreamMessagesRequest {
            message: Some(message(&conversation, String::new())),
            request_id: Some(client.numbers.request_id(number)),
        }
    };
    for _ in 0..window {
        requests.send(next(&mut sent)).await?;
    }
    let mut answers = service.stream_messages(ReceiverStream::new(receiver)).await?.into_inner();
    while !sent.is_empty() {
        let answer = answers.message().await?.ok_or("the stream ended early")?;
        let began = sent.remove(&answer.number).ok_or("an answer to nothing")?;
        client.numbers.done(answer.number);
        match answer.result {
            Some(Answer::Sent(_)) => latency.record(micros(began.elapsed()))?,
            Some(Answer::Error(error)) => return Err(format!("send: {} {}", error.reason, error.message).into()),
            None => return Err("an empty answer".into()),
        }
        if Instant::now() < until {
            requests.send(next(&mut sent)).await?;
        }
    }
    Ok(latency)
}
