//! `cluster finalize`: the end of a rolling upgrade.

use proto::local::FinalizeRequest;
use proto::local::upgrade_service_client::UpgradeServiceClient;

use super::node::{connect, refused};
use crate::args::{Format, Global, LocalSocket};
use crate::error::Result;
use crate::output::say;
use crate::prompt;

/// Asks, and does it.
pub async fn finalize(global: &Global, at: &LocalSocket) -> Result<()> {
    let doing = "finalize the upgrade";
    let mut client = UpgradeServiceClient::new(connect(&at.socket, doing, Some(global.deadline)).await?);
    prompt::confirm("After this no node can go back to the release before. Finalize the upgrade?", global.yes)?;
    let done = client.finalize(FinalizeRequest {}).await.map_err(|status| refused(doing, &status))?.into_inner();
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({ "feature_level": done.feature_level }));
    }
    say(&format!("Finalized: the cluster has feature level {}.", done.feature_level));
    Ok(())
}
