//! Locking, places, emergency access.

use types::Command;
use types::emergency::{Emergency, OpenEmergency, ReviewEmergency};
use types::identity::{Method, SecondProof, Settings};
use types::locking::UnlockSession;
use types::place::{Pin, Place, SetPin, TapIn};
use types::row::Row;
use types::user::Credential;

use super::logged::{attempt, refused};
use super::*;

pub(super) fn commands() -> Vec<Command> {
    vec![
        Command::LockSession(SESSION),
        Command::UnlockSession(UnlockSession {
            method: Method::DeviceKey,
            credential_version: 6,
            proof: Some(([0xD1; 32], 9)),
            attempt: Some(attempt()),
        }),
        Command::TapIn(TapIn {
            user: ANA,
            at: SESSION,
            session: SESSION,
            token: [0xB2; 32],
            credential_version: 6,
            attempt: Some(attempt()),
            methods: vec![Method::Pin],
            second: Some(SecondProof::Totp(59_843_520)),
            address: None,
        }),
        Command::SetPin(SetPin { hash: "$argon2id$".to_owned(), credential_version: 6 }),
        Command::ClearPin(BEN),
        Command::OpenEmergency(OpenEmergency { reason: "no one else".to_owned(), lasts_ms: 3_600_000 }),
        Command::ApproveEmergency(3),
        Command::EndEmergency(3),
        Command::ReviewEmergency(ReviewEmergency { number: 3, note: "as said".to_owned() }),
        Command::RefuseSignIn(refused(true)),
        Command::ChangeSettings(settings()),
    ]
}

pub(super) fn settings() -> Settings {
    Settings {
        version: 3,
        second_factor: Vec::new(),
        lock_ms: Some(0),
        part_ms: Some(300_000),
        idle_ms: Some(86_400_000),
        longest_ms: Some(2_592_000_000),
        unlock: vec![Method::DeviceKey, Method::Pin],
    }
}

pub(super) const fn place() -> Place {
    Place { session: SESSION, location: WARD }
}

pub(super) fn with_pin() -> Row {
    let pin = Pin { hash: "$argon2id$".to_owned(), set: AT, failed: 2 };
    let pin_cleared = Some(types::identity::Reset { by: BEN, at: LATER });
    Row::Credential(Credential { pin: Some(pin), pin_cleared, version: 8, ..Credential::default() })
}

pub(super) fn emergencies() -> Vec<Row> {
    let pending = Emergency {
        opened_by: ANA,
        opened: AT,
        reason: "no one else".to_owned(),
        lasts_ms: 3_600_000,
        approved: None,
        until: LATER,
        ended: None,
        records_from: 77,
        records_to: None,
        reviewed: None,
        note: String::new(),
    };
    let reviewed = Emergency {
        approved: Some((BEN, AT)),
        ended: Some(LATER),
        records_to: Some(99),
        reviewed: Some((WARD, LATER)),
        note: "as said".to_owned(),
        ..pending.clone()
    };
    vec![Row::Emergency(pending), Row::Emergency(reviewed)]
}
