//! Audit records.

use proptest::prelude::*;
use types::record::{Action, Agent, Entity, Purpose, Record, Result as RecordResult};

use super::conversation::policy_ref;
use super::primitive::*;
use super::trust::serial;

structs!(
    /// Any audit record.
    pub record: Record {
        at: timestamp(), origin: node_id(), agent: agent(), action: action(), entities: list(entity()),
        result: prop_oneof![Just(RecordResult::Done), any::<u16>().prop_map(RecordResult::Refused)],
        commitment: maybe(bytes32());
        location: maybe(user_id()), request: maybe(number()), policy: maybe(policy_ref()), purpose: maybe(purpose()),
        reason: maybe(text()), count: maybe(number32()), seen: maybe(timestamp()),
        address: bytes(),
    }
);

fn agent() -> BoxedStrategy<Agent> {
    prop_oneof![
        (user_id(), maybe(role_id()), device_id(), session_id())
            .prop_map(|(user, acting_role, device, session)| Agent::User { user, acting_role, device, session }),
        Just(Agent::Unknown),
        Just(Agent::Cluster),
    ]
    .boxed()
}

/// Any entity.
pub(super) fn entity() -> BoxedStrategy<Entity> {
    prop_oneof![
        user_id().prop_map(Entity::User),
        session_id().prop_map(Entity::Session),
        conversation_id().prop_map(Entity::Conversation),
        (conversation_id(), seq(), seq()).prop_map(|(id, first, last)| Entity::Messages(id, first, last)),
        number32().prop_map(Entity::Policy),
        node_id().prop_map(Entity::Node),
        number().prop_map(Entity::Head),
        (node_id(), bytes32()).prop_map(|(node, key)| Entity::Signer(node, key)),
        (number(), number()).prop_map(|(first, last)| Entity::Records(first, last)),
        number().prop_map(Entity::Emergency),
        serial().prop_map(Entity::Certificate),
        bytes32().prop_map(Entity::RecoveryKit),
    ]
    .boxed()
}

one_of!(action: Action {
    Found, SignIn, EndSession, CreateUser, UpdateUser, DeactivateUser, SetPassword, IssueEnrolment, CreateConversation,
    UpdateConversation, AddParticipant, RemoveParticipant, Post, DefinePolicy, SetStatus, RaiseFeatureLevel, AddSigner,
    FetchMessages, OpenStream, ReadAudit, ProveMessage, RevealMessage, ExportAudit, FindDivergence, ResolveDivergence,
    Look, ShowAddresses,
    ResetPassword, RefreshSession, AddSecondFactor, ConfirmSecondFactor, RemoveSecondFactor, ChangeSettings, LogOff,

    RotateClusterKey, RetireClusterKey, ApproveHolder,

    FetchTitles, FetchNames, FetchStatuses, StepClock, ConfirmClock,
    AdmitNode, SeatNode, Refound,
    CreateBackup, FailBackup, VerifyBackup, RefuteBackup, RestoreBackup,

    LockSession, UnlockSession, TapIn, TapOut, SetPin, ClearPin, ResetPin,
    OpenEmergency, ApproveEmergency, EndEmergency, ReviewEmergency,

    ChangeCertificates, RevokeCertificates, ProposeKit, ConfirmKit, CancelKit, LapseKit,
    LoadConfiguration,
});
one_of!(purpose: Purpose { Treatment, Emergency, Operations, Compliance, BreakGlass });
