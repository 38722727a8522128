//! `controls …`

use std::path::Path;

use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;
use proto::v1::cluster_service_client::ClusterServiceClient;
use proto::v1::emergency_service_client::EmergencyServiceClient;
use proto::v1::key_service_client::KeyServiceClient;
use proto::v1::security_service_client::SecurityServiceClient;

use crate::args::{ControlsCommand, Format, Global};
use crate::client::Call;
use crate::controls::facts::Facts;
use crate::controls::{html, report, text, wire};
use crate::error::{Error, Result};
use crate::output::{COLUMNS, print, say};
use crate::profile::Profile;
use crate::rpc;
use crate::session::Session;

/// Emergencies that are counted.
const EMERGENCIES: i32 = 500;

/// Does it.
pub async fn run(session: &Session, global: &Global, command: ControlsCommand) -> Result<()> {
    let ControlsCommand::Report { html: page } = command;
    let facts = read(session, global).await?;
    let report = report(&facts);
    if let Some(path) = &page {
        write(path, &html(&report))?;
        say(&format!("Wrote {}.", path.display()));
    }
    for what in &report_gaps(&facts) {
        say(what);
    }
    match (global.output, page) {
        (Format::Json, _) => crate::output::json(&report),
        (Format::Table, None) => print(&text(&report, usize::from(COLUMNS))),
        (Format::Table, Some(_)) => Ok(()),
    }
}

fn report_gaps(facts: &Facts) -> Vec<String> {
    facts.not_read.iter().map(|what| format!("NOT READ: {what}")).collect()
}

fn write(path: &Path, page: &str) -> Result<()> {
    std::fs::write(path, page).map_err(|source| Error::File {
        doing: "write the report to",
        path: path.to_owned(),
        source,
    })
}

/// Asks for all there is. What one may not read is left out, and named.
async fn read(session: &Session, global: &Global) -> Result<Facts> {
    let mut facts = Facts::default();
    let call = Call::read("ask how the cluster is");
    let status = session
        .client
        .call(&call, |_| v1::GetClusterStatusRequest {}, rpc!(ClusterServiceClient.get_cluster_status))
        .await;
    facts.status = kept(status, "how the nodes are", &mut facts.not_read)?;
    let keys = session
        .read("list the keys", |read| v1::ListKeysRequest { read: Some(read) }, rpc!(KeyServiceClient.list_keys))
        .await;
    facts.keys = kept(keys, "keys", &mut facts.not_read)?.map(|told| told.keys).unwrap_or_default();
    let settings = session
        .read(
            "get the settings",
            |read| v1::GetSettingsRequest { read: Some(read) },
            rpc!(SecurityServiceClient.get_settings),
        )
        .await;
    facts.settings = kept(settings, "settings", &mut facts.not_read)?.and_then(|told| told.settings);
    let call = Call::read("get the head of the audit log");
    let head = session.client.call(&call, |_| v1::GetHeadRequest {}, rpc!(AuditServiceClient.get_head)).await;
    facts.head = kept(head, "audit log", &mut facts.not_read)?;
    let all = session
        .read(
            "list emergencies",
            |read| v1::ListEmergenciesRequest { page_size: EMERGENCIES, read: Some(read), ..Default::default() },
            rpc!(EmergencyServiceClient.list_emergencies),
        )
        .await;
    facts.emergencies = kept(all, "emergencies", &mut facts.not_read)?.map(|told| told.emergencies);
    facts.wire = connections(&facts, session, global).await?;
    Ok(facts)
}

/// What the nodes agree to: all of them where their addresses are known, otherwise those that this client was given.
async fn connections(facts: &Facts, session: &Session, global: &Global) -> Result<Vec<String>> {
    let Some(authority) = Profile::open(global)?.ca else { return Ok(Vec::new()) }; // By the local socket: no TLS.
    let told: Vec<String> = match &facts.status {
        Some(status) => status.nodes.iter().map(|node| node.client_address.clone()).collect(),
        None => session.client.addresses().into_iter().map(str::to_owned).collect(),
    };
    let asked = told.iter().filter(|address| address.contains(':') && !address.starts_with("unix:"));
    Ok(futures::future::join_all(asked.map(|address| wire::look(address, &authority))).await)
}

/// The answer; a refusal is noted instead. Errors: nobody answered.
fn kept<T>(told: Result<T>, what: &str, not_read: &mut Vec<String>) -> Result<Option<T>> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error @ Error::Refused { .. }) => {
            // Whoever reads this may get somebody who can.
            let whose = if error.code() == "NOT_PERMITTED" { " (who has the permission set auditor may)" } else { "" };
            not_read.push(format!("{what}: {error}{whose}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
