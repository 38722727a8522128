//! Mutual TLS between nodes. A certificate names a cluster and a slot; the node that fills the slot says so itself and
//! is checked against the membership.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use types::{ClusterId, Slot};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Certificates and key for the peer port. Clones share what is in use, so that [`PeerTls::replace`] reaches all of them.
#[derive(Clone)]
pub struct PeerTls {
    current: Arc<ArcSwap<Configs>>,
    own: Certified,
}

/// What a handshake goes by.
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerTls").field("own", &self.own).finish_non_exhaustive()
    }
}

/// What a peer certificate names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certified {
    /// The cluster.
    pub cluster: ClusterId,
    /// The place in it.
    pub slot: Slot,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or without what must be in it.
    #[error("read {0} as PEM")]
    Pem(&'static str),
    /// The certificate has no name `{slot}.{cluster}.peer.tricord`.
    #[error("the node's certificate does not name a cluster and slot")]
    Unnamed,
    /// The new certificate is of another node, or another cluster.
    #[error("the new certificate names {new}, and this node is {own}", new = .0.name(), own = .1.name())]
    Other(Certified, Certified),
    /// They do not fit together.
    #[error("use the certificates")]
    Rustls(#[from] rustls::Error),
    /// The authority cannot verify peers.
    #[error("use the cluster's authority")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl PeerTls {
    /// Reads the cluster's authority, this node's certificate (with its chain) and its key.
    ///
    /// Errors: [`TlsError`] when one is not PEM, they do not fit, or the certificate names no cluster and slot.
    pub fn load(ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let (configs, own) = configs(ca_pem, cert_pem, key_pem)?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(configs)), own })
    }

    /// Puts others in their place, for connections from now on. Those that are open stay: a cluster must not elect a
    /// leader because a certificate was renewed.
    ///
    /// Errors: as [`PeerTls::load`], and [`TlsError::Other`]; then those in use stay.
    pub fn replace(&self, ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<(), TlsError> {
        let (configs, certified) = configs(ca_pem, cert_pem, key_pem)?;
        if certified != self.own {
            return Err(TlsError::Other(certified, self.own));
        }
        self.current.store(Arc::new(configs));
        Ok(())
    }

    /// What the next handshake of the peer port goes by.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().server))
    }

    /// What the next handshake with a peer goes by.
    #[must_use]
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.current.load().client))
    }

    /// What this node's own certificate names.
    #[must_use]
    pub const fn own(&self) -> Certified {
        self.own
    }
}

fn configs(ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<(Configs, Certified), TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(ca_pem, "the cluster's authority")? {
        roots.add(ca)?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(cert_pem, "the node's certificate")?;
    let own = chain.first().and_then(certified).ok_or(TlsError::Unnamed)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::Pem("the node's key"))?;

    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = &[&rustls::version::TLS13];
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Configs { server: Arc::new(server), client: Arc::new(client) }, own))
}

impl Certified {
    /// The name a certificate of this slot carries.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}.peer.tricord", self.slot, self.cluster)
    }

    /// The same, as the name that a handshake asks for.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot")]
    pub fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.name()).expect("a letter and hexadecimal digits make a DNS name")
    }

    /// What this certificate names; none if it names nothing or more than one.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        certified(certificate)
    }

    fn parse(name: &str) -> Option<Self> {
        let (slot, rest) = name.split_once('.')?;
        let cluster = rest.strip_suffix(".peer.tricord")?;
        Some(Self { cluster: cluster.parse().ok()?, slot: slot.parse().ok()? })
    }
}

/// What the certificate names; none if it names nothing or more than one.
pub(crate) fn certified(certificate: &CertificateDer<'_>) -> Option<Certified> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut found = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Certified::parse(name),
        _ => None,
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| TlsError::Pem(what))?;
    if all.is_empty() { Err(TlsError::Pem(what)) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_replaced_by_those_of_the_same_node_only() {
        let cluster = ClusterId([1; 16]);
        let (old, new) = (tests_support::Authority::new(), tests_support::Authority::new());
        let tls = old.tls(cluster, Slot::A);
        let (shared, before) = (tls.clone(), Arc::as_ptr(&tls.current.load().server));
        let [ca, cert, key] = new.pems(cluster, Slot::B);
        assert!(matches!(tls.replace(&ca, &cert, &key), Err(TlsError::Other(..))));
        let [_, other, _] = new.pems(cluster, Slot::A);
        assert!(tls.replace(&ca, &other, &key).is_err(), "a key of another certificate");
        assert_eq!(Arc::as_ptr(&shared.current.load().server), before, "a refused one changes nothing");
        let [ca, cert, key] = new.pems(cluster, Slot::A);
        tls.replace(&ca, &cert, &key).expect("it fits");
        assert_ne!(Arc::as_ptr(&shared.current.load().server), before, "every clone has it");
    }

    #[test]
    fn a_name_says_which_slot_of_which_cluster() {
        let certified = Certified { cluster: ClusterId([0xab; 16]), slot: Slot::C };
        assert_eq!(certified.name(), format!("c.{}.peer.tricord", "ab".repeat(16)));
        assert_eq!(Certified::parse(&certified.name()), Some(certified));
        for other in ["c.peer.tricord", "d.00.peer.tricord", "localhost", ""] {
            assert_eq!(Certified::parse(other), None);
        }
    }
}

/// Certificates for tests of this crate.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// A cluster's authority.
    pub(crate) struct Authority {
        issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
        pem: String,
    }

    impl Authority {
        pub(crate) fn new() -> Self {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).expect("an authority").pem();
            Self { issuer: rcgen::Issuer::new(params, key), pem }
        }

        pub(crate) fn tls(&self, cluster: ClusterId, slot: Slot) -> PeerTls {
            let [ca, certificate, key] = self.pems(cluster, slot);
            PeerTls::load(&ca, &certificate, &key).expect("it fits")
        }

        /// Its own certificate, and a new certificate of the slot with its key.
        pub(crate) fn pems(&self, cluster: ClusterId, slot: Slot) -> [Vec<u8>; 3] {
            let key = rcgen::KeyPair::generate().expect("a key");
            let params = rcgen::CertificateParams::new([Certified { cluster, slot }.name()]).expect("a name");
            let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
            [self.pem.clone(), certificate, key.serialize_pem()].map(String::into_bytes)
        }
    }
}
