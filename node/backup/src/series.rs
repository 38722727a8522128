//! The series of backups a node goes on with: while it lasts, files that are there already are not written again.
//!
//! Its key lies in the node's data directory, in the clear: it opens copies of what lies beside it. Whoever has the data
//! directory gains nothing by it; whoever has a target needs it or the recovery kit.
//!
//! Shape of the file: text, `name value` a line, closed by the SHA-256 of the lines before.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use seal::{BackupKey, PublicKey};
use sha2::{Digest, Sha256};
use types::limits::BACKUP_SERIES_MS_MAX;
use types::{ClusterId, Lineage, Timestamp};
use zeroize::Zeroizing;

use crate::{Error, hex};

/// A series of backups.
#[derive(Debug)]
pub struct Series {
    /// Its name: random.
    pub id: [u8; 16],
    /// What its files are sealed with.
    pub key: BackupKey,
    /// The recovery kit that its key is sealed to.
    pub recovery: PublicKey,
    began: Timestamp,
    cluster: ClusterId,
    lineage: Lineage,
}

impl Series {
    /// The series kept in this file, if it goes on: the same cluster, history and kit, and not too old. Otherwise a new one,
    /// kept from now on.
    pub fn go_on(
        path: &Path,
        (cluster, lineage): (ClusterId, Lineage),
        recovery: PublicKey,
        now: Timestamp,
    ) -> Result<Self, Error> {
        if let Some(series) = Self::load(path)? {
            let same = series.cluster == cluster && series.lineage == lineage && series.recovery == recovery;
            if same && series.began <= now && now.since_ms(series.began) < BACKUP_SERIES_MS_MAX {
                return Ok(series);
            }
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| seal::Error::Randomness)?;
        let series = Self { id, key: BackupKey::generate()?, recovery, began: now, cluster, lineage };
        series.keep(path)?;
        Ok(series)
    }

    /// The series kept in this file; none if there is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                read(&text).map(Some).ok_or_else(|| Error::Series { path: path.to_owned() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    fn keep(&self, path: &Path) -> Result<(), Error> {
        let mut text = Zeroizing::new(format!(
            "tricord-backup-series 1\nid {}\ncluster {}\nlineage {}\nbegan {}\nrecovery {}\nkey {}\n",
            hex::encode(&self.id),
            self.cluster,
            self.lineage,
            self.began.0,
            self.recovery,
            *Zeroizing::new(hex::encode(self.key.bytes()))
        ));
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        *text += &format!("sha256 {}\n", hex::encode(&hash));
        let fresh = path.with_extension("new");
        let _ = fs::remove_file(&fresh);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
        let mut file = file.map_err(Error::io("create", &fresh))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("write", &fresh))?;
        fs::rename(&fresh, path).map_err(Error::io("put in place", path))
    }
}

pub(crate) fn read(text: &str) -> Option<Series> {
    let (body, hash) = text.strip_suffix('\n')?.rsplit_once("sha256 ")?;
    if Sha256::digest(body.as_bytes()).as_slice() != hex::array::<32>(hash)? {
        return None;
    }
    let mut lines = body.lines();
    let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
    (value("tricord-backup-series")? == "1").then_some(())?;
    let id = hex::array(value("id")?)?;
    let cluster = value("cluster")?.parse().ok()?;
    let lineage = value("lineage")?.parse().ok()?;
    let began = Timestamp(value("began")?.parse().ok()?);
    let recovery = PublicKey(hex::array(value("recovery")?)?);
    let key = BackupKey::from_bytes(Zeroizing::new(hex::array(value("key")?)?));
    Some(Series { id, key, recovery, began, cluster, lineage })
}
