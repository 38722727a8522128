//! Encrypting to people with `age`, the program: what is encrypted, or opened again, goes through pipes and touches no disk in
//! the clear.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::text::line;

/// Refuses what is no public key of age's, an option among it.
pub fn check_recipient(recipient: &str) -> Result<()> {
    if recipient.starts_with("age1") && recipient.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::Usage(format!("--recipient {}: a public key that begins with age1 is needed", line(recipient))))
}

/// Writes what `age` makes of these bytes to a file that must not be there yet, readable by its owner alone.
///
/// Errors: `doing` says what for; then no file is left behind.
pub fn encrypt(doing: &str, bytes: &[u8], recipient: &str, out: &Path) -> Result<()> {
    check_recipient(recipient)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let file = file.map_err(|source| Error::File { doing: "create", path: out.to_owned(), source })?;
    let encrypted = pipe(doing, bytes, recipient, file);
    if encrypted.is_err() {
        drop(std::fs::remove_file(out)); // Half of it is of no use.
    }
    encrypted
}

fn pipe(doing: &str, bytes: &[u8], recipient: &str, out: File) -> Result<()> {
    let mut command = Command::new("age");
    command.args(["--encrypt", "--recipient", recipient]).stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
    let mut age = command.spawn().map_err(|error| missing(doing, &error))?;
    let written = age.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(bytes));
    let ended = age.wait_with_output().map_err(|error| failed(doing, format!("run age: {error}")))?;
    if !ended.status.success() {
        return Err(said(doing, &ended.stderr));
    }
    written.map_err(|error| failed(doing, format!("age: {error}")))
}

/// What `age` makes of an encrypted file with this identity.
pub fn decrypt(doing: &str, file: &Path, identity: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mut command = Command::new("age");
    command.arg("--decrypt").arg("--identity").arg(identity).arg(file).stdin(Stdio::null());
    let opened = command.output().map_err(|error| missing(doing, &error))?;
    let bytes = Zeroizing::new(opened.stdout);
    if opened.status.success() { Ok(bytes) } else { Err(said(doing, &opened.stderr)) }
}

fn failed(doing: &str, why: String) -> Error {
    Error::Content { doing: doing.to_owned(), why }
}

fn missing(doing: &str, error: &std::io::Error) -> Error {
    failed(doing, format!("run age: {error}; install it: apt install age"))
}

fn said(doing: &str, stderr: &[u8]) -> Error {
    failed(doing, format!("age: {}", line(String::from_utf8_lossy(stderr).trim())))
}
