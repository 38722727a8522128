//! Certificates of the nodes: which they show, and which are revoked.

use proto::v1::certificate_service_server::CertificateService;
use proto::v1::revoke_certificate_request::What;
use proto::v1::*;
use raft::Handle;
use state::keys;
use state::policy::Action;
use state::view::View;
use tonic::{Request, Response, Status};
use types::certificate::{Revocation, RevokeCertificates};
use types::limits::{CERTIFICATES_REVOKED_MAX, RECORD_REASON_BYTES_MAX, SEATS_MAX};
use types::{Command, Key, NodeId, Reject, Row};

use crate::call::Call;
use crate::errors::Error;
use crate::writes::numbered;
use crate::{Services, convert, names};

#[tonic::async_trait]
impl<H: Handle> CertificateService for Services<H> {
    async fn revoke_certificate(
        &self,
        request: Request<RevokeCertificateRequest>,
    ) -> Result<Response<RevokeCertificateResponse>, Status> {
        self.call("RevokeCertificate", request, |call, body| revoke(self, call, body)).await
    }

    async fn list_certificates(
        &self,
        request: Request<ListCertificatesRequest>,
    ) -> Result<Response<ListCertificatesResponse>, Status> {
        self.call("ListCertificates", request, |call, body| list(self, call, body)).await
    }
}

async fn revoke<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: RevokeCertificateRequest,
) -> Result<RevokeCertificateResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = RevokeCertificateRequest { request_id: None, ..body };
    let reason = content.reason.clone();
    types::text::check_name(&reason, RECORD_REASON_BYTES_MAX)
        .map_err(|error| Error::invalid("reason", error.to_string()))?;
    let what = match &content.what {
        Some(What::Serial(serial)) => Revocation::Certificate(
            serial
                .parse()
                .map_err(|error: types::certificate::ParseSerialError| Error::invalid("serial", error.to_string()))?,
        ),
        Some(What::Node(node)) => Revocation::Node(
            crate::audit::words::node(node)
                .ok_or_else(|| Error::invalid("node", "is not a node; they are named as 'b2'"))?,
        ),
        None => return Err(Error::invalid("what", "a serial number or a node is needed")),
    };
    if let Revocation::Node(node) = what {
        // Asked before it is put, of whoever may: the state does not know who answers.
        let read = services.read(&call, None).await?;
        read.check(Action::ManageCertificates)?;
        check_others_answer(services, node)?;
    }
    let command = Command::RevokeCertificates(RevokeCertificates { what, reason });
    let done = services.put(&call, "RevokeCertificate", id, &content, command).await?;
    Ok(RevokeCertificateResponse { cursor: services.cursor(done.event)? })
}

/// Whoever is cut off while another is down leaves nobody to serve.
fn check_others_answer<H: Handle>(services: &Services<H>, node: NodeId) -> Result<(), Error> {
    let nodes = services.inner.handle.status().nodes;
    let others = nodes.iter().filter(|other| Some(other.slot) != node.slot());
    if others.filter(|other| other.reachable).count() >= 2 { Ok(()) } else { Err(Reject::MajorityCutOff.into()) }
}

async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListCertificatesRequest,
) -> Result<ListCertificatesResponse, Error> {
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeCertificates)?;
    let (from, to) = keys::node_certificates();
    let nodes = read.view.scan(&from, &to, false, SEATS_MAX)?.into_iter().filter_map(|(key, row)| match (key, row) {
        (Key::NodeCertificates(node), Row::NodeCertificates(row)) => Some((node, row)),
        _ => None,
    });
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by_key(|(node, _)| (node.slot(), *node));
    let (from, to) = keys::revoked();
    let revoked = read.view.scan(&from, &to, false, CERTIFICATES_REVOKED_MAX)?;
    Ok(ListCertificatesResponse {
        nodes: nodes
            .into_iter()
            .map(|(node, row)| NodeCertificates {
                node: node.to_string(),
                serials: row.serials.iter().map(ToString::to_string).collect(),
                expire_time: Some(convert::time(row.expires)),
                since_time: Some(convert::time(row.since)),
            })
            .collect(),
        revoked: revoked
            .into_iter()
            .filter_map(|(key, row)| match (key, row) {
                (Key::Revoked(serial), Row::Revoked(row)) => Some(RevokedCertificate {
                    serial: serial.to_string(),
                    revoke_time: Some(convert::time(row.at)),
                    revoked_by: row.by.map(names::of_user).unwrap_or_default(),
                    node: row.node.map(|node| node.to_string()).unwrap_or_default(),
                    reason: row.reason,
                }),
                _ => None,
            })
            .collect(),
        info: Some(read.info),
    })
}
