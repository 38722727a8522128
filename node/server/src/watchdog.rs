//! Tells systemd that this node is alive, as long as both of its runtimes get work done: a node that hangs is started again.

use std::time::Duration;

use tokio::runtime::Handle;

/// Tells it three times within the time that systemd allows, until the task is dropped; without a watchdog (`WatchdogSec=`)
/// it ends at once. Runs on the clients' runtime.
pub async fn run(consensus: Handle) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    while pat(&consensus, within).await {
        tokio::time::sleep(within / 3).await;
    }
}

/// One sign of life; false: the node stops.
async fn pat(consensus: &Handle, within: Duration) -> bool {
    match tokio::time::timeout(within, consensus.spawn(async {})).await {
        Ok(Ok(())) => {
            drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog]));
            true
        }
        Ok(Err(_)) => false,
        Err(_) => true, // Nothing is said, and systemd draws its conclusion.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consensus_that_has_ended_gives_no_sign_of_life() {
        let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
        let consensus = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads");
        let handle = consensus.handle().clone();
        assert!(clients.block_on(pat(&handle, Duration::from_secs(60))));
        consensus.shutdown_timeout(Duration::from_secs(60));
        assert!(!clients.block_on(pat(&handle, Duration::from_secs(60))));
    }
}
