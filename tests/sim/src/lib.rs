//! Three nodes and their clients in one thread, in virtual time, under one seed.
//!
//! What runs is what ships: `raft`, `state`, `services` and all of `store` above its engine. What is simulated lies below
//! the seams: the network (turmoil, below tonic), the disk ([`store::engine::MemDisk`]), the clocks and the randomness of the
//! system (mad-turmoil answers in its place, in this program only). There are no threads: what runs on threads of its own in
//! a hospital runs as tasks here. A seed gives the same run every time.
//!
//! Not covered: TLS, RocksDB itself, a process that is stopped and goes on (`tests/cluster` has them).

mod cluster;
mod faults;
mod invariants;
mod net;
mod people;
mod place;
mod run;
mod trace;
mod ward;

pub use faults::Kind;
pub use run::{Outcome, Plan, run};
