//! What a node does for the audit log beside applying it: it says what was looked at, signs heads, finds and proves.

pub mod heads;
pub(crate) mod log;
pub(crate) mod observe;
pub(crate) mod refusals;
pub(crate) mod signing;
pub(crate) mod spool;
pub(crate) mod words;
