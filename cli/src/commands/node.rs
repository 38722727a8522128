//! `node …`: the node on this machine, through its local socket.

use std::path::Path;
use std::time::Duration;

use proto::local;
use proto::local::certificate_service_client::CertificateServiceClient;
use proto::local::local_service_client::LocalServiceClient;
use serde::Serialize;
use tonic::transport::{Channel, Endpoint};

use crate::args::{Format, Global, LocalSocket, NodeCommand};
use crate::commands::{cluster, reload, replace};
use crate::error::{Error, Result};
use crate::output::{print, say, table};
use crate::when::{minute, rfc3339};

/// Exit status when this node is of no use to clients, but the cluster may be.
const NOT_READY: u8 = 3;

/// Does it; the exit status.
pub async fn run(global: &Global, command: NodeCommand) -> Result<u8> {
    match command {
        NodeCommand::Status(socket) => status(global, &socket).await,
        NodeCommand::Reload(socket) => reload::run(global, &socket).await,
        NodeCommand::ReloadCertificates(socket) => reload_certificates(global, &socket).await,
        NodeCommand::RenewCertificates(socket) => renew_certificates(global, &socket).await,
        NodeCommand::Approve(args) => replace::approve(global, &args).await,
        NodeCommand::Replace(args) => replace::replace(global, &args).await,
        NodeCommand::Place(args) => replace::place(global, &args).await,
        NodeCommand::Join(args) => replace::join(&args).await,
    }
}

#[derive(Serialize)]
struct CertificateRow<'a> {
    purpose: &'a str,
    path: &'a str,
    expires: Option<String>,
    serial: &'a str,
    renews: Option<String>,
    renewal_failure: &'a str,
}

async fn status(global: &Global, at: &LocalSocket) -> Result<u8> {
    let doing = "ask the node on this machine";
    let mut client = LocalServiceClient::new(connect(&at.socket, doing, Some(global.deadline)).await?);
    let node = client.get_node(local::GetNodeRequest {}).await.map_err(|status| refused(doing, &status))?.into_inner();
    let exit = match &node.status {
        // The worse of the two: a cluster that takes no messages is more than one node that is not ready.
        Some(cluster) if node.not_ready.is_empty() => cluster::exit(cluster),
        Some(cluster) => cluster::exit(cluster).max(NOT_READY),
        None => NOT_READY,
    };
    if global.output == Format::Json {
        crate::output::json(&serde_json::json!({
            "slot": node.slot, "node": node.node, "ready": node.not_ready.is_empty(), "not_ready": node.not_ready,
            "version": node.version, "start_time": rfc3339(node.start_time.as_ref()),
            "data_directory": node.data_directory, "free_bytes": node.free_bytes,
            "certificates": rows(&node.certificates), "cluster": node.status.as_ref().map(cluster::document),
        }))?;
        return Ok(exit);
    }
    let how = if node.not_ready.is_empty() { "ready".into() } else { format!("NOT READY: {}", node.not_ready) };
    print(&format!("Node {} ({}) is {how}.", node.slot, node.node))?;
    print(&format!(
        "Version {}, running since {}; {} GiB free at {}.",
        crate::text::line(&node.version),
        minute(node.start_time.as_ref()),
        node.free_bytes >> 30,
        crate::text::line(&node.data_directory)
    ))?;
    print("")?;
    print(&certificates(&node.certificates))?;
    match &node.status {
        Some(status) => {
            print("")?;
            cluster::show(status)?;
        }
        None => say("The cluster is not founded yet; are all three nodes started?"),
    }
    Ok(exit)
}

async fn reload_certificates(global: &Global, at: &LocalSocket) -> Result<u8> {
    let doing = "make the node read its certificates again";
    let mut client = LocalServiceClient::new(connect(&at.socket, doing, Some(global.deadline)).await?);
    let request = local::ReloadCertificatesRequest {};
    let answer = client.reload_certificates(request).await.map_err(|status| refused(doing, &status))?.into_inner();
    in_use(global, &answer.certificates)
}

async fn renew_certificates(global: &Global, at: &LocalSocket) -> Result<u8> {
    let doing = "make the node issue itself new certificates";
    let mut client = CertificateServiceClient::new(connect(&at.socket, doing, Some(global.deadline)).await?);
    let request = local::RenewCertificatesRequest {};
    let answer = client.renew_certificates(request).await.map_err(|status| refused(doing, &status))?.into_inner();
    in_use(global, &answer.certificates)
}

/// The certificates that the node uses from now on; the exit status.
fn in_use(global: &Global, shown: &[local::Certificate]) -> Result<u8> {
    if global.output == Format::Json {
        crate::output::json(&serde_json::json!({ "certificates": rows(shown) }))?;
    } else {
        say("The node uses these from now on; connections that are open stay as they are.");
        print(&certificates(shown))?;
    }
    Ok(0)
}

fn rows(certificates: &[local::Certificate]) -> Vec<CertificateRow<'_>> {
    certificates
        .iter()
        .map(|one| CertificateRow {
            purpose: &one.purpose,
            path: &one.path,
            expires: rfc3339(one.expire_time.as_ref()),
            serial: &one.serial,
            renews: rfc3339(one.renew_time.as_ref()),
            renewal_failure: &one.renewal_failure,
        })
        .collect()
}

fn certificates(certificates: &[local::Certificate]) -> String {
    let cells = certificates
        .iter()
        .map(|one| {
            // The day is what counts, and leaves room for the path.
            let day = |at| minute(at).chars().take(10).collect::<String>();
            let renews = one.renew_time.as_ref().map_or("by hand".to_owned(), |at| day(Some(at)));
            vec![one.purpose.clone(), day(one.expire_time.as_ref()), renews, one.path.clone()]
        })
        .collect();
    let mut text = table(&["certificate", "good until", "renewed", "file"], cells);
    if let Some(failed) = certificates.iter().find(|one| !one.renewal_failure.is_empty()) {
        text.push_str(&format!("\nNOT RENEWED: {}", crate::text::line(&failed.renewal_failure)));
    }
    text
}

/// A connection to the node on this machine; calls end after so many seconds, or when they are done.
pub(super) async fn connect(socket: &Path, doing: &str, answer_s: Option<u64>) -> Result<Channel> {
    let unreachable = |why: String| Error::Content {
        doing: doing.into(),
        why: format!(
            "{} gives no answer: {why}. Does tricordd run here (systemctl status tricordd)? Are you root? --socket names \
             another file",
            socket.display()
        ),
    };
    // Said plainly, where the transport would only say that it could not connect.
    std::os::unix::net::UnixStream::connect(socket).map_err(|error| unreachable(error.to_string()))?;
    let endpoint =
        Endpoint::from_shared(format!("unix:{}", socket.display())).map_err(|error| unreachable(error.to_string()))?;
    let endpoint = match answer_s {
        Some(seconds) => endpoint.timeout(Duration::from_secs(seconds)),
        None => endpoint,
    };
    endpoint.connect().await.map_err(|error| unreachable(error.to_string()))
}

pub(super) fn refused(doing: &str, status: &tonic::Status) -> Error {
    Error::Content { doing: doing.into(), why: crate::text::line(status.message()) }
}
