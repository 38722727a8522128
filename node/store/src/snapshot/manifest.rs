//! What a snapshot consists of.
//!
//! Shape: magic ‖ format ‖ applied ‖ membership ‖ files ‖ SHA-256 of all before. A log id is as the log writes it, after
//! its length in one byte; of no membership the byte 0, otherwise 1 ‖ log id ‖ length ‖ bytes; files are their count,
//! then length ‖ name ‖ bytes ‖ SHA-256 of each. Numbers are big-endian, lengths and the count 4 bytes.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use types::limits::SNAPSHOT_FILES_MAX;

use crate::log::{decode_log_id, encode_log_id};
use crate::{Fault, LogId};

const MAGIC: &[u8; 8] = b"TRICSNAP";
/// Formats of manifests. V1, 2026-11-22: the first.
const FORMAT: u8 = 1;
const NAME_BYTES_MAX: usize = 64;

/// What a snapshot consists of and what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The last entry whose effects it holds.
    pub applied: Option<LogId>,
    /// The membership as of then, with the entry it came by.
    pub membership: Option<(Option<LogId>, Bytes)>,
    /// Its files, by name; they travel in this order.
    pub files: Vec<SnapshotFile>,
}

/// A file of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotFile {
    /// Its name, without directories.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// What is in it.
    pub sha256: [u8; 32],
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// A name that no other snapshot has.
    #[must_use]
    pub fn id(&self) -> String {
        Sha256::digest(self.encode()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(FORMAT);
        put_log_id(&mut out, self.applied);
        match &self.membership {
            Some((id, membership)) => {
                out.push(1);
                put_log_id(&mut out, *id);
                put_bytes(&mut out, membership);
            }
            None => out.push(0),
        }
        out.extend_from_slice(&length(self.files.len()));
        for file in &self.files {
            put_bytes(&mut out, file.name.as_bytes());
            out.extend_from_slice(&file.bytes.to_be_bytes());
            out.extend_from_slice(&file.sha256);
        }
        let hash = Sha256::digest(&out);
        out.extend_from_slice(&hash);
        out
    }

    /// The manifest that has these bytes, which may come from another node.
    ///
    /// Errors: [`Fault::Damaged`] for anything [`Manifest::encode`] would not have written, names that are more than a
    /// name among it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::damaged("the manifest of a snapshot");
        let (content, hash) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        if Sha256::digest(content).as_slice() != hash {
            return Err(damaged());
        }
        let mut rest = content;
        let manifest = take_manifest(&mut rest).ok_or_else(damaged)??;
        let ascending = manifest.files.is_sorted_by(|one, next| one.name < next.name);
        if rest.is_empty() && ascending && manifest.files.iter().all(|file| is_name(&file.name)) {
            Ok(manifest)
        } else {
            Err(damaged())
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= NAME_BYTES_MAX && name.bytes().next().is_some_and(|byte| byte != b'.') && name.bytes().all(plain)
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn put_log_id(out: &mut Vec<u8>, id: Option<LogId>) {
    let bytes = encode_log_id(id);
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(&bytes);
}

fn take_manifest(rest: &mut &[u8]) -> Option<Result<Manifest, Fault>> {
    if take_array(rest)? != *MAGIC || take_array(rest)? != [FORMAT] {
        return None;
    }
    let applied = take_log_id(rest)?;
    let membership = match take_array(rest)? {
        [0] => None,
        [1] => Some((take_log_id(rest)?, Bytes::copy_from_slice(take_bytes(rest)?))),
        _ => return None,
    };
    let count = take_length(rest)?;
    if count > SNAPSHOT_FILES_MAX {
        return None;
    }
    let files: Vec<_> = (0..count).map_while(|_| take_file(rest)).collect();
    if files.len() != count {
        return None;
    }
    let manifest = |applied: Option<LogId>, membership| Manifest { applied, membership, files };
    Some(applied.and_then(|applied| match membership {
        Some((id, bytes)) => Ok(manifest(applied, Some((id?, bytes)))),
        None => Ok(manifest(applied, None)),
    }))
}

fn take_file(rest: &mut &[u8]) -> Option<SnapshotFile> {
    let name = String::from_utf8(take_bytes(rest)?.to_vec()).ok()?;
    let bytes = u64::from_be_bytes(take_array(rest)?);
    Some(SnapshotFile { name, bytes, sha256: take_array(rest)? })
}

fn take_log_id(rest: &mut &[u8]) -> Option<Result<Option<LogId>, Fault>> {
    let [length] = take_array(rest)?;
    let (id, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    Some(decode_log_id(id, "the manifest of a snapshot"))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(take_array(rest)?)).ok()
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*array)
}
