//! The operator's client, as root runs it beside a node.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::binaries::binary;
use crate::{Cluster, Node, Result, SLOTS};

/// Runs `tricord` with these words on the machine of a node, types `stdin`, and gives what it prints.
///
/// Errors: it failed; the text is what it said.
pub fn tricord(cluster: &Cluster, node: Node, arguments: &[&str], stdin: &str) -> Result<String> {
    let mut child = Command::new(binary("tricord")?)
        .args(arguments)
        .env("TRICORD_SOCKET", cluster.dir().join(SLOTS[node]).join("data/local.sock"))
        .env("TRICORDD", binary("tricordd")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(stdin.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("tricord {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
