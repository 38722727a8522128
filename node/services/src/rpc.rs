//! One module for each service of `tricord.v1`.

pub(crate) mod audit;
pub(crate) mod certificate;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod conversation;
pub(crate) mod directory;
pub(crate) mod emergency;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod message_stream;
pub(crate) mod place;
pub(crate) mod presence;
pub(crate) mod receipt;
pub(crate) mod recovery;
pub(crate) mod security;
pub(crate) mod session;
pub(crate) mod sync;
