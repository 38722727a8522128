//! Keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `key …`
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Say which keys there are: the cluster's, the nodes', the recovery kit's, those of the audit log, and TLS.
    List,
    /// Replace a key.
    #[command(subcommand)]
    Rotate(RotateCommand),
    /// Let a node that has joined hold the cluster key.
    Approve {
        /// The node, as `b2`.
        #[arg(id = "which", value_name = "NODE")]
        node: String,
        /// Its public key as tricordd printed it on that machine: compare the two by another way than this network.
        #[arg(long)]
        public_key: String,
    },
    /// The recovery kit.
    #[command(subcommand)]
    Recovery(RecoveryCommand),
}

/// `key rotate …`
#[derive(Subcommand, Debug)]
pub enum RotateCommand {
    /// Make a new cluster key and wrap all data keys anew, while messages flow. Safe to interrupt: the nodes go on, and the
    /// same command shows how far they are.
    Cluster,
}

/// `key recovery …`
#[derive(Subcommand, Debug)]
pub enum RecoveryCommand {
    /// Prove that a kit opens the cluster key in use: asks for two shares, or reads two lines from stdin. They stay on this
    /// machine.
    Verify,
    /// Make another kit on this machine and propose it in place of the one there is: because a share is lost, or whoever had one
    /// has gone. Shows its shares once and asks for two of them. Another administrator confirms it within an hour, or nothing
    /// changes. Asks for the shares and one's password, or reads three lines from stdin.
    Replace {
        /// Why, for the audit log: no names.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        custody: Custody,
    },
    /// Confirm the kit that another administrator proposed: from then on the cluster and its backups are sealed to it, and a new
    /// cluster key is made that the old kit never opens. Asks for one's password.
    Confirm {
        /// The fingerprint as it stands on the paper with the shares.
        fingerprint: String,
    },
    /// Withdraw the kit that waits to be confirmed.
    Cancel,
    /// Say which kit opens what: the cluster, and the backups of which time.
    List,
}

/// Who keeps the shares of a recovery kit, if they are elsewhere.
#[derive(Args, Debug, Clone, Default)]
pub struct Custody {
    /// Do not show the shares: encrypt each to one of three people. Their public keys (age1…), three times; each opens theirs
    /// with 'age --decrypt', and any two have the kit.
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// With --recipient: the directory for the three files.
    #[arg(long = "shares-out", value_name = "DIR", default_value = ".")]
    pub shares: PathBuf,
    /// With --recipient: the identity file of one of the three, who is here and proves that their share opens again; may be
    /// repeated.
    #[arg(long, value_name = "FILE", requires = "recipient")]
    pub identity: Vec<PathBuf>,
}
