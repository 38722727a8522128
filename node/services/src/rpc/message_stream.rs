//! Many messages over one call: pipelined, answered in the order of the requests.
//!
//! Order: each request is checked, sealed and put to the cluster in the order it was read, and the next is not begun
//! before the one before it has been polled once (with a waker that does nothing: `FuturesOrdered` polls it again). `Handle::propose` takes a command into its queue at its first poll, so
//! messages of one stream keep their order unless consensus itself must try one again across a change of leader.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, Stream, StreamExt};
use proto::v1::stream_messages_response::Result as Outcome;
use proto::v1::*;
use raft::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use types::Command;
use types::limits::{CALL_MS_DEFAULT, SENDS_IN_FLIGHT_MAX};

use crate::Services;
use crate::call::Call;
use crate::errors::Error;
use crate::rpc::message;
use crate::writes::numbered;

/// The answers of one call.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<StreamMessagesResponse, Status>> + Send>>;

/// Answers that wait for the client to read them; past it, nothing more is read from it.
const ANSWERS_WAITING_MAX: usize = 64;

/// Opens the call; it goes on until the client closes its side, or reads no more.
pub(crate) async fn open<H: Handle>(
    services: &Services<H>,
    request: Request<Streaming<StreamMessagesRequest>>,
) -> Result<Response<Answers>, Status> {
    services
        .call("StreamMessages", request, |call, requests| {
            let opened = services.inner.send_streams.take(call.session).map(|place| {
                let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
                let services = services.clone();
                tokio::spawn(async move {
                    run(services, call, requests, answers).await;
                    drop(place);
                });
                Box::pin(ReceiverStream::new(receiver)) as Answers
            });
            std::future::ready(opened)
        })
        .await
}

type Answer = Result<StreamMessagesResponse, Status>;

async fn run<H: Handle>(
    services: Services<H>,
    call: Call,
    mut requests: Streaming<StreamMessagesRequest>,
    answers: mpsc::Sender<Answer>,
) {
    let mut in_flight: FuturesOrdered<BoxFuture<'static, Answer>> = FuturesOrdered::new();
    let mut held: Option<Held> = None;
    let mut open = true;
    while open || held.is_some() || !in_flight.is_empty() {
        let rest = held.as_ref().map_or_else(Instant::now, |held| held.until);
        tokio::select! {
            // Answers go first; while the client does not read them, nothing is read from it.
            biased;
            Some(answer) = in_flight.next(), if !in_flight.is_empty() => {
                if answers.send(answer).await.is_err() {
                    return; // What was put to the cluster is carried out all the same.
                }
            }
            () = tokio::time::sleep_until(rest.into()), if held.is_some() => {
                if let Some(Held { request, .. }) = held.take() {
                    held = admit(&services, call, request, &mut in_flight);
                }
            }
            request = requests.next(), if open && held.is_none() && in_flight.len() < SENDS_IN_FLIGHT_MAX => {
                match request {
                    Some(Ok(request)) => held = admit(&services, call, request, &mut in_flight),
                    Some(Err(status)) => {
                        in_flight.push_back(std::future::ready(Err(status)).boxed());
                        open = false;
                    }
                    None => open = false,
                }
            }
            () = services.inner.stopping.cancelled(), if open => {
                let status = Error::ShuttingDown.status();
                in_flight.push_back(std::future::ready(Err(status)).boxed());
                (open, held) = (false, None);
            }
        }
    }
}

/// A request that came faster than its session's rate: nothing more is read until it may go on.
struct Held {
    request: StreamMessagesRequest,
    until: Instant,
}

/// Begins a request, within the rate of its session; gives it back if it must wait.
fn admit<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
    in_flight: &mut FuturesOrdered<BoxFuture<'static, Answer>>,
) -> Option<Held> {
    let now = Instant::now();
    match services.inner.rates.take(call.session, now) {
        Ok(()) => {}
        Err(Error::RateLimited(wait)) => return Some(Held { request, until: now + wait }),
        Err(error) => {
            let refused = refusal(request.request_id.map_or(0, |id| id.number), &error);
            in_flight.push_back(std::future::ready(Ok(refused)).boxed());
            return None;
        }
    }
    let mut answer = answer(services.clone(), call, request).boxed();
    match (&mut answer).now_or_never() {
        Some(done) => in_flight.push_back(std::future::ready(done).boxed()),
        None => in_flight.push_back(answer),
    }
    None
}

fn refusal(number: u64, error: &Error) -> StreamMessagesResponse {
    StreamMessagesResponse { number, result: Some(Outcome::Error(error.send_error())) }
}

/// The answer to one request. An error is in the answer, and the stream goes on; only the end of the session ends it.
async fn answer<H: Handle>(services: Services<H>, call: Call, request: StreamMessagesRequest) -> Answer {
    let number = request.request_id.map_or(0, |id| id.number);
    let result = send(&services, call, request).await;
    services.inner.metrics.sent(result.is_ok());
    let result = match result {
        Ok(sent) => Outcome::Sent(sent),
        Err(error @ Error::Reject(types::Reject::NoSession)) => return Err(error.status()),
        Err(error @ Error::Fault(_)) => return Err(services.status(&error)),
        Err(error) => return Ok(refusal(number, &error)),
    };
    Ok(StreamMessagesResponse { number, result: Some(result) })
}

/// Everything up to the proposal happens at the first poll: nothing here waits before it.
async fn send<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
) -> Result<SendMessageResponse, Error> {
    let id = numbered(request.request_id)?;
    let outgoing = request.message.ok_or_else(|| Error::invalid("message", "is missing"))?;
    let post = message::post(&outgoing)?;
    let conversation = post.conversation;
    // The same name as the unary call: a message tried over one may be tried again over the other.
    let envelope = services.envelope(&call, "SendMessage", id, &outgoing, Command::Post(post))?;
    let deadline = Instant::now() + Duration::from_millis(CALL_MS_DEFAULT);
    let done = services.propose(envelope, deadline).await?;
    message::sent(services, conversation, &done)
}
