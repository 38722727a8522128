//! `node reload`: the node on this machine reads its configuration again.

use proto::local::ReloadRequest;
use proto::local::reload_service_client::ReloadServiceClient;

use crate::args::{Format, Global, LocalSocket};
use crate::commands::node::{connect, refused};
use crate::error::Result;
use crate::output::{print, say};

/// Does it; the exit status.
pub async fn run(global: &Global, at: &LocalSocket) -> Result<u8> {
    let doing = "make the node read its configuration again";
    let mut client = ReloadServiceClient::new(connect(&at.socket, doing, Some(global.deadline)).await?);
    let answer = client.reload(ReloadRequest {}).await.map_err(|status| refused(doing, &status))?.into_inner();
    let [taken_up, next_start] = [answer.taken_up, answer.next_start]
        .map(|keys| keys.iter().map(|key| crate::text::line(key)).collect::<Vec<_>>());
    if global.output == Format::Json {
        crate::output::json(&serde_json::json!({ "taken_up": taken_up, "next_start": next_start }))?;
        return Ok(0);
    }
    for key in &taken_up {
        print(&format!("{key}: in force"))?;
    }
    for key in &next_start {
        print(&format!("{key}: takes effect at the next start"))?;
    }
    if taken_up.is_empty() && next_start.is_empty() {
        say("Nothing in the configuration has changed. The certificates were read again.");
    } else {
        say("The certificates were read again, too.");
    }
    Ok(0)
}
