//! A node's certificate in a thief's hands: what it still opens.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto, version};

use crate::Result;

/// How long a port may take to turn a stranger away.
const PATIENCE: Duration = Duration::from_secs(8);

/// A certificate with its key, as a thief has it.
pub struct Stolen {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Stolen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stolen").finish_non_exhaustive()
    }
}

impl Stolen {
    /// What the node of this slot shows its peers now.
    pub fn take(dir: &Path, slot: &str) -> Result<Self> {
        let tls = dir.join(slot).join("tls");
        let certificates = |path| CertificateDer::pem_file_iter(path)?.collect::<std::result::Result<Vec<_>, _>>();
        Ok(Self {
            chain: certificates(tls.join("peer.crt"))?,
            key: PrivateKeyDer::from_pem_file(tls.join("peer.key"))?,
            authority: certificates(tls.join("ca.crt"))?,
        })
    }

    /// A connection that shows it.
    pub async fn connect(&self, address: &str, name: &str, protocol: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.authority.clone());
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13])?;
        let config = config.with_root_certificates(roots);
        let mut config = config.with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(address).await?;
        Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned())?, tcp).await?)
    }

    /// Whether a port goes on after the handshake: the metrics are given, or the peer port says something.
    pub async fn is_taken(&self, address: &str, name: &str, ops: bool) -> bool {
        let Ok(mut stream) = self.connect(address, name, if ops { b"http/1.1" } else { b"h2" }).await else {
            return false;
        };
        let hello: &[u8] = match ops {
            true => b"GET /metrics HTTP/1.1\r\nHost: tricord\r\n\r\n",
            false => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        };
        if stream.write_all(hello).await.is_err() {
            return false;
        }
        let mut first = [0; 12];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut first)).await;
        read.is_ok_and(|read| read.is_ok()) && (!ops || first.ends_with(b"200"))
    }
}

/// The addresses that a node's configuration says it listens on: for peers, for clients, for operators.
pub fn listens_on(config: &Path) -> Result<[String; 3]> {
    let parsed: toml::Table = fs::read_to_string(config)?.parse()?;
    let listen = |section: &str| {
        let address = parsed.get(section).and_then(|section| section.get("listen")?.as_str());
        address.map(str::to_owned).ok_or_else(|| format!("{}: [{section}] names no port", config.display()))
    };
    Ok([listen("peer")?, listen("client")?, listen("ops")?])
}
