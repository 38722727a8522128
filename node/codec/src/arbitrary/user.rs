//! Accounts, devices, sessions, presence.

use proptest::prelude::*;
use types::presence::{Availability, NodeLease, Status};
use types::session::{Attachment, Device, Refusals, Session, SessionEnd, SessionState};
use types::user::{Credential, ExternalId, PermissionSet, Realm, User, UserKind, UserState};

use super::identity::{method, reset, second_factor};
use super::people::{pin, place};
use super::primitive::*;

one_of!(kind: UserKind { Person, Location, Service, Patient });
one_of!(realm: Realm { Staff, Partner, Patient });
one_of!(permission: PermissionSet { Admin, Auditor, Helpdesk, Integrator, Viewer, Discloser, Keyholder });
one_of!(session_end: SessionEnd { SignedOut, Ended, Expired, Revoked, LoggedOff, TappedOut, Idle });
one_of!(availability: Availability { Available, Busy, Dnd, Away });

structs!(
    /// Any account.
    pub user: User {
        id: user_id(), kind: kind(), realm: realm(), login: text(), display_name: text(), unit: text(),
        external_ids: list(external_id());
        may_message: any::<bool>(), permissions: list(permission()), created: timestamp(), state: user_state(),
        version: number(), sealed_name: bytes(),
    }
);
structs!(pub(super) external_id: ExternalId { system: text(), value: text() });
structs!(
    /// Any credential.
    pub credential: Credential {
        password: maybe(text()), enrolment: maybe((bytes32(), timestamp()).boxed()), version: number(),
        reset: maybe(reset()), second: maybe(second_factor()), pin: maybe(pin()), pin_cleared: maybe(reset()),
    }
);
structs!(
    /// Any device.
    pub device: Device {
        id: device_id(), user: user_id(), settled: number(), highest: number(), last_write: timestamp(),
        created: timestamp(), key: maybe(bytes32()), proofs: number(),
    }
);
structs!(
    /// Any session.
    pub session: Session {
        id: session_id(), user: user_id(), device: device_id(), token: bytes32(), state: session_state(),
        created: timestamp(), expires: timestamp(), active: timestamp(), idle_due: maybe(timestamp()), place: maybe(place()), refusals: maybe(refusals());
        attached: maybe(attachment()), idle_since: maybe(timestamp()),
        last_seen: timestamp(), authenticated: timestamp(), methods: list(method()), token_expires: timestamp(),
        previous: maybe((bytes32(), timestamp()).boxed()), ends: timestamp(), part: maybe(session_id()),
        idle_ms: number(), address: maybe(bytes()),
    }
);
structs!(refusals: Refusals { minute: number(), count: number32() });
structs!(pub(super) attachment: Attachment { node: node_id(), epoch: number() });
structs!(
    /// Any status.
    pub status: Status {
        availability: maybe(availability()), text: bytes(), expires: maybe(timestamp()), set: timestamp(),
    }
);
structs!(pub(super) node_lease: NodeLease { epoch: number(), expired: maybe(timestamp()) });

fn user_state() -> BoxedStrategy<UserState> {
    prop_oneof![Just(UserState::Active), timestamp().prop_map(UserState::Deactivated)].boxed()
}

fn session_state() -> BoxedStrategy<SessionState> {
    prop_oneof![
        Just(SessionState::Active),
        Just(SessionState::Locked),
        (timestamp(), session_end()).prop_map(|(at, end)| SessionState::Ended(at, end)),
    ]
    .boxed()
}
