//! Certificates: a cluster's own authority, and what it signs. Keys are ECDSA P-256; all else is TLS 1.3's business.

pub mod files;
pub mod found;
pub mod handed;
pub mod invite;
mod kit;
pub mod pair;

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SerialNumber,
};
use types::{ClusterId, Slot};

use crate::error::{Error, Result};

/// How long the authority is good for.
const AUTHORITY_DAYS: u32 = 20 * 365;

/// A certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key. A secret.
    pub key: String,
}

impl Authority {
    /// A new authority of this name.
    pub fn create(name: &str) -> Result<Self> {
        types::text::check_name(name, 64).map_err(|error| Error::Usage(format!("the name {name:?}: {error}")))?;
        let doing = "make the certificate authority";
        let key = KeyPair::generate().map_err(|error| failed(doing, &error))?;
        let mut params = params(&format!("{name} authority"), AUTHORITY_DAYS)?;
        // One certificate may stand between: that with which a node renews its own.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| failed(doing, &error))?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority whose `ca.crt` and `ca.key` are in this directory.
    pub fn read(dir: &Path) -> Result<Self> {
        let doing = "read the certificate authority";
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|source| Error::File { doing: "read", path, source })
        };
        let certificate = read("ca.crt")?;
        let key = KeyPair::from_pem(&read("ca.key")?).map_err(|error| failed(doing, &error))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| failed(doing, &error))?;
        Ok(Self { issuer, certificate })
    }

    /// Writes `ca.crt` and `ca.key` (mode 0600); existing files are not replaced.
    pub fn write(&self, dir: &Path) -> Result<()> {
        files::write_new(&dir.join("ca.key"), self.issuer.key().serialize_pem().as_bytes(), 0o600)?;
        files::write_new(&dir.join("ca.crt"), self.certificate.as_bytes(), 0o644)
    }

    /// The authority's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A node's certificate for the peer port: it names cluster and slot.
    pub fn peer(&self, cluster: ClusterId, slot: Slot, days: u32) -> Result<Issued> {
        let name = peer_name(cluster, slot);
        self.issue(&name, std::slice::from_ref(&name), days, true)
    }

    /// A certificate for the client and ops ports at these names and IP addresses.
    pub fn client(&self, hosts: &[String], days: u32) -> Result<Issued> {
        let first = hosts.first().ok_or_else(|| Error::Usage("a client certificate needs a --host".into()))?;
        self.issue(first, hosts, days, false)
    }

    /// With what a node renews its own certificates by itself: it signs for this slot's name among nodes and for these names and
    /// addresses, and for nothing else. It is good for as long as the authority.
    pub fn renewal(&self, cluster: ClusterId, slot: Slot, hosts: &[String]) -> Result<Issued> {
        let name = peer_name(cluster, slot);
        let doing = &format!("issue the renewal certificate of {name}");
        let key = KeyPair::generate().map_err(|error| failed(doing, &error))?;
        let mut params = params(&format!("renewal {name}"), AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.use_authority_key_identifier_extension = true;
        let addresses: Vec<IpAddr> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
        let names = hosts.iter().filter(|host| host.parse::<IpAddr>().is_err()).cloned();
        let mut permitted: Vec<GeneralSubtree> =
            std::iter::once(name).chain(names).map(GeneralSubtree::DnsName).collect();
        let only = |address: &IpAddr| CidrSubnet::from_addr_prefix(*address, if address.is_ipv4() { 32 } else { 128 });
        permitted.extend(addresses.iter().map(only).map(GeneralSubtree::IpAddress));
        // A kind of name of which none is permitted would be free: all addresses are excluded then.
        let none = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])].map(GeneralSubtree::IpAddress);
        let excluded = if addresses.is_empty() { none.into() } else { Vec::new() };
        params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(doing, &error))?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn issue(&self, name: &str, hosts: &[String], days: u32, both: bool) -> Result<Issued> {
        let doing = &format!("issue the certificate for {name}");
        let key = KeyPair::generate().map_err(|error| failed(doing, &error))?;
        let mut params = params(name, days)?;
        params.subject_alt_names =
            CertificateParams::new(hosts.to_vec()).map_err(|error| failed(doing, &error))?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if both {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(doing, &error))?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Issued {
    /// Writes `{name}.crt` and `{name}.key` (mode 0600); existing files are not replaced.
    pub fn write(&self, dir: &Path, name: &str) -> Result<()> {
        files::write_new(&dir.join(format!("{name}.key")), self.key.as_bytes(), 0o600)?;
        files::write_new(&dir.join(format!("{name}.crt")), self.certificate.as_bytes(), 0o644)
    }
}

/// What a node's certificate is for: `{slot}.{cluster}.peer.tricord`.
pub fn peer_name(cluster: ClusterId, slot: Slot) -> String {
    format!("{slot}.{cluster}.peer.tricord")
}

/// The slot of a letter.
pub fn slot(letter: &str) -> Result<Slot> {
    let slot = Slot::ALL.into_iter().find(|slot| slot.letter() == letter);
    slot.ok_or_else(|| Error::Usage(format!("the slot {letter:?}: a, b or c")))
}

/// The beginning is a day back: a node whose clock is a little behind must not refuse its own certificate.
fn params(name: &str, days: u32) -> Result<CertificateParams> {
    let doing = &format!("issue the certificate for {name}");
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    // A common name has at most 64 characters; the alternative names are what counts.
    subject.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    subject.push(DnType::OrganizationName, "Tricord");
    params.distinguished_name = subject;
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let day = |offset: i64| {
        let date = today.saturating_add(jiff::Span::new().days(offset));
        rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(i64::from(days));
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| failed(doing, &error))?;
    serial[0] &= 0x7f; // Positive.
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn failed(doing: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Pki { doing: doing.to_owned(), why: error.to_string() }
}
