//! The files of a C2SP tlog-tiles directory: `checkpoint`, `tile/entries/…`, `tile/LEVEL/…`, height 8. Beside them, as our
//! own addition, `heads/SIZE`: older heads.

use std::path::{Path, PathBuf};

use record::tree::{Hash, Memory};

use super::failed;
use crate::error::{Error, Result};

/// Records of a bundle, hashes of a tile.
pub const WIDTH: u64 = 256;
const HEIGHT: u8 = 8;

/// An export's directory.
pub struct Tiles<'a>(pub &'a Path);

impl Tiles<'_> {
    /// The newest head.
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// An older head.
    pub fn head(&self, size: u64) -> PathBuf {
        self.0.join("heads").join(size.to_string())
    }

    /// The older heads, by size.
    pub fn heads(&self) -> Result<Vec<String>> {
        let dir = self.0.join("heads");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &dir)(error)),
        };
        let mut sizes: Vec<u64> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        sizes.sort_unstable();
        sizes.into_iter().map(|size| super::read(&self.head(size))).collect()
    }

    /// The records of a bundle, which has `width` of them: none if it is not there, or not whole.
    pub fn records(&self, bundle: u64, width: u64) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(bytes) = read_if_there(&self.path("entries", bundle, width))? else { return Ok(None) };
        Ok(unbundle(&bytes).filter(|records| records.len() as u64 == width))
    }

    /// Writes a bundle.
    pub fn write_records(&self, bundle: u64, records: &[Vec<u8>]) -> Result<()> {
        write(&self.path("entries", bundle, records.len() as u64), &bundled(records)?)
    }

    /// The hashes of a tile that are there.
    pub fn hashes(&self, level: u8, tile: u64, width: u64) -> Result<Vec<Hash>> {
        let bytes = read_if_there(&self.path(&level.to_string(), tile, width))?.unwrap_or_default();
        Ok(bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect())
    }

    /// Writes the tiles of a tree that are not there yet.
    pub fn write_hashes(&self, tree: &Memory) -> Result<()> {
        for level in 0.. {
            let hashes = tree.level(level * HEIGHT);
            if hashes.is_empty() {
                return Ok(());
            }
            for (tile, hashes) in (0..).zip(hashes.chunks(WIDTH as usize)) {
                let path = self.path(&level.to_string(), tile, hashes.len() as u64);
                if !path.exists() {
                    write(&path, &hashes.concat())?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, kind: &str, number: u64, width: u64) -> PathBuf {
        let mut groups = vec![format!("{:03}", number % 1_000)];
        let mut rest = number / 1_000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        groups.reverse();
        let path = groups.iter().fold(self.0.join("tile").join(kind), |path, group| path.join(group));
        if width == WIDTH {
            return path;
        }
        let partial = format!("{}.p", groups.last().map_or("", String::as_str));
        path.with_file_name(partial).join(width.to_string())
    }
}

/// The bytes of a bundle: each record behind its length.
pub fn bundled(records: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in records {
        let length = u16::try_from(record.len()).map_err(|_| Error::Content {
            doing: "write a record".into(),
            why: format!("it has {} bytes, 65,535 are possible", record.len()),
        })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(record);
    }
    Ok(bytes)
}

/// The records of a bundle, if it is whole.
pub fn unbundle(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut records, mut rest) = (Vec::new(), bytes);
    while let Some((length, after)) = rest.split_first_chunk() {
        let (record, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        records.push(record.to_vec());
        rest = after;
    }
    rest.is_empty().then_some(records)
}

/// Writes a file as a whole, or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed("create", dir))?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).map_err(failed("write", &new))?;
    std::fs::rename(&new, path).map_err(failed("write", path))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tiles = Tiles(Path::new("log"));
        for (kind, number, width, path) in [
            ("0", 0, 256, "log/tile/0/000"),
            ("0", 1_234_067, 256, "log/tile/0/x001/x234/067"),
            ("1", 999, 7, "log/tile/1/999.p/7"),
            ("entries", 1_000, 255, "log/tile/entries/x001/000.p/255"),
        ] {
            assert_eq!(tiles.path(kind, number, width), Path::new(path));
        }
    }

    #[test]
    fn a_bundle_reads_back_and_a_torn_one_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let tiles = Tiles(dir.path());
        let records = vec![vec![1; 3], vec![], vec![2; 300]];
        tiles.write_records(7, &records).unwrap();
        assert_eq!(tiles.records(7, 3).unwrap(), Some(records));
        assert_eq!(tiles.records(8, 3).unwrap(), None);
        let path = tiles.path("entries", 7, 3);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(tiles.records(7, 3).unwrap(), None);
    }
}
