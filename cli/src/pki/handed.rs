//! What a healthy machine hands to one that replaces another: configuration and, if there are any, certificates.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use proto::local::PlanReplacementResponse;
use toml::{Table, Value};
use types::ClusterId;

use super::Authority;
use crate::args::Approve;
use crate::error::{Error, Result};
use crate::join::bundle::{Bundle, File};

/// How long a certificate that is made here is good for; the node renews it by itself.
const DAYS: u32 = 120;
/// The places of certificates and keys beside the configuration.
const TLS: [(&str, &str); 5] = [
    ("ca", "tls/ca.crt"),
    ("peer_cert", "tls/peer.crt"),
    ("peer_key", "tls/peer.key"),
    ("client_cert", "tls/client.crt"),
    ("client_key", "tls/client.key"),
];

/// What is handed over, and where the new node will be reached.
pub struct Handed {
    pub bundle: Bundle,
    pub peer: String,
    pub client: String,
}

/// Makes the bundle from this machine's own configuration.
pub fn bundle(plan: &PlanReplacementResponse, slot: &str, text: &str, path: &Path, args: &Approve) -> Result<Handed> {
    let mut config: Table = toml::from_str(text).map_err(|error| wrong(path, &error.to_string()))?;
    if let Some(place) = config.get_mut("nodes").and_then(|nodes| nodes.get_mut(slot)).and_then(Value::as_table_mut) {
        for (key, address) in [("peer", &args.peer_address), ("client", &args.client_address)] {
            if let Some(address) = address {
                place.insert(key.into(), Value::String(address.clone()));
            }
        }
    }
    let address = |key: &str| {
        let found = config.get("nodes").and_then(|nodes| nodes.get(slot)).and_then(|node| node.get(key));
        found
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| wrong(path, &format!("nodes.{slot}.{key} is missing")))
    };
    let (peer, client) = (address("peer")?, address("client")?);
    let authority = config.get("tls").and_then(|tls| tls.get("ca")).and_then(Value::as_str).unwrap_or("tls/ca.crt");
    let dir = path.parent().unwrap_or(Path::new("."));
    let authority = File { path: "tls/ca.crt".into(), ..File::read(dir, authority, 0o644)? };
    turn(&mut config, slot, &peer, &client).ok_or_else(|| wrong(path, "it is not a node's configuration"))?;
    let mut files = vec![
        File {
            path: file_name(&args.config),
            mode: 0o644,
            text: toml::to_string(&config).map_err(|error| wrong(path, &error.to_string()))?,
        },
        authority,
    ];
    files.extend(certificates(plan, slot, &client, args)?);
    let bundle = Bundle {
        name: plan.display_name.clone(),
        lineage: plan.lineage.clone(),
        slot: slot.to_owned(),
        node: plan.node,
        node_name: plan.node_name.clone(),
        pending: plan.pending,
        files,
    };
    Ok(Handed { bundle, peer, client })
}

fn file_name(config: &Path) -> PathBuf {
    config.file_name().map_or_else(|| PathBuf::from("tricordd.toml"), PathBuf::from)
}

/// Makes the configuration that of another place.
fn turn(config: &mut Table, slot: &str, peer: &str, client: &str) -> Option<()> {
    config.remove("founding");
    config.get_mut("node")?.as_table_mut()?.insert("slot".into(), Value::String(slot.into()));
    let ops = config.get("ops")?.get("listen")?.as_str()?.rsplit_once(':')?.1.to_owned();
    let host = client.rsplit_once(':')?.0;
    for (section, address) in
        [("peer", peer.to_owned()), ("client", client.to_owned()), ("ops", format!("{host}:{ops}"))]
    {
        config.get_mut(section)?.as_table_mut()?.insert("listen".into(), Value::String(listen(&address)?));
    }
    let tls = config.get_mut("tls")?.as_table_mut()?;
    for (key, path) in TLS {
        tls.insert(key.into(), Value::String(path.into()));
    }
    Some(())
}

/// An address to listen on: this very one if it is an IP address, otherwise all.
fn listen(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Some(if bare.parse::<IpAddr>().is_ok() { address.to_owned() } else { format!("0.0.0.0:{port}") })
}

/// From the spare, or made now, or none: then the new machine has its own.
fn certificates(plan: &PlanReplacementResponse, slot: &str, client: &str, args: &Approve) -> Result<Vec<File>> {
    if let Some(dir) = &args.spare {
        let within = dir.join("tls");
        let dir = if within.is_dir() { &within } else { dir }; // Spares of before have no more than these files.
        let names = [("peer.crt", 0o644), ("peer.key", 0o600), ("client.crt", 0o644), ("client.key", 0o600)];
        let renewal = [("renewal.crt", 0o644), ("renewal.key", 0o600)];
        let renewal = renewal.into_iter().filter(|(name, _)| dir.join(name).exists()); // Not in a hospital's own.
        let read = |(name, mode)| Ok(File { path: Path::new("tls").join(name), ..File::read(dir, name, mode)? });
        return names.into_iter().chain(renewal).map(read).collect();
    }
    let Some(dir) = &args.authority else { return Ok(Vec::new()) };
    let authority = Authority::read(dir)?;
    let cluster: ClusterId = plan.cluster.parse().map_err(|_| Error::Usage("the cluster has no valid id".into()))?;
    let host = client.rsplit_once(':').map_or(client, |(host, _)| host).to_owned();
    let slot = super::slot(slot)?;
    let hosts: Vec<String> = std::iter::once(host).chain(args.client_names.iter().cloned()).collect();
    let (peer, client) = (authority.peer(cluster, slot, DAYS)?, authority.client(&hosts, DAYS)?);
    let renewal = authority.renewal(cluster, slot, &hosts)?;
    let file = |name: &str, mode, text: String| File { path: Path::new("tls").join(name), mode, text };
    Ok(vec![
        file("peer.crt", 0o644, peer.certificate),
        file("peer.key", 0o600, peer.key),
        file("client.crt", 0o644, client.certificate),
        file("client.key", 0o600, client.key),
        file("renewal.crt", 0o644, renewal.certificate),
        file("renewal.key", 0o600, renewal.key),
    ])
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Content { doing: format!("use {}", path.display()), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_one_place_becomes_that_of_another() {
        let mut config: Table = toml::from_str(
            "cluster = \"00\"\nfounding = \"founding.toml\"\nnode = { slot = \"a\", data = \"data\" }\n\
             peer = { listen = \"10.0.0.1:7402\" }\nclient = { listen = \"10.0.0.1:7401\" }\nops = { listen = \"10.0.0.1:7403\" }\n\
             tls = { ca = \"/etc/ssl/ca\", peer_cert = \"x\", peer_key = \"x\", client_cert = \"x\", client_key = \"x\" }",
        )
        .unwrap();
        turn(&mut config, "b", "10.0.0.2:7402", "b.example:7401").unwrap();
        let text = |section: &str, key: &str| config[section][key].as_str().unwrap().to_owned();
        assert!(!config.contains_key("founding"));
        assert_eq!(text("node", "slot"), "b");
        assert_eq!(text("peer", "listen"), "10.0.0.2:7402");
        assert_eq!((text("client", "listen"), text("ops", "listen")), ("0.0.0.0:7401".into(), "0.0.0.0:7403".into()));
        assert_eq!(text("tls", "peer_key"), "tls/peer.key");
    }
}
