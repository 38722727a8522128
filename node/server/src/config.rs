//! The daemon's one configuration file: read once, checked whole before a port is bound, unknown keys refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod limits;
mod nearest;
mod written;

use serde::Deserialize;
use services::ClientLimits;
use types::{ClusterId, Slot};

pub use written::Written;

use limits::LimitsSection;

use crate::keys::{Passphrase, Protection};
use crate::outside::{OutsideConfig, SyslogConfig, Trust, WitnessConfig, is_loopback};

/// Every key with what it means, its unit and its default.
pub const DEFAULT: &str = include_str!("config/default.toml");

/// The longest text for when nothing can be sent.
const DOWNTIME_BYTES_MAX: usize = 2_000;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("read the configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind; the source says where.
    #[error("understand the configuration {path}; {hint}mend it and run 'tricordd check' again")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What was meant, if that can be guessed.
        hint: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that cannot be.
    #[error("configuration {path}: {key} = {value:?}: {why}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    founding: Option<PathBuf>,
    node: NodeSection,
    peer: ListenSection,
    client: ListenSection,
    ops: OpsSection,
    tls: TlsSection,
    nodes: NodesSection,
    #[serde(default)]
    log: LogSection,
    #[serde(default)]
    password: PasswordSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    audit: AuditSection,
    #[serde(default)]
    keys: KeysSection,
    #[serde(default)]
    backup: BackupSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeSection {
    slot: String,
    data: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenSection {
    listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpsSection {
    listen: SocketAddr,
    metrics_token: Option<PathBuf>,
    downtime: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    ca: PathBuf,
    peer_cert: PathBuf,
    peer_key: PathBuf,
    client_cert: PathBuf,
    client_key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesSection {
    a: Addresses,
    b: Addresses,
    c: Addresses,
}

/// Where one node is reached, as `host:port`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// By the other nodes.
    pub peer: String,
    /// By clients.
    pub client: String,
    /// By operators' machines; none: the host that clients reach, and the port this node has for operators.
    pub ops: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogSection {
    format: LogFormat,
    level: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuditSection {
    key: Option<PathBuf>,
    heads: Option<PathBuf>,
    syslog: Option<SyslogSection>,
    witness: Option<WitnessSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyslogSection {
    server: String,
    ca: PathBuf,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessSection {
    url: String,
    key: String,
    ca: Option<PathBuf>,
}

impl AuditSection {
    /// Where heads go. Errors: the key that is wrong, its value, and why.
    fn outside(&self, base: &Path) -> Result<OutsideConfig, (&'static str, String, String)> {
        let syslog = self.syslog.as_ref().map(|syslog| {
            check_address(&syslog.server)
                .map_err(|why| ("audit.syslog.server", syslog.server.clone(), why.to_owned()))?;
            let own = match (&syslog.cert, &syslog.key) {
                (Some(cert), Some(key)) => Some((base.join(cert), base.join(key))),
                (None, None) => None,
                (cert, key) => {
                    let given = cert.as_ref().or(key.as_ref()).map(|path| path.display().to_string());
                    let why = "cert and key are needed together".to_owned();
                    return Err(("audit.syslog.cert", given.unwrap_or_default(), why));
                }
            };
            Ok(SyslogConfig { server: syslog.server.clone(), trust: Trust { ca: base.join(&syslog.ca), own } })
        });
        let witness = self.witness.as_ref().map(|witness| {
            let wrong = |why: &str| ("audit.witness.url", witness.url.clone(), why.to_owned());
            let url: http::Uri = witness.url.parse().map_err(|_| wrong("https://HOST/ is needed"))?;
            let host = url.host().ok_or_else(|| wrong("https://HOST/ is needed"))?;
            let trust = match (url.scheme_str(), &witness.ca) {
                (Some("https"), Some(ca)) => Some(Trust { ca: base.join(ca), own: None }),
                (Some("https"), None) => return Err(wrong("audit.witness.ca is needed: who signed its certificate")),
                (Some("http"), _) if is_loopback(host) => None,
                _ => return Err(wrong("https is needed; http is for this machine alone")),
            };
            let key = record::Witness::parse(&witness.key).map_err(|error| {
                (
                    "audit.witness.key",
                    witness.key.clone(),
                    format!("{error}; a witness's key is NAME+ID+BASE64, of kind 4"),
                )
            })?;
            Ok(WitnessConfig { url, key, trust })
        });
        Ok(OutsideConfig {
            directory: self.heads.as_ref().map(|dir| base.join(dir)),
            syslog: syslog.transpose()?,
            witness: witness.transpose()?,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BackupSection {
    dir: Option<PathBuf>,
    every: String,
    keep: usize,
    rate_mib_s: u64,
}

impl Default for BackupSection {
    fn default() -> Self {
        Self { dir: None, every: "24h".to_owned(), keep: 14, rate_mib_s: 32 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PasswordSection {
    memory_kib: u32,
    iterations: u32,
}

impl Default for PasswordSection {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2 }
    }
}

/// What protects this node's private key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysSection {
    protection: ProtectionKind,
    file: PathBuf,
    credential: String,
    passphrase_from: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtectionKind {
    File,
    Credential,
    Passphrase,
}

impl Default for KeysSection {
    fn default() -> Self {
        Self {
            protection: ProtectionKind::File,
            file: "node.secret".into(),
            credential: "tricord-node-key".to_owned(),
            passphrase_from: "systemd".to_owned(),
        }
    }
}

impl KeysSection {
    fn protection(self, base: &Path) -> Result<Protection, (&'static str, String, &'static str)> {
        Ok(match self.protection {
            ProtectionKind::File => Protection::File(base.join(self.file)),
            ProtectionKind::Credential if self.credential.is_empty() || self.credential.contains('/') => {
                return Err(("keys.credential", self.credential, "the name of a systemd credential is needed"));
            }
            ProtectionKind::Credential => Protection::Credential(self.credential),
            ProtectionKind::Passphrase => Protection::Passphrase(match self.passphrase_from.as_str() {
                "prompt" => Passphrase::Prompt,
                "systemd" => Passphrase::Systemd,
                other => match other.strip_prefix("fd:").and_then(|number| number.parse().ok()) {
                    Some(number) => Passphrase::Descriptor(number),
                    None => {
                        return Err(("keys.passphrase_from", self.passphrase_from, "prompt, systemd, or fd:NUMBER"));
                    }
                },
            }),
        })
    }
}

/// The configuration, checked; paths are absolute or relative to where the daemon was started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster this node belongs to.
    pub cluster: ClusterId,
    /// The founding document, as long as it is there.
    pub founding: Option<PathBuf>,
    /// The place this node fills.
    pub slot: Slot,
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen for the other nodes.
    pub peer_listen: SocketAddr,
    /// Where to listen for clients.
    pub client_listen: SocketAddr,
    /// Where to listen for operators' machines.
    pub ops_listen: SocketAddr,
    /// A file with the token that opens `/metrics`; without one a client certificate is needed.
    pub metrics_token: Option<PathBuf>,
    /// The hospital's own words for when nothing can be sent, shown on the status page.
    pub downtime: Option<String>,
    /// Certificates and keys, as PEM files.
    pub tls: TlsFiles,
    /// Where the nodes are reached, by slot.
    pub nodes: [Addresses; 3],
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are: a level, or directives as for `tracing`.
    pub log_level: String,
    /// Memory of one password hash.
    pub password_memory_kib: u32,
    /// Passes of one password hash.
    pub password_iterations: u32,
    /// What this node takes of clients.
    pub limits: ClientLimits,
    /// The file with the key this node signs the audit log with.
    pub audit_key: Option<PathBuf>,
    /// Where sealed heads of the audit log go, outside the cluster.
    pub outside: OutsideConfig,
    /// What protects this node's private key.
    pub keys: Protection,
    /// Where and how often backups are made.
    pub backup: BackupConfig,
    /// The file it was read from, and what stands there.
    pub written: Written,
}

/// Where and how often backups are made.
#[derive(Clone, Debug)]
pub struct BackupConfig {
    /// The target: a directory somewhere else; none: nothing is made by itself.
    pub dir: Option<PathBuf>,
    /// How often.
    pub every: Duration,
    /// How many of this node's are kept; none: all.
    pub keep: Option<usize>,
    /// How fast files are read and written; 0: as fast as it goes.
    pub bytes_per_second: u64,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The cluster's certificate authority.
    pub ca: PathBuf,
    /// This node's certificate among nodes.
    pub peer_cert: PathBuf,
    /// Its key.
    pub peer_key: PathBuf,
    /// The certificate shown to clients, also on the ops port.
    pub client_cert: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            hint: nearest::hint(source.message()).map_or_else(String::new, |key| format!("did you mean '{key}'? ")),
            source: Box::new(source),
        })?;
        let wrong = |key, value: &str, why: String| ConfigError::Value {
            path: path.to_owned(),
            key,
            value: value.to_owned(),
            why,
        };
        let cluster = file.cluster.parse().map_err(|error| wrong("cluster", &file.cluster, format!("{error}")))?;
        let slot = file.node.slot.parse().map_err(|error| wrong("node.slot", &file.node.slot, format!("{error}")))?;
        let nodes = [file.nodes.a, file.nodes.b, file.nodes.c];
        for node in &nodes {
            let ops = node.ops.as_ref().map(|ops| ("nodes.*.ops", ops));
            for (key, address) in
                [("nodes.*.peer", &node.peer), ("nodes.*.client", &node.client)].into_iter().chain(ops)
            {
                check_address(address).map_err(|why| wrong(key, address, why.to_owned()))?;
            }
        }
        let memory = file.password.memory_kib;
        if !(8..=1024 * 1024).contains(&memory) {
            return Err(wrong("password.memory_kib", &memory.to_string(), "8 to 1,048,576 are possible".to_owned()));
        }
        let iterations = file.password.iterations;
        if !(1..=64).contains(&iterations) {
            return Err(wrong("password.iterations", &iterations.to_string(), "1 to 64 are possible".to_owned()));
        }
        if let Some(text) = file.ops.downtime.as_ref().filter(|text| text.len() > DOWNTIME_BYTES_MAX) {
            let why = format!("at most {DOWNTIME_BYTES_MAX} bytes fit a wall screen");
            return Err(wrong("ops.downtime", &text.chars().take(40).collect::<String>(), why));
        }
        let log_level = file.log.level.unwrap_or_else(|| "info".to_owned());
        log_level
            .parse::<tracing_subscriber::filter::Targets>()
            .map_err(|error| wrong("log.level", &log_level, format!("{error}")))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let every = span(&file.backup.every).filter(|every| *every >= BACKUP_EVERY_MIN).ok_or_else(|| {
            wrong("backup.every", &file.backup.every, "a time such as 12h or 1d, 5 minutes or more (5m)".to_owned())
        })?;
        let backup = BackupConfig {
            dir: file.backup.dir.map(|dir| base.join(dir)),
            every,
            keep: (file.backup.keep > 0).then_some(file.backup.keep),
            bytes_per_second: file.backup.rate_mib_s.saturating_mul(1024 * 1024),
        };
        Ok(Self {
            written: Written::of(text, path),
            backup,
            cluster,
            founding: file.founding.map(|founding| base.join(founding)),
            slot,
            data: base.join(file.node.data),
            peer_listen: file.peer.listen,
            client_listen: file.client.listen,
            ops_listen: file.ops.listen,
            downtime: file.ops.downtime,
            metrics_token: file.ops.metrics_token.map(|token| base.join(token)),
            tls: TlsFiles {
                ca: base.join(file.tls.ca),
                peer_cert: base.join(file.tls.peer_cert),
                peer_key: base.join(file.tls.peer_key),
                client_cert: base.join(file.tls.client_cert),
                client_key: base.join(file.tls.client_key),
            },
            nodes,
            log_format: file.log.format,
            log_level,
            password_memory_kib: memory,
            password_iterations: iterations,
            limits: file.limits.limits().map_err(|(key, value, why)| wrong(key, &value, why))?,
            outside: file.audit.outside(base).map_err(|(key, value, why)| wrong(key, &value, why))?,
            audit_key: file.audit.key.map(|key| base.join(key)),
            keys: file.keys.protection(base).map_err(|(key, value, why)| wrong(key, &value, why.to_owned()))?,
        })
    }

    /// Where operators' machines reach a node.
    pub fn ops_address(&self, slot: Slot) -> String {
        let Addresses { client, ops, .. } = self.addresses(slot);
        let host = client.rsplit_once(':').map_or(client.as_str(), |(host, _)| host);
        ops.clone().unwrap_or_else(|| format!("{host}:{}", self.ops_listen.port()))
    }

    /// Where a node is reached.
    pub fn addresses(&self, slot: Slot) -> &Addresses {
        &self.nodes[usize::from(slot.number()) - 1]
    }
}

/// The shortest time between two backups.
const BACKUP_EVERY_MIN: Duration = Duration::from_secs(5 * 60);

/// A time as people write it: `30m`, `12h`, `1d`.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(factor).map(Duration::from_secs)
}

fn check_address(address: &str) -> Result<(), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("host:port is needed")?;
    if host.is_empty() {
        return Err("the host is missing");
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port must be 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        cluster = "000102030405060708090a0b0c0d0e0f"
        founding = "founding.toml"
        node = { slot = "b", data = "data" }
        peer = { listen = "127.0.0.1:7412" }
        client = { listen = "127.0.0.1:7402" }
        ops = { listen = "127.0.0.1:7422" }
        [tls]
        ca = "tls/ca.crt"
        peer_cert = "tls/peer.crt"
        peer_key = "tls/peer.key"
        client_cert = "tls/client.crt"
        client_key = "tls/client.key"
        [nodes]
        a = { peer = "127.0.0.1:7411", client = "127.0.0.1:7401" }
        b = { peer = "127.0.0.1:7412", client = "127.0.0.1:7402" }
        c = { peer = "[::1]:7413", client = "tricord-c.example:7403" }
    "#;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/tricord/tricordd.toml"))
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = parse(GOOD).expect("good");
        assert_eq!(config.slot, Slot::B);
        assert_eq!(config.data, Path::new("/etc/tricord/data"));
        assert_eq!(config.tls.ca, Path::new("/etc/tricord/tls/ca.crt"));
        assert_eq!(config.addresses(Slot::C).client, "tricord-c.example:7403");
        assert_eq!(config.ops_address(Slot::C), "tricord-c.example:7422");
    }

    #[test]
    fn the_nodes_key_is_protected_as_said() {
        let keys = |section: &str| parse(&format!("{GOOD}\n{section}")).expect("good").keys;
        assert_eq!(keys(""), Protection::File("/etc/tricord/node.secret".into()));
        assert_eq!(keys("[keys]\nfile = \"/boot/secret\""), Protection::File("/boot/secret".into()));
        assert_eq!(keys("[keys]\nprotection = \"credential\""), Protection::Credential("tricord-node-key".into()));
        let from = |from: &str| keys(&format!("[keys]\nprotection = \"passphrase\"\npassphrase_from = \"{from}\""));
        assert_eq!(from("fd:3"), Protection::Passphrase(Passphrase::Descriptor(3)));
        assert_eq!(from("prompt"), Protection::Passphrase(Passphrase::Prompt));
    }

    #[test]
    fn backups_are_made_daily_where_a_directory_is_named() {
        let backup = |section: &str| parse(&format!("{GOOD}\n{section}")).expect("good").backup;
        assert_eq!(backup("").dir, None);
        let daily = backup("[backup]\ndir = \"/mnt/backup\"");
        assert_eq!((daily.dir.as_deref(), daily.every.as_secs()), (Some(Path::new("/mnt/backup")), 86_400));
        assert_eq!((daily.keep, daily.bytes_per_second), (Some(14), 32 << 20));
        let own = backup("[backup]\nevery = \"6h\"\nkeep = 0\nrate_mib_s = 0");
        assert_eq!((own.every.as_secs(), own.keep, own.bytes_per_second), (21_600, None, 0));
    }

    #[test]
    fn limits_are_taken_within_their_bounds() {
        let limits = |section: &str| parse(&format!("{GOOD}\n[limits]\n{section}"));
        assert_eq!(limits("").expect("good").limits, ClientLimits::default());
        let fewer = limits("calls_per_second = 20\nfailures_per_address = 1000").expect("good").limits;
        assert_eq!((fewer.calls_per_second, fewer.failures_per_address, fewer.streams), (20, 1_000, 20_000));
        for wrong in ["calls_per_second = 501", "streams = 0", "failures_per_address = 4", "sign_ins_per_login = 10001"]
        {
            let error = limits(wrong).expect_err(wrong).to_string();
            assert!(error.contains(&wrong.replace(" = ", " = \"")) && error.contains(" are possible"), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse(&format!("{GOOD}\n[log]\nlevle = \"info\"")).expect_err("unknown key");
        let ConfigError::Parse { source, hint, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("levle") && hint.contains("'level'"), "{source}; {hint}");
    }

    /// The keys of a table, with those of tables within, as `a.b`.
    fn keys(table: &toml::Table, within: &str, into: &mut Vec<String>) {
        for (key, value) in table {
            let name = format!("{within}{key}");
            match value {
                toml::Value::Table(table) => keys(table, &format!("{name}."), into),
                _ => into.push(name),
            }
        }
    }

    #[test]
    fn the_default_configuration_names_every_key_and_gives_the_defaults() {
        // What is optional stands there as a comment that begins a line with '#key' or '#[section]'.
        let whole: String = DEFAULT
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => rest,
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let (all, plain) = (parse(&whole).expect("with everything"), parse(DEFAULT).expect("as it is"));
        assert_eq!((all.log_level.as_str(), all.password_memory_kib), ("info", plain.password_memory_kib));
        assert_eq!((all.backup.every, all.backup.keep), (plain.backup.every, plain.backup.keep));
        assert_eq!(all.limits, plain.limits);
        assert_eq!((all.backup.bytes_per_second, &all.keys), (plain.backup.bytes_per_second, &plain.keys));
        let table: toml::Table = whole.parse().expect("TOML");
        let mut named = Vec::new();
        keys(&table, "", &mut named);
        // An unknown key is answered with those that are known: asked of every table.
        let mut tables: Vec<String> = vec![String::new()];
        tables.extend(named.iter().filter_map(|name| Some(format!("{}.", name.rsplit_once('.')?.0))));
        for within in tables {
            let mut asked = table.clone();
            let mut at = &mut asked;
            for part in within.split_terminator('.') {
                at = at.get_mut(part).and_then(toml::Value::as_table_mut).expect("a table");
            }
            at.insert("zzz".to_owned(), true.into());
            let error = toml::from_str::<File>(&asked.to_string()).expect_err("unknown").message().to_owned();
            for key in nearest::known(&error) {
                let name = format!("{within}{key}");
                assert!(
                    named.iter().any(|one| *one == name || one.starts_with(&format!("{name}."))),
                    "{name}: {error}"
                );
            }
            assert!(!nearest::known(&error).is_empty(), "{error}");
        }
    }

    #[test]
    fn heads_go_outside_in_tls_to_whom_a_key_was_given_for() {
        let witness = "witness.example+3ac253b8+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let refused = [
            ("[audit.syslog]\nserver = \"siem\"\nca = \"ca.pem\"".to_owned(), "audit.syslog.server"),
            ("[audit.syslog]\nserver = \"siem:6514\"".to_owned(), "ca"),
            ("[audit.syslog]\nserver = \"siem:6514\"\nca = \"ca.pem\"\ncert = \"x\"".to_owned(), "together"),
            (format!("[audit.witness]\nurl = \"http://w.example/\"\nkey = \"{witness}\""), "https is needed"),
            (format!("[audit.witness]\nurl = \"https://w.example/\"\nkey = \"{witness}\""), "audit.witness.ca"),
            ("[audit.witness]\nurl = \"http://localhost:1/\"\nkey = \"w+1+x\"".to_owned(), "audit.witness.key"),
        ];
        for (section, wanted) in refused {
            let text = format!("{GOOD}\n{section}");
            let said = Config::parse(&text, Path::new("/etc/tricord/tricordd.toml")).expect_err(&section);
            assert!(crate::chain(&said).contains(wanted), "{section}: {}", crate::chain(&said));
        }
        let text = format!("{GOOD}\n[audit.syslog]\nserver = \"siem:6514\"\nca = \"siem.pem\"");
        let config = Config::parse(&text, Path::new("/etc/tricord/tricordd.toml")).expect("good");
        assert_eq!(config.outside.syslog.expect("a syslog").trust.ca, Path::new("/etc/tricord/siem.pem"));
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for (from, to, key) in [
            ("slot = \"b\"", "slot = \"d\"", "node.slot"),
            ("cluster = \"0001", "cluster = \"x001", "cluster"),
            ("tricord-c.example:7403", "tricord-c.example", "nodes.*.client"),
            ("[tls]", "[backup]\nevery = \"daily\"\n[tls]", "backup.every"),
            ("[tls]", "[backup]\nevery = \"1m\"\n[tls]", "backup.every"),
        ] {
            let error = parse(&GOOD.replace(from, to)).expect_err(key);
            assert!(error.to_string().contains(key), "{error}");
        }
        let error = parse(&format!("{GOOD}\n[password]\nmemory_kib = 1")).expect_err("too little");
        assert!(error.to_string().contains("password.memory_kib"), "{error}");
        let keys = "[keys]\nprotection = \"passphrase\"\npassphrase_from = \"argv\"";
        let error = parse(&format!("{GOOD}\n{keys}")).expect_err("not from there");
        assert!(error.to_string().contains("keys.passphrase_from"), "{error}");
    }
}
