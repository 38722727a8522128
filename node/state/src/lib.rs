//! The state machine and the one access policy: pure. [`apply()`] is a function of (view, time, envelope) alone; it logs
//! nothing, serializes nothing, and returns values.
#![no_std]
// A panic here would come on all three nodes, and again after every restart.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::float_arithmetic,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod apply;
mod commands;
pub mod keys;
pub mod lockout;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod outcome;
pub mod policy;
pub mod presence;
pub mod records;
#[cfg(test)]
mod tests;
mod tx;
pub mod view;
pub mod visible;

pub use apply::apply;
pub use outcome::Outcome;
pub use policy::{Action, Actor, Decision, may};
pub use view::{Rows, View, heads, newest_cluster_key};
