//! Locking, places, emergency access.

use proptest::prelude::*;
use types::Command;
use types::emergency::{Emergency, OpenEmergency, ReviewEmergency};
use types::locking::UnlockSession;
use types::place::{Pin, Place, SetPin, TapIn};

use super::identity::{attempt, method, second_proof};
use super::primitive::*;

structs!(unlock: UnlockSession {
    method: method(), credential_version: number(), proof: maybe((bytes32(), number()).boxed()),
    attempt: maybe(attempt()),
});
structs!(pub(super) place: Place { session: session_id(), location: user_id() });
structs!(pub(super) pin: Pin { hash: text(), set: timestamp(), failed: number32() });
structs!(set_pin: SetPin { hash: text(), credential_version: number() });
structs!(tap_in: TapIn {
    user: user_id(), at: session_id(), session: session_id(), token: bytes32(), credential_version: number(),
    attempt: maybe(attempt()), methods: list(method()), second: maybe(second_proof()),
    address: maybe(bytes()),
});
structs!(open: OpenEmergency { reason: text(), lasts_ms: number() });
structs!(review: ReviewEmergency { number: number(), note: text() });
structs!(pub(super) emergency: Emergency {
    opened_by: user_id(), opened: timestamp(), reason: text(), lasts_ms: number(),
    approved: maybe((user_id(), timestamp()).boxed()), until: timestamp(), ended: maybe(timestamp());
    records_from: number(), records_to: maybe(number()), reviewed: maybe((user_id(), timestamp()).boxed()),
    note: text(),
});

/// Any command of locking, places and emergency access.
pub(super) fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        session_id().prop_map(Command::LockSession),
        unlock().prop_map(Command::UnlockSession),
        tap_in().prop_map(Command::TapIn),
        set_pin().prop_map(Command::SetPin),
        user_id().prop_map(Command::ClearPin),
        open().prop_map(Command::OpenEmergency),
        number().prop_map(Command::ApproveEmergency),
        number().prop_map(Command::EndEmergency),
        review().prop_map(Command::ReviewEmergency),
    ]
    .boxed()
}
