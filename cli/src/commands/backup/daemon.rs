//! The daemon's program, which knows how to open a store: `tricordd backup …`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::args::BackupPlace;
use crate::error::{Error, Result};

/// How it ends when a backup is not what was written; with another failure, nothing was found out.
const REFUTED: i32 = 3;
/// Longest line that it says, and longest complaint: a list of many backups.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) struct Daemon(PathBuf);

impl Daemon {
    /// Where it is.
    pub fn find(place: &BackupPlace) -> Result<Self> {
        Ok(Self(crate::daemon::program(place.tricordd.as_deref())))
    }

    /// Runs it: its last line. `secret` goes to its standard input; `progress` is told what it tells.
    ///
    /// Errors: [`Error::NotVerified`] if the backup is not good, and only then.
    pub fn ask(
        &self,
        doing: &str,
        arguments: &[OsString],
        secret: Option<&Zeroizing<String>>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<String> {
        let failed = |why: String| Error::Content { doing: doing.to_owned(), why };
        let mut command = Command::new(&self.0);
        command.arg("backup").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            failed(format!("run {}: {error}; --tricordd says where the daemon's program is", self.0.display()))
        })?;
        if let Some(mut stdin) = child.stdin.take()
            && let Some(secret) = secret
        {
            let _ = stdin.write_all(secret.as_bytes()); // It may have ended already; then it says why.
        }
        let complaints = child.stderr.take().map(|stderr| {
            std::thread::spawn(move || {
                let mut text = String::new();
                let _ = stderr.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
                text
            })
        });
        let mut last = String::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout.take(ANSWER_BYTES_MAX)).lines() {
                let line = line.map_err(|error| failed(error.to_string()))?;
                match told(&line) {
                    Some((done, total)) => progress(done, total),
                    None => last = line,
                }
            }
        }
        let ended = child.wait().map_err(|error| failed(error.to_string()))?;
        let complaints = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if ended.success() {
            return Ok(last);
        }
        let why = complaints.trim().strip_prefix("tricordd: ").unwrap_or(complaints.trim());
        if ended.code() == Some(REFUTED) {
            return Err(Error::NotVerified(why.to_owned()));
        }
        Err(failed(if why.is_empty() { format!("tricordd ended with {ended}") } else { why.to_owned() }))
    }
}

/// `progress DONE TOTAL`
fn told(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.strip_prefix("progress ")?.split_once(' ')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}
