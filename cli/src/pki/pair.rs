//! Whether a certificate and its key can be used together.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

/// Whether both are there and whole, fit each other, and are good today for whoever trusts this authority.
pub fn is_good(cert: &Path, key: &Path, ca: &Path) -> bool {
    let Some(shown) = certificates(cert) else { return false };
    let Ok(key) = PrivateKeyDer::from_pem_file(key) else { return false };
    fits(&shown, key) && is_trusted(&shown, ca)
}

fn certificates(path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).ok()
}

fn fits(shown: &[CertificateDer<'static>], key: PrivateKeyDer<'static>) -> bool {
    CertifiedKey::from_der(shown.to_vec(), key, &default_provider()).is_ok()
}

fn is_trusted(shown: &[CertificateDer<'static>], ca: &Path) -> bool {
    let Some((first, rest)) = shown.split_first() else { return false };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let algorithms = default_provider().signature_verification_algorithms.all;
    let checked: Result<(), Error> = ParsedCertificate::try_from(first)
        .and_then(|first| verify_server_cert_signed_by_trust_anchor(&first, &roots, rest, now, algorithms));
    checked.is_ok()
}
