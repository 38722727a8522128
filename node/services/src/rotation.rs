//! The second half of a rotation: the leader wraps the data keys of the cluster key before anew, in slices, while
//! messages flow. Whoever leads does it, from wherever it stands: what is done shows in the rows themselves, so that it
//! may be interrupted at any point, be begun again, and survive a change of leader.

use std::time::{Duration, Instant};

use raft::Handle;
use seal::DataKey;
use state::view::{Rows, View};
use state::{keys, newest_cluster_key};
use types::command::{RewrapDataKeys, RewrappedKey};
use types::limits::{REWRAP_MS, REWRAPPED_KEYS_MAX};
use types::{Command, Key, Row};

use crate::Services;
use crate::errors::Error;

/// How often it is looked whether there is something to do.
const IDLE: Duration = Duration::from_secs(1);
/// How long a slice may take to be committed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rows looked at for one slice.
const ROWS_MAX: usize = 4 * REWRAPPED_KEYS_MAX;

/// Runs until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let mut from = 0;
    let mut pause = IDLE;
    loop {
        tokio::time::sleep(pause).await;
        let leads = services.inner.handle.status().leader == Some(services.inner.handle.node());
        pause = match leads {
            false => IDLE,
            true => match step(&services, &mut from).await {
                Ok(true) => Duration::from_millis(REWRAP_MS),
                Ok(false) => IDLE,
                Err(error) => {
                    tracing::warn!(%error, "wrap data keys anew; it is tried again");
                    IDLE
                }
            },
        };
    }
}

/// Does one slice; says whether there was one.
async fn step<H: Handle>(services: &Services<H>, from: &mut u64) -> Result<bool, Error> {
    let view = services.inner.handle.view();
    let Some((newest, _)) = newest_cluster_key(&view)? else { return Ok(false) };
    let old = newest.saturating_sub(1);
    let Some(row) = view.cluster_key(old)?.filter(|row| row.retired.is_none()) else { return Ok(false) };
    let deadline = Instant::now() + PATIENCE;
    if row.data_keys == 0 {
        drop(view);
        services.put_own(Command::RetireClusterKey(old), deadline).await?;
        tracing::info!(version = old, "no data key is wrapped under this cluster key any more; it is removed");
        *from = 0;
        return Ok(true);
    }
    let keyring = std::sync::Arc::clone(&services.inner.keyring);
    let start = *from;
    let slice = raft::blocking::run(move || {
        let (from, to) = (keyring.cluster_key(&view, old)?, keyring.cluster_key(&view, newest)?);
        let (first, last) = keys::data_keys(start);
        let rows = view.scan(&first, &last, false, ROWS_MAX)?;
        // The end of the table: what is left, if anything, is before where this began.
        let mut next = if rows.len() < ROWS_MAX { 0 } else { start };
        let mut anew = Vec::new();
        for (key, row) in rows {
            let (Key::DataKey(id), Row::DataKey(row)) = (key, row) else { continue };
            if next != 0 {
                next = id.saturating_add(1);
            }
            if row.version == old {
                let wrapped = DataKey::rewrap((&from, &to), id, row.scope, row.month, &row.wrapped)?;
                anew.push(RewrappedKey { id, wrapped });
            }
            if anew.len() == REWRAPPED_KEYS_MAX {
                next = id.saturating_add(1);
                break;
            }
        }
        Ok::<_, Error>((anew, next))
    });
    let (anew, next) = slice.await.map_err(|_| Error::Internal("keys were not wrapped anew"))??;
    *from = next;
    if !anew.is_empty() {
        let rewrap = RewrapDataKeys { from: old, to: newest, keys: anew };
        services.put_own(Command::RewrapDataKeys(rewrap), deadline).await?;
    }
    Ok(true)
}
