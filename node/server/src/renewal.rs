//! A node issues itself new certificates before those it shows expire. For that it has a renewal certificate of its own,
//! which the cluster's authority signed at founding: good for this node's own names, and for nothing else. It asks nobody, so
//! that it works without a majority, without a network and when everything has expired.
//!
//! The key of the renewal certificate comes as a file beside the others (`renewal.key`). At the first start it goes, sealed to
//! the node's own pair, into the data directory, and the file is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::PublicKeyData;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use seal::NodeKey;
use types::certificate::Serial;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::config::TlsFiles;
use crate::doctor::is_good;
use crate::keys::write_new;
use crate::{Failure, chain, tls};

/// For so long a certificate is good that a node issued itself.
const LIFE: Duration = Duration::from_secs(120 * DAY_S);
/// One is renewed when so much of its life is left, or a third of it, whichever is less.
const RENEWED_BEFORE_S: i64 = 40 * DAY_S as i64;
const DAY_S: u64 = 24 * 60 * 60;
/// After a failure it is tried again after so long, and twice as long each time.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// The longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);
/// What the key is sealed as.
const SEALED_AS: &str = "renewal key";

/// What a node renews its certificates with.
pub struct Renewal {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    serial: Option<Serial>,
    subject: Vec<u8>,
    authority: Vec<u8>,
    begins: SystemTime,
    ends: i64,
    failing: Mutex<Failing>,
    /// Held while a pair is replaced: two at once would take each other's files.
    replacing: Mutex<()>,
}

#[derive(Default)]
struct Failing {
    why: Option<String>,
    wait: Option<Duration>,
    next: Option<Instant>,
}

/// What of a certificate that is shown decides when, and as what, it is renewed.
struct Shown {
    names: Vec<String>,
    issuer: Vec<u8>,
    among_nodes: bool,
    begins: i64,
    ends: i64,
}

impl Renewal {
    /// What lies beside the other certificates; none: this node renews nothing by itself.
    ///
    /// Errors: the key, the certificate or the data directory cannot be used, or do not fit.
    pub fn open(files: &TlsFiles, data: &Path, pair: &NodeKey) -> Result<Option<Self>, Failure> {
        let certificate = files.peer_cert.with_file_name("renewal.crt");
        let given = files.peer_cert.with_file_name("renewal.key");
        let kept = data.join("keys").join("renewal");
        if !certificate.exists() {
            return Ok(None);
        }
        let key = if given.exists() {
            take_in(&given, &kept, pair)?
        } else if kept.exists() {
            let sealed = read(&kept)?;
            let opened = seal::open_own(pair, SEALED_AS, &sealed);
            opened.map_err(|error| {
                format!("open {}: {error}; put the key there again as {}", kept.display(), given.display())
            })?
        } else {
            return Err(format!(
                "there is {} and no key to it; put the key beside it, from the spare of this place or newly made",
                certificate.display()
            )
            .into());
        };
        let text = Zeroizing::new(String::from_utf8(key.to_vec()).map_err(|_| "the renewal key is no PEM")?);
        let key = KeyPair::from_pem(&text).map_err(|error| format!("use the renewal key: {error}"))?;
        let pem = String::from_utf8(read(&certificate)?).map_err(|_| format!("{} is no PEM", certificate.display()))?;
        let der = first(&certificate)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unusable(&certificate))?;
        if !parsed.is_ca() {
            return Err(format!("{} is not one that may sign others", certificate.display()).into());
        }
        if key.subject_public_key_info() != parsed.public_key().raw {
            return Err(format!("{} is not the certificate of the renewal key", certificate.display()).into());
        }
        let begins = u64::try_from(parsed.validity().not_before.timestamp()).unwrap_or(0);
        Ok(Some(Self {
            serial: Serial::of(parsed.raw_serial()),
            subject: parsed.subject().as_raw().to_vec(),
            authority: parsed.issuer().as_raw().to_vec(),
            begins: UNIX_EPOCH + Duration::from_secs(begins),
            ends: parsed.validity().not_after.timestamp(),
            issuer: Issuer::from_ca_cert_pem(&pem, key)
                .map_err(|error| format!("{}: {error}", certificate.display()))?,
            pem,
            failing: Mutex::default(),
            replacing: Mutex::default(),
        }))
    }

    /// The serial number of the renewal certificate: once that is revoked, nothing that it signs is good.
    pub const fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// When this certificate is renewed, in seconds since 1970; none: it is none of the cluster's own authority, so whoever issued
    /// it renews it.
    pub fn due(&self, path: &Path) -> Option<i64> {
        let shown = Shown::read(path).ok()?;
        let own = shown.issuer == self.subject || shown.issuer == self.authority;
        let life = shown.ends.saturating_sub(shown.begins);
        own.then(|| shown.ends.saturating_sub((life / 3).clamp(0, RENEWED_BEFORE_S)))
    }

    /// Why it failed the last time, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).why.clone()
    }

    /// Renews what is due now, or of what `revoked` says so; whether anything was renewed.
    ///
    /// Errors: as [`Renewal::renew`]; it is tried again after a while, and then after longer ones.
    pub fn look(&self, files: &TlsFiles, revoked: impl Fn(&Path) -> bool) -> Result<bool, Failure> {
        let now = seconds(SystemTime::now());
        let is_due = |(cert, _): &(&PathBuf, &PathBuf)| self.due(cert).is_some_and(|due| due <= now || revoked(cert));
        let due: Vec<_> = pairs(files).into_iter().filter(is_due).collect();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if due.is_empty() {
            *failing = Failing::default(); // Somebody put others there by hand.
        }
        if due.is_empty() || failing.next.is_some_and(|next| Instant::now() < next) {
            return Ok(false);
        }
        drop(failing);
        self.renew_these(files, &due)?;
        Ok(true)
    }

    /// Renews both, whether or not that is due.
    ///
    /// Errors: a certificate is not of the cluster's own authority, the new one would not be accepted, or the files cannot be
    /// written. Those in use stay as they are.
    pub fn renew(&self, files: &TlsFiles) -> Result<(), Failure> {
        let own: Vec<_> = pairs(files).into_iter().filter(|(cert, _)| self.due(cert).is_some()).collect();
        if own.is_empty() {
            return Err(
                "none of the certificates is of the cluster's own authority; whoever issued them renews them".into()
            );
        }
        self.renew_these(files, &own)
    }

    fn renew_these(&self, files: &TlsFiles, which: &[(&PathBuf, &PathBuf)]) -> Result<(), Failure> {
        let replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = which.iter().try_for_each(|(cert, key)| self.replace(&files.ca, cert, key));
        drop(replacing);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &done {
            Ok(()) => *failing = Failing::default(),
            Err(error) => {
                let wait = failing.wait.map_or(RETRY_MIN, |wait| (2 * wait).min(RETRY_MAX));
                let (why, next) = (Some(chain(&**error)), Some(Instant::now() + wait));
                *failing = Failing { why, wait: Some(wait), next };
            }
        }
        done
    }

    /// Puts a new certificate and its key in the place of those there, both or neither.
    fn replace(&self, ca: &Path, cert: &Path, key: &Path) -> Result<(), Failure> {
        let shown = Shown::read(cert)?;
        let (certificate, secret) = self.issue(&shown)?;
        let (next_cert, next_key) = (next(cert), next(key));
        write(&next_cert, certificate.as_bytes(), 0o644)?;
        write(&next_key, secret.as_bytes(), 0o600)?;
        let tried = tls::server_config(&next_cert, &next_key, &[], None).map_err(Failure::from).and_then(|_| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            shown.names.iter().try_for_each(|name| is_good(ca, &next_cert, name, now))
        });
        if let Err(error) = tried {
            drop((fs::remove_file(&next_key), fs::remove_file(&next_cert)));
            return Err(format!("the new certificate would not be accepted: {}", chain(&*error)).into());
        }
        rename(&next_key, key)?;
        rename(&next_cert, cert)
    }

    fn issue(&self, shown: &Shown) -> Result<(String, Zeroizing<String>), Failure> {
        let doing = |error: rcgen::Error| format!("issue a certificate: {error}");
        let key = KeyPair::generate().map_err(doing)?;
        let mut params = CertificateParams::new(shown.names.clone()).map_err(doing)?;
        let name = shown.names.first().ok_or("the certificate names nothing")?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
        params.distinguished_name.push(DnType::OrganizationName, "Tricord");
        // Not from now on: a clock that was wrong, and is right again, must not make it one of the future.
        params.not_before = self.begins.into();
        let ends = (seconds(SystemTime::now()) + seconds(UNIX_EPOCH + LIFE)).min(self.ends);
        params.not_after = (UNIX_EPOCH + Duration::from_secs(u64::try_from(ends).unwrap_or(0))).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if shown.among_nodes {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let mut serial = [0; 16];
        getrandom::fill(&mut serial).map_err(|_| "no randomness")?;
        serial[0] = serial[0] & 0x7F | 0x40; // Positive, and always of the same length.
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let certificate = params.signed_by(&key, &self.issuer).map_err(doing)?;
        Ok((format!("{}{}", certificate.pem(), self.pem), Zeroizing::new(key.serialize_pem())))
    }
}

impl Shown {
    fn read(path: &Path) -> Result<Self, Failure> {
        let der = first(path)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| unusable(path))?;
        let alternatives = parsed.subject_alternative_name().ok().flatten().ok_or_else(|| unusable(path))?;
        let names = alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        });
        let usage = parsed.extended_key_usage().ok().flatten();
        Ok(Self {
            names: names.collect(),
            issuer: parsed.issuer().as_raw().to_vec(),
            among_nodes: usage.is_some_and(|usage| usage.value.client_auth),
            begins: parsed.validity().not_before.timestamp(),
            ends: parsed.validity().not_after.timestamp(),
        })
    }
}

/// Ends what was interrupted while a certificate was replaced: the new pair, if its key is in place already, else the old one.
pub fn settle(files: &TlsFiles) -> Result<(), Failure> {
    for (cert, key) in pairs(files) {
        let (next_cert, next_key) = (next(cert), next(key));
        if next_cert.exists() && !next_key.exists() && tls::server_config(&next_cert, key, &[], None).is_ok() {
            rename(&next_cert, cert)?;
        }
        for left in [next_key, next_cert] {
            match fs::remove_file(&left) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("remove {}: {error}", left.display()).into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn pairs(files: &TlsFiles) -> [(&PathBuf, &PathBuf); 2] {
    [(&files.peer_cert, &files.peer_key), (&files.client_cert, &files.client_key)]
}

/// Seals the key to the node's pair, keeps it in the data directory, and takes the readable file away.
fn take_in(given: &Path, kept: &Path, pair: &NodeKey) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let key = Zeroizing::new(read(given)?);
    let sealed = seal::seal_own(&pair.public()?, SEALED_AS, &key)?;
    write_new(kept, &sealed)?;
    match fs::remove_file(given) {
        Ok(()) => {
            tracing::info!(file = %kept.display(), "the renewal key is kept in the data directory, sealed to this node")
        }
        Err(error) => tracing::warn!(
            file = %given.display(), %error,
            "the renewal key is kept in the data directory now; remove the readable file"
        ),
    }
    Ok(key)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

fn first(path: &Path) -> Result<CertificateDer<'static>, Failure> {
    let fail = |error: rustls::pki_types::pem::Error| format!("read {}: {error}", path.display());
    Ok(CertificateDer::from_pem_file(path).map_err(fail)?)
}

fn unusable(path: &Path) -> Failure {
    format!("{} holds no certificate that can be used", path.display()).into()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("read {}: {error}", path.display()).into())
}

fn next(path: &Path) -> PathBuf {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    PathBuf::from(next)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    drop(fs::remove_file(path)); // Of an attempt before.
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written
        .map_err(|error| format!("write {}: {error}; may the daemon write to that directory?", path.display()).into())
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    let dir = to.parent().unwrap_or(Path::new("."));
    let renamed = fs::rename(from, to).and_then(|()| fs::File::open(dir)?.sync_all());
    renamed.map_err(|error| format!("put {} in its place: {error}", to.display()).into())
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
