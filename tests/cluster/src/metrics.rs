//! What a node's ops port says of itself in numbers, and what came between two looks at it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Result;

/// Longest that a node may take to say them.
const PATIENCE: Duration = Duration::from_secs(20);

/// All samples of one or more nodes, by name and labels as they are written, `name{label="value"}`.
#[derive(Clone, Debug, Default)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Asks the node whose directory this is, with its own certificate.
    pub async fn of(dir: &Path, authority: &Path, address: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let chain = CertificateDer::pem_file_iter(dir.join("tls/peer.crt"))?.collect::<std::result::Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(dir.join("tls/peer.key"))?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let told = async {
            let stream = TcpStream::connect(address).await?;
            let mut tls = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, stream).await?;
            tls.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
            let mut answer = Vec::new();
            // A node that says all and closes without a word of TLS has said all.
            match tls.read_to_end(&mut answer).await {
                Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
                _ => Ok::<_, crate::Failure>(String::from_utf8(answer)?),
            }
        };
        let answer = tokio::time::timeout(PATIENCE, told).await??;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
        if !head.contains(" 200 ") {
            return Err(format!("{address}/metrics: {}", head.lines().next().unwrap_or_default()).into());
        }
        Ok(Self(body.lines().filter_map(sample).collect()))
    }

    /// With those of another node: equal ones are added.
    pub fn add(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            *self.0.entry(name.clone()).or_default() += value;
        }
    }

    /// What was counted since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let past = |name| before.0.get(name).copied().unwrap_or_default();
        Self(self.0.iter().map(|(name, value)| (name.clone(), value - past(name))).collect())
    }

    /// The sum over all samples of this name with all of these labels, each as `label="value"`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.named(name, labels).map(|(_, value)| value).sum()
    }

    /// Such a share of what a histogram counted was no more than this, in its unit; between two bounds as Prometheus does.
    #[must_use]
    pub fn quantile(&self, share: f64, name: &str, labels: &[&str]) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, count) in self.named(&format!("{name}_bucket"), labels) {
            let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let wanted = buckets.last().map(|(_, all)| all * share).filter(|wanted| *wanted > 0.0)?;
        let mut below = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted {
                let part = (wanted - below.1) / (count - below.1);
                return Some(if bound.is_finite() { (bound - below.0).mul_add(part, below.0) } else { below.0 });
            }
            below = (bound, count);
        }
        None
    }

    fn named(&self, name: &str, labels: &[&str]) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(move |(whole, value)| {
            let rest = whole.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('{'))?;
            labels.iter().all(|label| rest.contains(label)).then_some((rest, *value))
        })
    }
}

fn sample(line: &str) -> Option<(String, f64)> {
    let (name, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((name.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(text: &str) -> Samples {
        Samples(text.lines().filter_map(sample).collect())
    }

    #[test]
    fn a_quantile_is_of_what_came_between_two_looks_at_all_nodes() {
        let of = |few: u32, many: u32| {
            let lines = format!(
                "# HELP t x\nt_bucket{{method=\"a\",le=\"1\"}} {few}\nt_bucket{{method=\"a\",le=\"2\"}} {many}\n\
                 t_bucket{{method=\"a\",le=\"+Inf\"}} {many}\nt_count{{method=\"a\"}} {many}\nt_bucket{{method=\"b\",le=\"+Inf\"}} 9"
            );
            samples(&lines)
        };
        let (before, mut after) = (of(10, 10), of(60, 60));
        after.add(&of(0, 50));
        let told = after.since(&before);
        assert_eq!(told.sum("t_count", &[]), 100.0);
        assert_eq!(told.quantile(0.25, "t", &["method=\"a\""]), Some(0.5));
        assert_eq!(told.quantile(0.75, "t", &["method=\"a\""]), Some(1.5));
        assert_eq!(told.quantile(0.5, "t", &["method=\"c\""]), None);
    }
}
