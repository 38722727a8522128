//! Who is connected: someone who arrived holds a sync stream open until they depart.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::v1::SyncRequest;
use proto::v1::sync_service_client::SyncServiceClient;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::{ATTEMPT, Client, Result};

/// Most streams that try again at the same moment spread over this time, as clients do after a node's death.
const SPREAD: Duration = Duration::from_millis(1_500);

/// The streams that are open.
#[derive(Debug, Default)]
pub struct Presence {
    streams: Mutex<HashMap<usize, Attending>>,
    items: Arc<AtomicUsize>,
    arrivals: AtomicUsize,
    departures: AtomicUsize,
}

#[derive(Debug)]
struct Attending {
    /// In how many days.
    days: usize,
    task: JoinHandle<()>,
}

impl Presence {
    /// Someone came, in one of the days.
    pub fn arrive(&self, who: usize, client: &Arc<Client>) {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(who).and_modify(|attending| attending.days += 1).or_insert_with(|| Attending {
            days: 1,
            task: tokio::spawn(attend(Arc::clone(client), who, Arc::clone(&self.items))),
        });
    }

    /// Someone went; without having come, nothing happens.
    pub fn depart(&self, who: usize) {
        self.departures.fetch_add(1, Ordering::Relaxed);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(attending) = streams.get_mut(&who) else { return };
        attending.days -= 1;
        if attending.days == 0 {
            attending.task.abort();
            streams.remove(&who);
        }
    }

    /// In words: arrivals, departures, streams open now, items received.
    pub fn describe(&self) -> String {
        let open = self.streams.lock().unwrap_or_else(PoisonError::into_inner).len();
        format!(
            "{} arrivals, {} departures, {open} streams open at the end, {} items received on them",
            self.arrivals.load(Ordering::Relaxed),
            self.departures.load(Ordering::Relaxed),
            self.items.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        for attending in self.streams.lock().unwrap_or_else(PoisonError::into_inner).values() {
            attending.task.abort();
        }
    }
}

async fn attend(client: Arc<Client>, who: usize, items: Arc<AtomicUsize>) {
    let mut cursor = Vec::new();
    let mut node = client.node();
    loop {
        // What is wrong with a stream shows in the observers' verdict; here one only tries again.
        let _ = listen(&client, node, &mut cursor, &items).await;
        node += 1;
        sleep(SPREAD.mul_f64(f64::from(u32::try_from(who * 7 % 100).unwrap_or(0) + 1) / 100.0)).await;
    }
}

async fn listen(client: &Client, node: usize, cursor: &mut Vec<u8>, items: &AtomicUsize) -> Result<()> {
    let mut service = SyncServiceClient::new(client.wire_to(node % 3)?);
    let request = SyncRequest { cursor: cursor.clone(), ..SyncRequest::default() };
    let mut stream = timeout(ATTEMPT * 2, service.sync(request)).await??.into_inner();
    while let Some(item) = stream.message().await? {
        items.fetch_add(1, Ordering::Relaxed);
        if !item.cursor.is_empty() {
            *cursor = item.cursor;
        }
    }
    Ok(())
}
