//! `cluster init`: everything three machines need to become a cluster, in one directory each.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use record::note::Signer;
use sha2::{Digest, Sha256};
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, UserId};

use super::kit::Kit;
use super::{Authority, files};
use crate::args::{ClusterInit, Format, Global};
use crate::error::{Error, Result};
use crate::output::say;

/// The ops port when none is said.
const OPS_PORT: u16 = 7403;
/// Good for so long; each slot some more, so that no two expire together. A node renews them by itself.
const NODE_DAYS: u32 = 120;
/// What each later slot has more.
const STAGGER_DAYS: u32 = 10;
/// The spare lies in a safe, where nothing renews it.
const SPARE_DAYS: u32 = 3 * 365;
/// What this release begins with.
const FEATURE_LEVEL: u32 = types::features::KNOWN;
/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Where one node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    slot: Slot,
    peer: HostPort,
    client: HostPort,
    ops: HostPort,
}

/// A host and a port, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostPort {
    host: String,
    port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port"))?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return Err(format!("{text:?}: put an IPv6 address in brackets"));
        }
        let host = bracketed.unwrap_or(host);
        let port =
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("{text:?}: ports are 1 to 65535"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let valid = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.chars().all(plain));
        if !valid {
            return Err(format!("{text:?}: {host:?} is no host name and no IP address"));
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// An address to listen on: this very one if it is an IP address, otherwise all.
    fn listen(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(_) => self.to_string(),
            Err(_) => format!("0.0.0.0:{}", self.port),
        }
    }
}

/// Parses the three `SLOT=PEER,CLIENT[,OPS]`.
fn parse_nodes(texts: &[String]) -> Result<[Addresses; 3]> {
    let mut nodes: [Option<Addresses>; 3] = [None, None, None];
    for text in texts {
        let node = parse_node(text).map_err(|why| {
            Error::Usage(format!("--node {text:?}: {why}; needed is a=PEER_HOST:PORT,CLIENT_HOST:PORT[,OPS_HOST:PORT]"))
        })?;
        let place = &mut nodes[usize::from(node.slot.number()) - 1];
        if place.is_some() {
            return Err(Error::Usage(format!("--node: slot {} is given twice", node.slot)));
        }
        *place = Some(node);
    }
    let [Some(a), Some(b), Some(c)] = nodes else {
        return Err(Error::Usage("a cluster has exactly three nodes: --node a=… --node b=… --node c=…".into()));
    };
    let nodes = [a, b, c];
    let mut all: Vec<String> =
        nodes.iter().flat_map(|node| [&node.peer, &node.client, &node.ops]).map(ToString::to_string).collect();
    all.sort();
    match all.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::Usage(format!("--node: {} is given twice", pair[0]))),
        None => Ok(nodes),
    }
}

fn parse_node(text: &str) -> std::result::Result<Addresses, String> {
    let (letter, rest) = text.split_once('=').ok_or("no slot")?;
    let slot = Slot::ALL.into_iter().find(|slot| slot.letter() == letter).ok_or("the slot is a, b or c")?;
    let parts: Vec<&str> = rest.split(',').collect();
    let (peer, client, ops) = match parts.as_slice() {
        [peer, client] => (peer, client, None),
        [peer, client, ops] => (peer, client, Some(ops)),
        _ => return Err("two or three addresses with commas between".into()),
    };
    let client = HostPort::parse(client)?;
    let ops = match ops {
        Some(ops) => HostPort::parse(ops)?,
        None => HostPort { host: client.host.clone(), port: OPS_PORT },
    };
    Ok(Addresses { slot, peer: HostPort::parse(peer)?, client, ops })
}

/// What is decided at founding and nowhere else.
struct Founding {
    cluster: ClusterId,
    lineage: Lineage,
    admin: UserId,
    /// The public half of the recovery key; its private half is in the kit alone.
    recovery: seal::PublicKey,
    /// The administrator's one-time code, in groups of four.
    code: String,
    code_hash: [u8; 32],
    /// What the first three nodes sign the audit log with, by slot.
    audit: [Signer; 3],
}

impl Founding {
    fn draw(recovery: seal::PublicKey) -> Result<Self> {
        let bits = u128::from_be_bytes(random()?);
        let code: Vec<u8> = (0..16).map(|at| ALPHABET[(bits >> (5 * at)) as usize & 31]).collect();
        let groups: Vec<&str> = code.chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        let cluster = ClusterId(random()?);
        let signer = |slot| {
            let name = record::checkpoint::key_name(cluster, NodeId::new(slot, Incarnation(1)));
            Signer::from_seed(&name, random()?).map_err(|error| failed(&error))
        };
        Ok(Self {
            cluster,
            lineage: Lineage(random()?),
            admin: UserId(random()?),
            recovery,
            code: groups.join("-"),
            code_hash: Sha256::digest(&code).into(),
            audit: [signer(Slot::A)?, signer(Slot::B)?, signer(Slot::C)?],
        })
    }
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Pki { doing: "make the keys of the audit log".into(), why: error.to_string() }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Pki { doing: "draw randomness".into(), why: error.to_string() })?;
    Ok(bytes)
}

/// Makes the bundle and says what to do with it. The code goes to stdout, everything else to stderr.
pub fn run(global: &Global, init: &ClusterInit) -> Result<()> {
    let nodes = parse_nodes(&global.node)?;
    check(init)?;
    let kit = Kit::make(init, global.output)?;
    let founding = make(init, &nodes, kit.public)?;
    tell(global, init, &founding, &nodes, &kit)
}

fn check(init: &ClusterInit) -> Result<()> {
    types::text::check_name(&init.name, 64).map_err(|error| Error::Usage(format!("--name: {error}")))?;
    types::text::check_login(&init.admin).map_err(|error| Error::Usage(format!("--admin: {error}")))?;
    let display_name = init.admin_name.as_deref().unwrap_or(&init.admin);
    types::text::check_name(display_name, types::limits::DISPLAY_NAME_BYTES_MAX)
        .map_err(|error| Error::Usage(format!("--admin-name: {error}")))?;
    files::must_be_empty(&init.out)
}

fn make(init: &ClusterInit, nodes: &[Addresses; 3], recovery: seal::PublicKey) -> Result<Founding> {
    let display_name = init.admin_name.as_deref().unwrap_or(&init.admin);
    let founding = Founding::draw(recovery)?;
    let document = founding_document(&founding, init, display_name, nodes);
    let authority = Authority::create(&init.name)?;
    files::private_dir(&init.out.join("ca"))?;
    authority.write(&init.out.join("ca"))?;
    let keys = founding.audit.each_ref().map(|signer| *signer.verifier().key());
    let keys = record::FoundingKeys::new(founding.cluster, keys).map_err(|error| failed(&error))?.to_string();
    for node in nodes {
        write_node(init, &founding, &authority, &document, node, nodes)?;
        write_spare(init, &founding, &authority, &keys, node, nodes)?;
    }
    files::write_new(&init.out.join("ca.crt"), authority.certificate().as_bytes(), 0o644)?;
    files::write_new(&init.out.join("audit.pub"), keys.as_bytes(), 0o644)?;
    Ok(founding)
}

fn write_node(
    init: &ClusterInit,
    founding: &Founding,
    authority: &Authority,
    document: &str,
    node: &Addresses,
    nodes: &[Addresses; 3],
) -> Result<()> {
    let dir = init.out.join(node.slot.letter());
    write_tls(init, founding, authority, node, &dir.join("tls"), 0)?;
    let audit = &founding.audit[usize::from(node.slot.number()) - 1];
    files::write_new(&dir.join("audit.key"), format!("{}\n", audit.secret()).as_bytes(), 0o600)?;
    files::write_new(&dir.join("founding.toml"), document.as_bytes(), 0o600)?;
    let text = config(init, founding, node, nodes, "founding = \"founding.toml\"\n");
    files::write_new(&dir.join("tricordd.toml"), text.as_bytes(), 0o644)
}

/// What a new machine needs as /etc/tricord when nothing is left of the old one: all but the node's own keys, which it makes itself,
/// and the founding document, as nothing is founded then.
fn write_spare(
    init: &ClusterInit,
    founding: &Founding,
    authority: &Authority,
    keys: &str,
    node: &Addresses,
    nodes: &[Addresses; 3],
) -> Result<()> {
    let dir = init.out.join("spares").join(node.slot.letter());
    write_tls(init, founding, authority, node, &dir.join("tls"), SPARE_DAYS)?;
    files::write_new(&dir.join("audit.pub"), keys.as_bytes(), 0o644)?;
    files::write_new(&dir.join("tricordd.toml"), config(init, founding, node, nodes, "").as_bytes(), 0o644)
}

/// Certificates and keys of a node, good for so many days more. Each set has a renewal certificate of its own: that of a node that
/// was replaced is revoked, and the one in the safe must not be.
fn write_tls(
    init: &ClusterInit,
    founding: &Founding,
    authority: &Authority,
    node: &Addresses,
    tls: &Path,
    more_days: u32,
) -> Result<()> {
    files::private_dir(tls)?;
    let mut hosts = vec![node.client.host.clone()];
    for host in std::iter::once(&node.ops.host).chain(&init.client_names) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let days = NODE_DAYS + STAGGER_DAYS * u32::from(node.slot.number()) + more_days;
    authority.peer(founding.cluster, node.slot, days)?.write(tls, "peer")?;
    authority.client(&hosts, days)?.write(tls, "client")?;
    authority.renewal(founding.cluster, node.slot, &hosts)?.write(tls, "renewal")?;
    files::write_new(&tls.join("ca.crt"), authority.certificate().as_bytes(), 0o644)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn founding_document(founding: &Founding, init: &ClusterInit, display_name: &str, nodes: &[Addresses; 3]) -> String {
    let mut text = String::from(
        "# The founding document: the same on all three nodes, needed once, by `tricordd found`. A secret.\n",
    );
    let audit = founding.audit.each_ref().map(|signer| format!("\"{}\"", signer.verifier())).join(",\n  ");
    let _ = write!(
        text,
        "cluster = \"{}\"\nlineage = \"{}\"\nname = {}\nfeature_level = {FEATURE_LEVEL}\nrecovery_key = \"{}\"\naudit_keys = [\n  {audit},\n]\n\n\
         [admin]\nuser = \"{}\"\nlogin = {}\ndisplay_name = {}\nenrolment_sha256 = \"{}\"\n",
        founding.cluster,
        founding.lineage,
        quoted(&init.name),
        founding.recovery,
        founding.admin,
        quoted(&init.admin),
        quoted(display_name),
        crate::text::hex(&founding.code_hash),
    );
    for node in nodes {
        let _ = write!(
            text,
            "\n[[nodes]]\nslot = \"{}\"\npeer = {}\nclient = {}\n",
            node.slot,
            quoted(&node.peer.to_string()),
            quoted(&node.client.to_string())
        );
    }
    text
}

/// `first`: what stands before all else.
fn config(init: &ClusterInit, founding: &Founding, node: &Addresses, nodes: &[Addresses; 3], first: &str) -> String {
    let mut text = format!(
        "# Node {slot} of {name}. Paths are relative to this file.\n\
         {first}cluster = \"{cluster}\"\n\n\
         [node]\nslot = \"{slot}\"\ndata = {data}\n\n\
         # For the other two nodes.\n[peer]\nlisten = \"{peer}\"\n\n\
         # For people's clients.\n[client]\nlisten = \"{client}\"\n\n\
         # Health, status page and metrics.\n[ops]\nlisten = \"{ops}\"\n\n\
         [tls]\nca = \"tls/ca.crt\"\npeer_cert = \"tls/peer.crt\"\npeer_key = \"tls/peer.key\"\n\
         client_cert = \"tls/client.crt\"\nclient_key = \"tls/client.key\"\n\n\
         # text for people, json for programs; level error, warn, info or debug.\n[log]\nformat = \"text\"\nlevel = \"info\"\n\n\
         # What this node signs the audit log with. heads = \"DIR\": where sealed heads are written to every ten minutes, each as\n\
         # a new file; a directory that is somewhere else (write-once storage, another machine, a stick).\n[audit]\nkey = \"audit.key\"\n\n\
         # What protects this node's private key: \"file\" (made by `tricordd found`; on the disk of the data it protects from\n\
         # nobody who takes that disk), \"credential\" (systemd), or \"passphrase\".\n\
         [keys]\nprotection = \"file\"\nfile = \"node.secret\"\n",
        slot = node.slot,
        name = quoted(&init.name),
        cluster = founding.cluster,
        data = quoted(&init.data.replace("{slot}", node.slot.letter())),
        peer = node.peer.listen(),
        client = node.client.listen(),
        ops = node.ops.listen(),
    );
    for other in nodes {
        let [peer, client, ops] = [&other.peer, &other.client, &other.ops].map(|at| quoted(&at.to_string()));
        let _ = write!(text, "\n[nodes.{}]\npeer = {peer}\nclient = {client}\nops = {ops}\n", other.slot);
    }
    text
}

fn tell(global: &Global, init: &ClusterInit, founding: &Founding, nodes: &[Addresses; 3], kit: &Kit) -> Result<()> {
    let out = init.out.display();
    let clients: Vec<String> = nodes.iter().map(|node| node.client.to_string()).collect();
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "cluster": founding.cluster.to_string(), "out": init.out, "admin": init.admin,
            "enrolment_code": founding.code, "recovery_key": kit.public.to_string(),
            "recovery_shares": kit.shares.iter().map(ToString::to_string).collect::<Vec<_>>(), "nodes": clients, "ca": Path::new(&init.out).join("ca.crt"),
        }));
    }
    say(&format!("Wrote {out}: a, b, c for the three machines, ca, spares."));
    say(&format!("One-time code of the administrator @{}, good for 7 days from founding, shown only now:", init.admin));
    crate::output::print(&founding.code)?;
    say("Next:");
    say(&format!("  1. Copy {out}/a, {out}/b and {out}/c each to its machine, as /etc/tricord."));
    say("  2. Found, once on each machine: tricordd found --config /etc/tricord/tricordd.toml");
    say("  3. Start all three: systemctl start tricordd");
    let addresses: Vec<String> = clients.iter().map(|client| format!("--node {client}")).collect();
    say(&format!("  4. tricord {} --ca {out}/ca.crt enrol {}", addresses.join(" "), init.admin));
    say(&format!(
        "  5. Put {out}/ca (its key signs nodes) and {out}/spares (each place's /etc/tricord for a new machine,"
    ));
    say("     should the old one be lost, or all three) on two sticks in two safes, then remove them here.");
    say(&format!("  6. Give {out}/audit.pub to whoever will verify the audit log: it is public, and all they need."));
    Ok(())
}

#[cfg(test)]
mod tests;
