//! How people prove who they are.

use types::identity::{Attempt, Failing, Failures, Method, Refresh, RefuseSignIn, Reset, Source};

use crate::declare::{choices, messages, numbers};

messages! {
    Attempt { 1: login, 2: source }
    Failing { 1: source, 2: count, 3: last }
    Failures { 1: sources, 2: strange, 3: strange_last }
    RefuseSignIn { 1: user, 2: attempt }
    Refresh { 1: session, 2: token, 3: key, 4: number }
    Reset { 1: by, 2: at }
}

choices! {
    Source { 1: Device(id), 2: Address(hash) }
}

numbers! {
    Method { 1: Password, 2: Code, 3: DeviceKey }
}
