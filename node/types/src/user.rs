//! Accounts, what proves them, and what operators may do.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Timestamp, UserId};
use crate::identity::{Reset, SecondFactor};
use crate::place::Pin;

/// What an account stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UserKind {
    /// A human being.
    Person,
    /// A place ("Room 1").
    Location,
    /// An interface or a bot.
    Service,
    /// A patient.
    Patient,
}

/// Whose people an account belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Realm {
    /// The hospital's own staff.
    Staff,
    /// A business associate's staff.
    Partner,
    /// Patients.
    Patient,
}

/// What operators may do. None but the discloser's shows content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PermissionSet {
    /// Everything an operator can do, granting permission sets included.
    Admin,
    /// Reads the audit log.
    Auditor,
    /// Issues enrolment codes, ends sessions.
    Helpdesk,
    /// Creates and updates users.
    Integrator,
    /// Sees the cluster's status.
    Viewer,
    /// Gives away the text of a single message with its proof, with a reason that is recorded.
    Discloser,
    /// May open emergency access together with another who holds this.
    Keyholder,
}

/// An id that another system knows this user by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ExternalId {
    /// The other system, as a URI or a plain word.
    pub system: String,
    /// The id there.
    pub value: String,
}

/// Whether an account can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserState {
    /// It can.
    Active,
    /// It was deactivated then; its sessions have ended and its participations with it.
    Deactivated(Timestamp),
}

/// An account, without what proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Never reused.
    pub id: UserId,
    /// What it stands for.
    pub kind: UserKind,
    /// Whose people it belongs to.
    pub realm: Realm,
    /// What one signs in with and addresses as `@name`; unique for ever.
    pub login: String,
    /// What people see; empty for a patient.
    pub display_name: String,
    /// Where the user works, shown with the name; may be empty.
    pub unit: String,
    /// At most `EXTERNAL_IDS_MAX`, sorted, no two of one system.
    pub external_ids: Vec<ExternalId>,
    /// The entitlement to message, apart from the right to sign in.
    pub may_message: bool,
    /// Sorted, without repeats.
    pub permissions: Vec<PermissionSet>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it can be used.
    pub state: UserState,
    /// Counts changes from 1; an update names the version it read.
    pub version: u64,
    /// A patient's name, sealed under a key of this user; empty for everyone else.
    pub sealed_name: Vec<u8>,
}

/// What proves a user: a password hash, or a one-time code with which to set one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credential {
    /// Argon2id as a PHC string; none until a password is set.
    pub password: Option<String>,
    /// SHA-256 of the one-time enrolment code, and when it ceases to be good.
    pub enrolment: Option<(CodeHash, Timestamp)>,
    /// Counts changes from 1. A sign-in names the version it was checked against, so that one that raced a change of
    /// password is refused.
    pub version: u64,
    /// When the password was last taken away, and by whom; the user is told at the next sign-in.
    pub reset: Option<Reset>,
    /// What is asked for beside the password, if the user has set it up.
    pub second: Option<SecondFactor>,
    /// A PIN for places and for unlocking, if the user has set one.
    pub pin: Option<Pin>,
    /// When someone else last took the PIN away, and who; the user is told at the next sign-in.
    pub pin_cleared: Option<Reset>,
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credential").field("version", &self.version).finish_non_exhaustive()
    }
}

/// SHA-256 of a secret with enough randomness of its own: a token, an enrolment code.
pub type CodeHash = [u8; 32];
