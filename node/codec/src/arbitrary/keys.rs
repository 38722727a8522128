//! Keys: wrapped, sealed, public.

use proptest::prelude::*;
use types::command::{AddDataKey, ApproveHolder, RewrapDataKeys, RewrappedKey};
use types::key::{ClusterKey, DataKey, Envelope, Holder, HolderKey, KeyScope, Month, NewClusterKey};

use super::primitive::*;

structs!(pub(super) data_key: DataKey {
    scope: key_scope(), month: month(), version: number32(), created: timestamp(), wrapped: bytes(),
});
structs!(pub(super) cluster_key: ClusterKey {
    check: bytes32(), created: timestamp(), data_keys: number(), retired: maybe(timestamp()),
});
structs!(pub(super) holder_key: HolderKey { public: bytes32(), since: timestamp() });
structs!(pub(super) key_envelope: Envelope { holder: holder(), public: bytes32(), sealed: bytes() });
structs!(pub(super) new_cluster_key: NewClusterKey {
    version: number32(), check: bytes32(), envelopes: list(key_envelope()),
});
structs!(pub(super) add_data_key: AddDataKey {
    id: number(), scope: key_scope(), month: month(), version: number32(), wrapped: bytes(),
});
structs!(rewrapped: RewrappedKey { id: number(), wrapped: bytes() });
structs!(pub(super) rewrap: RewrapDataKeys { from: number32(), to: number32(), keys: list(rewrapped()) });
structs!(pub(super) approve: ApproveHolder {
    holder: holder(), public: bytes32(), envelopes: list((number32(), key_envelope()).boxed()),
});

pub(super) fn month() -> BoxedStrategy<Month> {
    number32().prop_map(Month).boxed()
}

pub(super) fn key_scope() -> BoxedStrategy<KeyScope> {
    prop_oneof![
        conversation_id().prop_map(KeyScope::Conversation),
        user_id().prop_map(KeyScope::User),
        Just(KeyScope::Requests),
        Just(KeyScope::Addresses),
    ]
    .boxed()
}

pub(super) fn holder() -> BoxedStrategy<Holder> {
    prop_oneof![Just(Holder::Recovery), node_id().prop_map(Holder::Node)].boxed()
}
