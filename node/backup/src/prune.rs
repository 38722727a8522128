//! Keeps the newest backups of a node, and takes away the older ones with the files that only they had.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::age::sort_by_age;
use crate::target::{list, sync_dir};
use crate::{Error, Manifest, Target, hex};

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names of the backups.
    pub backups: Vec<String>,
    /// How many sealed files went with them.
    pub files: usize,
    /// A manifest that cannot be read: as long as it is there no file is taken away, for it may be that backup's.
    pub unreadable: Option<String>,
}

/// Keeps the newest `keep` backups that nodes of one slot made of one cluster: that which was just `made`, whatever clocks
/// said, and the newest of the others. Other slots' and clusters' are not touched.
pub fn prune(target: &Target, made: &Manifest, keep: usize) -> Result<Pruned, Error> {
    let (mut own, mut all, mut pruned) = (Vec::new(), Vec::new(), Pruned::default());
    for name in target.names()?.into_iter().filter(|name| *name != made.name) {
        match target.manifest(&name) {
            Ok(one) if one.cluster == made.cluster && one.node.slot() == made.node.slot() => own.push(one),
            Ok(one) => all.push(one),
            Err(_) => pruned.unreadable = Some(name),
        }
    }
    sort_by_age(&mut own, Some((made.cluster, made.lineage)));
    let mut kept = own.split_off(own.len().saturating_sub(keep.saturating_sub(1)));
    kept.push(made.clone());
    for old in &own {
        target.remove_manifest(&old.name)?; // First: a backup that is listed is whole.
        pruned.backups.push(old.name.clone());
    }
    if pruned.unreadable.is_none() {
        let mut needed: HashMap<[u8; 16], HashSet<String>> = HashMap::new();
        for manifest in kept.iter().chain(&all) {
            needed.entry(manifest.series).or_default().extend(manifest.items().map(|item| hex::encode(&item.name)));
        }
        let series: HashSet<[u8; 16]> = own.iter().chain(&kept).map(series_of).collect();
        for series in series {
            pruned.files += prune_series(target, &series, needed.get(&series))?;
        }
    }
    Ok(pruned)
}

const fn series_of(manifest: &Manifest) -> [u8; 16] {
    manifest.series
}

fn prune_series(target: &Target, series: &[u8; 16], needed: Option<&HashSet<String>>) -> Result<usize, Error> {
    let dir = target.series_dir(series);
    let mut removed = 0;
    for name in list(&dir)? {
        if !needed.is_some_and(|needed| needed.contains(&name)) {
            let path = dir.join(name);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            removed += 1;
        }
    }
    if needed.is_none() {
        match fs::remove_dir(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &dir)(error)),
            _ => {}
        }
    } else if removed > 0 {
        sync_dir(&dir)?;
    }
    Ok(removed)
}
