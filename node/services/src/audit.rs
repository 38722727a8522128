//! What a node does for the audit log beside writing it.

pub(crate) mod signing;
