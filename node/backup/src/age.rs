//! Which of several backups is newer. Machines' clocks go wrong; the log's order does not: within one history the backup that
//! goes further up in the log is the newer one.

use std::collections::HashMap;

use types::{ClusterId, Lineage};

use crate::Manifest;

/// Sorts backups, the oldest first.
///
/// Histories do not share a log: they come in the order of when the newest backup of each was made, and `current` last.
pub fn sort_by_age(backups: &mut [Manifest], current: Option<(ClusterId, Lineage)>) {
    let history = |one: &Manifest| (one.cluster, one.lineage);
    let place = |one: &Manifest| (one.applied, one.records, one.created);
    let mut newest = HashMap::new();
    for one in backups.iter() {
        let known = newest.entry(history(one)).or_insert_with(|| place(one));
        *known = place(one).max(*known);
    }
    backups.sort_by_cached_key(|one| {
        let ended = newest.get(&history(one)).map(|(_, _, created)| *created);
        ((Some(history(one)) == current, ended, history(one)), place(one), one.name.clone())
    });
}
