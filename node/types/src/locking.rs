//! Locked is not logged off: when sessions lock, and by what they are unlocked.

use crate::id::{ClusterId, DeviceId, SessionId};
use crate::identity::{Attempt, DeviceKey, Method, Settings};
use crate::limits::{LOCK_MS_DEFAULT, PART_MS_DEFAULT, SESSION_IDLE_MS_MAX, SESSION_MS_MAX};

use alloc::vec::Vec;

/// A session to unlock, by its user, whose proof a node has checked. One that is not locked has its user proved anew.
#[derive(Clone, PartialEq, Eq)]
pub struct UnlockSession {
    /// By what; the settings say what is taken.
    pub method: Method,
    /// The version of the credential that a password or PIN was checked against.
    pub credential_version: u64,
    /// The key a device's proof was checked against, and the number it signed: higher than any before.
    pub proof: Option<(DeviceKey, u64)>,
    /// As whom and at which device, for those that failed before.
    pub attempt: Option<Attempt>,
}

impl core::fmt::Debug for UnlockSession {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UnlockSession").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Settings {
    /// A session on a personal device is locked after so long without activity; none: never.
    #[must_use]
    pub const fn locks_after(&self) -> Option<u64> {
        match self.lock_ms {
            None => Some(LOCK_MS_DEFAULT),
            Some(0) => None,
            Some(ms) => Some(ms),
        }
    }

    /// A person's part at a place ends after so long without activity.
    #[must_use]
    pub fn part_ends_after(&self) -> u64 {
        self.part_ms.unwrap_or(PART_MS_DEFAULT)
    }

    /// A session that is not used ends after so long.
    #[must_use]
    pub fn session_idle_ms(&self) -> u64 {
        self.idle_ms.unwrap_or(SESSION_IDLE_MS_MAX)
    }

    /// A session ends so long after sign-in, whatever it does.
    #[must_use]
    pub fn session_ms(&self) -> u64 {
        self.longest_ms.unwrap_or(SESSION_MS_MAX)
    }

    /// Whether a locked session is unlocked by this. Without a word on it: by the password, or the PIN.
    #[must_use]
    pub fn unlocks(&self, method: Method) -> bool {
        match method {
            Method::Password => true,
            Method::Pin if self.unlock.is_empty() => true,
            Method::Pin | Method::DeviceKey => self.unlock.contains(&method),
            Method::Code | Method::Totp | Method::RecoveryCode => false,
        }
    }
}

/// What a statement for unlocking begins with, so that it is never taken for another.
const UNLOCK_TAG: &[u8] = b"tricord/unlock/v1";

/// What a device signs to unlock a session, where the settings let it.
///
/// Shape: tag ‖ cluster ‖ session ‖ device, 16 bytes each ‖ number, 8 bytes big-endian.
#[must_use]
pub fn unlock_statement(cluster: ClusterId, session: SessionId, device: DeviceId, number: u64) -> Vec<u8> {
    let mut statement = Vec::from(UNLOCK_TAG);
    statement.extend_from_slice(&cluster.0);
    statement.extend_from_slice(&session.0);
    statement.extend_from_slice(&device.0);
    statement.extend_from_slice(&number.to_be_bytes());
    statement
}
