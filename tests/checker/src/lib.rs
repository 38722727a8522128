//! Reads what clients saw of a cluster, real or simulated, and finds what must not be.
//!
//! Clients record every call they make (when it began and ended, what came of it) and every event they received in a
//! [`Recorder`]; after the dust has settled they add what each node holds. [`check()`] then looks for acknowledged messages that
//! are gone, repeats, gaps, two orders, stale linearizable reads, requests that took effect twice, own writes unseen, wrong
//! presence and nodes that differ.
//!
//! Nothing here knows of clocks, threads or networks: moments are numbers of the caller's, which only need to order what
//! happened as an observer outside would.

mod agreement;
mod check;
mod history;
mod linear;
mod listings;
mod log;
mod places;
mod recorder;
mod requests;
mod sessions;
mod streams;
mod violation;

pub use check::{Report, check};
pub use history::{
    Answer, Asked, Body, Call, Conversation, Fingerprint, Freshness, History, Listing, Moment, PresenceSeen, Print,
    Request, Row, Stream,
};
pub use linear::{Model, Span, Verdict, linearizable};
pub use recorder::{CallId, Recorder, StreamId};
pub use violation::{Source, Violation};

#[cfg(test)]
mod tests;
