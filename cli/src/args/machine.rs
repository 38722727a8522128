//! What is asked of the machine of a node, and for auditors of the product.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    /// The configuration of the node on this machine.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// Show also what is as it should be.
    #[arg(long)]
    pub all: bool,
    /// The daemon's program, which does the looking; default: beside this one, or on the path.
    #[arg(long, value_name = "FILE", env = "TRICORDD")]
    pub tricordd: Option<PathBuf>,
}

/// `controls …`
#[derive(Subcommand, Debug)]
pub enum ControlsCommand {
    /// Report each item of the HIPAA technical safeguards and of other rules: what the product does, what this cluster shows
    /// of it, what the hospital must still do, and what lies outside. For all of it one needs the permission set auditor; what may
    /// not be read is named, and the rest is reported.
    Report {
        /// Write it as a page to print or to hand over.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

/// `support …`
#[derive(Subcommand, Debug)]
pub enum SupportCommand {
    /// Gather what someone needs who helps from elsewhere: releases, settings, how the cluster is, numbers and log lines of all
    /// nodes that answer, and what 'tricord doctor' finds here. One archive, encrypted with age; no message, no person's name,
    /// no token, no key. Run it as root on the machine of a node. Exit status 3: a node did not answer.
    Bundle(Bundle),
}

/// `support bundle`
#[derive(Args, Debug)]
pub struct Bundle {
    /// For whom: the public key (age1…) of whoever helps; they open it with 'age --decrypt'.
    #[arg(long, value_name = "KEY")]
    pub recipient: String,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE", default_value = "tricord-support.tar.age")]
    pub out: PathBuf,
    /// The configuration of the node on this machine.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// The daemon's program, which does the gathering; default: beside this one, or on the path.
    #[arg(long, value_name = "FILE", env = "TRICORDD")]
    pub tricordd: Option<PathBuf>,
}
