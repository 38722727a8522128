//! Keys, and what is sealed with them: message payloads, titles, status texts, patients' names.
//!
//! Three layers, each wrapped by the one above:
//!
//! | Key | Where it is made | Where it lies, and under what |
//! |---|---|---|
//! | [`NodeKey`], [`RecoveryKey`](NodeKey) (X25519) | on its machine; at founding | [`Protected`] under the machine's secret; in the recovery kit |
//! | [`ClusterKey`] (256 bit) | at founding, and at each rotation | replicated state, sealed to each holder's public key (HPKE, RFC 9180) |
//! | [`BackupKey`] (256 bit) | when a node begins a series of backups | beside the backups, sealed to the recovery key; on that node |
//! | [`DataKey`] (256 bit) | when the first text of a scope and month is sealed | replicated state, wrapped under the cluster key (XAES-256-GCM) |
//!
//! Payloads: `version ‖ key id ‖ nonce ‖ ciphertext ‖ tag`, XAES-256-GCM (C2SP) under a data key; see [`message`] and
//! [`text`]. Nothing here prints or formats a key, and every key is wiped when it is dropped.

mod backup;
mod cluster_key;
mod data_key;
pub mod environment;
mod error;
pub mod join;
mod node_key;
mod own;
mod payload;
mod protected;
mod random;
mod request;
mod reveal;
mod sealed;
mod xaes;

pub use backup::{BackupKey, SealError, Sealing, Unsealing};
pub use cluster_key::ClusterKey;
pub use data_key::DataKey;
pub use error::Error;
pub use node_key::{NodeKey, PublicKey};
pub use own::{open_own, seal_own};
pub use payload::Payload;
pub use protected::{Protected, Secret};
pub use request::RequestKey;
pub use reveal::{reveal, revealed};
pub use sealed::{Place, key_id, message, open, open_text, text, unkeyed_message, unkeyed_text};
