//! Gathers from this machine and from all nodes that answer, over their ops ports, with this node's certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use types::Slot;

use crate::Failure;
use crate::config::Config;
use crate::{doctor, support};

/// How long a node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// All that is found, as one JSON document: `doctor`, `settings` of this machine, and `nodes` by slot with `diagnostics` and
/// `metrics`, or `error`.
///
/// Errors: the configuration or the certificates of this machine cannot be read; the rest is told in the document.
pub fn gather(path: &Path) -> Result<String, Failure> {
    let examined: Value = serde_json::from_str(&doctor::examine(path).json())?;
    let config = Config::load(path)?;
    let connector = connector(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nodes = runtime.block_on(futures::future::join_all(Slot::ALL.map(|slot| of(&config, &connector, slot))));
    let nodes: serde_json::Map<String, Value> =
        Slot::ALL.into_iter().zip(nodes).map(|(slot, told)| (slot.to_string(), told)).collect();
    let gathered = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "slot": config.slot.to_string(),
        "doctor": examined,
        "settings": support::settings(&config),
        "nodes": nodes,
    });
    Ok(gathered.to_string())
}

async fn of(config: &Config, connector: &TlsConnector, slot: Slot) -> Value {
    let address = config.ops_address(slot);
    let told = async {
        let diagnostics = get(connector, &address, "/diagnostics").await?;
        let metrics = get(connector, &address, "/metrics").await?;
        let diagnostics: Value = serde_json::from_str(&diagnostics)?;
        Ok::<_, Failure>(json!({ "diagnostics": diagnostics, "metrics": metrics }))
    };
    match tokio::time::timeout(2 * PATIENCE, told).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => json!({ "error": format!("{address}: {error}") }),
        Err(_) => json!({ "error": format!("{address}: no answer within {} s", 2 * PATIENCE.as_secs()) }),
    }
}

async fn get(connector: &TlsConnector, address: &str, path: &str) -> Result<String, Failure> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host.trim_matches(['[', ']']));
    let name = ServerName::try_from(host.to_owned())?;
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.map_err(|_| "no connection")??;
    let mut stream = connector.connect(name, stream).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A peer that closes without a farewell has said all the same what it had to say.
    if let Err(error) = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
        && error.kind() != std::io::ErrorKind::UnexpectedEof
    {
        return Err(error.into());
    }
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(format!("{path}: {status}").into());
    }
    Ok(body.to_owned())
}

fn connector(config: &Config) -> Result<TlsConnector, Failure> {
    let read = |path: &Path| -> Result<Vec<CertificateDer<'static>>, Failure> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        read.map_err(|error| format!("read {}: {error}", path.display()).into())
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(&config.tls.ca)?);
    let own = read(&config.tls.peer_cert)?;
    let key = PrivateKeyDer::from_pem_file(&config.tls.peer_key)
        .map_err(|error| format!("read {}: {error}", config.tls.peer_key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut client = builder.with_root_certificates(roots).with_client_auth_cert(own, key)?;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(client)))
}
