//! The cluster and its certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Approve, Join, PlaceOf, Replace};

const INIT: &str = "\
The three nodes are given with --node, once for each slot:
  --node a=PEER_HOST:PORT,CLIENT_HOST:PORT[,OPS_HOST:PORT] --node b=… --node c=…
PEER is where the other nodes reach it, CLIENT where people's clients do, OPS where health and metrics are (default: \
the client's host, port 7403). An IPv6 address stands in brackets.";

/// `cluster …`
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Make the founding bundle: certificates, keys and configuration of the three nodes, and the first administrator.
    #[command(after_help = INIT)]
    Init(Box<ClusterInit>),
    /// Say in one plain line whether the cluster serves, then how each node is.
    Status,
    /// End an upgrade, on the machine of any node: what the newer release brought begins, and no node can go back to the
    /// release before. After 72 hours with all three nodes well it is done by itself. Needs root.
    Finalize(LocalSocket),
    /// The nodes' certificates: which they show, and which are revoked.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Say that cluster time is right after a step, so that what waits because of it expires now. 'cluster status' tells of a
    /// step; an outage of more than a minute is one, and so are clocks that were wrong. Recorded.
    ConfirmTime,
}

/// `cluster certificate …`
#[derive(Subcommand, Debug)]
pub enum CertificateCommand {
    /// List which certificates nodes show, and which are revoked.
    List,
    /// Revoke a certificate that no node shows any more, for good: a stolen one, one of a spare that was lost. Every node refuses
    /// it from then on and closes what was opened with it. A replaced node's are revoked by themselves.
    Revoke {
        /// Its serial number: hexadecimal digits, as 'openssl x509 -serial' or 'tricord cluster certificate list' print it.
        serial: String,
        /// Why, for the audit log: no names.
        #[arg(long)]
        reason: String,
    },
    /// Cut a node off from the others: all that it shows is revoked, for good. Refused unless both other nodes answer and have
    /// good certificates. It comes back by being replaced, or with new certificates put there by hand.
    CutOff {
        /// The node, as b1.
        #[arg(id = "which", value_name = "NODE")]
        node: String,
        /// Why, for the audit log: no names.
        #[arg(long)]
        reason: String,
    },
}

/// `cluster init`
#[derive(Args, Debug)]
pub struct ClusterInit {
    /// What people call the cluster.
    #[arg(long)]
    pub name: String,
    /// The login of the first administrator.
    #[arg(long)]
    pub admin: String,
    /// The administrator's display name; default: the login.
    #[arg(long)]
    pub admin_name: Option<String>,
    /// The directory to write; it must not exist or be empty.
    #[arg(long)]
    pub out: PathBuf,
    /// Where the daemon keeps its data on its machine; `{slot}` stands for the slot.
    #[arg(long, default_value = "/var/lib/tricord")]
    pub data: String,
    /// Further names or IP addresses of all nodes' client ports (a load balancer, localhost).
    #[arg(long = "client-name", value_name = "NAME")]
    pub client_names: Vec<String>,
    /// Wait here for the two other machines and give each what is theirs, over a code that is shown and used once
    /// ('tricord node join' there). Port 7404 unless another is said.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0.0.0.0:7404")]
    pub invite: Option<std::net::SocketAddr>,
    /// With --invite: the place of this machine.
    #[arg(long, value_name = "SLOT", default_value = "a")]
    pub here: String,
    #[command(flatten)]
    pub custody: super::Custody,
    /// Do not ask for a share of the recovery kit: for tests and demonstrations.
    #[arg(long)]
    pub recovery_unconfirmed: bool,
}

/// `node …`
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Say how the node on this machine is, and the cluster as it sees it. Needs no sign-in and no certificate.
    Status(LocalSocket),
    /// Make it read its configuration and its certificates again. Says which changed keys are in force, and which take effect
    /// at the next start. With a mistake in the file nothing changes.
    Reload(LocalSocket),
    /// Make it read its certificates again, at once.
    ReloadCertificates(LocalSocket),
    /// Have the node issue itself new certificates now, and take them up: no restart, and nobody is interrupted. It does so by
    /// itself in good time; this is for when a key may have been seen by others, and for when all have expired.
    RenewCertificates(LocalSocket),

    /// On a healthy machine: let a new one take the place of a node whose machine or disk is lost. Shows a code for it.
    Approve(Approve),
    /// On the new machine: take the place of a node that is lost, with the code that a healthy machine shows.
    Replace(Replace),
    /// Say how far a new node is on its way to its place.
    Place(PlaceOf),
    /// On a further machine of a new cluster: take what 'tricord cluster init --invite' has for it.
    Join(Join),
}

/// Where the node on this machine is asked.
#[derive(Args, Debug)]
pub struct LocalSocket {
    /// `local.sock` in the node's data directory.
    #[arg(long, value_name = "FILE", env = "TRICORD_SOCKET", default_value = "/var/lib/tricord/local.sock")]
    pub socket: PathBuf,
}

/// `pki …`
#[derive(Subcommand, Debug)]
pub enum PkiCommand {
    /// Make a certificate authority: ca.crt and ca.key.
    Init {
        /// What it is called.
        #[arg(long)]
        name: String,
        /// The directory to write; existing files are never replaced.
        #[arg(long)]
        out: PathBuf,
    },
    /// Issue a certificate: a node's for peers, one for its client port, or the one with which it renews both by itself.
    Issue {
        /// The directory of `pki init` or `cluster init` with ca.crt and ca.key.
        #[arg(long)]
        ca: PathBuf,
        /// For which port.
        #[arg(long = "for", value_enum)]
        purpose: Purpose,
        /// The cluster's id (peer and renewal certificates).
        #[arg(long, required_if_eq_any([("purpose", "peer"), ("purpose", "renewal")]))]
        cluster: Option<String>,
        /// a, b or c (peer and renewal certificates).
        #[arg(long, required_if_eq_any([("purpose", "peer"), ("purpose", "renewal")]))]
        slot: Option<String>,
        /// Names and IP addresses people connect to (client and renewal certificates); may be repeated.
        #[arg(long = "host", required_if_eq_any([("purpose", "client"), ("purpose", "renewal")]))]
        hosts: Vec<String>,
        /// How long it is good for; a renewal certificate for as long as the authority.
        #[arg(long, default_value_t = 760, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// The directory to write.
        #[arg(long)]
        out: PathBuf,
    },
}

/// What a certificate is for.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Between nodes.
    Peer,
    /// The client and ops ports.
    Client,
    /// With what a node renews its own certificates by itself.
    Renewal,
}
