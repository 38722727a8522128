//! How people prove who they are: sign-ins that fail, proofs of a device, methods.

use alloc::string::String;
use alloc::vec::Vec;

use crate::command::Once;
use crate::id::{ClusterId, DeviceId, SessionId, Timestamp, UserId};
use crate::user::{CodeHash, PermissionSet};

/// A device's public key: Ed25519 (RFC 8032).
pub type DeviceKey = [u8; 32];

/// A login as failures are counted under it: a keyed hash, so that names nobody has are not kept in clear.
pub type LoginKey = [u8; 16];

/// By what a user proved who they are (`amr` in RFC 8176's sense).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// A password.
    Password,
    /// A one-time enrolment code.
    Code,
    /// The key of an enrolled device.
    DeviceKey,
    /// A time-based one-time password (RFC 6238).
    Totp,
    /// A recovery code in its place.
    RecoveryCode,
    /// A PIN, at a place or to unlock.
    Pin,
}

/// Where a sign-in comes from, for counting those that fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// A device of the user, known from before.
    Device(DeviceId),
    /// A network address, as a keyed hash: an IPv4 address, or the first 64 bits of an IPv6 address.
    Address([u8; 16]),
}

/// One try to prove to be someone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// As whom.
    pub login: LoginKey,
    /// From where.
    pub source: Source,
}

/// Tries from one source that failed one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failing {
    /// From where.
    pub source: Source,
    /// How many.
    pub count: u32,
    /// When the last was.
    pub last: Timestamp,
}

/// The failed tries to prove to be one user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failures {
    /// By source, at most `FAILURE_SOURCES_MAX`, sorted.
    pub sources: Vec<Failing>,
    /// From all sources but the user's own devices, since they were last forgotten.
    pub strange: u32,
    /// When the last of those was.
    pub strange_last: Timestamp,
}

/// A sign-in that failed. By the node that checked it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefuseSignIn {
    /// The user of the login, if there is one.
    pub user: Option<UserId>,
    /// As whom, from where.
    pub attempt: Attempt,
    /// It was a PIN that was wrong.
    pub pin: bool,
    /// So that it is counted once.
    pub once: Once,
    /// The network address it came from, sealed; none where the node does not know it.
    pub address: Option<Vec<u8>>,
}

/// A new token for a session whose device proved itself. By the node that checked the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Which session.
    pub session: SessionId,
    /// SHA-256 of the new token.
    pub token: CodeHash,
    /// The key the signature was checked against; `apply` compares it.
    pub key: DeviceKey,
    /// The number the device signed: higher than any before, so that no statement is good twice.
    pub number: u64,
    /// The network address it came from, sealed, where that is another than the session was known to be used from.
    pub address: Option<Vec<u8>>,
}

impl core::fmt::Debug for Refresh {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Refresh").field("session", &self.session).field("number", &self.number).finish_non_exhaustive()
    }
}

/// A password taken away by someone who looks after accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// By whom.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// A second factor: time-based one-time passwords (RFC 6238: SHA-1, 6 digits, steps of 30 s), and codes for when the
/// device that makes them is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// The sealed secret.
    pub secret: Vec<u8>,
    /// It was used once; until then it is not asked for.
    pub confirmed: bool,
    /// The highest step that was used; none is good twice.
    pub last_step: u64,
    /// SHA-256 of the recovery codes that are left, sorted.
    pub recovery: Vec<CodeHash>,
}

impl core::fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SecondFactor").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

/// By what a second factor was proven; checked by the node, used up in `apply`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecondProof {
    /// The one-time password of this step.
    Totp(u64),
    /// A recovery code, by its SHA-256.
    Recovery(CodeHash),
}

impl core::fmt::Debug for SecondProof {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Totp(_) => "Totp",
            Self::Recovery(_) => "Recovery",
        })
    }
}

/// A second factor to begin with.
#[derive(Clone, PartialEq, Eq)]
pub struct AddSecondFactor {
    /// The sealed secret.
    pub secret: Vec<u8>,
    /// SHA-256 of the recovery codes, sorted, at most `RECOVERY_CODES_MAX`.
    pub recovery: Vec<CodeHash>,
    /// The version of the credential the password was checked against.
    pub credential_version: u64,
}

impl core::fmt::Debug for AddSecondFactor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AddSecondFactor").finish_non_exhaustive()
    }
}

/// Who is to be signed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogOffScope {
    /// A user, everywhere.
    User(UserId),
    /// Whoever is signed in on a device.
    Device(DeviceId),
    /// All users, everywhere; whoever asks for it among them.
    Everybody,
}

/// Sessions to end from outside, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOff {
    /// Whose.
    pub scope: LogOffScope,
    /// In words, for the audit log.
    pub reason: String,
}

/// What administrators set for the whole cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Counts changes from 1; 0: nobody has set anything.
    pub version: u64,
    /// Whoever holds one of these acts by it only after a second factor. Sorted.
    pub second_factor: Vec<PermissionSet>,
    /// A session on a personal device is locked after so many milliseconds without activity; 0: never; none: as
    /// `LOCK_MS_DEFAULT` says.
    pub lock_ms: Option<u64>,
    /// A person's part at a place ends after so long without activity; none: `PART_MS_DEFAULT`.
    pub part_ms: Option<u64>,
    /// A session that is not used ends after so long; none: `SESSION_IDLE_MS_MAX`.
    pub idle_ms: Option<u64>,
    /// A session ends so long after sign-in; none: `SESSION_MS_MAX`.
    pub longest_ms: Option<u64>,
    /// By what beside the password a locked session is unlocked: `Pin`, `DeviceKey`; sorted. Empty: by the PIN. The
    /// password alone: `Password`.
    pub unlock: Vec<Method>,
}

/// What a statement for a new token begins with, so that it is never taken for another.
const REFRESH_TAG: &[u8] = b"tricord/refresh/v1";

/// What a device signs for a new token.
///
/// Shape: tag ‖ cluster ‖ session ‖ device, 16 bytes each ‖ number, 8 bytes big-endian.
#[must_use]
pub fn refresh_statement(cluster: ClusterId, session: SessionId, device: DeviceId, number: u64) -> Vec<u8> {
    let mut statement = Vec::from(REFRESH_TAG);
    statement.extend_from_slice(&cluster.0);
    statement.extend_from_slice(&session.0);
    statement.extend_from_slice(&device.0);
    statement.extend_from_slice(&number.to_be_bytes());
    statement
}
