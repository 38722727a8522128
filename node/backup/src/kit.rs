//! That the recovery kit opens what is in a backup: every key, and with each key a text.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use seal::{ClusterKey, DataKey, NodeKey, Place};
use store::{Fault, StateView};
use types::key::Holder;
use types::{Key, Row, Table};

use crate::Error;

/// What the recovery kit has opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KitProof {
    /// Versions of the cluster key.
    pub cluster_keys: usize,
    /// Data keys: all there are.
    pub data_keys: usize,
    /// Messages: one of each data key that messages were sealed with.
    pub messages: usize,
}

/// Opens everything once. Nothing of it leaves this function but counts.
pub(crate) fn prove(view: &StateView, kit: &NodeKey, path: &Path) -> Result<KitProof, Error> {
    let fails = |what: String| Error::Kit { path: path.to_owned(), what };
    let (mut envelopes, mut checks) = (Vec::new(), HashMap::new());
    each(view, Table::KeyEnvelope, |key, row| {
        if let (Key::KeyEnvelope(version, Holder::Recovery), Row::KeyEnvelope(envelope)) = (key, row) {
            envelopes.push((version, envelope.sealed));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    each(view, Table::ClusterKey, |key, row| {
        if let (Key::ClusterKey(version), Row::ClusterKey(key)) = (key, row) {
            checks.insert(version, key.check);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut cluster = HashMap::new();
    for (version, envelope) in envelopes {
        let check = checks.get(&version).copied().unwrap_or_default();
        let opened = ClusterKey::open(version, &check, &envelope, kit);
        cluster.insert(version, opened.map_err(|_| fails(format!("cluster key {version}")))?);
    }
    let (mut keys, mut closed) = (HashMap::new(), None);
    each(view, Table::DataKey, |key, row| {
        let (Key::DataKey(id), Row::DataKey(row)) = (key, row) else { return Ok(ControlFlow::Continue(())) };
        let under = cluster.get(&row.version);
        match under.map(|under| DataKey::unwrap(under, id, row.scope, row.month, &row.wrapped)) {
            Some(Ok(key)) => {
                keys.insert(id, (key, false));
                Ok(ControlFlow::Continue(()))
            }
            Some(Err(_)) | None => {
                closed = Some(format!("data key {id:016x}"));
                Ok(ControlFlow::Break(()))
            }
        }
    })?;
    let mut messages = 0;
    if closed.is_none() {
        each(view, Table::Message, |key, row| {
            let (Key::Message(conversation, seq), Row::Message(message)) = (key, row) else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some((key, seen)) = keys.get_mut(&message.sealed.key_id) else {
                return Ok(ControlFlow::Continue(())); // Its key was destroyed: it was erased.
            };
            if !std::mem::replace(seen, true) {
                let place = Place::Message(conversation, message.header.kind, message.sender.user);
                if seal::open(key, &place, &message.sealed).is_err() {
                    closed = Some(format!("message {} of conversation {conversation}", seq.0));
                    return Ok(ControlFlow::Break(()));
                }
                messages += 1;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    match closed {
        Some(what) => Err(fails(what)),
        None => Ok(KitProof { cluster_keys: cluster.len(), data_keys: keys.len(), messages }),
    }
}

fn each(
    view: &StateView,
    table: Table,
    mut visit: impl FnMut(Key, Row) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    view.each(table, &mut |key, value| visit(codec::key_from_bytes(key)?, codec::decode_row(table, value)?))
}
