//! Accounts, devices, sessions, presence.

use types::presence::{Availability, NodeLease, Status};
use types::session::{Attachment, Device, Refusals, Session, SessionEnd, SessionState};
use types::user::{Credential, ExternalId, PermissionSet, Realm, User, UserKind, UserState};

use crate::declare::{choices, messages, numbers};

messages! {
    User {
        1: id, 2: kind, 3: realm, 4: login, 5: display_name, 6: unit, 7: external_ids, 8: may_message, 9: permissions,
        10: created, 11: state, 12: version, 16: sealed_name,
    }
    ExternalId { 1: system, 2: value }
    Credential { 1: password, 2: enrolment, 3: version, 4: reset, 5: second, 6: pin, 7: pin_cleared }
    Device { 1: id, 2: user, 3: settled, 4: highest, 5: last_write, 6: created, 7: key, 8: proofs }
    Session {
        1: id, 2: user, 3: device, 4: token, 5: state, 6: created, 7: expires, 8: attached, 9: idle_since, 10: last_seen,
        11: authenticated, 12: methods, 13: token_expires, 14: previous, 15: ends,
        16: active, 17: idle_due, 18: place, 19: part, 20: idle_ms, 21: address,
        22: refusals,
    }
    Refusals { 1: minute, 2: count }
    Attachment { 1: node, 2: epoch }
    Status { 1: availability, 2: text, 3: expires, 4: set }
    NodeLease { 1: epoch, 2: expired }
}

choices! {
    UserState { 1: Active, 2: Deactivated(at) }
    SessionState { 1: Active, 2: Locked, 3: Ended(1: at, 2: end) }
}

numbers! {
    UserKind { 1: Person, 2: Location, 3: Service, 4: Patient }
    Realm { 1: Staff, 2: Partner, 3: Patient }
    PermissionSet { 1: Admin, 2: Auditor, 3: Helpdesk, 4: Integrator, 5: Viewer, 32: Discloser, 88: Keyholder }
    SessionEnd { 1: SignedOut, 2: Ended, 3: Expired, 4: Revoked, 5: LoggedOff, 6: TappedOut, 7: Idle }
    Availability { 1: Available, 2: Busy, 3: Dnd, 4: Away }
}
