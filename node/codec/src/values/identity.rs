//! How people prove who they are.

use types::identity::{
    AddSecondFactor, Attempt, Failing, Failures, LogOff, LogOffScope, Method, Refresh, RefuseSignIn, Reset,
    SecondFactor, SecondProof, Settings, Source,
};

use crate::declare::{choices, messages, numbers};

messages! {
    Attempt { 1: login, 2: source }
    Failing { 1: source, 2: count, 3: last }
    Failures { 1: sources, 2: strange, 3: strange_last }
    RefuseSignIn { 1: user, 2: attempt, 3: pin, 12: once, 13: address }
    Refresh { 1: session, 2: token, 3: key, 4: number, 5: address }
    Reset { 1: by, 2: at }
    SecondFactor { 1: secret, 2: confirmed, 3: last_step, 4: recovery }
    AddSecondFactor { 1: secret, 2: recovery, 3: credential_version }
    Settings { 1: version, 2: second_factor, 3: lock_ms, 4: part_ms, 5: idle_ms, 6: longest_ms, 7: unlock }
    LogOff { 1: scope, 2: reason }
}

choices! {
    Source { 1: Device(id), 2: Address(hash) }
    LogOffScope { 1: User(id), 2: Device(id), 3: Everybody }
    SecondProof { 1: Totp(step), 2: Recovery(code) }
}

numbers! {
    Method { 1: Password, 2: Code, 3: DeviceKey, 4: Totp, 5: RecoveryCode, 6: Pin }
}
