//! The peers: who they are, how they are reached, what they are asked and what they ask.

pub(crate) mod accept;
pub(crate) mod append;
pub(crate) mod connect;
pub(crate) mod directory;
pub(crate) mod network;
pub(crate) mod places;
pub(crate) mod reversion;
pub(crate) mod service;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
pub(crate) mod transfer;
pub(crate) mod transport;
