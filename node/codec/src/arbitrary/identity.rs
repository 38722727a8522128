//! How people prove who they are.

use proptest::prelude::*;
use types::identity::{
    AddSecondFactor, Attempt, Failing, Failures, LogOff, LogOffScope, Method, Refresh, RefuseSignIn, Reset,
    SecondFactor, SecondProof, Settings, Source,
};

use super::command::once;
use super::primitive::*;
use super::user::permission;

one_of!(method: Method { Password, Code, DeviceKey, Totp, RecoveryCode, Pin });
structs!(pub(super) attempt: Attempt { login: bytes16(), source: source() });
structs!(pub(super) failing: Failing { source: source(), count: number32(), last: timestamp() });
structs!(pub(super) failures: Failures {
    sources: list(failing()), strange: number32(), strange_last: timestamp(),
});
structs!(pub(super) refuse_sign_in: RefuseSignIn {
    user: maybe(user_id()), attempt: attempt(), pin: any::<bool>(), once: once(),
    address: maybe(bytes()),
});
structs!(pub(super) refresh: Refresh {
    session: session_id(), token: bytes32(), key: bytes32(), number: number(), address: maybe(bytes()),
});
structs!(pub(super) reset: Reset { by: user_id(), at: timestamp() });

structs!(pub(super) second_factor: SecondFactor {
    secret: bytes(), confirmed: any::<bool>(), last_step: number(), recovery: list(bytes32()),
});
structs!(pub(super) add_second_factor: AddSecondFactor {
    secret: bytes(), recovery: list(bytes32()), credential_version: number(),
});
structs!(pub(super) settings: Settings { version: number(), second_factor: list(permission()),
    lock_ms: maybe(number()), part_ms: maybe(number()), idle_ms: maybe(number()), longest_ms: maybe(number()),
    unlock: list(method()),
});

structs!(pub(super) log_off: LogOff { scope: log_off_scope(), reason: text() });

fn log_off_scope() -> BoxedStrategy<LogOffScope> {
    prop_oneof![
        user_id().prop_map(LogOffScope::User),
        device_id().prop_map(LogOffScope::Device),
        Just(LogOffScope::Everybody),
    ]
    .boxed()
}

pub(super) fn second_proof() -> BoxedStrategy<SecondProof> {
    prop_oneof![number().prop_map(SecondProof::Totp), bytes32().prop_map(SecondProof::Recovery)].boxed()
}

fn source() -> BoxedStrategy<Source> {
    prop_oneof![device_id().prop_map(Source::Device), bytes16().prop_map(Source::Address)].boxed()
}
