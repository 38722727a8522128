//! How people prove who they are.

use proptest::prelude::*;
use types::identity::{Attempt, Failing, Failures, Method, Refresh, RefuseSignIn, Reset, Source};

use super::primitive::*;

one_of!(method: Method { Password, Code, DeviceKey });
structs!(pub(super) attempt: Attempt { login: bytes16(), source: source() });
structs!(pub(super) failing: Failing { source: source(), count: number32(), last: timestamp() });
structs!(pub(super) failures: Failures {
    sources: list(failing()), strange: number32(), strange_last: timestamp(),
});
structs!(pub(super) refuse_sign_in: RefuseSignIn { user: maybe(user_id()), attempt: attempt() });
structs!(pub(super) refresh: Refresh {
    session: session_id(), token: bytes32(), key: bytes32(), number: number(),
});
structs!(pub(super) reset: Reset { by: user_id(), at: timestamp() });

fn source() -> BoxedStrategy<Source> {
    prop_oneof![device_id().prop_map(Source::Device), bytes16().prop_map(Source::Address)].boxed()
}
