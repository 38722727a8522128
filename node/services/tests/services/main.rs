//! The services over a node without Raft, by real gRPC on a loopback port.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod accounts;
mod addresses;
mod audit;
mod conversations;
mod emergency;
mod identity;
mod locking;
mod matrix;
mod messages;
mod node;
mod places;
mod presence;
mod sync;
mod trust;
mod world;
