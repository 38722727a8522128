//! Backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::LocalSocket;

const VERIFY: &str = "\
Always: the manifest is whole and signed, and every sealed file is as long as it was and has the hash it had. With something \
to open it, the backup is really restored, to a directory of its own that goes away again: every row is read, the audit log's \
root is computed anew from its records and compared with a head that two nodes sealed. With --kit the recovery kit is shown to \
open the texts too. What was not shown is said.";

/// `backup …`
#[derive(Subcommand, Debug)]
pub enum BackupCommand {
    /// Make a backup now, on the machine of a node; serving goes on. Needs root.
    Create(BackupCreate),
    /// List the backups in a directory.
    List(BackupPlace),
    /// Verify a backup. Needs no cluster.
    #[command(after_help = VERIFY)]
    Verify(BackupVerify),
    /// Begin anew from a backup, on three new machines: run it on each. Needs the recovery kit.
    #[command(after_help = RESTORE)]
    Restore(BackupRestore),
}

const RESTORE: &str = "\
Only when all three nodes are lost: what was written after the backup is gone, and the old nodes, should they come back, are refused for \
ever. Each of the three machines needs tricord and tricordd, its spare from the safe (spares/a, b or c of the founding) as /etc/tricord, and the \
directory with the backups. Run it on the first machine; it prints how the new history begins, and the other two are given that \
(--beginning). Then start all three. Clients' cursors of before are refused (LINEAGE_CHANGED); people go on with their sessions.";

/// `backup restore`
#[derive(Args, Debug)]
pub struct BackupRestore {
    /// Which; default: the newest.
    pub name: Option<String>,
    #[command(flatten)]
    pub place: BackupPlace,
    /// The configuration of the node on this machine; its data directory must be empty.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// On the second and third machine: what the first one printed.
    #[arg(long, value_name = "CODE")]
    pub beginning: Option<String>,
    /// Hold the audit log in it to the founding keys (audit.pub of the founding bundle and of each spare).
    #[arg(long, value_name = "FILE")]
    pub founding: Option<PathBuf>,
    /// Only if the cluster was restored before, from a backup or from one node: a file with the keys of the nodes that came
    /// with that, as audit verify takes it.
    #[arg(long, value_name = "FILE", requires = "founding")]
    pub signers: Option<PathBuf>,
}

/// `backup create`
#[derive(Args, Debug)]
pub struct BackupCreate {
    #[command(flatten)]
    pub place: BackupPlace,
    /// Make a target of an empty directory: once for each new disk, stick or share.
    #[arg(long)]
    pub init: bool,
    /// Keep only so many of this node's backups there; default: as configured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// Where backups are.
#[derive(Args, Debug)]
pub struct BackupPlace {
    /// The directory with the backups; default: the one the node on this machine is configured with.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub local: LocalSocket,
    /// The daemon's program, which opens backups; default: beside this one, or on the path.
    #[arg(long, value_name = "FILE", env = "TRICORDD")]
    pub tricordd: Option<PathBuf>,
}

/// `backup verify`
#[derive(Args, Debug)]
pub struct BackupVerify {
    /// Which; default: the newest.
    pub name: Option<String>,
    #[command(flatten)]
    pub place: BackupPlace,
    /// Open it with the recovery kit: asks for two shares, or reads them from two lines of stdin.
    #[arg(long)]
    pub kit: bool,
    /// Open it with the key that a node keeps of its own backups (backup.series in its data directory); default: that of
    /// the node on this machine, if it can be read.
    #[arg(long, value_name = "FILE", conflicts_with = "kit")]
    pub series: Option<PathBuf>,
    /// Also hold the audit log in it to the founding keys (audit.pub of the founding bundle and of each spare).
    #[arg(long, value_name = "FILE")]
    pub founding: Option<PathBuf>,
    /// Only after a restoration, when nobody from before is left to vouch for the new nodes: a file with their keys, as
    /// audit verify takes it.
    #[arg(long, value_name = "FILE", requires = "founding")]
    pub signers: Option<PathBuf>,
    /// It must be of this cluster (its id); default: the node's on this machine, if there is one.
    #[arg(long, value_name = "ID")]
    pub cluster: Option<String>,
    /// Where to restore it for the time being; as much room as the backup is needed. Default: the system's directory for
    /// temporary files.
    #[arg(long, value_name = "DIR")]
    pub room: Option<PathBuf>,
}
