//! The state as of one moment.

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use state::View;
use types::row::Heads;
use types::{Key, Row, Table};

use super::marks::read_applied;
use super::store::Applied;
use crate::Fault;
use crate::engine::{Disk, Engine, Family, Kind, Reader, Visit};
use crate::files::DirGuard;

/// The state as one apply call left it; what is applied later does not change it. Cheap to clone, and good beside a
/// snapshot that replaces the state: it goes on showing the old one.
#[derive(Clone)]
pub struct StateView {
    inner: Arc<Inner>,
}

struct Inner {
    reader: Arc<dyn Reader>, // Before the directory, for that goes away with the last of its readers.
    heads: Heads,
    _dir: Arc<DirGuard>,
}

impl StateView {
    pub(super) fn new(reader: Arc<dyn Reader>, dir: Arc<DirGuard>) -> Result<Self, Fault> {
        let heads = state::heads(&Rows(reader.as_ref()))?;
        Ok(Self { inner: Arc::new(Inner { reader, heads, _dir: dir }) })
    }

    /// The state in a directory that a checkpoint made, or a copy of one. Not a byte there is changed.
    pub fn of_checkpoint<E: Engine>(disk: &dyn Disk<E>, dir: &Path) -> Result<Self, Fault> {
        let reader = disk.open_checkpoint(dir, Kind::State)?;
        Self::new(Arc::from(reader), Arc::new(DirGuard::new(dir.to_path_buf())))
    }

    /// The last applied entry and the membership.
    pub fn applied(&self) -> Result<Applied, Fault> {
        read_applied(self.reader())
    }

    /// Shows every row of a table as it is stored: key and value, ascending, until `visit` breaks.
    pub fn each(&self, table: Table, visit: Visit<'_>) -> Result<(), Fault> {
        let (from, to) = ([table as u8], [table as u8 + 1]);
        let keys = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
        self.reader().range(Family::of(table), keys, false, visit)
    }

    /// Clock and newest event as of this view.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.inner.heads
    }

    pub(super) fn reader(&self) -> &dyn Reader {
        self.inner.reader.as_ref()
    }
}

impl View for StateView {
    type Fault = Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, Fault> {
        if let Key::Heads() = key {
            return Ok(Some(Row::Heads(self.heads()))); // Every call asks for them.
        }
        Rows(self.reader()).get(key)
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Fault> {
        Rows(self.reader()).scan(from, to, reverse, limit)
    }
}

/// Rows out of an engine's bytes.
struct Rows<'a>(&'a dyn Reader);

impl View for Rows<'_> {
    type Fault = Fault;

    fn get(&self, key: &Key) -> Result<Option<Row>, Fault> {
        let bytes = self.0.get(Family::of(key.table()), &codec::key_bytes(key))?;
        bytes.map(|bytes| codec::decode_row(key.table(), &bytes).map_err(Fault::from)).transpose()
    }

    fn scan(&self, from: &Key, to: &Key, reverse: bool, limit: usize) -> Result<Vec<(Key, Row)>, Fault> {
        let table = from.table();
        if to.table() != table {
            return Err(Fault::Misuse("a scan goes from one table to another"));
        }
        let mut rows = Vec::new();
        if limit == 0 || from > to {
            return Ok(rows);
        }
        let (from, to) = (codec::key_bytes(from), codec::key_bytes(to));
        let keys = (Bound::Included(from.as_slice()), Bound::Included(to.as_slice()));
        self.0.range(Family::of(table), keys, reverse, &mut |key, value| {
            rows.push((codec::key_from_bytes(key)?, codec::decode_row(table, value)?));
            Ok(if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(rows)
    }
}
