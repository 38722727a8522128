//! The certificates in use on all three ports: taken up again when their files change or on SIGHUP, all or none, without
//! touching connections that are open; and when they expire.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use raft::{Handle, PeerTls};
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use types::Timestamp;

use crate::Failure;
use crate::config::TlsFiles;
use crate::tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// From this long before the end an operator is told.
const EXPIRY_WARNING_S: i64 = 30 * 24 * 60 * 60;
/// The same thing is said again after this long.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What the ports show and accept. Clones of what it gives out follow its changes.
pub struct Certificates {
    files: TlsFiles,
    peer: PeerTls,
    client: Shown,
    ops: Shown,
    expiry: IntGaugeVec,
    reloads: IntCounterVec,
}

/// The configuration a port does its next handshake with.
pub type Shown = Arc<ArcSwap<ServerConfig>>;

impl Certificates {
    /// Reads all files.
    ///
    /// Errors: the first file that cannot be used.
    pub fn load(files: &TlsFiles) -> Result<Self, Failure> {
        let (client, ops) = configs(files)?;
        let [ca, cert, key] = peer_files(files)?;
        let peer = PeerTls::load(&ca, &cert, &key).map_err(|error| named(&files.peer_cert, &error))?;
        let this = Self {
            files: files.clone(),
            peer,
            client: Arc::new(ArcSwap::new(client)),
            ops: Arc::new(ArcSwap::new(ops)),
            expiry: IntGaugeVec::new(
                Opts::new(
                    "tricord_server_certificate_expiry_timestamp_seconds",
                    "When a certificate in use ceases to be good, in seconds since 1970",
                ),
                &["certificate"],
            )?,
            reloads: IntCounterVec::new(
                Opts::new("tricord_server_certificate_reloads_total", "Times the certificates were read again"),
                &["result"],
            )?,
        };
        this.note_expiry()?;
        Ok(this)
    }

    /// Makes expiry and reloads known.
    pub fn register(&self, registry: &Registry) -> Result<(), Failure> {
        registry.register(Box::new(self.expiry.clone()))?;
        registry.register(Box::new(self.reloads.clone()))?;
        Ok(())
    }

    /// For the peer port and for reaching peers.
    pub fn peer(&self) -> PeerTls {
        self.peer.clone()
    }

    /// For the client port.
    pub fn client(&self) -> Shown {
        Arc::clone(&self.client)
    }

    /// For the ops port.
    pub fn ops(&self) -> Shown {
        Arc::clone(&self.ops)
    }

    /// Reads all files again. With an error, everything stays as it was.
    pub fn reload(&self) -> Result<(), Failure> {
        let (client, ops) = configs(&self.files)?;
        let [ca, cert, key] = peer_files(&self.files)?;
        self.peer.replace(&ca, &cert, &key).map_err(|error| named(&self.files.peer_cert, &error))?;
        self.client.store(client);
        self.ops.store(ops);
        self.note_expiry()
    }

    /// Takes up files as they change, or at once on SIGHUP, and warns before they expire; until the task is dropped.
    pub async fn watch(self: Arc<Self>, node: impl Handle) -> Result<(), Failure> {
        let mut hangups = signal(SignalKind::hangup())?;
        let (mut taken, mut failed) = (stamps(&self.files), None);
        let mut warned = None;
        loop {
            node.set_certificates_expire(self.expire());
            if is_due(warned) && self.warn_of_expiry() {
                warned = Some(std::time::Instant::now());
            }
            let asked = tokio::time::timeout(LOOK_EVERY, hangups.recv()).await.is_ok();
            let now = stamps(&self.files);
            // Certificate and key are written one after the other: what fails is tried again when a file changes.
            if !asked && (now == taken || Some(&now) == failed.as_ref()) {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    tracing::info!("the certificates were read again");
                    self.reloads.with_label_values(&["done"]).inc();
                    (taken, failed, warned) = (now, None, None);
                }
                Err(error) => {
                    tracing::warn!(%error, "the certificates stay as they were; they are read again when a file changes");
                    self.reloads.with_label_values(&["failed"]).inc();
                    failed = Some(now);
                }
            }
        }
    }

    /// Purpose and file of each, and when it ceases to be good, in seconds since 1970.
    pub fn in_use(&self) -> [(&'static str, &Path, i64); 3] {
        self.named_files().map(|(name, path)| (name, path, self.expiry.with_label_values(&[name]).get()))
    }

    /// When the first of them ceases to be good.
    pub fn expire(&self) -> Timestamp {
        let first = self.in_use().map(|(_, _, expires)| expires).into_iter().min();
        Timestamp(u64::try_from(first.unwrap_or_default()).unwrap_or_default().saturating_mul(1_000))
    }

    fn note_expiry(&self) -> Result<(), Failure> {
        for (name, path) in self.named_files() {
            self.expiry.with_label_values(&[name]).set(tls::expires(path)?);
        }
        Ok(())
    }

    /// Says which certificates expire soon, and whether any does.
    fn warn_of_expiry(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut any = false;
        for (name, path, expires) in self.in_use() {
            let left = expires.saturating_sub(now);
            if left < EXPIRY_WARNING_S {
                any = true;
                let days = left.div_euclid(24 * 60 * 60);
                tracing::warn!(certificate = name, file = %path.display(), days, "a certificate expires soon; put a new one in its place");
            }
        }
        any
    }

    fn named_files(&self) -> [(&'static str, &Path); 3] {
        [("authority", &self.files.ca), ("peer", &self.files.peer_cert), ("client", &self.files.client_cert)]
    }
}

fn configs(files: &TlsFiles) -> Result<(Arc<ServerConfig>, Arc<ServerConfig>), Failure> {
    let config = |protocols: &[&[u8]], ca| tls::server_config(&files.client_cert, &files.client_key, protocols, ca);
    Ok((config(&[b"h2", b"http/1.1"], None)?, config(&[b"http/1.1"], Some(&files.ca))?))
}

fn peer_files(files: &TlsFiles) -> Result<[Vec<u8>; 3], Failure> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()));
    Ok([read(&files.ca)?, read(&files.peer_cert)?, read(&files.peer_key)?])
}

fn named(path: &Path, error: &raft::TlsError) -> Failure {
    match std::error::Error::source(error) {
        Some(source) => format!("{}: {error}: {source}", path.display()).into(),
        None => format!("{}: {error}", path.display()).into(),
    }
}

fn is_due(said: Option<std::time::Instant>) -> bool {
    said.is_none_or(|at| at.elapsed() > SAID_AGAIN_AFTER)
}

/// By what a change of the files is seen: when each was written, and how long it is.
fn stamps(files: &TlsFiles) -> Vec<Option<(SystemTime, u64)>> {
    [&files.ca, &files.peer_cert, &files.peer_key, &files.client_cert, &files.client_key]
        .into_iter()
        .map(|path| std::fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len()))))
        .collect()
}
