//! Log entries to one peer: a stream of requests, pipelined, with the responses in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use proto::peer;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Streaming;
use types::limits::{APPENDS_IN_FLIGHT_MAX, PEER_STALL_MS_MAX};

use super::connect::{self, Client};
use crate::kinds::TypeConfig;
use crate::wire;

pub(crate) type Responses = BoxStream<'static, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

/// Sends what `input` yields, at most `APPENDS_IN_FLIGHT_MAX` ahead of the responses. With who answers, if it says so.
///
/// The first request is taken before the peer is called: openraft waits there after a failure, and would not wait at
/// all for a peer whose refusal is there before anybody asks for a request.
///
/// Errors: `Unreachable` when there is no connection within `setup`, or the peer owes a response and is silent for
/// `PEER_STALL_MS_MAX`: openraft then waits before it tries again.
pub(crate) async fn stream<S>(
    mut client: Client,
    mut input: S,
    setup: Duration,
) -> Result<(Option<peer::Caller>, Responses), RPCError<TypeConfig>>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    let Some(first) = input.next().await else { return Ok((None, stream::empty().boxed())) };
    let input = Box::pin(stream::once(async { first }).chain(input));
    let flight = Arc::new(Flight { free: Semaphore::new(APPENDS_IN_FLIGHT_MAX), owed: AtomicUsize::new(0) });
    let requests = stream::unfold((input, flight.clone()), |(mut input, flight)| async move {
        // A place first, the request then: what is sent is what there is at that moment, not when it had to wait.
        flight.free.acquire().await.ok()?.forget();
        let request = input.next().await?;
        flight.owed.fetch_add(1, Ordering::Relaxed);
        Some((wire::append(request), (input, flight)))
    });
    let response = match timeout(setup, client.append(requests)).await {
        Ok(Ok(response)) => response,
        Ok(Err(status)) => return Err(unreachable(&status)),
        Err(_) => return Err(RPCError::Unreachable(Unreachable::from_string("connecting took too long"))),
    };
    let follower = connect::introduced(response.metadata());
    let waiting = Waiting { responses: response.into_inner(), flight };
    Ok((follower, stream::unfold(Some(waiting), |waiting| async move { waiting?.next().await }).boxed()))
}

pub(crate) fn unreachable(status: &tonic::Status) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(format_args!("{:?}: {}", status.code(), status.message())))
}

struct Flight {
    free: Semaphore,
    owed: AtomicUsize,
}

struct Waiting {
    responses: Streaming<peer::AppendResponse>,
    flight: Arc<Flight>,
}

type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

impl Waiting {
    /// The next item, and the state after it: none when the stream is at its end.
    async fn next(mut self) -> Option<(Item, Option<Self>)> {
        let response = match self.response().await {
            Ok(response) => response?,
            Err(error) => return Some((Err(error), None)),
        };
        self.flight.owed.fetch_sub(1, Ordering::Relaxed);
        self.flight.free.add_permits(1);
        match wire::append_result_of(response) {
            Ok(Ok(matched)) => Some((Ok(Ok(matched)), Some(self))),
            Ok(Err(refused)) => Some((Ok(Err(refused)), None)),
            Err(malformed) => Some((Err(RPCError::Unreachable(Unreachable::new(&malformed))), None)),
        }
    }

    async fn response(&mut self) -> Result<Option<peer::AppendResponse>, RPCError<TypeConfig>> {
        let mut owed_before = false;
        loop {
            match timeout(Duration::from_millis(PEER_STALL_MS_MAX / 2), self.responses.message()).await {
                Ok(next) => return next.map_err(|status| unreachable(&status)),
                Err(_) => {
                    let owed = self.flight.owed.load(Ordering::Relaxed) > 0;
                    if owed && owed_before {
                        return Err(RPCError::Unreachable(Unreachable::from_string("the peer does not answer")));
                    }
                    owed_before = owed;
                }
            }
        }
    }
}
