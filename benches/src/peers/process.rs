//! Three processes of a peer, ended with this.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cluster::Result;
use tempfile::TempDir;

/// Where `ops/peers` put the programs.
const PROGRAMS: &str = "TRICORD_PEERS";

/// The nodes of a peer, and the directory they write to.
pub struct Nodes {
    children: Vec<Child>,
    dir: TempDir,
}

impl Nodes {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Self { children: Vec::new(), dir: tempfile::tempdir()? })
    }

    /// Where they write to, on the file system that the cluster's nodes use.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts one. What it says goes to a file beside its data.
    ///
    /// Errors: the program is not where `ops/peers` puts it.
    pub fn start(&mut self, program: &str, arguments: &[String]) -> Result<()> {
        let programs = std::env::var_os(PROGRAMS).map(PathBuf::from);
        let programs = programs.ok_or_else(|| format!("{PROGRAMS} names no directory: run ops/bench --peer"))?;
        let path = programs.join(program);
        let log = std::fs::File::create(self.dir.path().join(format!("log-{}", self.children.len())))?;
        let child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("start {}: {error}", path.display()))?;
        self.children.push(child);
        Ok(())
    }

    /// Their processes.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.children.iter().map(Child::id)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
