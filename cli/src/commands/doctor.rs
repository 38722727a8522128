//! `doctor`: what the daemon's program finds on this machine, for people.

use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::args::{Doctor, Format, Global};
use crate::error::{Error, Result};
use crate::output::{COLUMNS, print, say};
use crate::text::{line, wrap};

/// Exit status when something should be done.
const WARNED: u8 = 3;
/// Exit status when the node cannot do its work.
const BROKEN: u8 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    slot: Option<String>,
    version: String,
    running: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    area: String,
    severity: Severity,
    what: String,
    next: String,
    runbook: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Ok,
    Note,
    Warn,
    Bad,
}

/// Looks and tells; the exit status.
pub fn run(global: &Global, doctor: &Doctor) -> Result<u8> {
    let program = crate::daemon::program(doctor.tricordd.as_deref());
    let failed = |why: String| Error::Content { doing: "look at this machine".into(), why };
    let mut command = Command::new(&program);
    command.arg("doctor").arg("--config").arg(&doctor.config).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        failed(format!("run {}: {error}; --tricordd says where the daemon's program is", program.display()))
    })?;
    let report: Report = serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        failed(format!("{} did not say what it found: {}", program.display(), line(said.trim())))
    })?;
    if global.output == Format::Json {
        crate::output::json(&report)?;
    } else {
        print(&words(&report, doctor.all))?;
        if !doctor.all && report.findings.iter().any(|one| one.severity == Severity::Ok) {
            let well = report.findings.iter().filter(|one| one.severity == Severity::Ok).count();
            say(&format!("{well} other things are as they should be (--all shows them)."));
        }
    }
    Ok(match report.findings.iter().map(|one| one.severity).max() {
        Some(Severity::Bad) => BROKEN,
        Some(Severity::Warn) => WARNED,
        Some(Severity::Note | Severity::Ok) | None => 0,
    })
}

fn words(report: &Report, all: bool) -> String {
    let count = |severity| report.findings.iter().filter(|one| one.severity == severity).count();
    let whose = report.slot.as_ref().map_or_else(|| "This machine".to_owned(), |slot| format!("Node {}", line(slot)));
    let (bad, warned) = (count(Severity::Bad), count(Severity::Warn));
    let things = |count: usize| if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
    let mut lines = vec![match (bad, warned) {
        (0, 0) => format!("{whose}: nothing to do."),
        (0, _) => format!("{whose}: {} should be looked after.", things(warned)),
        (_, 0) => format!("{whose}: {} must be mended.", things(bad)),
        (_, _) => format!("{whose}: {} must be mended, {} should be looked after.", things(bad), things(warned)),
    }];
    let mut findings: Vec<&Finding> = report.findings.iter().filter(|one| all || one.severity > Severity::Ok).collect();
    findings.sort_by_key(|one| std::cmp::Reverse(one.severity));
    if !findings.is_empty() {
        lines.push(String::new());
    }
    for finding in findings {
        let word = match finding.severity {
            Severity::Bad => "BAD",
            Severity::Warn => "warn",
            Severity::Note => "note",
            Severity::Ok => "ok",
        };
        let head = format!("{word:<5}{:<13}", line(&finding.area));
        let room = usize::from(COLUMNS) - head.len();
        let mut rows = wrap(&sentence(&finding.what), room);
        if !finding.next.is_empty() {
            let runbook = match finding.runbook.as_str() {
                "" => String::new(),
                name => format!(" (runbook {})", line(name)),
            };
            rows.extend(wrap(&format!("Next: {}{runbook}.", line(&finding.next)), room));
        }
        let first = |index| if index == 0 { head.clone() } else { " ".repeat(head.len()) };
        lines.extend(rows.into_iter().enumerate().map(|(index, row)| format!("{}{row}", first(index))));
    }
    lines.join("\n")
}

/// As a sentence of its own: a capital, and a full stop.
fn sentence(text: &str) -> String {
    let text = line(text);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, what: &str, next: &str, runbook: &str) -> Finding {
        Finding { area: "certificates".into(), severity, what: what.into(), next: next.into(), runbook: runbook.into() }
    }

    #[test]
    fn what_must_be_mended_stands_first_within_80_columns() {
        let long =
            "the peer certificate /etc/tricord/tls/peer.crt EXPIRED 3 days ago, and nobody has put another there";
        let report = Report {
            slot: Some("b".into()),
            findings: vec![
                finding(Severity::Ok, "all is well", "", ""),
                finding(Severity::Note, "swap is on", "swapoff -a", ""),
                finding(Severity::Bad, long, "issue a new one", "certificates"),
            ],
            ..Report::default()
        };
        let text = words(&report, false);
        assert!(text.starts_with("Node b: 1 thing must be mended.\n\nBAD  certificates The peer"), "{text}");
        assert!(text.contains("Next: issue a new one (runbook certificates)."), "{text}");
        assert!(!text.contains("all is well") && words(&report, true).contains("All is well."), "{text}");
        assert!(text.lines().all(|line| crate::text::width(line) <= 80), "{text}");
    }
}
