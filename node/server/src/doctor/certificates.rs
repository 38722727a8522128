//! Whether the certificates are there, fit their keys, come from the cluster's authority, name this node and are still good.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft::Certified;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use types::Slot;

use super::{Report, Severity, private};
use crate::certificates::Certificates;
use crate::chain;
use crate::config::{Config, TlsFiles};
use crate::tls;

const AREA: &str = "certificates";
const RUNBOOK: &str = "certificates";
/// From this long before the end something is to be done.
const SOON_S: u64 = 30 * 24 * 60 * 60;
/// From here on at once.
const PRESSING_S: u64 = 3 * 24 * 60 * 60;

pub(super) fn examine(report: &mut Report, config: &Config) {
    let peer = Certified { cluster: config.cluster, slot: config.slot }.name();
    let client = config.addresses(config.slot).client.clone();
    let client = client.rsplit_once(':').map_or(client.clone(), |(host, _)| host.trim_matches(['[', ']']).to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    look(report, &config.tls, (&peer, &client), config.slot, now);
    for key in [&config.tls.peer_key, &config.tls.client_key] {
        if let Err(why) = private(key) {
            report.add(Severity::Warn, AREA, why, "keep private keys to the daemon's user").runbook = RUNBOOK;
        }
    }
}

/// `names`: what the certificate for peers, and the one for clients, must name.
fn look(report: &mut Report, files: &TlsFiles, names: (&str, &str), slot: Slot, now: Duration) {
    if let Err(error) = Certificates::load(files) {
        let next =
            "put the certificate and its key there: tricord pki issue makes them, or use the spare of this place";
        report.add(Severity::Bad, AREA, chain(&*error), next).runbook = RUNBOOK;
    }
    let foreign = format!("a certificate that others will refuse; issue one for place {slot}: tricord pki issue");
    for (purpose, path, name) in [("peer", &files.peer_cert, names.0), ("client", &files.client_cert, names.1)] {
        // When it ends is said below, in days.
        match verify(&files.ca, path, name, now) {
            Err(Wrong::Foreign(why)) => {
                let what = format!("the {purpose} certificate {} is not good: {why}", path.display());
                report.add(Severity::Bad, AREA, what, &foreign).runbook = RUNBOOK;
            }
            Err(Wrong::Unreadable | Wrong::Time) | Ok(()) => {}
        }
    }
    for (purpose, path) in [("authority", &files.ca), ("peer", &files.peer_cert), ("client", &files.client_cert)] {
        if let Ok(end) = tls::expires(path) {
            expiry(report, purpose, path, u64::try_from(end).unwrap_or(0), now.as_secs());
        }
    }
}

fn expiry(report: &mut Report, purpose: &str, path: &Path, end: u64, now: u64) {
    let renew = "issue a new one (tricord pki issue) and put it in its place: no restart is needed";
    let days = end.abs_diff(now) / 86_400;
    let file = path.display();
    let (severity, what) = if end <= now {
        (Severity::Bad, format!("the {purpose} certificate {file} EXPIRED {days} days ago"))
    } else if end - now < PRESSING_S {
        (Severity::Bad, format!("the {purpose} certificate {file} expires in {days} days"))
    } else if end - now < SOON_S {
        (Severity::Warn, format!("the {purpose} certificate {file} expires in {days} days"))
    } else {
        report.ok(AREA, format!("the {purpose} certificate is good for {days} days"));
        return;
    };
    report.add(severity, AREA, what, renew).runbook = RUNBOOK;
}

enum Wrong {
    /// Said elsewhere.
    Unreadable,
    /// Not good now; said in days.
    Time,
    /// From another authority, or for another name.
    Foreign(String),
}

/// Whether whoever believes this authority takes the certificate for this name, at this time since 1970.
///
/// Errors: in words, why not.
pub fn is_good(ca: &Path, cert: &Path, name: &str, now: Duration) -> Result<(), crate::Failure> {
    verify(ca, cert, name, now).map_err(|wrong| match wrong {
        Wrong::Unreadable => format!("{} or {} cannot be read", ca.display(), cert.display()).into(),
        Wrong::Time => format!("{} is not good now; is this machine's clock right?", cert.display()).into(),
        Wrong::Foreign(why) => why.into(),
    })
}

/// What a peer or a client would say of it.
fn verify(ca: &Path, cert: &Path, name: &str, now: Duration) -> Result<(), Wrong> {
    let read = |path| CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).ok();
    let (authority, shown) = read(ca).zip(read(cert)).ok_or(Wrong::Unreadable)?;
    let (first, rest) = shown.split_first().ok_or(Wrong::Unreadable)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|_| Wrong::Unreadable)?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| Wrong::Foreign(error.to_string()))?;
    use rustls::{CertificateError as Bad, Error};
    match verifier.verify_server_cert(first, rest, &name, &[], UnixTime::since_unix_epoch(now)) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        )) => Err(Wrong::Time),
        Err(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            Err(Wrong::Foreign(format!("{} did not sign it", ca.display())))
        }
        Err(Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            Err(Wrong::Foreign(format!("it does not name {}", name.to_str())))
        }
        Err(error) => Err(Wrong::Foreign(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    const DAY: u64 = 86_400;
    const PEER: &str = "b.000102030405060708090a0b0c0d0e0f.peer.tricord";

    fn files(dir: &Path) -> TlsFiles {
        let at = |name: &str| dir.join(name);
        TlsFiles {
            ca: at("ca.crt"),
            peer_cert: at("peer.crt"),
            peer_key: at("peer.key"),
            client_cert: at("client.crt"),
            client_key: at("client.key"),
        }
    }

    /// Certificates of a fresh authority, the nodes' good for a year from today.
    fn make(dir: &Path, days: u64) -> TlsFiles {
        let files = files(dir);
        let mut authority = CertificateParams::new(Vec::new()).expect("names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        std::fs::write(&files.ca, authority.self_signed(&key).expect("signed").pem()).expect("written");
        let issuer = Issuer::new(authority, key);
        for (name, cert, own) in
            [(PEER, &files.peer_cert, &files.peer_key), ("b.example", &files.client_cert, &files.client_key)]
        {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("names");
            params.not_after = (SystemTime::now() + Duration::from_secs(days * DAY)).into();
            let key = KeyPair::generate().expect("a key");
            std::fs::write(cert, params.signed_by(&key, &issuer).expect("signed").pem()).expect("written");
            std::fs::write(own, key.serialize_pem()).expect("written");
        }
        files
    }

    fn told(files: &TlsFiles, names: (&str, &str), after_days: u64) -> Report {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let mut report = Report::default();
        look(&mut report, files, names, Slot::B, now + Duration::from_secs(after_days * DAY));
        report
    }

    fn has(report: &Report, severity: Severity, words: &str) -> bool {
        report.findings.iter().any(|one| one.severity == severity && one.what.contains(words))
    }

    #[test]
    fn good_ones_are_said_to_be_good_and_old_ones_in_days() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = make(dir.path(), 365);
        let names = (PEER, "b.example");
        let report = told(&files, names, 0);
        assert_eq!(report.worst(), Severity::Ok, "{report:?}");
        assert!(has(&told(&files, names, 340), Severity::Warn, "expires in 2"));
        assert!(has(&told(&files, names, 363), Severity::Bad, "expires in"));
        assert!(has(&told(&files, names, 370), Severity::Bad, "EXPIRED"));
    }

    #[test]
    fn foreign_ones_misnamed_ones_and_keys_that_do_not_fit_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let files = make(dir.path(), 365);
        let foreign = make(other.path(), 365);
        let names = (PEER, "b.example");
        assert!(has(&told(&files, (PEER, "tricord.example"), 0), Severity::Bad, "it does not name tricord.example"));
        let mixed = TlsFiles { ca: foreign.ca.clone(), ..files.clone() };
        assert!(has(&told(&mixed, names, 0), Severity::Bad, "did not sign it"));
        let mixed = TlsFiles { client_key: foreign.client_key, ..files.clone() };
        assert!(has(&told(&mixed, names, 0), Severity::Bad, "client.crt"));
        std::fs::remove_file(&files.peer_cert).expect("removed");
        assert!(has(&told(&files, names, 0), Severity::Bad, "peer.crt"));
    }
}
