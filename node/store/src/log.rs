//! The Raft log: one writer drains a queue into one batch, one fsync, then the callbacks in order.

pub(crate) mod entry;
mod marks;
mod open;
mod shared;
mod store;
mod tail;
mod writer;

pub use entry::{LogEntry, LogId, Payload, Vote};
pub(crate) use marks::{decode_log_id, encode_log_id};
pub use open::OpenError;
pub use store::{Callback, LogStore};
pub use writer::LogWriter;

#[cfg(test)]
mod tests;
