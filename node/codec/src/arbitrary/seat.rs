//! Nodes that were let in, and histories begun anew.

use proptest::prelude::*;
use types::seat::{AdmitNode, Refound, Refounding, Seat};

use super::keys::key_envelope;
use super::primitive::*;

structs!(pub(super) seat: Seat {
    disk: bytes16(), public: bytes32(), peer_address: text(), client_address: text(), admitted: timestamp(),
    seated: maybe(timestamp()), replaced: maybe(timestamp()),
});
structs!(pub(super) admit: AdmitNode {
    node: node_id(), disk: bytes16(), public: bytes32(), peer_address: text(), client_address: text(),
    envelopes: list((number32(), key_envelope()).boxed()),
});
structs!(pub(super) refound: Refound {
    lineage: lineage(), node: node_id(), at: timestamp(), single_copy: any::<bool>(),
});
structs!(pub(super) refounding: Refounding {
    before: lineage(), last: timestamp(), at: timestamp(), node: node_id(), single_copy: any::<bool>(),
    records: number(),
});
