//! What is in the log.

use proptest::prelude::*;
use types::command::{
    Author, Command, Confirmation, Connections, CreateConversation, Enrol, Entry, Envelope, Found, Lease, NewUser,
    Observation, Once, Post, Request, ResolveDivergence, SetPassword, SetStatus, SignHead, SignIn, UpdateConversation,
    UpdateUser,
};
use types::presence::Connection;

use super::backup::note;
use super::conversation::{header, history_policy, kind as conversation_kind, part, policy_ref, sealed};
use super::identity::{add_second_factor, attempt, log_off, method, refresh, refuse_sign_in, second_proof, settings};
use super::keys::{add_data_key, approve, holder, new_cluster_key, rewrap};
use super::primitive::*;
use super::record::{action, entity, purpose};
use super::seat::{admit, refound};
use super::user::{availability, external_id, kind as user_kind, permission, realm};

structs!(
    /// An entry of up to three envelopes.
    pub entry: Entry { at: timestamp(), envelopes: list(envelope()) }
);
structs!(
    /// An envelope around any command.
    pub envelope: Envelope { origin: node_id(), author: author(), command: command() }
);
structs!(request: Request { session: session_id(), number: number(), settled: number(), content: bytes16() });
structs!(found: Found {
    cluster: cluster_id(), lineage: lineage(), name: text(), feature_level: number32(), admin: new_user(),
    audit_keys: list(bytes32()), cluster_key: maybe(new_cluster_key()), request_key: maybe(add_data_key()),
});
structs!(pub(super) once: Once { epoch: number(), number: number(), settled: number() });
structs!(lease: Lease { epoch: number() });
structs!(connections: Connections { epoch: number(), changes: list((session_id(), connection()).boxed()) });
structs!(confirmation: Confirmation {
    session: session_id(), conversation: conversation_id(), delivered: seq(), displayed: seq(),
});
structs!(sign_in: SignIn {
    user: user_id(), session: session_id(), token: bytes32(), device: device_id(), credential_version: number(),
    rehashed: maybe(text()), attempt: maybe(attempt()), key: maybe(bytes32()), methods: list(method()),
    second: maybe(second_proof());
    address: maybe(bytes()),
});
structs!(enrol: Enrol { code: bytes32(), password: text(), sign_in: sign_in() });
structs!(new_user: NewUser {
    id: user_id(), kind: user_kind(), realm: realm(), login: text(), display_name: text(), unit: text(),
    words: list(text());
    external_ids: list(external_id()), may_message: any::<bool>(), permissions: list(permission()),
    enrolment: maybe(bytes32()), sealed_name: bytes(), key: maybe(add_data_key()),
});
structs!(update_user: UpdateUser {
    id: user_id(), version: number(), display_name: maybe(text()), unit: maybe(text()), words: maybe(list(text())),
    external_ids: maybe(list(external_id())), may_message: maybe(any::<bool>().boxed()),
    permissions: maybe(list(permission())), sealed_name: maybe(bytes()),
});
structs!(set_password: SetPassword { password: text(), credential_version: number() });
structs!(create_conversation: CreateConversation {
    id: conversation_id(), kind: conversation_kind(), title: bytes(), history: policy_ref(), subject: maybe(user_id()),
    participants: list((principal(), part()).boxed()), key: maybe(add_data_key()),
});
structs!(update_conversation: UpdateConversation {
    id: conversation_id(), version: number(), title: maybe(bytes()), history: maybe(policy_ref()),
    open: maybe(any::<bool>().boxed()),
});
structs!(post: Post {
    conversation: conversation_id(), location: maybe(user_id()), header: header(), sealed: sealed(),
});
structs!(set_status: SetStatus {
    availability: maybe(availability()), text: bytes(), expires: maybe(timestamp()),
});

structs!(sign_head: SignHead { number: number(), size: number(), root: bytes32(), signature: bytes64() });
structs!(resolve: ResolveDivergence { size: number(), root: bytes32() });
structs!(observation: Observation {
    session: maybe(session_id()), action: action(), entities: list(entity()), refused: maybe(any::<u16>().boxed()),
    purpose: maybe(purpose()), reason: maybe(text()), seen: maybe(timestamp()),
    count: maybe(number32()), by: maybe((user_id(), device_id()).boxed()),
});

fn author() -> BoxedStrategy<Author> {
    prop_oneof![request().prop_map(Author::Session), Just(Author::Node)].boxed()
}

fn connection() -> BoxedStrategy<Connection> {
    prop_oneof![
        Just(Connection::Active),
        timestamp().prop_map(Connection::Idle),
        Just(Connection::Gone),
        number().prop_map(Connection::Used),
    ]
    .boxed()
}

/// Any command.
pub fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        of_nodes(),
        of_accounts(),
        of_conversations(),
        of_audit(),
        of_keys(),
        note().prop_map(Command::NoteBackup),
        super::people::command(),
        super::trust::command(),
    ]
    .boxed()
}

fn of_keys() -> BoxedStrategy<Command> {
    prop_oneof![
        add_data_key().prop_map(Command::AddDataKey),
        rewrap().prop_map(Command::RewrapDataKeys),
        number32().prop_map(Command::RetireClusterKey),
        (new_cluster_key(), list(holder())).prop_map(|(key, dropped)| Command::RotateClusterKey(key, dropped)),
        approve().prop_map(Command::ApproveHolder),
    ]
    .boxed()
}

fn of_nodes() -> BoxedStrategy<Command> {
    prop_oneof![
        found().prop_map(Command::Found),
        lease().prop_map(Command::RenewLease),
        (node_id(), lease()).prop_map(|(node, lease)| Command::ExpireLease(node, lease)),
        Just(Command::Tick),
        timestamp().prop_map(Command::ConfirmClock),
        connections().prop_map(Command::Connections),
        list(confirmation()).prop_map(Command::Confirm),
        number32().prop_map(Command::RaiseFeatureLevel),
        admit().prop_map(Command::AdmitNode),
        node_id().prop_map(Command::SeatNode),
        refound().prop_map(Command::Refound),
    ]
    .boxed()
}

fn of_audit() -> BoxedStrategy<Command> {
    prop_oneof![
        Just(Command::MarkHead),
        sign_head().prop_map(Command::SignHead),
        bytes32().prop_map(Command::SetSigner),
        resolve().prop_map(Command::ResolveDivergence),
        (once(), list(observation())).prop_map(|(once, all)| Command::Observe(once, all)),
    ]
    .boxed()
}

fn of_accounts() -> BoxedStrategy<Command> {
    prop_oneof![
        sign_in().prop_map(Command::SignIn),
        enrol().prop_map(Command::Enrol),
        session_id().prop_map(Command::EndSession),
        list(new_user()).prop_map(Command::CreateUsers),
        update_user().prop_map(Command::UpdateUser),
        user_id().prop_map(Command::DeactivateUser),
        set_password().prop_map(Command::SetPassword),
        (user_id(), bytes32()).prop_map(|(user, code)| Command::IssueEnrolment(user, code)),
        set_status().prop_map(Command::SetStatus),
        refuse_sign_in().prop_map(Command::RefuseSignIn),
        refresh().prop_map(Command::Refresh),
        add_second_factor().prop_map(Command::AddSecondFactor),
        number().prop_map(Command::ConfirmSecondFactor),
        user_id().prop_map(Command::RemoveSecondFactor),
        settings().prop_map(Command::ChangeSettings),
        log_off().prop_map(Command::LogOff),
    ]
    .boxed()
}

fn of_conversations() -> BoxedStrategy<Command> {
    prop_oneof![
        create_conversation().prop_map(Command::CreateConversation),
        update_conversation().prop_map(Command::UpdateConversation),
        (conversation_id(), list((principal(), part()).boxed()))
            .prop_map(|(id, all)| Command::AddParticipants(id, all)),
        (conversation_id(), principal()).prop_map(|(id, principal)| Command::RemoveParticipant(id, principal)),
        (policy_ref(), history_policy()).prop_map(|(id, policy)| Command::DefinePolicy(id, policy)),
        post().prop_map(Command::Post),
    ]
    .boxed()
}
