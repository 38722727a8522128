//! Rows that are of the state alone.

use types::row::{
    ClockHold, Cluster, Divergence, Head, HeadSignature, Heads, KeptAnswer, NodeNumbers, Signer, StoredEvent,
};

use crate::declare::messages;

messages! {
    Cluster { 1: id, 2: lineage, 3: name, 4: feature_level, 6: founded }
    Heads { 1: clock, 2: event, 3: events_dropped, 4: records, 12: hold }
    KeptAnswer { 1: content, 2: answer }
    StoredEvent { 1: at, 2: body }
    Head { 1: marked, 2: signatures, 3: sealed, 4: decided, 5: number }
    HeadSignature { 1: node, 2: root, 3: signature }
    Signer { 1: key, 2: since, 3: until }
    Divergence { 1: size, 2: since }
    NodeNumbers { 1: epoch, 2: settled, 3: done }
    ClockHold { 1: before, 2: after, 3: until }
}
