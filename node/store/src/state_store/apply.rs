//! From committed entries to one batch and what is told to whom.

use record::tree::Edge;
use state::Rows as _;
use types::reply::Answer;
use types::{Command, Event, Key, Row, Table, UserId};

use super::cache::Cache;
use super::marks::{put_applied, put_membership};
use super::overlay::{Overlay, Rows};
use super::tree::Growth;
use super::view::StateView;
use crate::engine::{Batch, Family};
use crate::{Fault, LogId, Payload};

/// What came of one entry.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outputs {
    /// One for each envelope, in order.
    pub answers: Vec<Answer>,
    /// For subscribers, ascending.
    pub events: Vec<Event>,
    /// Users whose presence may look different now, sorted.
    pub presence: Vec<UserId>,
}

/// What the entries do to the state.
pub(super) struct Decided {
    /// All changes, with the applied mark.
    pub batch: Batch,
    /// What came of each entry.
    pub outputs: Vec<Outputs>,
    /// Rows as they are once the batch is written: for the cache.
    pub rows: Rows,
    /// The edge of the audit tree then.
    pub edge: Edge,
}

/// What the entries do to the state, as the view and the cache, which are of one moment, show it, of a release that knows
/// feature levels up to `known`.
pub(super) fn decide(
    view: &StateView,
    cache: &Cache,
    known: u32,
    entries: &[(LogId, Payload)],
) -> Result<Decided, Fault> {
    let mut overlay = Overlay::new(view, cache);
    let mut batch = Batch::default();
    let mut outputs = Vec::with_capacity(entries.len());
    for (id, payload) in entries {
        outputs.push(match payload {
            Payload::Blank => Outputs::default(),
            Payload::Commands(bytes) => apply_entry(&mut overlay, known, bytes)?,
            Payload::Membership(bytes) => {
                put_membership(&mut batch, *id, bytes);
                Outputs::default()
            }
        });
    }
    let mut tree = Growth::new(cache.edge(), view)?;
    let (changed, mut rows) = overlay.into_rows();
    for (key, row) in changed {
        put_row(&mut batch, &mut tree, &key, row.as_deref())?;
        if Cache::keeps(key.table()) {
            rows.push((key, row));
        }
    }
    let (nodes, edge) = tree.finish();
    for ((level, place), hash) in nodes {
        let node = codec::encode_row(&Row::TreeNode(hash));
        batch.put(Family::Tree, codec::key_bytes(&Key::TreeNode(level, place)), node);
    }
    if let Some((last, _)) = entries.last() {
        put_applied(&mut batch, *last);
    }
    Ok(Decided { batch, outputs, rows, edge })
}

fn apply_entry(overlay: &mut Overlay<'_, StateView>, known: u32, bytes: &[u8]) -> Result<Outputs, Fault> {
    let entry = codec::decode_entry(bytes)?;
    let mut outputs = Outputs::default();
    for envelope in &entry.envelopes {
        check(known, level_of(&envelope.command))?; // Before anything of this call is written.
        if is_of_a_founded(&envelope.command) && overlay.cluster()?.is_none() {
            return Err(Fault::Unfounded);
        }
        let outcome = state::apply(overlay, entry.at, envelope)?;
        overlay.extend(outcome.changes);
        outputs.answers.push(outcome.answer);
        outputs.events.extend(outcome.events);
        outputs.presence.extend(outcome.presence);
    }
    outputs.presence.sort_unstable();
    outputs.presence.dedup();
    Ok(outputs)
}

/// Whether a node puts this only when its own state is founded: then so was that of all who had applied the log up to there.
const fn is_of_a_founded(command: &Command) -> bool {
    matches!(command, Command::RenewLease(_) | Command::AdmitNode(_) | Command::SeatNode(_))
}

/// The feature level that a command sets; 0 if it sets none.
const fn level_of(command: &Command) -> u32 {
    match command {
        Command::RaiseFeatureLevel(level) => *level,
        Command::Found(found) => found.feature_level,
        _ => 0,
    }
}

/// Errors: [`Fault::Newer`] for a level that is not known.
pub(super) const fn check(known: u32, found: u32) -> Result<(), Fault> {
    if found > known { Err(Fault::Newer { found, known }) } else { Ok(()) }
}

/// Writes a row; with a record the audit tree grows as well, so that neither is ever there without the other.
fn put_row(batch: &mut Batch, tree: &mut Growth, key: &Key, row: Option<&Row>) -> Result<(), Fault> {
    let family = Family::of(key.table());
    match row {
        Some(row @ Row::Record(_)) if key.table() == Table::Record => {
            let bytes = codec::encode_row(row);
            tree.push(key, &bytes)?;
            batch.put(family, codec::key_bytes(key), bytes);
            Ok(())
        }
        Some(row) if row.table() == key.table() => {
            batch.put(family, codec::key_bytes(key), codec::encode_row(row));
            Ok(())
        }
        Some(_) => Err(Fault::Misuse("a row is of another table than its key")),
        None => {
            batch.delete(family, codec::key_bytes(key));
            Ok(())
        }
    }
}
