//! How people prove who they are: sign-ins that fail, proofs of a device, methods.

use alloc::vec::Vec;

use crate::id::{ClusterId, DeviceId, SessionId, Timestamp, UserId};
use crate::user::CodeHash;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefuseSignIn {
    /// The user of the login, if there is one.
    pub user: Option<UserId>,
    /// As whom, from where.
    pub attempt: Attempt,
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
