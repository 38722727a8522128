//! The last resort.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `disaster …`
#[derive(Subcommand, Debug)]
pub enum DisasterCommand {
    /// Begin a new history with what this machine has, because the other two are lost for good. The daemon must not run.
    /// Without --begin it only says what would be lost.
    Refound(Refound),
}

/// `disaster refound`
#[derive(Args, Debug)]
pub struct Refound {
    /// This machine's configuration.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// Begin, after asking for the name of the cluster.
    #[arg(long)]
    pub begin: bool,
    /// The name of the cluster, where nobody can be asked.
    #[arg(long)]
    pub name: Option<String>,
    /// Take messages although they are on one disk alone until another node has joined.
    #[arg(long)]
    pub accept_single_copy: bool,
    /// This place (a, b or c) is lost for good, although something listens at its address: another machine or service by now.
    #[arg(long, value_name = "SLOT")]
    pub lost: Vec<String>,
}
