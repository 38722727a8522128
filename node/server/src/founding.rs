//! The founding document: what the first start of a cluster needs to know, the same on all three nodes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use types::command::{Found, NewUser};
use types::user::{PermissionSet, Realm, UserKind};
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, UserId};

/// Why a founding document was refused.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// It could not be read.
    #[error("read the founding document {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not one, or of a newer release.
    #[error("understand the founding document {path}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that cannot be.
    #[error("founding document {path}: {key} is not valid; make a new one with 'tricord cluster init'")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    lineage: String,
    name: String,
    feature_level: u32,
    recovery_key: String,
    admin: Admin,
    nodes: Vec<Node>,
    #[serde(default)]
    audit_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    user: String,
    login: String,
    display_name: String,
    enrolment_sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    slot: String,
    peer: String,
    client: String,
}

/// The document, checked.
pub struct Founding {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The first lineage.
    pub lineage: Lineage,
    /// The first command of the log.
    pub found: Found,
    /// The three nodes: peer and client addresses, by slot.
    pub nodes: [(String, String); 3],
    /// The public half of the recovery key.
    pub recovery: seal::PublicKey,
}

impl Founding {
    /// Reads and checks the document.
    pub fn load(path: &Path) -> Result<Self, FoundingError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| FoundingError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, FoundingError> {
        let file: File = toml::from_str(text)
            .map_err(|source| FoundingError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let value = |key| FoundingError::Value { path: path.to_owned(), key };
        let cluster: ClusterId = file.cluster.parse().map_err(|_| value("cluster"))?;
        let lineage: Lineage = file.lineage.parse().map_err(|_| value("lineage"))?;
        let user: UserId = file.admin.user.parse().map_err(|_| value("admin.user"))?;
        let nodes = Slot::ALL.map(|slot| {
            file.nodes
                .iter()
                .find(|node| node.slot == slot.letter())
                .map(|node| (node.peer.clone(), node.client.clone()))
        });
        let [Some(a), Some(b), Some(c)] = nodes else { return Err(value("nodes")) };
        let admin = NewUser {
            id: user,
            kind: UserKind::Person,
            realm: Realm::Staff,
            words: services::directory_words(&file.admin.login, &file.admin.display_name, ""),
            login: file.admin.login,
            display_name: file.admin.display_name,
            unit: String::new(),
            external_ids: Vec::new(),
            may_message: true,
            permissions: vec![PermissionSet::Admin],
            enrolment: Some(hex32(&file.admin.enrolment_sha256).ok_or_else(|| value("admin.enrolment_sha256"))?),
            sealed_name: Vec::new(),
            key: None,
        };
        let found = Found {
            cluster,
            lineage,
            name: file.name,
            feature_level: file.feature_level,
            admin,
            audit_keys: audit_keys(cluster, &file.audit_keys).ok_or_else(|| value("audit_keys"))?,
            cluster_key: None, // Made by the node that puts this command, and nowhere else.
            request_key: None,
        };
        let recovery = seal::PublicKey(hex32(&file.recovery_key).ok_or_else(|| value("recovery_key"))?);
        Ok(Self { cluster, lineage, found, nodes: [a, b, c], recovery })
    }
}

/// The keys of the first three nodes, by slot; or none, and then nothing is signed.
fn audit_keys(cluster: ClusterId, texts: &[String]) -> Option<Vec<[u8; 32]>> {
    if texts.is_empty() {
        return Some(Vec::new());
    }
    let keys = Slot::ALL.into_iter().zip(texts).map(|(slot, text)| {
        let key = record::note::Verifier::parse(text).ok()?;
        let name = record::checkpoint::key_name(cluster, NodeId::new(slot, Incarnation(1)));
        (key.name() == name).then(|| *key.key())
    });
    keys.collect::<Option<Vec<_>>>().filter(|keys| keys.len() == texts.len() && keys.len() == Slot::ALL.len())
}

fn hex32(text: &str) -> Option<[u8; 32]> {
    // `from_str_radix` would also take a sign.
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
