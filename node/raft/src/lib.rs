//! Consensus: openraft over `store`, the peers, the apply loop. openraft is this crate's secret.

pub mod handle;

pub use handle::{
    Applied, BarrierError, ClusterStatus, Handle, NodeStatus, ProposeError, Role, Typing,
};
