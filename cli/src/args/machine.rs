//! What is asked of the machine of a node.

use std::path::PathBuf;

use clap::Args;

/// `doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    /// The configuration of the node on this machine.
    #[arg(long, value_name = "FILE", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// Show also what is as it should be.
    #[arg(long)]
    pub all: bool,
    /// The daemon's program, which does the looking; default: beside this one, or on the path.
    #[arg(long, value_name = "FILE", env = "TRICORDD")]
    pub tricordd: Option<PathBuf>,
}
