//! The identity as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use types::{ClusterId, NodeId, Timestamp};

use super::{DataDirError, Identity};

/// The text of an identity.
pub(crate) fn write(identity: &Identity, format: u32) -> String {
    let Identity { cluster, lineage, node, disk, created } = identity;
    let slot = node.slot().map_or("none", |slot| slot.letter());
    let disk = ClusterId(*disk); // Prints alike.
    let mut text = format!(
        "# The identity of a Tricord node. Written once; never edit or copy it.\nformat = {format}\ncluster = {cluster}\n\
         lineage = {lineage}\nslot = {slot}\nnode = {}\ndisk = {disk}\ncreated = {}\n",
        node.0, created.0
    );
    let sum = checksum(&text);
    let _ = writeln!(text, "sha256 = {sum}"); // Writing to a string cannot fail.
    text
}

/// Reads what [`write()`] wrote.
pub(crate) fn read(text: &str, known: u32, dir: &Path, file: &Path) -> Result<Identity, DataDirError> {
    let damaged = || DataDirError::Damaged { path: file.to_path_buf() };
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    let fields: BTreeMap<&str, &str> = lines.collect();
    // Before the checksum: a newer format may have another.
    let found = fields.get("format").and_then(|format| format.parse::<u32>().ok()).ok_or_else(damaged)?;
    if found > known {
        return Err(DataDirError::Newer { path: dir.to_path_buf(), found, known });
    }
    let end = text.find("sha256 = ").ok_or_else(damaged)?;
    if text[end..] != format!("sha256 = {}\n", checksum(&text[..end])) {
        return Err(damaged());
    }
    parse(&fields).ok_or_else(damaged)
}

fn parse(fields: &BTreeMap<&str, &str>) -> Option<Identity> {
    let node = NodeId(fields.get("node")?.parse().ok()?);
    let slot = fields.get("slot")?.parse().ok();
    let identity = Identity {
        cluster: fields.get("cluster")?.parse().ok()?,
        lineage: fields.get("lineage")?.parse().ok()?,
        node,
        disk: fields.get("disk")?.parse::<ClusterId>().ok()?.0,
        created: Timestamp(fields.get("created")?.parse().ok()?),
    };
    (node.slot() == slot).then_some(identity)
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
