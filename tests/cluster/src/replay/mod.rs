//! Real days of a busy chat room, replayed as a hospital would use the cluster: people with sessions on all three nodes, each
//! day a conversation of its own, all days at once; then every message is looked for, on every node and every stream.

mod plan;
mod presence;
mod run;
mod verify;

pub use plan::Plan;
pub use run::{Settings, Summary, run};
pub use verify::{Entry, Verdict, fresh_clients, list_all};
