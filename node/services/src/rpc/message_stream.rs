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
use types::limits::{CALL_MS_DEFAULT, SENDS_IN_FLIGHT_MAX};

use crate::Services;
use crate::call::Call;
use crate::errors::Error;
use crate::rpc::message;
use crate::sealing::SealingKey;
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
        tokio::select! {
            // Answers go first; while the client does not read them, nothing is read from it.
            biased;
            Some(answer) = in_flight.next(), if !in_flight.is_empty() => {
                if answers.send(answer).await.is_err() {
                    return; // What was put to the cluster is carried out all the same.
                }
            }
            ready = rested(&mut held), if held.is_some() => {
                held = match ready {
                    _ if has_expired(&services, &call) => {
                        in_flight.push_back(std::future::ready(Err(Error::TokenExpired.status())).boxed());
                        open = false;
                        None
                    }
                    Ready::Admit(request) => admit(&services, call, request, &mut in_flight),
                    Ready::Send(request, key) => {
                        begin(&services, call, request, Some(key), &mut in_flight);
                        None
                    }
                };
            }
            request = requests.next(), if open && held.is_none() && in_flight.len() < SENDS_IN_FLIGHT_MAX => {
                match request {
                    Some(Ok(_)) if has_expired(&services, &call) => {
                        in_flight.push_back(std::future::ready(Err(Error::TokenExpired.status())).boxed());
                        open = false;
                    }
                    Some(Ok(request)) => {
                        if call.idles {
                            services.inner.activity.note(call.session, Instant::now());
                        }
                        held = admit(&services, call, request, &mut in_flight);
                    }
                    Some(Err(status)) => {
                        in_flight.push_back(std::future::ready(Err(crate::library::told(status))).boxed());
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

/// Whether the token with which the stream was opened is no longer good: it ends then, as every stream does.
fn has_expired<H: Handle>(services: &Services<H>, call: &Call) -> bool {
    services.inner.handle.heads().borrow().clock >= call.token_until
}

/// A request that waits; nothing more is read until it may go on, so that the order is kept.
type Held = BoxFuture<'static, Ready>;

/// A request that has waited.
enum Ready {
    /// For the rate of its session: it is admitted again.
    Admit(StreamMessagesRequest),
    /// For the key its conversation needs, which was not open here.
    Send(StreamMessagesRequest, Result<SealingKey, Error>),
}

async fn rested(held: &mut Option<Held>) -> Ready {
    match held {
        Some(held) => held.await,
        None => std::future::pending().await,
    }
}

/// Begins a request, within the rate of its session; gives it back if it must wait.
fn admit<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
    in_flight: &mut FuturesOrdered<BoxFuture<'static, Answer>>,
) -> Option<Held> {
    let now = Instant::now();
    match services.inner.rates.take(call.session, now, &services.inner.limits.load()) {
        Ok(()) => {}
        Err(Error::RateLimited(wait)) => {
            let rest = async move {
                tokio::time::sleep_until((now + wait).into()).await;
                Ready::Admit(request)
            };
            return Some(rest.boxed());
        }
        Err(error) => {
            let refused = refusal(request.request_id.map_or(0, |id| id.number), &error);
            in_flight.push_back(std::future::ready(Ok(refused)).boxed());
            return None;
        }
    }
    // The first text of a conversation and month needs a key that is still to be found or minted. Those behind it must
    // not find it first.
    let needs = request.message.as_ref().and_then(|message| message::draft(message).ok()).map(|draft| draft.sealing());
    if let Some((scope, action)) = needs
        && services.open_key(scope).is_none()
    {
        let (services, call) = (services.clone(), within_default(call));
        let rest = async move { Ready::Send(request, services.sealing_key(&call, scope, action).await) };
        return Some(rest.boxed());
    }
    begin(services, call, request, None, in_flight);
    None
}

fn begin<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
    key: Option<Result<SealingKey, Error>>,
    in_flight: &mut FuturesOrdered<BoxFuture<'static, Answer>>,
) {
    let mut answer = answer(services.clone(), call, request, key).boxed();
    match (&mut answer).now_or_never() {
        Some(done) => in_flight.push_back(std::future::ready(done).boxed()),
        None => in_flight.push_back(answer),
    }
}

/// The call as one of its requests goes by: each has its own time.
fn within_default(call: Call) -> Call {
    Call { deadline: Instant::now() + Duration::from_millis(CALL_MS_DEFAULT), patient: true, ..call }
}

fn refusal(number: u64, error: &Error) -> StreamMessagesResponse {
    StreamMessagesResponse { number, result: Some(Outcome::Error(error.send_error())) }
}

/// The answer to one request. An error is in the answer, and the stream goes on; only the end of the session ends it.
async fn answer<H: Handle>(
    services: Services<H>,
    call: Call,
    request: StreamMessagesRequest,
    key: Option<Result<SealingKey, Error>>,
) -> Answer {
    let number = request.request_id.map_or(0, |id| id.number);
    let result = send(&services, call, request, key).await;
    services.inner.metrics.sent(result.is_ok());
    let result = match result {
        Ok(sent) => Outcome::Sent(sent),
        Err(error @ Error::Reject(types::Reject::NoSession)) => return Err(error.status()),
        Err(error @ Error::Fault(_)) => return Err(services.status(&error)),
        Err(error) => return Ok(refusal(number, &error)),
    };
    Ok(StreamMessagesResponse { number, result: Some(result) })
}

/// Everything up to the proposal happens at the first poll: nothing here waits before it, as the key is there.
async fn send<H: Handle>(
    services: &Services<H>,
    call: Call,
    request: StreamMessagesRequest,
    key: Option<Result<SealingKey, Error>>,
) -> Result<SendMessageResponse, Error> {
    let id = numbered(request.request_id)?;
    let outgoing = request.message.ok_or_else(|| Error::invalid("message", "is missing"))?;
    let draft = message::draft(&outgoing)?;
    let call = within_default(call);
    let (scope, action) = draft.sealing();
    let key = match key {
        Some(key) => key?,
        None => services.sealing_key(&call, scope, action).await?,
    };
    message::send_with(services, &call, id, (&outgoing, draft), key).await
}
