//! Ends an upgrade: from here on the cluster does what the newer release brought, and the one before cannot be started.

use std::time::Instant;

use raft::{Handle, next_level};
use state::view::Rows;
use types::Command;

use crate::Services;

impl<H: Handle> Services<H> {
    /// Raises the feature level to the newest that all three nodes know; answers it.
    ///
    /// Errors: in words, why not, or that it is not known whether; trying again is safe.
    pub async fn finalize(&self, deadline: Instant) -> Result<u32, String> {
        let view = self.inner.handle.view();
        let cluster = view.cluster().map_err(|error| error.to_string())?.ok_or("the cluster is not founded yet")?;
        let level = next_level(&self.inner.handle.status(), cluster.feature_level).map_err(|why| why.to_string())?;
        let raised = self.put_own(Command::RaiseFeatureLevel(level), deadline).await;
        raised.map(|_| level).map_err(|error| error.to_string())
    }
}
