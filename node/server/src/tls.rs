//! TLS for clients and operators: 1.3 only, from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file could not be read, or is not PEM.
    #[error("read the certificate or key {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate that can be used.
    #[error("{path} holds no certificate that can be used")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Key and certificate do not go together, or are of a kind we do not use.
    #[error("use the certificate {path} with its key")]
    Use {
        /// Which certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A server configuration that shows this certificate and speaks the given protocols. With `ca`, a client may show a
/// certificate, and it must then be one of that authority.
///
/// Errors: [`TlsError`], with the file it is about.
pub fn server_config(
    cert: &Path,
    key: &Path,
    protocols: &[&[u8]],
    ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |source| TlsError::Use { path: cert.to_owned(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?;
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(verifier(ca, provider)?),
    };
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Read { path: key.to_owned(), source })?;
    let mut config = builder.with_single_cert(chain(cert)?, private).map_err(unusable)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A client configuration that believes this authority and shows `own`, certificate and key, where it is asked.
///
/// Errors: [`TlsError`], with the file it is about.
pub fn client_config(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |path: &Path, source| TlsError::Use { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain(ca)?);
    if roots.is_empty() {
        return Err(TlsError::Empty { path: ca.to_owned() });
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| unusable(ca, source))?
        .with_root_certificates(roots);
    let Some((cert, key)) = own else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Read { path: key.to_owned(), source })?;
    let config = builder.with_client_auth_cert(chain(cert)?, private).map_err(|source| unusable(cert, source))?;
    Ok(Arc::new(config))
}

/// When the first certificate of the file ceases to be good, in seconds since 1970.
///
/// Errors: [`TlsError`] when the file cannot be read, or its first certificate is none.
pub fn expires(path: &Path) -> Result<i64, TlsError> {
    let chain = chain(path)?;
    let first = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let (_, certificate) = first.ok_or_else(|| TlsError::Empty { path: path.to_owned() })?;
    Ok(certificate.validity().not_after.timestamp())
}

fn verifier(ca: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain(ca)?);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|_| TlsError::Empty { path: ca.to_owned() })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(chain) }
}
