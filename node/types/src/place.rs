//! Places: a location is signed in on a device, and a person takes part there for a while.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{SessionId, Timestamp, UserId};
use crate::identity::{Attempt, Method, SecondProof};
use crate::user::CodeHash;

/// Where a session is, if not on a device of its user's own: a person's part at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The session of the location on that device; the part ends with it.
    pub session: SessionId,
    /// The location's account.
    pub location: UserId,
}

/// A few digits that are good on devices on which a place is signed in, and to unlock a session of one's own. Never to
/// sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin {
    /// Argon2id as a PHC string.
    pub hash: String,
    /// When it was set.
    pub set: Timestamp,
    /// Wrong ones since the last right one, from anywhere; at `PIN_FAILURES_MAX` it is good for nothing any more.
    pub failed: u32,
}

impl core::fmt::Debug for Pin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pin").field("set", &self.set).field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// A PIN of one's own.
#[derive(Clone, PartialEq, Eq)]
pub struct SetPin {
    /// Argon2id as a PHC string.
    pub hash: String,
    /// The version of the credential the password was checked against.
    pub credential_version: u64,
}

impl core::fmt::Debug for SetPin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SetPin").finish_non_exhaustive()
    }
}

/// A person who takes part at a place: whoever did so before, there, does not any more. By the node that checked who.
#[derive(Clone, PartialEq, Eq)]
pub struct TapIn {
    /// Who; checked by the node.
    pub user: UserId,
    /// The location's session on the device they stand at.
    pub at: SessionId,
    /// The session of their part, minted by the node.
    pub session: SessionId,
    /// SHA-256 of the token the client gets.
    pub token: CodeHash,
    /// The version of the credential the PIN or password was checked against.
    pub credential_version: u64,
    /// As whom and at which device, for those that failed before.
    pub attempt: Option<Attempt>,
    /// By what they proved who they are.
    pub methods: Vec<Method>,
    /// What proved the second factor, where a password was used and the user has one.
    pub second: Option<SecondProof>,
    /// The network address it came from, sealed; none where the node does not know it.
    pub address: Option<Vec<u8>>,
}

impl core::fmt::Debug for TapIn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TapIn").field("user", &self.user).field("at", &self.at).finish_non_exhaustive()
    }
}
