//! From committed entries to one batch and what is told to whom.

use types::reply::Answer;
use types::{Event, Key, Row, Table, UserId};

use super::marks::{put_applied, put_membership};
use super::overlay::Overlay;
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

/// What the entries do to the state: one batch with the applied mark, and the outputs of each.
pub(super) fn decide(view: &StateView, entries: &[(LogId, Payload)]) -> Result<(Batch, Vec<Outputs>), Fault> {
    let mut overlay = Overlay::new(view);
    let mut batch = Batch::default();
    let mut outputs = Vec::with_capacity(entries.len());
    for (id, payload) in entries {
        outputs.push(match payload {
            Payload::Blank => Outputs::default(),
            Payload::Commands(bytes) => apply_entry(&mut overlay, bytes)?,
            Payload::Membership(bytes) => {
                put_membership(&mut batch, *id, bytes);
                Outputs::default()
            }
        });
    }
    let mut tree = Growth::new(view);
    for (key, row) in overlay.into_changes() {
        put_row(&mut batch, &mut tree, &key, row)?;
    }
    if let Some((last, _)) = entries.last() {
        put_applied(&mut batch, *last);
    }
    Ok((batch, outputs))
}

fn apply_entry(overlay: &mut Overlay<'_, StateView>, bytes: &[u8]) -> Result<Outputs, Fault> {
    let entry = codec::decode_entry(bytes)?;
    let mut outputs = Outputs::default();
    for envelope in &entry.envelopes {
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

/// Writes a row; with a record also what it adds to the audit tree, so that neither is ever there without the other.
fn put_row(batch: &mut Batch, tree: &mut Growth<'_>, key: &Key, row: Option<Row>) -> Result<(), Fault> {
    let family = Family::of(key.table());
    match row {
        Some(row @ Row::Record(_)) if key.table() == Table::Record => {
            let bytes = codec::encode_row(&row);
            for (level, place, hash) in tree.push(key, &bytes)? {
                let node = codec::encode_row(&Row::TreeNode(hash));
                batch.put(Family::Tree, codec::key_bytes(&Key::TreeNode(level, place)), node);
            }
            batch.put(family, codec::key_bytes(key), bytes);
            Ok(())
        }
        Some(row) if row.table() == key.table() => {
            batch.put(family, codec::key_bytes(key), codec::encode_row(&row));
            Ok(())
        }
        Some(_) => Err(Fault::Misuse("a row is of another table than its key")),
        None => {
            batch.delete(family, codec::key_bytes(key));
            Ok(())
        }
    }
}
