//! The certificates in use on all three ports: taken up again when their files change or when asked to, all or none, without
//! touching connections that are open; and when they expire.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use raft::{Handle, PeerTls};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use services::Services;
use state::Rows;
use tokio::signal::unix::{SignalKind, signal};
use types::Timestamp;
use types::certificate::{NoteCertificates, Serial};
use types::limits::CERTIFICATES_NOTED_MAX;

use crate::Failure;
use crate::config::TlsFiles;
use crate::renewal::Renewal;
use crate::revocation::{Revocations, serial};
use crate::{chain, tls};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// From this long before the end an operator is told.
const EXPIRY_WARNING_S: i64 = 30 * 24 * 60 * 60;
/// How often it is tried to tell the cluster what is shown.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// How long the cluster may take to take note.
const NOTE_MAX: Duration = Duration::from_secs(5);
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
    renewals: IntCounterVec,
    renewal_failed: IntGauge,
    renewal: Option<Renewal>,
    /// That the certificate it renews them with is revoked: seen, and said.
    renewal_revoked: AtomicBool,
}

/// Why a node does not renew its certificates whose renewal certificate is revoked, and what to do.
const RENEWAL_REVOKED: &str = "this node's renewal certificate is revoked, so nothing that it issues itself would be taken; give it a \
                               new one where the authority's key is: tricord pki issue --for renewal (runbook certificates)";

/// A certificate in use.
pub struct InUse<'a> {
    /// `authority`, `peer` or `client`.
    pub purpose: &'static str,
    /// Its file.
    pub path: &'a Path,
    /// When it ceases to be good, in seconds since 1970.
    pub expires: i64,
    /// Its serial number.
    pub serial: Option<Serial>,
    /// When this node renews it by itself, in seconds since 1970; none: it does not.
    pub renews: Option<i64>,
    /// Why the last renewal failed, or none is tried.
    pub failure: Option<String>,
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
            renewals: IntCounterVec::new(
                Opts::new(
                    "tricord_server_certificate_renewals_total",
                    "Times this node issued itself new certificates, or failed to",
                ),
                &["result"],
            )?,
            renewal_failed: IntGauge::new(
                "tricord_server_certificate_renewal_failed_flag",
                "1: this node could not renew its certificates the last time it tried, and they are still due; or what it renews them \
                 with is revoked",
            )?,
            renewal: None,
            renewal_revoked: AtomicBool::new(false),
        };
        this.note_expiry()?;
        Ok(this)
    }

    /// Renews them by itself from now on, if there is what it takes.
    #[must_use]
    pub fn renewed_by(self, renewal: Option<Renewal>) -> Self {
        Self { renewal, ..self }
    }

    /// Makes expiry and reloads known.
    pub fn register(&self, registry: &Registry) -> Result<(), Failure> {
        registry.register(Box::new(self.expiry.clone()))?;
        registry.register(Box::new(self.reloads.clone()))?;
        for result in ["done", "failed"] {
            self.reloads.with_label_values(&[result]);
            self.renewals.with_label_values(&[result]);
        }
        registry.register(Box::new(self.renewals.clone()))?;
        registry.register(Box::new(self.renewal_failed.clone()))?;
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
        let done = self.take_up();
        self.reloads.with_label_values(&[if done.is_ok() { "done" } else { "failed" }]).inc();
        if done.is_ok() {
            tracing::info!("the certificates were read again");
        }
        done
    }

    fn take_up(&self) -> Result<(), Failure> {
        let (client, ops) = configs(&self.files)?;
        let [ca, cert, key] = peer_files(&self.files)?;
        self.peer.replace(&ca, &cert, &key).map_err(|error| named(&self.files.peer_cert, &error))?;
        self.client.store(client);
        self.ops.store(ops);
        self.note_expiry()
    }

    /// Issues new ones whether or not that is due, and takes them up.
    ///
    /// Errors: this node has nothing to renew them with, or as [`Renewal::renew`]; those in use stay.
    pub fn renew(&self) -> Result<(), Failure> {
        let renewal = self.renewal.as_ref().ok_or(
            "this node has no renewal certificate; issue certificates where the authority's key is: tricord pki issue",
        )?;
        if self.renewal_revoked.load(Ordering::Relaxed) {
            return Err(RENEWAL_REVOKED.into()); // Those in use may still be good.
        }
        let renewed = renewal.renew(&self.files);
        self.renewals.with_label_values(&[if renewed.is_ok() { "done" } else { "failed" }]).inc();
        self.renewal_failed.set(i64::from(renewed.is_err()));
        renewed?;
        self.reload()
    }

    /// Renews what is due, or revoked; whether there are new ones.
    pub(crate) fn look_at_renewal(&self, revocations: &Revocations) -> bool {
        let Some(renewal) = &self.renewal else { return false };
        if renewal.serial().is_some_and(|serial| revocations.has_any(&[serial])) {
            // This node is cut off, or takes part with what was another's: one that was replaced, before a restore.
            self.renewal_failed.set(1);
            if !self.renewal_revoked.swap(true, Ordering::Relaxed) {
                tracing::warn!("{RENEWAL_REVOKED}");
            }
            return false;
        }
        let revoked = |path: &Path| revocations.has_any(&serials(path));
        let looked = renewal.look(&self.files, revoked);
        self.renewal_failed.set(i64::from(renewal.failure().is_some()));
        match looked {
            Ok(false) => false,
            Ok(true) => {
                self.renewals.with_label_values(&["done"]).inc();
                tracing::info!("this node has issued itself new certificates");
                true
            }
            Err(error) => {
                self.renewals.with_label_values(&["failed"]).inc();
                tracing::warn!(
                    error = chain(&*error),
                    "the certificates could not be renewed; it is tried again, and those in use stay"
                );
                false
            }
        }
    }

    /// Tells the cluster what is shown here, unless it knows; whether it does now.
    async fn note<H: Handle>(&self, node: &H, services: &Services<H>) -> bool {
        let mut shown = [serials(&self.files.peer_cert), serials(&self.files.client_cert)].concat();
        // Also while nothing of it is shown: a node that is cut off must not renew its way back.
        shown.extend(self.renewal.as_ref().and_then(Renewal::serial));
        shown.sort_unstable();
        shown.dedup();
        shown.truncate(CERTIFICATES_NOTED_MAX);
        let expires = self.expire();
        let Ok(known) = node.view().node_certificates(node.node()) else { return false };
        if known.is_some_and(|known| known.serials == shown && known.expires == expires) {
            return true;
        }
        let note = NoteCertificates { serials: shown, expires };
        let told = services.note_certificates(note, std::time::Instant::now() + NOTE_MAX).await;
        if let Err(why) = told {
            tracing::debug!(why, "the cluster has not taken note of this node's certificates yet");
        }
        false // Looked at again.
    }

    /// Takes up files as they change, renews them and warns before they expire; until the task is dropped.
    pub async fn watch<H: Handle>(
        self: Arc<Self>,
        node: H,
        services: Services<H>,
        revocations: Arc<Revocations>,
    ) -> Result<(), Failure> {
        let mut hangups = signal(SignalKind::hangup())?;
        let (mut taken, mut failed) = (stamps(&self.files), None);
        let mut warned = None;
        // First of all: with expired ones no peer is reached, and nothing else can be done.
        if self.look_at_renewal(&revocations) {
            self.reload()?;
            taken = stamps(&self.files);
        }
        loop {
            node.set_certificates_expire(self.expire());
            if is_due(warned) && self.warn_of_expiry() {
                warned = Some(std::time::Instant::now());
            }
            // SIGHUP is for the configuration, which takes these with it; here it is as good a time to look as any.
            let wait = if self.note(&node, &services).await { LOOK_EVERY } else { NOTED_EVERY };
            drop(tokio::time::timeout(wait, hangups.recv()).await);
            let renewed = self.look_at_renewal(&revocations);
            let now = stamps(&self.files);
            // Certificate and key are written one after the other: what fails is tried again when a file changes.
            if !renewed && (now == taken || Some(&now) == failed.as_ref()) {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    (taken, failed, warned) = (now, None, None);
                }
                Err(error) => {
                    tracing::warn!(%error, "the certificates stay as they were; they are read again when a file changes");
                    failed = Some(now);
                }
            }
        }
    }

    /// Each of them.
    pub fn in_use(&self) -> [InUse<'_>; 3] {
        let revoked = self.renewal_revoked.load(Ordering::Relaxed);
        self.named_files().map(|(purpose, path)| {
            let renewal = self.renewal.as_ref().filter(|_| purpose != "authority");
            let why = if revoked { Some(RENEWAL_REVOKED.to_owned()) } else { renewal.and_then(Renewal::failure) };
            InUse {
                purpose,
                path,
                expires: self.expiry.with_label_values(&[purpose]).get(),
                serial: serials(path).first().copied(),
                renews: renewal.filter(|_| !revoked).and_then(|renewal| renewal.due(path)),
                failure: why.filter(|_| renewal.is_some()),
            }
        })
    }

    /// When the first of them ceases to be good.
    pub fn expire(&self) -> Timestamp {
        let first = self.in_use().map(|one| one.expires).into_iter().min();
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
        for InUse { purpose: name, path, expires, .. } in self.in_use() {
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

/// The serial numbers of all certificates of a file, its own first; none of a file that cannot be read.
fn serials(path: &Path) -> Vec<Serial> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    all.unwrap_or_default().iter().filter_map(serial).collect()
}

/// By what a change of the files is seen: when each was written, and how long it is.
fn stamps(files: &TlsFiles) -> Vec<Option<(SystemTime, u64)>> {
    [&files.ca, &files.peer_cert, &files.peer_key, &files.client_cert, &files.client_key]
        .into_iter()
        .map(|path| std::fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len()))))
        .collect()
}
