//! Ports, peers, and what time the others have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use raft::{Certified, Dial, ask_places};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use types::Slot;

use super::{Report, Severity};
use crate::certificates::Certificates;
use crate::config::Config;

/// How long another machine may take for each step.
const PATIENCE: Duration = Duration::from_secs(2);
/// A clock further off than this is wrong. The time is told in whole seconds, and takes a while to arrive.
const CLOCK_OFF: Duration = Duration::from_secs(2);
/// Longest head of an answer that is read.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

pub(super) async fn examine(report: &mut Report, config: &Config) {
    for (key, address) in [
        ("peer.listen", config.peer_listen),
        ("client.listen", config.client_listen),
        ("ops.listen", config.ops_listen),
    ] {
        port(report, key, address).await;
    }
    let others: Vec<Slot> = Slot::ALL.into_iter().filter(|slot| *slot != config.slot).collect();
    for slot in &others {
        peer(report, config, *slot).await;
    }
    for slot in others {
        client_port(report, config, slot).await;
    }
}

/// A port is open when the daemon runs, and free when it does not.
async fn port(report: &mut Report, key: &'static str, address: SocketAddr) {
    if report.running {
        // Everywhere is also here.
        let here =
            if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address };
        match timeout(PATIENCE, TcpStream::connect(here)).await {
            Ok(Ok(_)) => report.ok("ports", format!("{key} {address} is open")),
            Ok(Err(_)) | Err(_) => {
                let what = format!("{key} {address} is not open although the daemon runs");
                let next = "was it started with another configuration? Otherwise restart it";
                report.add(Severity::Bad, "ports", what, next).runbook = "node-down";
            }
        }
        return;
    }
    match TcpListener::bind(address).await {
        Ok(_) => report.ok("ports", format!("{key} {address} is free")),
        Err(error) => {
            let (why, next) = match error.kind() {
                io::ErrorKind::AddrInUse => ("something else uses it", "see what with 'ss -ltnp', and stop it"),
                io::ErrorKind::AddrNotAvailable => {
                    ("this machine has no such address", "mend the address; 'ip address' shows this machine's")
                }
                _ => ("it cannot be opened", "mend the address, or the daemon's permissions"),
            };
            let what = format!("{key} {address}: {why} ({error})");
            report.add(Severity::Bad, "ports", what, next).runbook = "install";
        }
    }
}

/// Why another machine could not be connected to, and what to look at.
async fn connect(address: &str) -> Result<TcpStream, (String, &'static str)> {
    let found = timeout(PATIENCE, lookup_host(address)).await;
    let found = match found {
        Ok(Ok(mut found)) => found.next(),
        Ok(Err(_)) | Err(_) => None,
    };
    let Some(found) = found else {
        return Err((format!("{address}: the name is not known"), "mend [nodes], or the name service (or /etc/hosts)"));
    };
    match timeout(PATIENCE, TcpStream::connect(found)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err((format!("{address}: nobody listens there"), "start the daemon there: systemctl start tricordd"))
        }
        Ok(Err(error)) => Err((format!("{address}: {error}"), "look at the network and the firewalls between")),
        Err(_) => Err((
            format!("{address}: no answer within {} s", PATIENCE.as_secs()),
            "is the machine on? Look at the network and at firewalls that drop",
        )),
    }
}

async fn peer(report: &mut Report, config: &Config, slot: Slot) {
    let address = config.addresses(slot).peer.clone();
    if let Err((why, next)) = connect(&address).await {
        report.add(Severity::Warn, "peers", format!("node {slot} cannot be reached at {why}"), next).runbook =
            "node-down";
        return;
    }
    let Ok(certificates) = Certificates::load(&config.tls) else { return }; // Said already.
    let dial: Arc<dyn Dial> = Arc::new(certificates.peer());
    let expected = Certified { cluster: config.cluster, slot };
    if let Err(error) = dial.dial(address.clone(), expected).await {
        let what = format!("node {slot} at {address} is not who it should be, or does not know this node: {error}");
        let next =
            "compare both machines' ca.crt and peer.crt, and their clocks; are the addresses of [nodes] in order?";
        report.add(Severity::Bad, "peers", what, next).runbook = "certificates";
        return;
    }
    match ask_places(dial, address.clone(), config.cluster, slot).await {
        Some(places) if places.serves => report.ok("peers", format!("node {slot} at {address} answers and serves")),
        Some(_) => {
            let what = format!("node {slot} at {address} answers, and hears no leader");
            report.add(Severity::Warn, "peers", what, "two of three nodes must run and reach each other").runbook =
                "no-majority";
        }
        None => {
            let what = format!("node {slot} at {address} takes connections and does not answer");
            report.add(Severity::Warn, "peers", what, "look at its log: journalctl -u tricordd").runbook = "node-down";
        }
    }
}

/// Whether clients reach another node, and what time it has: every answer of HTTP says it.
async fn client_port(report: &mut Report, config: &Config, slot: Slot) {
    let address = config.addresses(slot).client.clone();
    match timeout(2 * PATIENCE, date(config, &address)).await {
        Ok(Ok(seconds)) => {
            report.ok("peers", format!("clients reach node {slot} at {address}"));
            clock(report, slot, seconds);
        }
        Ok(Err((why, next))) => {
            let what = format!("clients cannot reach node {slot} at {why}");
            report.add(Severity::Warn, "peers", what, next).runbook = "node-down";
        }
        Err(_) => {
            let what = format!("clients get no answer from node {slot} at {address}");
            report.add(Severity::Warn, "peers", what, "look at its log: journalctl -u tricordd").runbook = "node-down";
        }
    }
}

fn clock(report: &mut Report, slot: Slot, told: SystemTime) {
    let now = SystemTime::now();
    let (off, word) = match now.duration_since(told) {
        Ok(off) => (off, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if off > CLOCK_OFF {
        let what = format!("this machine's clock is {} s {word} that of node {slot}", off.as_secs());
        let next = "compare both with the hospital's time: chronyc tracking";
        report.add(Severity::Warn, "clock", what, next).runbook = "clock-off";
    } else {
        report.ok("clock", format!("node {slot} has the same time, to the second"));
    }
}

async fn date(config: &Config, address: &str) -> Result<SystemTime, (String, &'static str)> {
    let stream = connect(address).await?;
    let failed = |why: String| {
        (format!("{address}: {why}"), "renew the client certificate there; it must name what clients connect to")
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host.trim_matches(['[', ']']));
    let connector =
        connector(config).ok_or_else(|| failed("the cluster's authority cannot be read here".to_owned()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let mut stream = connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    let mut head = Vec::new();
    // How the connection ends does not matter once the head was read.
    drop(stream.take(HEAD_BYTES_MAX).read_to_end(&mut head).await);
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("date")));
    let date = line.and_then(|(_, value)| httpdate::parse_http_date(value.trim()).ok());
    date.ok_or_else(|| failed("it answered without the time".to_owned()))
}

fn connector(config: &Config) -> Option<TlsConnector> {
    let authority = CertificateDer::pem_file_iter(&config.tls.ca).ok()?.collect::<Result<Vec<_>, _>>().ok()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]).ok()?;
    let mut client = builder.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(client)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_and_a_clock_that_is_off_are_found() {
        let holder = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut report = Report::default();
        port(&mut report, "client.listen", holder.local_addr().expect("bound")).await;
        port(&mut report, "peer.listen", "203.0.113.7:7401".parse().expect("an address")).await;
        report.running = true;
        port(&mut report, "ops.listen", holder.local_addr().expect("bound")).await;
        let told: Vec<&str> = report.findings.iter().map(|one| one.what.as_str()).collect();
        assert!(told[0].contains("something else uses it"), "{told:?}");
        assert!(told[1].contains("no such address"), "{told:?}");
        assert!(told[2].contains("is open"), "{told:?}");
        let mut report = Report::default();
        clock(&mut report, Slot::B, SystemTime::now() + Duration::from_secs(60));
        clock(&mut report, Slot::C, SystemTime::now());
        assert!(report.findings[0].what.contains("behind that of node b"), "{report:?}");
        assert_eq!(report.findings[1].severity, Severity::Ok);
    }

    #[tokio::test]
    async fn a_peer_that_is_away_is_told_by_why() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").to_string();
        let (why, next) = connect(&free).await.expect_err("nobody listens");
        assert!(why.contains("nobody listens") && next.contains("systemctl start"), "{why}; {next}");
        let (why, _) = connect("tricord-b.invalid:7401").await.expect_err("no such name");
        assert!(why.contains("name is not known"), "{why}");
    }
}
