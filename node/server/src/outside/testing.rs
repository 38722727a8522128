//! A certificate authority and a listener, for tests of whoever connects.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::Trust;
use crate::tls;

/// An authority, whose files lie in a directory of its own.
pub struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().expect("a key"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed");
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).expect("written");
        let own = Self { dir, issuer: Issuer::new(params, key) };
        ["server", "node"].iter().for_each(|name| own.issue(name));
        own
    }

    fn issue(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        std::fs::write(self.dir.path().join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.dir.path().join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    /// What believes this authority, and shows the certificate with this name.
    pub fn trust(&self, own: Option<&str>) -> Trust {
        let file = |name: String| self.dir.path().join(name);
        let own = own.map(|name| (file(format!("{name}.pem")), file(format!("{name}.key"))));
        Trust { ca: file("ca.pem".into()), own }
    }

    /// A server's side; with `mutual` it insists on a certificate.
    pub fn server(&self, mutual: bool) -> TlsAcceptor {
        let file = |name: &str| self.dir.path().join(name);
        let (cert, key) = (file("server.pem"), file("server.key"));
        if !mutual {
            return TlsAcceptor::from(tls::server_config(&cert, &key, &[], None).expect("a configuration"));
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("read")).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let insists = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("known")
            .with_client_cert_verifier(insists.expect("a verifier"))
            .with_single_cert(
                vec![CertificateDer::from_pem_file(cert).expect("read")],
                PrivateKeyDer::from_pem_file(key).expect("read"),
            );
        TlsAcceptor::from(Arc::new(config.expect("a configuration")))
    }
}

/// Accepts one connection after the other and tells what came in each.
pub async fn listen(acceptor: TlsAcceptor) -> (String, mpsc::Receiver<io::Result<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound").to_string();
    let (tell, told) = mpsc::channel(8);
    let acceptor = Arc::new(acceptor);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let mut text = String::new();
            let read = match acceptor.accept(stream).await {
                Ok(mut stream) => stream.read_to_string(&mut text).await.map(|_| text),
                Err(error) => Err(error),
            };
            if tell.send(read).await.is_err() {
                return;
            }
        }
    });
    (at, told)
}
