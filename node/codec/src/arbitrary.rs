//! Strategies of proptest for every value that has bytes. They favour what breaks encodings: zeros, maxima, empty
//! lists, equal prefixes, texts with 0x00.
//!
//! Lists are short, and texts and numbers are not bound by `types::limits`: bytes must hold whatever a value can be.

mod answer;
mod backup;
mod command;
mod conversation;
mod identity;
mod key;
mod keys;
mod people;
mod primitive;
mod record;
mod row;
mod seat;
mod trust;
mod user;

pub use answer::{answer, reject, reply};
pub use command::{command, entry, envelope};
pub use conversation::{conversation, event_body, message, participant};
pub use key::key;
pub use record::record;
pub use row::{row, row_and_key};
pub use user::{credential, device, session, status, user};
