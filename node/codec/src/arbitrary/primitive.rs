//! Numbers, ids, texts, bytes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use types::{
    ClusterId, ConversationId, DeviceId, EventNumber, Lineage, NodeId, Principal, RoleId, Seq, SessionId, Timestamp,
    UserId,
};

pub(super) fn number() -> BoxedStrategy<u64> {
    prop_oneof![Just(0), 1..4_u64, 120..140_u64, Just(u64::MAX), any::<u64>()].boxed()
}

pub(super) fn number32() -> BoxedStrategy<u32> {
    prop_oneof![Just(0), 1..4_u32, 120..140_u32, Just(u32::MAX), any::<u32>()].boxed()
}

pub(super) fn bytes16() -> BoxedStrategy<[u8; 16]> {
    prop_oneof![
        Just([0; 16]),
        Just([0xFF; 16]),
        (0..3_u8).prop_map(|last| {
            let mut bytes = [7; 16];
            bytes[15] = last;
            bytes
        }),
        any::<[u8; 16]>()
    ]
    .boxed()
}

pub(super) fn bytes32() -> BoxedStrategy<[u8; 32]> {
    prop_oneof![Just([0; 32]), any::<[u8; 32]>()].boxed()
}

pub(super) fn bytes64() -> BoxedStrategy<[u8; 64]> {
    (bytes32(), bytes32())
        .prop_map(|(front, back)| {
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&front);
            bytes[32..].copy_from_slice(&back);
            bytes
        })
        .boxed()
}

pub(super) fn bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..4), vec(any::<u8>(), 120..140)].boxed()
}

pub(super) fn text() -> BoxedStrategy<String> {
    let character = prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('b'), Just('\u{10FFFF}'), any::<char>()];
    vec(character, 0..5).prop_map(String::from_iter).boxed()
}

pub(super) fn list<T: std::fmt::Debug + 'static>(item: BoxedStrategy<T>) -> BoxedStrategy<Vec<T>> {
    vec(item, 0..4).boxed()
}

pub(super) fn maybe<T: std::fmt::Debug + 'static>(value: BoxedStrategy<T>) -> BoxedStrategy<Option<T>> {
    option::of(value).boxed()
}

macro_rules! ids {
    ($($name:ident $of:ident from $inner:ident;)*) => {$(
        pub(super) fn $name() -> BoxedStrategy<$of> {
            $inner().prop_map($of).boxed()
        }
    )*};
}

ids! {
    user_id UserId from bytes16;
    device_id DeviceId from bytes16;
    session_id SessionId from bytes16;
    conversation_id ConversationId from bytes16;
    role_id RoleId from bytes16;
    cluster_id ClusterId from bytes16;
    lineage Lineage from bytes16;
    seq Seq from number;
    event_number EventNumber from number;
    timestamp Timestamp from number;
    node_id NodeId from number;
}

pub(super) fn principal() -> BoxedStrategy<Principal> {
    prop_oneof![user_id().prop_map(Principal::User), role_id().prop_map(Principal::Role)].boxed()
}

/// One of a few values.
macro_rules! one_of {
    ($name:ident: $of:ident { $($variant:ident),* $(,)? }) => {
        pub(super) fn $name() -> proptest::prelude::BoxedStrategy<$of> {
            proptest::sample::select(vec![$($of::$variant),*]).boxed()
        }
    };
}

/// A struct from the strategies of its fields, two tuples of at most ten.
macro_rules! structs {
    ($(#[doc = $doc:literal])* $vis:vis $name:ident: $of:ident {
        $($field:ident: $strategy:expr),+ $(; $($more:ident: $then:expr),+)? $(,)?
    }) => {
        $(#[doc = $doc])*
        $vis fn $name() -> proptest::prelude::BoxedStrategy<$of> {
            (($($strategy,)+), (Just(()), $($($then,)+)?))
                .prop_map(|(($($field,)+), ((), $($($more,)+)?))| $of { $($field,)+ $($($more,)+)? })
                .boxed()
        }
    };
}

pub(super) use {one_of, structs};
