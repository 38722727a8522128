//! What the daemon on this machine says, if it runs: asked at its local socket.

use std::path::Path;
use std::time::Duration;

use proto::local::local_service_client::LocalServiceClient;
use proto::local::{GetNodeRequest, GetNodeResponse};
use proto::v1::AlarmSeverity;
use tonic::transport::Endpoint;

use super::{Report, Severity};
use crate::config::Config;
use crate::keys::PASSPHRASE_VARIABLE;
use crate::run::LOCAL_SOCKET;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Open files a daemon with all its clients may need.
const FILES_MIN: u64 = 65_536;

pub(super) async fn examine(report: &mut Report, config: &Config) {
    let socket = config.data.join(LOCAL_SOCKET);
    let connected = tokio::net::UnixStream::connect(&socket).await;
    if connected.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        let what = "you are not root, and may not ask the daemon: whether it runs was NOT looked at";
        report.add(Severity::Warn, "daemon", what, "run this again as root (sudo)");
        return;
    }
    let Ok(stream) = connected else {
        let what = "the daemon does not run on this machine";
        report.add(Severity::Warn, "daemon", what, "systemctl start tricordd, once nothing below is bad").runbook =
            "node-down";
        return;
    };
    report.running = true;
    if let Some(pid) = stream.peer_cred().ok().and_then(|peer| peer.pid()) {
        limits(report, &std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default());
        passphrase(report, &std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
    }
    drop(stream);
    match tokio::time::timeout(PATIENCE, ask(&socket)).await {
        Ok(Ok(node)) => node_says(report, &node),
        Ok(Err(why)) => not_answering(report, &why),
        Err(_) => not_answering(report, "no answer within 3 s"),
    }
}

fn not_answering(report: &mut Report, why: &str) {
    let what = format!("the daemon runs and does not answer at its local socket: {why}");
    report.add(Severity::Bad, "daemon", what, "are you root? Otherwise look at journalctl -u tricordd").runbook =
        "node-down";
}

async fn ask(socket: &Path) -> Result<GetNodeResponse, String> {
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let answer = LocalServiceClient::new(channel).get_node(GetNodeRequest {}).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

fn node_says(report: &mut Report, node: &GetNodeResponse) {
    let own = env!("CARGO_PKG_VERSION");
    if node.not_ready.is_empty() {
        report.ok("daemon", format!("node {} runs and is ready", node.node));
    } else {
        let what = format!("node {} runs and is not ready: {}", node.node, node.not_ready);
        report.add(Severity::Bad, "daemon", what, "look at the peers below").runbook = "node-down";
    }
    if node.version != own {
        let what = format!("release {} runs, and {own} is installed", node.version);
        report.add(Severity::Warn, "versions", what, "systemctl restart tricordd, one node at a time").runbook =
            "upgrade";
    }
    if let Some(why) = node.certificates.iter().map(|one| &one.renewal_failure).find(|why| !why.is_empty()) {
        let what = format!("this node does not renew its certificates: {why}");
        let next = "mend that; until then issue certificates by hand: tricord pki issue";
        report.add(Severity::Warn, "certificates", what, next).runbook = "certificates";
    }
    let Some(status) = &node.status else { return };
    let mut versions: Vec<&str> =
        status.nodes.iter().filter(|node| node.reachable).map(|node| node.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() < 2 {
        report.ok("versions", format!("all nodes that answer run {}", versions.first().unwrap_or(&own)));
    }
    // What differs, what is off and what is slow, the cluster says itself.
    for alarm in &status.alarms {
        let severity = match alarm.severity() {
            AlarmSeverity::Page => Severity::Bad,
            AlarmSeverity::Warn => Severity::Warn,
            AlarmSeverity::Note | AlarmSeverity::Unspecified => Severity::Note,
        };
        let whose = if alarm.slot.is_empty() { String::new() } else { format!("node {}: ", alarm.slot) };
        let next = format!("runbook {}", alarm.runbook);
        report.add(severity, "cluster", format!("{whose}{}", alarm.text), &next);
    }
    let of = |slot: &str| status.nodes.iter().find(|one| one.slot == slot);
    if let Some(offset) = of(&node.slot).and_then(|own| own.vitals.as_ref()?.clock_offset) {
        let seconds = offset.seconds as f64 + f64::from(offset.nanos) / 1e9;
        report.ok("clock", format!("this clock is {seconds:+.3} s from cluster time"));
    }
}

/// Whether the daemon was given its passphrase in its environment: it has taken it out, but whoever started it has it.
fn passphrase(report: &mut Report, environment: &[u8]) {
    let name = seal::environment::descriptor(PASSPHRASE_VARIABLE);
    if environment.split(|byte| *byte == 0).any(|one| one.starts_with(name.as_bytes())) {
        let what = format!(
            "the passphrase of this node's key came by the environment ({PASSPHRASE_VARIABLE}): root sees it, and it stands in \
             the unit or in what starts the daemon"
        );
        let next = "hand it over as a credential instead: LoadCredentialEncrypted=tricord-node-passphrase";
        report.add(Severity::Note, "keys", what, next).runbook = "suspected-breach";
    }
}

/// What the daemon that runs may open.
fn limits(report: &mut Report, limits: &str) {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let Some(files) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) else { return };
    let what = format!("the daemon may open {files} files");
    if files < FILES_MIN {
        let what = format!("{what}; {FILES_MIN} are needed with all clients");
        report.add(Severity::Note, "host", what, "start it by its service, which raises this (LimitNOFILE)");
    } else {
        report.ok("host", what);
    }
}

#[cfg(test)]
mod tests {
    use proto::local::Certificate;

    use super::*;

    #[test]
    fn a_node_that_does_not_renew_its_certificates_is_found_once_and_told_what_to_do() {
        let failing =
            Certificate { renewal_failure: "its renewal certificate is revoked".into(), ..Certificate::default() };
        let certificates = vec![Certificate::default(), failing.clone(), failing];
        let mut report = Report::default();
        node_says(&mut report, &GetNodeResponse { certificates, ..GetNodeResponse::default() });
        let found: Vec<_> = report.findings.iter().filter(|one| one.area == "certificates").collect();
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((finding.severity, finding.runbook), (Severity::Warn, "certificates"));
        assert!(finding.what.contains("is revoked") && finding.next.contains("tricord pki issue"), "{finding:?}");
    }
}
