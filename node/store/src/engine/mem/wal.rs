//! The log's write-ahead log, byte for byte as RocksDB frames it, so that what a power cut leaves is judged by the scan
//! that ships: pages that were not synced are there or are zeros, each by itself, and the file keeps its length.

use super::super::wal_scan::{self, Verdict};
use super::super::{Batch, Family, Kind, Op};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const PAGE_BYTES: usize = 4096;

/// One file.
#[derive(Clone, Default)]
pub(super) struct Wal {
    bytes: Vec<u8>,
    /// Bytes on stable storage.
    synced: usize,
}

impl Wal {
    /// Adds a batch as one record.
    pub(super) fn append(&mut self, ops: &[(Family, Op)]) {
        let record = encode(ops);
        let mut rest = record.as_slice();
        let mut first = true;
        loop {
            let left = BLOCK_BYTES - self.bytes.len() % BLOCK_BYTES;
            if left < HEADER_BYTES {
                self.bytes.resize(self.bytes.len() + left, 0);
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(left - HEADER_BYTES));
            rest = after;
            let kind: u8 = match (first, rest.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let checked = crc32c::crc32c_append(crc32c::crc32c(&[kind]), part);
            self.bytes.extend_from_slice(&wal_scan::masked(checked).to_le_bytes());
            self.bytes.extend_from_slice(&(part.len() as u16).to_le_bytes()); // Less than a block.
            self.bytes.push(kind);
            self.bytes.extend_from_slice(part);
            first = false;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Everything written is on stable storage.
    pub(super) const fn sync(&mut self) {
        self.synced = self.bytes.len();
    }

    /// The power goes: of what was not synced each page is there or not, and the file is as long as it was, or shorter.
    pub(super) fn tear(&mut self, random: &mut dyn FnMut() -> u64) {
        let mut at = self.synced;
        while at < self.bytes.len() {
            let end = ((at / PAGE_BYTES + 1) * PAGE_BYTES).min(self.bytes.len());
            if random().is_multiple_of(2) {
                self.bytes[at..end].fill(0);
            }
            at = end;
        }
        if random().is_multiple_of(3) {
            let lost = self.bytes.len() - self.synced;
            let kept = (random() % (lost as u64 + 1)) as usize; // At most what there is.
            self.bytes.truncate(self.synced + kept);
        }
    }

    /// Flips one bit: of the last record, or somewhere before it. None if there is nothing there.
    pub(super) fn flip(&mut self, last: bool, random: u64) -> Option<()> {
        let starts = wal_scan::records(&self.bytes).map(|(start, _)| start).collect::<Vec<_>>();
        let begin = *starts.last()?;
        let (from, to) = if last { (begin, self.bytes.len()) } else { (0, begin) };
        let at = from + (random % (to - from).max(1) as u64) as usize; // Within the file.
        (from < to).then(|| self.bytes[at] ^= 1 << (random % 8))
    }

    /// What opening finds: the batches, and how many bytes were cut off. The file is as it would be then.
    ///
    /// Errors: where it is damaged.
    pub(super) fn recover(&mut self) -> Result<(Vec<Batch>, usize), usize> {
        let whole_to = match wal_scan::judge(&self.bytes) {
            Verdict::Whole => self.bytes.len(),
            Verdict::Torn { whole_to } => whole_to,
            Verdict::Damaged { at } => return Err(at),
        };
        let cut = self.bytes.len() - whole_to;
        self.bytes.truncate(whole_to);
        self.sync();
        let batches = wal_scan::records(&self.bytes).map(|(start, record)| decode(&record).ok_or(start));
        Ok((batches.collect::<Result<_, _>>()?, cut))
    }
}

fn encode(ops: &[(Family, Op)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (family, op) in ops {
        let (kind, first, second) = match op {
            Op::Put(key, value) => (0, key, value.as_slice()),
            Op::Delete(key) => (1, key, [].as_slice()),
            Op::DeleteRange(from, to) => (2, from, to.as_slice()),
        };
        let place = Kind::Log.families().iter().position(|known| known == family).unwrap_or_default();
        out.extend([kind, place as u8]); // A handful of families.
        for part in [first.as_slice(), second] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes()); // Far below 4 GiB.
            out.extend_from_slice(part);
        }
    }
    out
}

fn decode(mut record: &[u8]) -> Option<Batch> {
    let mut batch = Batch::default();
    while let Some(([kind, place], rest)) = record.split_first_chunk() {
        record = rest;
        let family = *Kind::Log.families().get(usize::from(*place))?;
        let (first, second) = (part(&mut record)?, part(&mut record)?);
        match kind {
            0 => batch.put(family, first, second),
            1 => batch.delete(family, first),
            2 => batch.delete_range(family, first, second),
            _ => return None,
        }
    }
    Some(batch)
}

fn part(record: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = record.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *record = rest;
    Some(part.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sizes: &[usize]) -> Wal {
        let mut wal = Wal::default();
        for (number, size) in sizes.iter().enumerate() {
            let mut batch = Batch::default();
            batch.put(Family::Entries, vec![number as u8], vec![7; *size]);
            wal.append(&batch.into_ops().collect::<Vec<_>>());
            wal.sync();
        }
        wal
    }

    #[test]
    fn what_was_written_is_found_again_over_the_edges_of_blocks() {
        let mut wal = filled(&[10, 32_000, 745, 3, 100_000, 0, 5]);
        assert_eq!(wal.recover().map(|(batches, cut)| (batches.len(), cut)), Ok((7, 0)));
    }

    #[test]
    fn of_what_was_not_synced_only_the_last_batch_can_be_torn_and_all_else_is_there() {
        let mut number = 1_u64;
        let mut random = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            number >> 33
        };
        for size in [10, 5_000, 60_000] {
            for _ in 0..50 {
                let mut wal = filled(&[10, size]);
                let mut batch = Batch::default();
                batch.put(Family::Entries, vec![9], vec![8; size]);
                wal.append(&batch.into_ops().collect::<Vec<_>>());
                wal.tear(&mut random);
                let found = wal.recover().map(|(batches, _)| batches.len());
                assert!(matches!(found, Ok(2 | 3)), "{found:?}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_batch_is_damage_and_in_it_is_cut() {
        for random in (0..3_000).map(|n| n * 7) {
            let mut wal = filled(&[100, 200, 300]);
            wal.flip(false, random).expect("something is there");
            assert!(wal.recover().is_err(), "{random}");
            let mut wal = filled(&[100, 200, 300]);
            wal.flip(true, random).expect("something is there");
            assert_eq!(wal.recover().map(|(batches, cut)| (batches.len(), cut > 0)), Ok((2, true)), "{random}");
        }
    }
}
