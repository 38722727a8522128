//! After the last fault: waits until the dust has settled, reads everything everywhere, and has it checked.

use std::time::Duration;

use checker::{Report, Row, check};
use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::{BatchGetPresenceRequest, PresenceState, ReadOptions};
use tokio::time::{Instant, sleep};

use super::agree::agree;
use super::bodies;
use super::load::Load;
use crate::replay::{fresh_clients, list_all};
use crate::{Client, Cluster, Result, SLOTS};

/// How long the streams may take to bring what was written last.
const STREAMS_MAX: Duration = Duration::from_secs(60);
/// How long presence may take: the lease of a node that died, its sessions' grace, and then some.
const PRESENCE_MAX: Duration = Duration::from_secs(120);

/// Ends the load and judges the run. The faults must be over; the nodes have stopped afterwards.
pub async fn settle(cluster: &mut Cluster, load: &mut Load) -> Result<Report> {
    cluster.wait_until_well().await?;
    load.stop().await?;
    let shared = load.shared.clone();
    let (person, _) = &load.watchers[0];
    let readers = fresh_clients(cluster.links(), &person.login, &person.password()).await?;
    let mut longest = vec![0; shared.conversations.len()];
    for (conversation, name) in shared.conversations.iter().enumerate() {
        for (node, reader) in readers.iter().enumerate() {
            let rows: Vec<Row> = list_all(reader, node, name)
                .await?
                .into_iter()
                .map(|entry| Row { seq: entry.seq, body: bodies::body(&entry.text) })
                .collect();
            longest[conversation] = rows.len().max(longest[conversation]);
            shared.recorder.listed(node, conversation as u64, rows);
        }
    }
    let all = longest.iter().sum();
    for (stream, observer) in &mut load.streams {
        // A stream that lacks something is the checker's to judge.
        let _ = observer.wait_for(all, STREAMS_MAX).await;
        for conversation in 0..shared.conversations.len() {
            shared.recorder.settled(*stream, conversation as u64, 1);
        }
    }
    presence(&readers, load).await?;
    drop(readers);
    tokio::task::block_in_place(|| agree(cluster, &shared.recorder))?;
    Ok(check(&shared.recorder.history()))
}

/// Those with an open stream are there; those without are not. Waits for it, and notes what is seen in the end.
async fn presence(readers: &[Client], load: &Load) -> Result<()> {
    let recorder = &load.shared.recorder;
    let watching = load.watchers.iter().map(|(_, client)| (client.user().to_owned(), PresenceState::Available));
    let gone = load.shared.writers.iter().map(|client| (client.user().to_owned(), PresenceState::Offline));
    let expected: Vec<(String, PresenceState)> = watching.chain(gone).collect();
    for (user, (_, state)) in expected.iter().enumerate() {
        recorder.expect_presence(user as u64, state.as_str_name());
    }
    let began = Instant::now();
    let mut seen = Vec::new();
    while began.elapsed() < PRESENCE_MAX {
        seen.clear();
        for (node, reader) in readers.iter().enumerate() {
            seen.push(seen_at(reader, node, &expected).await?);
        }
        if seen.iter().all(|states| states.iter().zip(&expected).all(|(state, (_, expected))| state == expected)) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    for (slot, states) in SLOTS.iter().zip(seen) {
        for (user, state) in states.into_iter().enumerate() {
            recorder.saw_presence(format!("a reader at {slot}"), user as u64, state.as_str_name());
        }
    }
    Ok(())
}

async fn seen_at(reader: &Client, node: usize, users: &[(String, PresenceState)]) -> Result<Vec<PresenceState>> {
    let request = BatchGetPresenceRequest {
        users: users.iter().map(|(user, _)| user.clone()).collect(),
        read: Some(ReadOptions { linearizable: true, ..ReadOptions::default() }),
    };
    reader.move_to(node);
    let ask = reader.read(|wire| {
        let request = request.clone();
        async move { PresenceServiceClient::new(wire).batch_get_presence(request).await }
    });
    let answer = ask.await.map_err(|status| format!("presence at {}: {}", SLOTS[node], status.message()))?;
    Ok(answer.presences.iter().map(|presence| presence.state()).collect())
}
