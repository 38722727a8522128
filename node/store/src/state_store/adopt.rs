//! Makes the state of a new data directory out of another cluster node's, as of no log entry at all: the first entry of a
//! new log goes on from it.

use std::path::Path;

use types::{Key, Row};

use super::generation;
use super::marks::{APPLIED, MEMBERSHIP};
use crate::Fault;
use crate::engine::{Batch, Disk, Engine, Family, Kind};
use crate::files::{make_dir, move_dir};

/// Takes the database in `database`, which must be on the same file system, and puts `rows` into it. The same database and
/// rows give the same state on every node. What a crash leaves is no state; begin again with an empty `root`.
pub fn adopt<E: Engine>(disk: &dyn Disk<E>, root: &Path, database: &Path, rows: &[(Key, Row)]) -> Result<(), Fault> {
    make_dir(root)?;
    let dir = generation::dir(root, 1);
    move_dir(database, &dir)?;
    let engine = disk.open(&dir, Kind::State)?;
    let mut batch = Batch::default();
    for mark in [APPLIED, MEMBERSHIP] {
        batch.delete(Family::StateMarks, mark.to_vec());
    }
    for (key, row) in rows {
        batch.put(Family::of(key.table()), codec::key_bytes(key), codec::encode_row(row));
    }
    engine.write(batch, false)?;
    engine.flush()?;
    drop(engine);
    generation::point_to(root, 1)
}
