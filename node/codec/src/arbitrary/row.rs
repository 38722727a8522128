//! Rows.

use proptest::prelude::*;
use proptest::sample::select;
use types::row::{
    ClockHold, Cluster, Divergence, Head, HeadSignature, Heads, KeptAnswer, NodeNumbers, Signer, StoredEvent,
};
use types::{Key, Row, Table};

use super::answer::answer;
use super::backup::backup;
use super::conversation::{conversation, event_body, history_policy, message, participant, receipt, scope};
use super::identity::{failures, settings};
use super::key::key;
use super::keys::{cluster_key, data_key, holder_key, key_envelope};
use super::people::emergency;
use super::primitive::*;
use super::record::record;
use super::seat::{refounding, seat};
use super::trust::{former_kit, node_certificates, proposal, revoked};
use super::user::{credential, device, node_lease, session, status, user};

structs!(cluster: Cluster {
    id: cluster_id(), lineage: lineage(), name: text(), feature_level: number32(), founded: timestamp(),
});
structs!(heads: Heads {
    clock: timestamp(), event: event_number(), events_dropped: event_number(), records: number(),
    hold: maybe(clock_hold()),
});
structs!(kept_answer: KeptAnswer { content: bytes16(), answer: answer() });
structs!(stored_event: StoredEvent { at: timestamp(), body: event_body() });

structs!(head: Head {
    marked: timestamp(), number: number(), signatures: list(head_signature()), sealed: maybe(timestamp()), decided: maybe(bytes32()),
});
structs!(head_signature: HeadSignature { node: node_id(), root: bytes32(), signature: bytes64() });
structs!(signer: Signer { key: bytes32(), since: number(), until: maybe(number()) });
structs!(divergence: Divergence { size: number(), since: timestamp() });
structs!(node_numbers: NodeNumbers { epoch: number(), settled: number(), done: list(number()) });
structs!(clock_hold: ClockHold { before: timestamp(), after: timestamp(), until: timestamp() });

/// Any row of any table with any key of that table.
pub fn row_and_key() -> BoxedStrategy<(Row, Key)> {
    select(Table::ALL).prop_flat_map(|table| (row(table), key(table))).boxed()
}

/// Any row of this table.
pub fn row(table: Table) -> BoxedStrategy<Row> {
    match table {
        Table::Cluster => cluster().prop_map(Row::Cluster).boxed(),
        Table::Heads => heads().prop_map(Row::Heads).boxed(),
        Table::User => user().prop_map(Row::User).boxed(),
        Table::Login => user_id().prop_map(Row::Login).boxed(),
        Table::Word => Just(Row::Word(())).boxed(),
        Table::Credential => credential().prop_map(Row::Credential).boxed(),
        Table::Device => device().prop_map(Row::Device).boxed(),
        Table::UserDevice => Just(Row::UserDevice(())).boxed(),
        Table::Answer => kept_answer().prop_map(Row::Answer).boxed(),
        Table::Session => session().prop_map(Row::Session).boxed(),
        Table::UserSession => Just(Row::UserSession(())).boxed(),
        Table::Attached => Just(Row::Attached(())).boxed(),
        Table::Conversation => conversation().prop_map(Row::Conversation).boxed(),
        Table::Direct => conversation_id().prop_map(Row::Direct).boxed(),
        Table::Participant => participant().prop_map(Row::Participant).boxed(),
        Table::Participation => any::<bool>().prop_map(Row::Participation).boxed(),
        Table::Message => message().prop_map(Row::Message).boxed(),
        Table::Receipt => receipt().prop_map(Row::Receipt).boxed(),
        Table::ConversationEvent => stored_event().prop_map(Row::ConversationEvent).boxed(),
        Table::UserEvent => stored_event().prop_map(Row::UserEvent).boxed(),
        Table::EventScope => (scope(), timestamp()).prop_map(Row::EventScope).boxed(),
        Table::Status => status().prop_map(Row::Status).boxed(),
        Table::NodeLease => node_lease().prop_map(Row::NodeLease).boxed(),
        Table::Timer => Just(Row::Timer(())).boxed(),
        Table::Policy => history_policy().prop_map(Row::Policy).boxed(),
        Table::Record => record().prop_map(Row::Record).boxed(),
        Table::UserWord => Just(Row::UserWord(())).boxed(),
        Table::ParticipationCount => number32().prop_map(Row::ParticipationCount).boxed(),
        Table::TreeNode => bytes32().prop_map(Row::TreeNode).boxed(),
        Table::Head => head().prop_map(Row::Head).boxed(),
        Table::Signer => signer().prop_map(Row::Signer).boxed(),
        Table::Divergence => divergence().prop_map(Row::Divergence).boxed(),
        Table::Failures => failures().prop_map(Row::Failures).boxed(),
        Table::Settings => settings().prop_map(Row::Settings).boxed(),
        Table::FailuresCount => number32().prop_map(Row::FailuresCount).boxed(),
        Table::NodeNumbers => node_numbers().prop_map(Row::NodeNumbers).boxed(),

        Table::Emergency => emergency().prop_map(Row::Emergency).boxed(),
        Table::EmergencyOpen => Just(Row::EmergencyOpen(())).boxed(),
        Table::EmergencyGrant => number().prop_map(Row::EmergencyGrant).boxed(),

        Table::DataKey => data_key().prop_map(Row::DataKey).boxed(),
        Table::ScopeKey => number().prop_map(Row::ScopeKey).boxed(),
        Table::ClusterKey => cluster_key().prop_map(Row::ClusterKey).boxed(),
        Table::KeyEnvelope => key_envelope().prop_map(Row::KeyEnvelope).boxed(),
        Table::KeyHolder => holder_key().prop_map(Row::KeyHolder).boxed(),

        Table::Seat => seat().prop_map(Row::Seat).boxed(),
        Table::Refounding => refounding().prop_map(Row::Refounding).boxed(),
        Table::Backup => backup().prop_map(Row::Backup).boxed(),

        Table::NodeCertificates => node_certificates().prop_map(Row::NodeCertificates).boxed(),
        Table::Revoked => revoked().prop_map(Row::Revoked).boxed(),
        Table::KitProposal => proposal().prop_map(Row::KitProposal).boxed(),
        Table::FormerKit => former_kit().prop_map(Row::FormerKit).boxed(),
    }
}
