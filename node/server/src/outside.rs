//! Sealed heads leave the building, so that a log that was cut or written anew is found out by who kept one: to a directory
//! that is somewhere else, to a syslog, to a witness.

mod directory;
mod syslog;
#[cfg(test)]
mod testing;
mod witness;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use raft::Handle;
use rustls::pki_types::ServerName;
use services::{SealedHead, Services};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use types::limits::{AUDIT_HEAD_SEND_MS, AUDIT_HEAD_SEND_MS_MAX, AUDIT_HEAD_WRITE_MS};

use self::syslog::Syslog;
use self::witness::Witness;
use crate::tls::{self, TlsError};

/// Why a head did not arrive. Says what was tried and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

/// Where a certificate authority, and perhaps a certificate of our own, lie.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Whom to believe.
    pub ca: PathBuf,
    /// Certificate and key to show, where the other side asks for them.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// A syslog receiver.
#[derive(Clone, Debug)]
pub struct SyslogConfig {
    /// Its `host:port`.
    pub server: String,
    /// Whom to believe there.
    pub trust: Trust,
}

/// A witness.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    /// Its address; `/add-checkpoint` follows.
    pub url: http::Uri,
    /// What it signs with.
    pub key: record::Witness,
    /// Whom to believe there; none for an address on this machine, in clear.
    pub trust: Option<Trust>,
}

/// Where heads go.
#[derive(Clone, Debug, Default)]
pub struct OutsideConfig {
    /// A directory.
    pub directory: Option<PathBuf>,
    /// A syslog receiver.
    pub syslog: Option<SyslogConfig>,
    /// A witness.
    pub witness: Option<WitnessConfig>,
}

/// Where a head goes.
enum Destination {
    Directory(PathBuf),
    Syslog(Syslog),
    Witness(Witness),
}

/// The file in the data directory with the newest head that a witness has signed.
pub const COSIGNED: &str = "audit.cosigned";

/// Brings heads to all destinations, until what it answers is dropped.
///
/// Errors: a certificate that cannot be used, so that it is known at start and not at night.
pub fn start<H: Handle>(
    services: &Services<H>,
    config: OutsideConfig,
    data: &Path,
    registry: &Registry,
) -> Result<JoinSet<()>, Box<dyn std::error::Error + Send + Sync>> {
    let metrics = Metrics::register(registry)?;
    let mut destinations = Vec::new();
    destinations.extend(config.directory.map(Destination::Directory));
    if let Some(config) = config.syslog {
        config.trust.client()?;
        destinations.push(Destination::Syslog(Syslog::new(config)));
    }
    if let Some(config) = config.witness {
        config.trust.as_ref().map(Trust::client).transpose()?;
        destinations.push(Destination::Witness(Witness::new(config, data.join(COSIGNED))));
    }
    Ok(destinations.into_iter().map(|destination| keep(services.clone(), destination, metrics.clone())).collect())
}

async fn keep<H: Handle>(services: Services<H>, destination: Destination, metrics: Metrics) {
    let (name, period) = (destination.name(), destination.period());
    let (mut arrived, mut failed) = (0, None);
    metrics.failures.with_label_values(&[name]);
    loop {
        let limit = Duration::from_millis(AUDIT_HEAD_SEND_MS_MAX);
        let pushed = tokio::time::timeout(limit, destination.bring(&services, arrived)).await;
        let pushed = pushed.unwrap_or_else(|_| Err(Failure("it took too long".into())));
        let next = match pushed {
            Ok(head) => {
                if failed.take().is_some() {
                    tracing::info!(destination = name, "heads of the audit log arrive outside again");
                }
                if let Some(head) = head {
                    arrived = head.size;
                    let at = i64::try_from(head.sealed.0 / 1_000).unwrap_or(i64::MAX);
                    metrics.arrived.with_label_values(&[name]).set(at);
                }
                // Before the first head there is something to wait for that comes soon.
                if arrived == 0 { Duration::from_secs(1) } else { period }
            }
            Err(error) => {
                metrics.failures.with_label_values(&[name]).inc();
                // Once for each reason: a witness that holds another history must not hide behind one that was away.
                if failed.replace(error.to_string()) != Some(error.to_string()) {
                    tracing::error!(destination = name, %error, "the newest head of the audit log did not arrive outside");
                }
                period.min(Duration::from_millis(AUDIT_HEAD_SEND_MS))
            }
        };
        tokio::time::sleep(next).await;
    }
}

impl Destination {
    const fn name(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
            Self::Syslog(_) => "syslog",
            Self::Witness(_) => "witness",
        }
    }

    const fn period(&self) -> Duration {
        Duration::from_millis(match self {
            Self::Directory(_) => AUDIT_HEAD_WRITE_MS,
            Self::Syslog(_) | Self::Witness(_) => AUDIT_HEAD_SEND_MS,
        })
    }

    /// Brings the newest sealed head there, if it is newer than what arrived; says which.
    async fn bring<H: Handle>(&self, services: &Services<H>, arrived: u64) -> Result<Option<SealedHead>, Failure> {
        let own = |status: tonic::Status| Failure(format!("read the newest head: {}", status.message()));
        let Some(head) = services.sealed_head().await.map_err(own)?.filter(|head| head.size > arrived) else {
            return Ok(None);
        };
        match self {
            Self::Directory(dir) => {
                let (dir, of) = (dir.clone(), head.clone());
                let written = tokio::task::spawn_blocking(move || directory::write(&dir, of.size, &of.note)).await;
                let written = written.map_err(|_| Failure("the node stops".into()))?;
                written.map_err(|error| Failure(format!("write to the directory [audit] heads names: {error}")))?;
            }
            Self::Syslog(syslog) => syslog.send(&head).await?,
            Self::Witness(witness) => {
                witness.add(&head, |old, new| async move { services.prove_head(old, new).await.map_err(own) }).await?;
            }
        }
        Ok(Some(head))
    }
}

impl Trust {
    fn client(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        tls::client_config(&self.ca, self.own.as_ref().map(|(cert, key)| (&**cert, &**key)))
    }

    /// Opens a TLS connection. Files are read anew each time, so that renewed ones count.
    async fn connect(&self, server: &str) -> Result<TlsStream<TcpStream>, Failure> {
        let config = self.client().map_err(|error| Failure(crate::chain(&error)))?;
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| Failure(format!("{server} is no name of a host")))?;
        let stream = tcp(server).await?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        stream.map_err(|error| {
            Failure(format!("open TLS 1.3 to {server}: {error}; does its certificate come from {}?", self.ca.display()))
        })
    }
}

async fn tcp(server: &str) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(server).await;
    stream.map_err(|error| {
        Failure(format!("connect to {server}: {error}; is it running, and does a firewall let it through?"))
    })
}

/// Whether this is an address of this very machine, where nobody listens in between.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || format!("{host}:0").parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback())
        || host == "::1"
}

#[derive(Clone)]
struct Metrics {
    arrived: IntGaugeVec,
    failures: IntCounterVec,
}

impl Metrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let arrived = IntGaugeVec::new(
            Opts::new(
                "tricord_audit_outside_head_timestamp_seconds",
                "When the newest head that arrived at a destination outside was sealed, in seconds since 1970",
            ),
            &["destination"],
        )?;
        let failures = IntCounterVec::new(
            Opts::new("tricord_audit_outside_failures_total", "Heads that did not arrive at a destination outside"),
            &["destination"],
        )?;
        registry.register(Box::new(arrived.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self { arrived, failures })
    }
}
