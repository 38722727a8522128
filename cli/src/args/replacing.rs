//! Replacing a node, and joining at the founding.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::LocalSocket;

/// `node approve`
#[derive(Args, Debug)]
pub struct Approve {
    /// The place whose node is lost: a, b or c.
    pub slot: String,
    #[command(flatten)]
    pub at: LocalSocket,
    /// This machine's own configuration: the new machine's is made from it.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    /// Where to wait for the new machine.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7404")]
    pub listen: SocketAddr,
    /// The spare certificates of the place, made at the founding (`spares/b`, from the safe). Without these and without
    /// --authority the new machine keeps the certificates it has.
    #[arg(long, value_name = "DIR", conflicts_with = "authority")]
    pub spare: Option<PathBuf>,
    /// The directory with ca.crt and ca.key (from the safe): certificates are made for the new machine.
    #[arg(long, value_name = "DIR")]
    pub authority: Option<PathBuf>,
    /// With --authority: further names or IP addresses of its client port.
    #[arg(long = "client-name", value_name = "NAME")]
    pub client_names: Vec<String>,
    /// Where the other nodes reach the new machine, if not where they reached the old one.
    #[arg(long, value_name = "HOST:PORT")]
    pub peer_address: Option<String>,
    /// Where clients reach it, likewise.
    #[arg(long, value_name = "HOST:PORT")]
    pub client_address: Option<String>,
    /// The name of the node that still answers, as b1: it is to go all the same.
    #[arg(long, value_name = "NODE")]
    pub confirm: Option<String>,
    /// Do not wait until the new node counts.
    #[arg(long)]
    pub detach: bool,
}

/// `node replace`
#[derive(Args, Debug)]
pub struct Replace {
    /// The place whose node is lost: a, b or c.
    pub slot: String,
    /// The machine on which `tricord node approve` shows a code: HOST or HOST:PORT.
    #[arg(long, value_name = "HOST")]
    pub from: String,
    /// This machine's configuration; made if it is not there.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
    #[command(flatten)]
    pub at: LocalSocket,
    /// Do not wait until it counts.
    #[arg(long)]
    pub detach: bool,
}

/// `node join`
#[derive(Args, Debug)]
pub struct Join {
    /// The machine on which `tricord cluster init --invite` shows a code: HOST or HOST:PORT.
    pub from: String,
    /// This machine's configuration; it is made.
    #[arg(long, value_name = "FILE", env = "TRICORD_CONFIG", default_value = "/etc/tricord/tricordd.toml")]
    pub config: PathBuf,
}

/// `node place`
#[derive(Args, Debug)]
pub struct PlaceOf {
    /// The place: a, b or c.
    pub slot: String,
    #[command(flatten)]
    pub at: LocalSocket,
}
