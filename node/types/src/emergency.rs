//! Emergency access: sealed until two named persons open it together, for a time, and reviewed afterwards.

use alloc::string::String;

use crate::id::{Timestamp, UserId};

/// Emergency access to ask for; it is in force once a second person has approved it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenEmergency {
    /// Why, in words, for the audit log; they name nobody.
    pub reason: String,
    /// For how long, from approval on.
    pub lasts_ms: u64,
}

/// A review of emergency access, by an auditor who had no part in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewEmergency {
    /// Which.
    pub number: u64,
    /// What was found, in words; they name nobody.
    pub note: String,
}

/// One time that emergency access was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Emergency {
    /// By whom.
    pub opened_by: UserId,
    /// When.
    pub opened: Timestamp,
    /// Why.
    pub reason: String,
    /// For how long, from approval on.
    pub lasts_ms: u64,
    /// Who approved it, and when; none: it is not in force.
    pub approved: Option<(UserId, Timestamp)>,
    /// When it ends: asked for and not approved, or in force, until then.
    pub until: Timestamp,
    /// When it was over, by itself or by someone.
    pub ended: Option<Timestamp>,
    /// Records in the audit log when it was asked for.
    pub records_from: u64,
    /// Records in the audit log when it was over.
    pub records_to: Option<u64>,
    /// Who reviewed it, and when.
    pub reviewed: Option<(UserId, Timestamp)>,
    /// What they found; empty before.
    pub note: String,
}

impl Emergency {
    /// Whether the two act by it now.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.approved.is_some() && self.ended.is_none() && now < self.until
    }

    /// Whether it waits for a second person.
    #[must_use]
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.approved.is_none() && self.ended.is_none() && now < self.until
    }

    /// Whether this user is one of the two.
    #[must_use]
    pub fn is_of(&self, user: UserId) -> bool {
        self.opened_by == user || self.approved.is_some_and(|(by, _)| by == user)
    }
}
