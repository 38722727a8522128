//! The state machine and the one access policy: pure. [`apply`] is a function of (view, time, envelope) alone; it logs
//! nothing, serializes nothing, and returns values.
#![no_std]
extern crate alloc;

pub mod outcome;
pub mod view;

pub use outcome::Outcome;
pub use view::{Rows, View, heads};

use types::{Envelope, Timestamp};
