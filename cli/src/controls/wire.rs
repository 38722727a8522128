//! What a node agrees to when somebody connects to its client port: protocol, cipher, key exchange, as this machine got it now.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one node may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// In words, for the node at `host:port`; `authority` is what signed its certificate, as PEM. Offers everything that this program
/// can: what comes of it is the node's choice.
pub async fn look(address: &str, authority: &[u8]) -> String {
    match tokio::time::timeout(PATIENCE, agreed(address, authority)).await {
        Ok(Ok(words)) => format!("{address}: {words}"),
        Ok(Err(why)) => format!("{address}: not read: {why}"),
        Err(_) => format!("{address}: not read: no answer within {} s", PATIENCE.as_secs()),
    }
}

async fn agreed(address: &str, authority: &[u8]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host.trim_matches(['[', ']']));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authority).collect::<Result<Vec<_>, _>>()?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS)?;
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
    let connection = stream.get_ref().1;
    let version = connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("?");
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("?");
    let group = connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).unwrap_or("?");
    Ok(format!("{} with {}, key exchange {group}", version.replace("TLSv1_", "TLS 1."), suite.replace("TLS13_", "")))
}
