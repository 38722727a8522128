//! Many messages over one call: pipelined, answered in the order of the requests.
//!
//! Order: each request is checked, sealed and put to the cluster in the order it was read, and the next is not begun
//! before the one before it has been polled once. `Handle::propose` takes a command into its queue at its first poll, so
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
use crate::call::{Call, bearer};
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
    let token = bearer(request.metadata());
    let deadline = Instant::now() + Duration::from_millis(CALL_MS_DEFAULT);
    let call = services.authenticate(token, deadline).await.map_err(|error| services.status(&error))?;
    let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
    tokio::spawn(run(services.clone(), call, request.into_inner(), answers));
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

type Answer = Result<StreamMessagesResponse, Status>;

async fn run<H: Handle>(
    services: Services<H>,
    call: Call,
    mut requests: Streaming<StreamMessagesRequest>,
    answers: mpsc::Sender<Answer>,
) {
    let mut in_flight: FuturesOrdered<BoxFuture<'static, Answer>> = FuturesOrdered::new();
    let mut open = true;
    while open || !in_flight.is_empty() {
        tokio::select! {
            // Answers go first; while the client does not read them, nothing is read from it.
            biased;
            Some(answer) = in_flight.next(), if !in_flight.is_empty() => {
                if answers.send(answer).await.is_err() {
                    return; // What was put to the cluster is carried out all the same.
                }
            }
            request = requests.next(), if open && in_flight.len() < SENDS_IN_FLIGHT_MAX => match request {
                Some(Ok(request)) => {
                    let mut answer = answer(services.clone(), call, request).boxed();
                    match futures::poll!(&mut answer) {
                        std::task::Poll::Ready(done) => in_flight.push_back(std::future::ready(done).boxed()),
                        std::task::Poll::Pending => in_flight.push_back(answer),
                    }
                }
                Some(Err(status)) => {
                    in_flight.push_back(std::future::ready(Err(status)).boxed());
                    open = false;
                }
                None => open = false,
            },
            () = services.inner.stopping.cancelled(), if open => {
                let status = Error::ShuttingDown.status();
                in_flight.push_back(std::future::ready(Err(status)).boxed());
                open = false;
            }
        }
    }
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
        Err(error) => Outcome::Error(error.send_error()),
    };
    Ok(StreamMessagesResponse { number, result: Some(result) })
}

/// Everything up to the proposal happens at the first poll: nothing here waits before it.
async fn send<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
) -> Result<SendMessageResponse, Error> {
    services.inner.rates.take(call.session, Instant::now())?;
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
