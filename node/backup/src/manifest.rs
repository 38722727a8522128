//! What a backup consists of, readable by people and without any key.
//!
//! Shape: text, `name value` a line: the head (`tricord-backup 1` to `envelope`), one `contents` and each `file` as
//! `NAME BYTES SHA256` of the sealed bytes, then `sha256` over all lines before, and `signed KEY SIGNATURE` (Ed25519 over all
//! lines before) or `unsigned`. There is one spelling: what reads back must give the same bytes.

use record::note::{Signer, Verifier};
use record::tree::Hash;
use seal::PublicKey;
use sha2::{Digest, Sha256};
use types::limits::SNAPSHOT_FILES_MAX;
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, Timestamp};

use crate::hex;

/// Formats of backups. 1, 2026-11-22: the first.
const FORMAT: &str = "1";
const TITLE: &str = "tricord-backup";

/// What a backup consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Its name, which is that of its file.
    pub name: String,
    /// The cluster it is of.
    pub cluster: ClusterId,
    /// The cluster's history it belongs to.
    pub lineage: Lineage,
    /// The node that made it.
    pub node: NodeId,
    /// When, in cluster time: that of the newest entry in it.
    pub created: Timestamp,
    /// The index of the last log entry whose effects it holds.
    pub applied: u64,
    /// Records of the audit log in it.
    pub records: u64,
    /// The root of the audit tree over them.
    pub root: Hash,
    /// The recovery kit it is sealed to.
    pub recovery: PublicKey,
    /// The series whose key its files are sealed with.
    pub series: [u8; 16],
    /// That key, sealed to the recovery kit.
    pub envelope: Vec<u8>,
    /// The sealed list of what its files are.
    pub contents: Item,
    /// Its sealed files, in the order of their names.
    pub files: Vec<Item>,
    /// Who signed it, as a key for signed notes, and the signature.
    pub signature: Option<(String, [u8; 64])>,
}

/// A sealed file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Item {
    /// Its name among the files of the series.
    pub name: [u8; 32],
    /// How long it is, sealed.
    pub bytes: u64,
    /// SHA-256 of it, sealed.
    pub sha256: [u8; 32],
}

/// Why text is no manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    Newer(String),
    Damaged,
}

impl Manifest {
    /// Bytes of all sealed files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items().map(|item| item.bytes).fold(0, u64::saturating_add)
    }

    /// Every sealed file.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.files.iter().chain([&self.contents])
    }

    /// What the key of the series is sealed for: it opens for nothing else.
    pub(crate) fn context(cluster: ClusterId, lineage: Lineage, series: &[u8; 16]) -> Vec<u8> {
        [cluster.0.as_slice(), &lineage.0, series].concat()
    }

    /// The first lines, which are also among what is sealed.
    pub(crate) fn head(&self) -> String {
        format!(
            "{TITLE} {FORMAT}\nname {}\ncluster {}\nlineage {}\nnode {}\ncreated {}\napplied {}\nrecords {}\nroot {}\nrecovery \
             {}\nseries {}\nenvelope {}\n",
            self.name,
            self.cluster,
            self.lineage,
            self.node,
            self.created.0,
            self.applied,
            self.records,
            hex::encode(&self.root),
            self.recovery,
            hex::encode(&self.series),
            hex::encode(&self.envelope),
        )
    }

    /// Everything before the signature.
    fn body(&self) -> String {
        let mut body = self.head();
        body += &line("contents", &self.contents);
        self.files.iter().for_each(|file| body += &line("file", file));
        let hash: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        body + "sha256 " + &hex::encode(&hash) + "\n"
    }

    /// Signs it.
    pub(crate) fn sign(&mut self, with: &Signer) {
        self.signature = Some((with.verifier().to_string(), with.sign(&self.body())));
    }

    /// Who signed it, if the signature holds.
    #[must_use]
    pub fn signer(&self) -> Option<Verifier> {
        let (key, signature) = self.signature.as_ref()?;
        Verifier::parse(key).ok().filter(|key| key.verifies(&self.body(), signature))
    }

    /// Its text.
    #[must_use]
    pub fn encode(&self) -> String {
        let signed = match &self.signature {
            Some((key, signature)) => format!("signed {key} {}\n", hex::encode(signature)),
            None => "unsigned\n".to_owned(),
        };
        self.body() + &signed
    }

    /// The manifest with this text.
    pub(crate) fn decode(text: &str) -> Result<Self, Unreadable> {
        if let Some(format) = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix(' ')?.split('\n').next())
            && format != FORMAT
            && format.len() < 8
        {
            return Err(Unreadable::Newer(format.to_owned()));
        }
        let manifest = read(text).ok_or(Unreadable::Damaged)?;
        let whole = manifest.encode() == text && (manifest.signature.is_none() || manifest.signer().is_some());
        if whole { Ok(manifest) } else { Err(Unreadable::Damaged) }
    }
}

fn line(word: &str, item: &Item) -> String {
    format!("{word} {} {} {}\n", hex::encode(&item.name), item.bytes, hex::encode(&item.sha256))
}

/// Reads loosely: whoever calls compares with what it would have written.
fn read(text: &str) -> Option<Manifest> {
    let mut lines = text.lines().peekable();
    let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
    value(TITLE)?;
    let name = value("name")?.to_owned();
    let cluster = value("cluster")?.parse().ok()?;
    let lineage = value("lineage")?.parse().ok()?;
    let node = node(value("node")?)?;
    let created = Timestamp(value("created")?.parse().ok()?);
    let applied = value("applied")?.parse().ok()?;
    let records = value("records")?.parse().ok()?;
    let root = hex::array(value("root")?)?;
    let recovery = PublicKey(hex::array(value("recovery")?)?);
    let series = hex::array(value("series")?)?;
    let envelope = hex::decode(value("envelope")?)?;
    let contents = item(value("contents")?)?;
    let mut files = Vec::new();
    while let Some(file) = lines.next_if(|line| line.starts_with("file ")) {
        files.push(item(&file[5..])?);
        if files.len() > SNAPSHOT_FILES_MAX {
            return None;
        }
    }
    lines.next()?.strip_prefix("sha256 ")?;
    let signature = match lines.next()? {
        "unsigned" => None,
        signed => {
            let (key, signature) = signed.strip_prefix("signed ")?.split_once(' ')?;
            Some((key.to_owned(), hex::array(signature)?))
        }
    };
    Some(Manifest {
        name,
        cluster,
        lineage,
        node,
        created,
        applied,
        records,
        root,
        recovery,
        series,
        envelope,
        contents,
        files,
        signature,
    })
}

fn item(text: &str) -> Option<Item> {
    let mut parts = text.split(' ');
    let name = hex::array(parts.next()?)?;
    let bytes = parts.next()?.parse().ok()?;
    Some(Item { name, bytes, sha256: hex::array(parts.next()?)? })
}

/// A node as it prints: slot and incarnation.
fn node(text: &str) -> Option<NodeId> {
    let slot: Slot = text.get(..1)?.parse().ok()?;
    Some(NodeId::new(slot, Incarnation(text.get(1..)?.parse().ok()?)))
}
