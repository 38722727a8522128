//! `support …`: what the daemon's program gathers, as one archive that only the one it is for can open. It goes from memory
//! into `age`: nothing of it touches a disk in the clear.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::age;
use crate::args::{Bundle, Format, Global, SupportCommand};
use crate::error::{Error, Result};
use crate::output::say;
use crate::text::line;

const README: &str = "A support bundle of Tricord. doctor.json: what was found on the machine it was made on. settings.json: its settings, those \
on a list. SLOT/diagnostics.json: release, settings, state of the cluster and the newest log lines, as node SLOT told them; \
SLOT/metrics.txt: its numbers. It holds no message, no person's name, no token and no key; it does hold addresses and paths.\n";

/// What is being done, for errors.
const DOING: &str = "make a support bundle";

/// A file of the archive: its name and what is in it.
type File = (String, Vec<u8>);

/// Does it; the exit status.
pub fn run(global: &Global, command: SupportCommand) -> Result<u8> {
    let SupportCommand::Bundle(bundle) = command;
    let gathered = gather(&bundle)?;
    let (files, silent) = files(&gathered);
    let archive = archive(&files)?;
    age::encrypt(DOING, &archive, &bundle.recipient, &bundle.out)?;
    if global.output == Format::Json {
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        crate::output::json(&serde_json::json!({"out": bundle.out, "files": names, "silent": silent}))?;
    } else {
        say(&format!("Wrote {}: {} files, which only the recipient can open.", bundle.out.display(), files.len()));
        silent.iter().for_each(|why| say(&format!("NOT IN IT: {}", line(why))));
        say("It holds no message, no person's name, no token and no key; it does hold addresses and paths.");
    }
    Ok(if silent.is_empty() { 0 } else { 3 })
}

fn failed(why: String) -> Error {
    Error::Content { doing: DOING.into(), why }
}

fn gather(bundle: &Bundle) -> Result<Value> {
    let program = crate::daemon::program(bundle.tricordd.as_deref());
    let mut command = Command::new(&program);
    command.arg("support").arg("--config").arg(&bundle.config).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        failed(format!("run {}: {error}; --tricordd says where the daemon's program is", program.display()))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(line(said.trim().trim_start_matches("tricordd: "))));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("{} said: {error}", program.display())))
}

/// The files of the archive, and of which node there is nothing, with the reason.
fn files(gathered: &Value) -> (Vec<File>, Vec<String>) {
    let json = |value: &Value| serde_json::to_vec_pretty(value).unwrap_or_default();
    let mut files = vec![
        ("README.txt".to_owned(), README.as_bytes().to_vec()),
        ("doctor.json".to_owned(), json(&gathered["doctor"])),
        ("settings.json".to_owned(), json(&gathered["settings"])),
    ];
    let mut silent = Vec::new();
    for (slot, told) in gathered["nodes"].as_object().into_iter().flatten() {
        match told["error"].as_str() {
            Some(why) => silent.push(format!("node {slot}: {why}")),
            None => {
                files.push((format!("{slot}/diagnostics.json"), json(&told["diagnostics"])));
                files.push((format!("{slot}/metrics.txt"), told["metrics"].as_str().unwrap_or_default().into()));
            }
        }
    }
    (files, silent)
}

fn archive(files: &[File]) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| failed(error.to_string());
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(crate::when::now().seconds).unwrap_or(0));
        archive.append_data(&mut header, format!("tricord-support/{name}"), content.as_slice()).map_err(broken)?;
    }
    archive.into_inner().map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_silent_is_named_and_the_others_are_in_the_archive() {
        let gathered = serde_json::json!({
            "doctor": {}, "settings": {},
            "nodes": {"a": {"diagnostics": {"node": "a1"}, "metrics": "up 1\n"}, "b": {"error": "b:7403: no answer"}},
        });
        let (files, silent) = files(&gathered);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["README.txt", "doctor.json", "settings.json", "a/diagnostics.json", "a/metrics.txt"]);
        assert_eq!(silent, ["node b: b:7403: no answer"]);
        let archive = archive(&files).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        assert_eq!(archive.entries().unwrap().count(), 5);
    }

    #[test]
    fn what_is_no_recipient_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("bundle.tar.age");
        let error = age::encrypt(DOING, b"x", "--identity", &out).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && !out.exists());
    }
}
