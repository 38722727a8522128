//! Consensus: openraft over `store`, the peers, the apply loop. openraft is this crate's secret.

// The tests of whole nodes stand in this crate, so that openraft is compiled for them once, and use it from outside.
#[cfg(test)]
extern crate self as raft;

pub mod blocking;
mod claim;
mod clock;
#[cfg(test)]
mod conformance;
mod contact;
mod duties;
mod early;
mod finalize;
mod forgotten;
mod forward;
mod founding;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gate;
mod gossip;
pub mod handle;
mod kinds;
mod lanes;
mod leadership;
mod leases;
mod log;
mod machine;
mod memory;
mod metrics;
mod node;
mod peer;
mod propose;
mod read;
pub mod refound;
mod seats;
mod settings;
mod shared;
mod snapshots;
mod stored;
#[cfg(test)]
mod tests;
mod vitals;
mod wire;
mod worker;

pub use clock::{SystemClock, Time};
pub use finalize::{NotYet, next_level};
pub use founding::{Complete, Founding};
pub use gate::{Gate, Inside};
pub use handle::{
    Applied, BarrierError, ClusterStatus, Handle, KeyReport, NodeStatus, ProposeError, Role, Typing, Vitals,
};
pub use kinds::NodeInfo;
pub use node::{Config, Node, OnFatal, Pace, StartError};
pub use peer::directory::Identity;
pub use peer::places::{Places, ask as ask_places};
pub use peer::tls::{Certified, PeerTls, TlsError};
pub use peer::transport::{Dial, Handshake, Io, Listen, PeerIo, TlsListener};
pub use propose::is_urgent;
pub use snapshots::SnapshotLimits;
pub use store::{Fault, TreeNodes};
