//! A cluster of three real processes on this machine, and clients that fail over as real ones do. The tests in `tests/`, the
//! replay and the benchmarks stand on it.

mod binaries;
mod client;
mod cluster;
mod links;
mod metrics;
mod node;
mod numbers;
mod observer;
mod people;
pub mod ports;
mod refusal;
pub mod replacing;
pub mod runbook;
mod skipped;
mod stolen;
mod streams;
mod tool;

pub mod faults;
pub mod irc;
pub mod replay;

pub use binaries::binary;
pub use client::{ATTEMPT, Client, PATIENCE, Wire};
pub use cluster::{ADMIN_PASSWORD, Cluster, Options, SLOTS};
pub use links::{Links, Node};
pub use metrics::Samples;
pub use node::{FAILING, NodeProcess, run_daemon};
pub use numbers::Numbers;
pub use observer::{Observer, Seen, Sink};
pub use people::{Person, create_group, enrol_all};
pub use refusal::{reason, retryable, survived};
pub use skipped::skipped;
pub use stolen::{Stolen, listens_on};
pub use streams::Streams;
pub use tool::tricord;

/// What a step of a test ends with when it fails: said once, where it is handled.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of a step.
pub type Result<T> = std::result::Result<T, Failure>;
