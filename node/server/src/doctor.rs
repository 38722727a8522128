//! `tricordd doctor`: looks at everything a node needs on its machine, whether it runs or not, and says of each finding why
//! it matters and what to do. It writes nothing but a small file in the data directory, which it removes again, to learn
//! how long the disk takes to make something safe.

mod certificates;
mod disk;
mod host;
mod network;
mod owners;
mod running;

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use store::{DataDir, DataDirError};

pub use certificates::is_good;

use crate::config::{Config, ConfigError};
use crate::{backups, chain, run};

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// It serves; something should be done.
    Warn,
    /// The node cannot do its work, or soon will not.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Of what: `config`, `certificates`, `disk` and so on.
    pub area: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in one plain line.
    pub what: String,
    /// What to do next; empty when nothing is to be done.
    pub next: String,
    /// The runbook that says more, by its name; empty: none.
    pub runbook: &'static str,
}

/// All that was looked at.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The node's place, once the configuration could be read.
    slot: Option<String>,
    /// Of this program.
    version: &'static str,
    /// Whether the daemon runs on this machine.
    running: bool,
    /// In the order in which it was looked at.
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, severity: Severity, area: &'static str, what: impl Into<String>, next: &str) -> &mut Finding {
        self.findings.push(Finding { area, severity, what: what.into(), next: next.to_owned(), runbook: "" });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn ok(&mut self, area: &'static str, what: impl Into<String>) {
        self.add(Severity::Ok, area, what, "");
    }

    fn worst(&self) -> Severity {
        self.findings.iter().map(|one| one.severity).max().unwrap_or(Severity::Ok)
    }

    /// 0: nothing is to be done; 3: something is; 1: the node cannot do its work.
    pub fn exit(&self) -> ExitCode {
        match self.worst() {
            Severity::Ok | Severity::Note => ExitCode::SUCCESS,
            Severity::Warn => ExitCode::from(3),
            Severity::Bad => ExitCode::from(1),
        }
    }

    /// One JSON document on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!(r#"{{"findings":[],"error":"{error}"}}"#))
    }
}

/// Looks at everything. What cannot be looked at is a finding itself.
pub fn examine(path: &Path) -> Report {
    let mut report = Report { version: env!("CARGO_PKG_VERSION"), ..Report::default() };
    host::examine(&mut report);
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            let next = match &error {
                ConfigError::Read { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                    "you are not root: run this again as root (sudo)"
                }
                ConfigError::Read { .. } => {
                    "name the file: --config FILE; on a machine without a node: tricord cluster init"
                }
                ConfigError::Parse { .. } | ConfigError::Value { .. } => {
                    "mend the file, then run this again; tricordd --print-default-config shows every key"
                }
            };
            report.add(Severity::Bad, "config", chain(&error), next).runbook = "install";
            return report;
        }
    };
    report.slot = Some(config.slot.to_string());
    report.ok("config", format!("{} can be read and holds what it must", path.display()));
    certificates::examine(&mut report, &config);
    if may_look_into(&config.data) {
        data_directory(&mut report, &config);
        owners::examine(&mut report, &config);
        disk::examine(&mut report, &config.data);
    } else {
        let what = format!(
            "you are not root, and may not look into {}: whose disk it is, how full and how fast, was NOT looked at",
            config.data.display()
        );
        report.add(Severity::Warn, "disk", what, "run this again as root (sudo)");
    }
    keys(&mut report, &config);
    backups(&mut report, &config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async {
                running::examine(&mut report, &config).await;
                network::examine(&mut report, &config).await;
            });
            runtime.shutdown_background();
        }
        Err(error) => {
            report.add(Severity::Bad, "host", format!("no thread could be started: {error}"), "look at the machine");
        }
    }
    report
}

/// Whether what is in a directory is not closed to whoever asks.
fn may_look_into(dir: &Path) -> bool {
    !std::fs::read_dir(dir).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whose the data directory is.
fn data_directory(report: &mut Report, config: &Config) {
    match DataDir::identify(&config.data) {
        Ok(identity) => match run::check_identity(config, &identity) {
            Ok(()) => report.ok("data", format!("{} is that of node {}", config.data.display(), identity.node)),
            Err(error) => {
                let next = "mount the right disk, or mend node.slot and cluster";
                report.add(Severity::Bad, "data", error.to_string(), next).runbook = "node-down";
            }
        },
        Err(DataDirError::Missing { .. }) => {
            let what = format!("there is no data directory at {}", config.data.display());
            let next = "a new cluster: tricordd found. Otherwise the wrong disk is mounted, or it is lost";
            report.add(Severity::Bad, "data", what, next).runbook = "node-lost";
        }
        Err(error) => {
            let next = "put this disk aside and replace the node: tricord node replace";
            report.add(Severity::Bad, "data", chain(&error), next).runbook = "node-lost";
        }
    }
}

/// What protects the node's private key, and whether the log is signed.
fn keys(report: &mut Report, config: &Config) {
    let protection = config.keys.describe(&config.data);
    if protection == "file on the data disk" {
        let what = "the secret that protects this node's key is on the same disk as the data: not breach-safe";
        let next = "keep it elsewhere: [keys] protection = \"credential\" or \"passphrase\"";
        report.add(Severity::Note, "keys", what, next).runbook = "suspected-breach";
    } else {
        report.ok("keys", format!("this node's key is protected by: {protection}"));
    }
    match &config.audit_key {
        None => {
            let what = "this node does not sign the audit log";
            let next = "name the key: [audit] key; the founding bundle has one";
            report.add(Severity::Warn, "audit", what, next).runbook = "audit";
        }
        Some(key) => match private(key) {
            Ok(()) => report.ok("audit", "the key that signs the audit log is there, and private"),
            Err(why) => {
                let next = "put the key of the founding bundle there, owned by the daemon, mode 600";
                report.add(Severity::Bad, "audit", why, next).runbook = "audit";
            }
        },
    }
    if let Some(heads) = config.outside.directory.as_ref().filter(|heads| !heads.is_dir()) {
        let what = format!("{} (audit.heads) is no directory: heads do not leave this machine", heads.display());
        report.add(Severity::Warn, "audit", what, "mount it, or name another").runbook = "audit";
    }
}

fn backups(report: &mut Report, config: &Config) {
    let Some(dir) = &config.backup.dir else {
        let what = "this node makes no backups by itself";
        let next = "name a directory on another machine or disk: [backup] dir; on one node at least";
        report.add(Severity::Note, "backup", what, next).runbook = "backup";
        return;
    };
    match backups::check(dir) {
        Ok(()) => report.ok("backup", format!("{} takes backups", dir.display())),
        Err(error) => {
            let next = "mount it; a new one is prepared once: tricord backup create --init --dir DIR";
            report.add(Severity::Warn, "backup", chain(&error), next).runbook = "backup";
        }
    }
}

/// That a file with a secret can be read, and by nobody else.
fn private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let opened = std::fs::File::open(path).and_then(|file| file.metadata());
    let mode = opened.map_err(|error| format!("read {}: {error}", path.display()))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!("{} can be read by others (mode {:o}); chmod 600 it", path.display(), mode & 0o777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_read_is_a_finding_with_a_next_step() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tricordd.toml");
        std::fs::write(&path, "clutser = \"00\"\n").expect("written");
        let report = examine(&path);
        let finding = report.findings.iter().find(|one| one.area == "config").expect("a finding");
        assert_eq!(finding.severity, Severity::Bad);
        assert!(finding.what.contains("clutser") && finding.what.contains("did you mean 'cluster'"), "{finding:?}");
        assert!(!finding.next.is_empty());
        assert_eq!(report.worst(), Severity::Bad);
        assert!(report.json().contains(r#""severity":"bad""#), "{}", report.json());
    }

    #[test]
    fn every_finding_that_asks_for_something_says_what() {
        let dir = tempfile::tempdir().expect("a directory");
        let report = examine(&dir.path().join("not-there.toml"));
        for finding in report.findings.iter().filter(|one| one.severity >= Severity::Warn) {
            assert!(!finding.next.is_empty(), "{finding:?}");
        }
    }
}
