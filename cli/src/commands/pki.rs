//! `pki …`: the cluster's own certificate authority.

use crate::args::{Global, PkiCommand, Purpose};
use crate::error::{Error, Result};
use crate::output::say;
use crate::pki::{Authority, files};

/// Does it.
pub fn run(_global: &Global, command: PkiCommand) -> Result<()> {
    match command {
        PkiCommand::Init { name, out } => {
            let authority = Authority::create(&name)?;
            files::private_dir(&out)?;
            authority.write(&out)?;
            say(&format!("Wrote {0}/ca.crt and {0}/ca.key.", out.display()));
            say("Keep ca.key offline: on two sticks in two safes, not on a server. Only pki issue needs it.");
            Ok(())
        }
        PkiCommand::Issue { ca, purpose, cluster, slot, hosts, days, out } => {
            let authority = Authority::read(&ca)?;
            let (name, issued) = match purpose {
                Purpose::Peer => {
                    let (cluster, slot) = named(cluster, slot)?;
                    ("peer", authority.peer(cluster, slot, days)?)
                }
                Purpose::Client => ("client", authority.client(&hosts, days)?),
                Purpose::Renewal => {
                    let (cluster, slot) = named(cluster, slot)?;
                    ("renewal", authority.renewal(cluster, slot, &hosts)?)
                }
            };
            files::private_dir(&out)?;
            issued.write(&out, name)?;
            if purpose == Purpose::Renewal {
                say(&format!("Wrote {0}/{name}.crt and {0}/{name}.key.", out.display()));
                say("Put both into the node's tls directory, beside the others, and restart that node.");
            } else {
                say(&format!("Wrote {0}/{name}.crt and {0}/{name}.key, good for {days} days.", out.display()));
                say("Put both into the node's tls directory; the node takes them up without a restart.");
            }
            Ok(())
        }
    }
}

/// The node that a certificate is for.
fn named(cluster: Option<String>, slot: Option<String>) -> Result<(types::ClusterId, types::Slot)> {
    let cluster = cluster.unwrap_or_default().parse::<types::ClusterId>();
    let cluster =
        cluster.map_err(|error| Error::Usage(format!("--cluster: {error}, as in the node's tricordd.toml")))?;
    Ok((cluster, crate::pki::slot(&slot.unwrap_or_default())?))
}
