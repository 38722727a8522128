//! `cluster certificate …`: which certificates nodes show, and which are revoked.

use proto::v1;
use proto::v1::certificate_service_client::CertificateServiceClient;
use proto::v1::revoke_certificate_request::What;
use serde::Serialize;

use crate::args::{CertificateCommand, Format, Global};
use crate::client::Call;
use crate::error::Result;
use crate::output::{note_stale, print, say, table};
use crate::rows::id_of;
use crate::session::Session;
use crate::when::{minute, rfc3339};
use crate::{address, prompt, rpc};

/// Does it.
pub async fn run(session: &Session, global: &Global, command: CertificateCommand) -> Result<()> {
    match command {
        CertificateCommand::List => list(session, global).await,
        CertificateCommand::Revoke { serial, reason } => {
            let doing = format!("revoke the certificate {serial}");
            revoke(session, &doing, What::Serial(serial), &reason).await?;
            say("Revoked, for good. Every node refuses it, and what was opened with it is closed within a second.");
            Ok(())
        }
        CertificateCommand::CutOff { node, reason } => {
            prompt::confirm(&format!("Cut {node} off? All it shows is revoked for good."), global.yes)?;
            revoke(session, &format!("cut {node} off"), What::Node(node.clone()), &reason).await?;
            say(&format!(
                "{node} is cut off. Replace it ('tricord node approve' on a healthy machine), or give it new"
            ));
            say("certificates by hand ('tricord pki issue', for peer, client and renewal).");
            Ok(())
        }
    }
}

async fn revoke(session: &Session, doing: &str, what: What, reason: &str) -> Result<()> {
    let body =
        |id| v1::RevokeCertificateRequest { what: Some(what.clone()), reason: reason.to_owned(), request_id: Some(id) };
    session.write(Call::write(doing), body, rpc!(CertificateServiceClient.revoke_certificate)).await?;
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    node: String,
    serials: Vec<String>,
    expires: Option<String>,
    since: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    serial: String,
    revoked: Option<String>,
    by: String,
    node: String,
    reason: String,
}

async fn list(session: &Session, global: &Global) -> Result<()> {
    let body = |read| v1::ListCertificatesRequest { read: Some(read) };
    let call = "list the certificates";
    let answer = session.read(call, body, rpc!(CertificateServiceClient.list_certificates)).await?;
    note_stale(answer.info.as_ref());
    let mut names: Vec<String> =
        answer.revoked.iter().map(|one| one.revoked_by.clone()).filter(|name| !name.is_empty()).collect();
    names.sort();
    names.dedup();
    let people = address::people(session, names).await?;
    let login = |name: &String| match people.get(name) {
        Some(user) => format!("@{}", user.login),
        None if name.is_empty() => "the cluster".to_owned(),
        None => id_of(name).to_owned(),
    };
    let revoked: Vec<Revoked> = answer
        .revoked
        .iter()
        .map(|one| Revoked {
            serial: one.serial.clone(),
            revoked: rfc3339(one.revoke_time.as_ref()),
            by: login(&one.revoked_by),
            node: one.node.clone(),
            reason: one.reason.clone(),
        })
        .collect();
    if global.output == Format::Json {
        let nodes: Vec<Shown> = answer
            .nodes
            .iter()
            .map(|one| Shown {
                node: one.node.clone(),
                serials: one.serials.clone(),
                expires: rfc3339(one.expire_time.as_ref()),
                since: rfc3339(one.since_time.as_ref()),
            })
            .collect();
        return crate::output::json(&serde_json::json!({ "nodes": nodes, "revoked": revoked }));
    }
    let shown = answer.nodes.iter().flat_map(|node| {
        node.serials.iter().map(|serial| vec![node.node.clone(), serial.clone(), minute(node.expire_time.as_ref())])
    });
    print(&table(&["node", "id", "first expires"], shown.collect()))?;
    if revoked.is_empty() {
        return print("\nNone is revoked.");
    }
    print("\nREVOKED")?;
    let cells = answer.revoked.iter().zip(&revoked).map(|(one, row)| {
        let why = if row.node.is_empty() { row.reason.clone() } else { format!("{}: {}", row.node, row.reason) };
        vec![row.serial.clone(), minute(one.revoke_time.as_ref()), row.by.clone(), why]
    });
    print(&table(&["id", "since", "by", "reason"], cells.collect()))
}
