//! One module for each family of commands. Each checks, then changes; a refusal takes its changes back.

pub(crate) mod audit;
pub(crate) mod backups;
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod conversations;
pub(crate) mod directory;
pub(crate) mod emergency;
pub(crate) mod founding;
pub(crate) mod keys;
pub(crate) mod kits;
pub(crate) mod leases;
pub(crate) mod locking;
pub(crate) mod lockout;
pub(crate) mod log_off;
pub(crate) mod messages;
pub(crate) mod once;
pub(crate) mod participants;
pub(crate) mod places;
pub(crate) mod presence;
pub(crate) mod receipts;
pub(crate) mod refusals;
pub(crate) mod seats;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod tick;
