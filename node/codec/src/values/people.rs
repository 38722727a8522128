//! Locking, places, emergency access.

use types::emergency::{Emergency, OpenEmergency, ReviewEmergency};
use types::locking::UnlockSession;
use types::place::{Pin, Place, SetPin, TapIn};

use crate::declare::messages;

messages! {
    UnlockSession { 1: method, 2: credential_version, 3: proof, 4: attempt }
    Place { 1: session, 2: location }
    Pin { 1: hash, 2: set, 3: failed }
    SetPin { 1: hash, 2: credential_version }
    TapIn {
        1: user, 2: at, 3: session, 4: token, 5: credential_version, 6: attempt, 7: methods, 8: second,
        9: address,
    }
    OpenEmergency { 1: reason, 2: lasts_ms }
    ReviewEmergency { 1: number, 2: note }
    Emergency {
        1: opened_by, 2: opened, 3: reason, 4: lasts_ms, 5: approved, 6: until, 7: ended, 8: records_from, 9: records_to,
        10: reviewed, 11: note,
    }
}
