//! Everything that parses bytes from outside.

mod client;
mod codec;
pub mod planted;
mod record;
mod seal;

use crate::hex;
use crate::target::Target;

/// A certificate that names a node.
const CERTIFICATE: &str = include_str!("../samples/peer-certificate.hex");

/// Every target. A new parser of bytes from outside belongs here.
pub fn all() -> Vec<Target> {
    use backup::fuzz as backup;
    use cli::fuzz as cli;
    use raft::fuzz as raft;
    use server::fuzz as server;
    use services::fuzz as services;
    use store::fuzz as store;
    let own = [
        Target::new("peer-message", raft::message, raft::message_samples).factor(256),
        Target::new("peer-certificate", raft::certificate, || vec![hex::read(CERTIFICATE)]),
        Target::new("wal", store::wal, store::wal_samples).mend(|bytes| store::wal_mend(bytes)),
        Target::new("snapshot-manifest", store::manifest, store::manifest_samples).mend(store::manifest_mend),
        Target::new("identity", store::identity, store::identity_samples).mend(store::lines_mend),
        Target::new("remembered", store::remembered, store::remembered_samples).mend(store::lines_mend),
        Target::new("log-entry", store::log_entry, store::log_entry_samples),
        Target::new("backup-manifest", backup::manifest, backup::manifest_samples).mend(backup::manifest_mend),
        Target::new("backup-contents", backup::contents, backup::contents_samples),
        Target::new("backup-series", backup::series, backup::series_samples).mend(backup::lines_mend),
        Target::new("cursor", services::cursor, services::cursor_samples).mend(services::cursor_mend),
        Target::new("page-token", services::page_token, services::page_token_samples).mend(services::page_token_mend),
        Target::new("credential", services::credential, services::credential_samples),
        Target::new("name", services::name, services::name_samples),
        Target::new("text", services::text, services::text_samples).factor(256),
        Target::new("spool", services::spool, services::spool_samples).mend(|bytes| services::spool_mend(bytes)),
        Target::new("config", server::config, server::config_samples).factor(512),
        Target::new("founding", server::founding, server::founding_samples).factor(512),
        Target::new("restored", server::restored, server::restored_samples),
        Target::new("users-csv", cli::users, cli::users_samples).factor(256),
        Target::new("recovery-share", cli::share, cli::share_samples).factor(256),
        Target::new("export-bundle", cli::bundle_of_records, cli::bundle_of_records_samples),
        Target::new("message-proof", cli::proof, cli::proof_samples),
        Target::new("joining", cli::joining, cli::joining_samples),
        Target::new("typed", cli::typed, cli::typed_samples).factor(256),
    ];
    [codec::all(), record::all(), seal::all(), client::all(), own.to_vec()].concat()
}
