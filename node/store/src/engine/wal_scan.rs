//! Tells a torn write from damage before RocksDB opens its log, for RocksDB cannot: it does not know what was synced.
//!
//! The log's writer syncs each batch before it writes the next (`log::LogWriter`), so after a power cut only the last
//! batch can be incomplete. A batch is one record. A bad place in the last file with the beginning of another good record
//! after it is therefore damage to what was acknowledged, and the node must be replaced. A bad place with nothing but
//! remains of its own record after it is torn: nobody was told it was written, and it is cut off. Earlier files were
//! closed, hence synced, and must be whole.
//!
//! Shape of a file: blocks of 32 KiB of fragments; a fragment is CRC32C (masked) ‖ length ‖ type ‖ payload, numbers
//! little-endian, with the file's number after the type in recycled files. No fragment crosses a block; fewer than 7
//! bytes at the end of a block are zeros. Source: RocksDB 11.8.1, db/log_format.h, db/log_reader.cc.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::Fault;

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const RECYCLED_HEADER_BYTES: usize = 11;

/// Judges every log file in `dir`, cuts a torn end off the last one, and returns how many bytes that were.
///
/// Errors: [`Fault::DamagedLog`]; [`Fault::Io`]. Nothing was changed then.
pub(super) fn cut_torn_tail(dir: &Path) -> Result<u64, Fault> {
    let files = log_files(dir)?;
    let mut torn_bytes = 0;
    for (place, path) in files.iter().enumerate() {
        let bytes = fs::read(path).map_err(Fault::io("read", path))?;
        let is_last = place + 1 == files.len();
        match judge(&bytes) {
            Verdict::Whole => {}
            Verdict::Torn { whole_to } if is_last => {
                cut(path, whole_to as u64)?;
                torn_bytes = (bytes.len() - whole_to) as u64;
                tracing::warn!(file = %path.display(), torn_bytes, "cut off a write that a power cut had torn");
            }
            Verdict::Torn { whole_to: at } | Verdict::Damaged { at } => {
                return Err(Fault::DamagedLog { path: path.clone(), at: at as u64 });
            }
        }
    }
    Ok(torn_bytes)
}

/// The log files of a directory, oldest first; none if there is no directory.
fn log_files(dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::io("list", dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Fault::io("list", dir))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (Some(number), Some("log")) = (number, path.extension().and_then(|extension| extension.to_str())) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

fn cut(path: &Path, length: u64) -> Result<(), Fault> {
    let file = OpenOptions::new().write(true).open(path).map_err(Fault::io("open", path))?;
    file.set_len(length).and_then(|()| file.sync_all()).map_err(Fault::io("cut the torn end off", path))?;
    let dir = path.parent().unwrap_or(path);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Fault::io("sync", dir))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Whole,
    /// Only the last record is incomplete; the ones before it end here.
    Torn {
        whole_to: usize,
    },
    /// A good record begins after a bad place, which is here.
    Damaged {
        at: usize,
    },
}

pub(crate) fn judge(bytes: &[u8]) -> Verdict {
    let mut at = 0;
    let mut whole_to = 0; // The end of the last complete record.
    let mut inside = false; // A record has begun and not ended.
    while let Some(found) = next(bytes, at) {
        let Found::Fragment(fragment) = found else { return judge_rest(bytes, at, whole_to) };
        let fits = match fragment.part {
            Part::Full | Part::First => !inside,
            Part::Middle | Part::Last => inside,
            Part::Note => true,
        };
        if !fits {
            return Verdict::Damaged { at };
        }
        at = fragment.end;
        inside = match fragment.part {
            Part::First | Part::Middle => true,
            Part::Full | Part::Last => false,
            Part::Note => inside,
        };
        if !inside {
            whole_to = at;
        }
    }
    if inside { Verdict::Torn { whole_to } } else { Verdict::Whole }
}

/// Looks behind the bad place `bad` for the beginning of another record. Lengths cannot be trusted in its block, so
/// every place there is tried; later blocks are in step again, unless they are bad themselves.
fn judge_rest(bytes: &[u8], bad: usize, whole_to: usize) -> Verdict {
    let mut at = bad + 1;
    while at < bytes.len() {
        match fragment_at(bytes, at) {
            Some(Fragment { part: Part::Full | Part::First, .. }) => return Verdict::Damaged { at: bad },
            Some(fragment) => at = fragment.end,
            None => at += 1,
        }
    }
    Verdict::Torn { whole_to }
}

enum Found {
    Fragment(Fragment),
    Bad,
}

struct Fragment {
    part: Part,
    #[cfg(any(test, feature = "sim"))]
    payload: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Full,
    First,
    Middle,
    Last,
    /// Something about the file, complete in itself.
    Note,
}

/// What stands at `at`, or behind the zeros that fill its block; nothing at the end of the file.
fn next(bytes: &[u8], at: usize) -> Option<Found> {
    let left = BLOCK_BYTES - at % BLOCK_BYTES;
    let start = if left < HEADER_BYTES { at + left } else { at };
    if start >= bytes.len() {
        return bytes.get(at..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0)).then_some(Found::Bad);
    }
    if bytes[at..start].iter().any(|byte| *byte != 0) {
        return Some(Found::Bad);
    }
    Some(fragment_at(bytes, start).map_or(Found::Bad, Found::Fragment))
}

/// The fragment that begins at `at`, if one does and its checksum holds.
fn fragment_at(bytes: &[u8], at: usize) -> Option<Fragment> {
    let block_end = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
    let block = &bytes[at..block_end.min(bytes.len())];
    let header = block.first_chunk::<HEADER_BYTES>()?;
    let (header_bytes, part) = match header[6] {
        1 => (HEADER_BYTES, Part::Full),
        2 => (HEADER_BYTES, Part::First),
        3 => (HEADER_BYTES, Part::Middle),
        4 => (HEADER_BYTES, Part::Last),
        5 => (RECYCLED_HEADER_BYTES, Part::Full),
        6 => (RECYCLED_HEADER_BYTES, Part::First),
        7 => (RECYCLED_HEADER_BYTES, Part::Middle),
        8 => (RECYCLED_HEADER_BYTES, Part::Last),
        9 | 10 | 130 => (HEADER_BYTES, Part::Note),
        11 | 131 => (RECYCLED_HEADER_BYTES, Part::Note),
        _ => return None,
    };
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let checked = block.get(6..header_bytes + length)?;
    let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    (masked(crc32c::crc32c(checked)) == stored).then_some(Fragment {
        part,
        #[cfg(any(test, feature = "sim"))]
        payload: at + header_bytes,
        end: at + header_bytes + length,
    })
}

/// The records of a whole file, each with where it begins.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (begin, mut record) = (at, Vec::new());
        while let Some(Found::Fragment(fragment)) = next(bytes, at) {
            record.extend_from_slice(&bytes[fragment.payload..fragment.end]);
            at = fragment.end;
            if matches!(fragment.part, Part::Full | Part::Last) {
                return Some((begin, record));
            }
        }
        None
    })
}

/// RocksDB stores checksums rotated and shifted, so that a checksum over checksums is no special case.
pub(crate) const fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
