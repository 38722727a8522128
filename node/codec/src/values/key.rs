//! Keys: wrapped, sealed, public.

use types::key::{ClusterKey, DataKey, Envelope, Holder, HolderKey, KeyScope, NewClusterKey};

use crate::declare::{choices, messages};

messages! {
    DataKey { 1: scope, 2: month, 3: version, 4: created, 5: wrapped }
    ClusterKey { 1: check, 2: created, 3: data_keys, 4: retired }
    HolderKey { 1: public, 2: since }
    Envelope { 1: holder, 2: public, 3: sealed }
    NewClusterKey { 1: version, 2: check, 3: envelopes }
}

choices! {
    KeyScope { 1: Conversation(id), 2: User(id), 3: Requests, 4: Addresses }
    Holder { 1: Recovery, 2: Node(node) }
}
