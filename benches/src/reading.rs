//! Reading: pages of history wherever they are in a long conversation, and a resume after an hour away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Person, Result, create_group, enrol_all, reason};
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{ListMessagesRequest, SendMessageRequest, SyncRequest};
use tokio::time::timeout;

use crate::floor::micros;
use crate::send::message;

/// Messages of a page.
const PAGE: i32 = 50;
/// Calls under way at a time while things are made ready.
const AT_ONCE: usize = 16;

/// Times of pages at the beginning, in the middle and at the end of a conversation, in microseconds, and its length.
pub async fn history(client: &Client, conversation: &str, pages: u64) -> Result<([Histogram<u64>; 3], u64)> {
    let (_, length) = page(client, conversation, 1).await?;
    let mut times = [Histogram::new(3)?, Histogram::new(3)?, Histogram::new(3)?];
    for round in 0..pages {
        // No page twice in a row: each place is a stretch of pages.
        let step = round * PAGE as u64 % (length / 8).max(1);
        let starts = [1 + step, length / 2 + step, (length - (length / 8).min(length)).max(1) + step];
        for (start, times) in starts.into_iter().zip(&mut times) {
            times.record(micros(page(client, conversation, start).await?.0))?;
        }
    }
    Ok((times, length))
}

async fn page(client: &Client, conversation: &str, start: u64) -> Result<(Duration, u64)> {
    let request = ListMessagesRequest {
        parent: conversation.to_owned(),
        start_seq: start,
        page_size: PAGE,
        ..ListMessagesRequest::default()
    };
    let began = Instant::now();
    let answer = client.read(|wire| {
        let request = request.clone();
        async move { MessageServiceClient::new(wire).list_messages(request).await }
    });
    let answer = answer.await.map_err(|status| format!("list: {} {}", reason(&status), status.message()))?;
    Ok((began.elapsed(), answer.last_seq))
}

/// How long a new user of this name takes to be live who missed so many messages in so many conversations; a few times.
pub async fn resume(
    cluster: &Cluster,
    author: &Arc<Client>,
    name: &str,
    conversations: usize,
    missed: usize,
) -> Result<Vec<Duration>> {
    let reader = enrol_all(cluster.links(), cluster.admin(), &[Person::new(&format!("away-{name}"), "Away")], || {})
        .await?
        .remove(0);
    let user = [reader.user().to_owned()];
    let groups: Vec<String> = stream::iter(0..conversations)
        .map(|index| {
            let (author, user) = (Arc::clone(author), user.clone());
            async move { create_group(&author, &format!("Case {index}"), &user).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (_, cursor) = live(&reader, reader.credentials.cursor.clone()).await?;
    stream::iter(0..missed)
        .map(|index| {
            let message = message(&groups[index % groups.len()], format!("{index} "));
            let author = Arc::clone(author);
            async move {
                loop {
                    let sent = author.write(|wire, id| {
                        let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
                        async move { MessageServiceClient::new(wire).send_message(request).await }
                    });
                    match sent.await {
                        Ok(_) => return Ok(()),
                        Err(status) if reason(&status) == "RATE_LIMITED" => {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                        Err(status) => return Err(format!("send: {} {}", reason(&status), status.message())),
                    }
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(live(&reader, cursor.clone()).await?.0);
    }
    times.sort_unstable();
    Ok(times)
}

/// How long until a stream from this cursor is live, and where it is then.
async fn live(client: &Client, mut cursor: Vec<u8>) -> Result<(Duration, Vec<u8>)> {
    let mut service = SyncServiceClient::new(client.wire()?).max_decoding_message_size(8 << 20);
    let began = Instant::now();
    let request = SyncRequest { cursor: cursor.clone(), with_messages: true, watch_presence: Vec::new() };
    let mut stream = service.sync(request).await?.into_inner();
    loop {
        let next = timeout(Duration::from_secs(30), stream.message()).await.map_err(|_| "the stream is silent")??;
        let next = next.ok_or("the stream ended")?;
        if !next.cursor.is_empty() {
            cursor = next.cursor;
        }
        if matches!(next.item, Some(Item::Progress(progress)) if progress.live) {
            return Ok((began.elapsed(), cursor));
        }
    }
}
