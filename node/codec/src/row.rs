//! Rows and audit records: format, length, value.

use types::record::Record;
use types::{Row, Table};

use crate::error::Error;
use crate::format::{decode, encode};

macro_rules! tables {
    ($($table:ident),* $(,)?) => {
        /// The bytes of a row. Same row, same bytes.
        #[must_use]
        pub fn encode_row(row: &Row) -> Vec<u8> {
            match row { $(Row::$table(value) => encode(value),)* }
        }

        /// The row of this table that has these bytes.
        ///
        /// Errors: [`Error`] for anything `encode_row` would not have written.
        pub fn decode_row(table: Table, bytes: &[u8]) -> Result<Row, Error> {
            match table { $(Table::$table => decode(bytes, concat!("a row of ", stringify!($table))).map(Row::$table),)* }
        }
    };
}

tables! {
    Cluster, Heads, User, Login, Word, Credential, Device, UserDevice, Answer, Session, UserSession, Attached,
    Conversation, Direct, Participant, Participation, Message, Receipt, ConversationEvent, UserEvent, EventScope,
    Status, NodeLease, Timer, Policy, Record, ParticipationCount, UserWord,
    TreeNode, Head, Signer, Divergence,
    Failures, FailuresCount, Settings,
    Emergency, EmergencyOpen, EmergencyGrant,

    NodeNumbers,

    DataKey, ScopeKey, ClusterKey, KeyEnvelope, KeyHolder,

    Seat, Refounding,
    Backup,

    NodeCertificates, Revoked, KitProposal, FormerKit,
}

/// The canonical bytes of an audit record. They are the bytes of its row: what is stored is what is hashed.
#[must_use]
pub fn encode_record(record: &Record) -> Vec<u8> {
    encode(record)
}

/// The audit record that has these bytes.
///
/// Errors: [`Error`] for anything `encode_record` would not have written.
pub fn decode_record(bytes: &[u8]) -> Result<Record, Error> {
    decode(bytes, "Record")
}
