//! Replacing a node as operators do: approved on a healthy machine, begun on the new one.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::binaries::binary;
use crate::{Cluster, Result};

/// `tricord node approve c` on a's machine, and the code it shows. Blocks until there is one.
///
/// Errors: what it says when it refuses.
pub fn approve(cluster: &Cluster, port: u16, more: &[&str]) -> Result<(Child, String)> {
    let a = cluster.dir().join("a");
    let mut child = Command::new(binary("tricord")?)
        .args(["--output", "json", "node", "approve", "c", "--detach", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--socket")
        .arg(a.join("data").join("local.sock"))
        .arg("--config")
        .arg(a.join("tricordd.toml"))
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    if line.is_empty() {
        let output = child.wait_with_output()?;
        return Err(said(&output).into());
    }
    let shown: serde_json::Value = serde_json::from_str(&line)?;
    Ok((child, shown["code"].as_str().ok_or("no code")?.to_owned()))
}

/// `tricord node replace c` on c's machine. Blocks.
pub fn replace(config: &Path, port: u16, code: &str) -> Result<Output> {
    let mut child = Command::new(binary("tricord")?)
        .args(["node", "replace", "c", "--detach", "--from", &format!("127.0.0.1:{port}")])
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    writeln!(child.stdin.take().ok_or("no input")?, "{code}")?;
    Ok(child.wait_with_output()?)
}

/// What a command told its operator.
#[must_use]
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
