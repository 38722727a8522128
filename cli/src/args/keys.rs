//! Keys.

use clap::Subcommand;

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
}
