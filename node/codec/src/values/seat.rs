//! Nodes that were let in, and histories begun anew.

use types::seat::{AdmitNode, Refound, Refounding, Seat};

use crate::declare::messages;

messages! {
    Seat { 1: disk, 2: public, 3: peer_address, 4: client_address, 5: admitted, 6: seated, 7: replaced }
    AdmitNode { 1: node, 2: disk, 3: public, 4: peer_address, 5: client_address, 6: envelopes }
    Refound { 1: lineage, 2: node, 3: at, 4: single_copy }
    Refounding { 1: before, 2: last, 3: at, 4: node, 5: single_copy, 6: records }
}
