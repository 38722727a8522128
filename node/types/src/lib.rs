//! Plain values: ids, limits, commands, replies, rows and events. No clock, file, thread or random seed can be named
//! here, so that everything built from these values alone is the same on every node.
#![no_std]
extern crate alloc;

pub mod backup;
pub mod certificate;
pub mod command;
pub mod conversation;
pub mod emergency;
pub mod event;
pub mod features;
pub mod id;
pub mod identity;
pub mod key;
pub mod kit;
pub mod limits;
pub mod locking;
pub mod message;
pub mod place;
pub mod presence;
pub mod principal;
pub mod record;
pub mod reply;
pub mod row;
pub mod seat;
pub mod session;
pub mod text;
pub mod user;

pub use command::{Author, Command, Entry, Envelope, Request};
pub use event::{Event, EventBody, Scope};
pub use id::{
    ClusterId, ConversationId, DeviceId, EventNumber, Incarnation, Lineage, NodeId, RoleId, Seq, SessionId, Slot,
    Timestamp, UserId,
};
pub use principal::Principal;
pub use reply::{Reject, Reply};
pub use row::{Key, Row, Table};
