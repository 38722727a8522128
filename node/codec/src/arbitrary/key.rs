//! Keys.

use proptest::prelude::*;
use types::row::Timer;
use types::{Key, Table};

use super::keys::{holder, key_scope, month};
use super::primitive::*;
use super::user::attachment;

/// Any key of this table.
pub fn key(table: Table) -> BoxedStrategy<Key> {
    match table {
        Table::Cluster => Just(Key::Cluster()).boxed(),
        Table::Heads => Just(Key::Heads()).boxed(),
        Table::User => user_id().prop_map(Key::User).boxed(),
        Table::Login => text().prop_map(Key::Login).boxed(),
        Table::Word => (text(), user_id()).prop_map(|(word, user)| Key::Word(word, user)).boxed(),
        Table::Credential => user_id().prop_map(Key::Credential).boxed(),
        Table::Device => device_id().prop_map(Key::Device).boxed(),
        Table::UserDevice => (user_id(), device_id()).prop_map(|(user, id)| Key::UserDevice(user, id)).boxed(),
        Table::Answer => (device_id(), number()).prop_map(|(device, number)| Key::Answer(device, number)).boxed(),
        Table::Session => session_id().prop_map(Key::Session).boxed(),
        Table::UserSession => (user_id(), session_id()).prop_map(|(user, id)| Key::UserSession(user, id)).boxed(),
        Table::Attached => (attachment(), session_id()).prop_map(|(to, id)| Key::Attached(to, id)).boxed(),
        Table::NodeLease => node_id().prop_map(Key::NodeLease).boxed(),
        Table::Status => user_id().prop_map(Key::Status).boxed(),
        Table::Timer => (timestamp(), timer()).prop_map(|(at, timer)| Key::Timer(at, timer)).boxed(),
        Table::Policy => (number32(), number32()).prop_map(|(id, version)| Key::Policy(id, version)).boxed(),
        Table::Record => number().prop_map(Key::Record).boxed(),
        Table::ParticipationCount => principal().prop_map(Key::ParticipationCount).boxed(),
        Table::UserWord => (user_id(), text()).prop_map(|(user, word)| Key::UserWord(user, word)).boxed(),
        Table::TreeNode => (any::<u8>(), number()).prop_map(|(level, place)| Key::TreeNode(level, place)).boxed(),
        Table::Head => number().prop_map(Key::Head).boxed(),
        Table::Signer => node_id().prop_map(Key::Signer).boxed(),
        Table::Divergence => Just(Key::Divergence()).boxed(),
        Table::Failures => bytes16().prop_map(Key::Failures).boxed(),
        Table::FailuresCount => Just(Key::FailuresCount()).boxed(),
        Table::Settings => Just(Key::Settings()).boxed(),
        Table::NodeNumbers => node_id().prop_map(Key::NodeNumbers).boxed(),
        Table::EventScope => event_number().prop_map(Key::EventScope).boxed(),
        Table::UserEvent => (user_id(), event_number()).prop_map(|(user, event)| Key::UserEvent(user, event)).boxed(),

        Table::Emergency => number().prop_map(Key::Emergency).boxed(),
        Table::EmergencyOpen => number().prop_map(Key::EmergencyOpen).boxed(),
        Table::EmergencyGrant => user_id().prop_map(Key::EmergencyGrant).boxed(),

        Table::DataKey => number().prop_map(Key::DataKey).boxed(),
        Table::ScopeKey => (key_scope(), month()).prop_map(|(scope, month)| Key::ScopeKey(scope, month)).boxed(),
        Table::ClusterKey => number32().prop_map(Key::ClusterKey).boxed(),
        Table::KeyEnvelope => (number32(), holder()).prop_map(|(version, to)| Key::KeyEnvelope(version, to)).boxed(),
        Table::KeyHolder => holder().prop_map(Key::KeyHolder).boxed(),

        Table::Seat => node_id().prop_map(Key::Seat).boxed(),
        Table::Refounding => Just(Key::Refounding()).boxed(),
        Table::Backup => node_id().prop_map(Key::Backup).boxed(),

        Table::NodeCertificates => node_id().prop_map(Key::NodeCertificates).boxed(),
        Table::Revoked => super::trust::serial().prop_map(Key::Revoked).boxed(),
        Table::KitProposal => Just(Key::KitProposal()).boxed(),
        Table::FormerKit => number32().prop_map(Key::FormerKit).boxed(),

        Table::Conversation
        | Table::Direct
        | Table::Participant
        | Table::Participation
        | Table::Message
        | Table::Receipt
        | Table::ConversationEvent => of_conversation(table),
    }
}

fn of_conversation(table: Table) -> BoxedStrategy<Key> {
    let all = (conversation_id(), principal(), device_id(), number(), (user_id(), user_id()));
    all.prop_map(move |(id, principal, device, number, (lower, higher))| match table {
        Table::Direct => Key::Direct(lower, higher),
        Table::Participant => Key::Participant(id, principal),
        Table::Participation => Key::Participation(principal, id),
        Table::Message => Key::Message(id, types::Seq(number)),
        Table::Receipt => Key::Receipt(id, principal, device),
        Table::ConversationEvent => Key::ConversationEvent(id, types::EventNumber(number)),
        _ => Key::Conversation(id),
    })
    .boxed()
}

fn timer() -> BoxedStrategy<Timer> {
    prop_oneof![
        session_id().prop_map(Timer::SessionExpiry),
        device_id().prop_map(Timer::AnswersExpiry),
        user_id().prop_map(Timer::StatusExpiry),
        attachment().prop_map(Timer::GraceEnd),
        Just(Timer::EventsExpiry),
        bytes16().prop_map(Timer::FailuresFade),
        session_id().prop_map(Timer::LogOff),
        session_id().prop_map(Timer::IdleDue),
        session_id().prop_map(Timer::TimesChanged),
        number().prop_map(Timer::EmergencyEnd),
        Just(Timer::KitLapse),
    ]
    .boxed()
}
