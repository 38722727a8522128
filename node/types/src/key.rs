//! Keys as the state has them: wrapped, sealed to someone, or public. The state never sees one opened.

use alloc::vec::Vec;

use crate::id::{ConversationId, NodeId, Timestamp, UserId};

/// What a data key is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyScope {
    /// The messages and the title of a conversation. Kind byte 1.
    Conversation(ConversationId),
    /// A user's status text; a patient's name. Kind byte 2.
    User(UserId),
    /// The hash by which a repeated request is recognised: one key for ever, under [`Month`] 0. Kind byte 3.
    Requests,
    /// The network addresses in the audit log, those of all users. Kind byte 4.
    Addresses,
}

/// A calendar month in UTC, counted from January 1970, which is 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month(pub u32);

impl Month {
    /// The month of a time.
    ///
    /// Source: Howard Hinnant, `civil_from_days`, for the years 1970 to 9999.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        const ERA_DAYS: u64 = 146_097;
        let days = (at.0 / DAY_MS).saturating_add(719_468); // From 0000-03-01 on.
        let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let months = (era * 400 + year) * 12 + from_march + 2 - 1970 * 12;
        Self(if months > u32::MAX as u64 { u32::MAX } else { months as u32 })
    }
}

/// A data key as it lies in the state.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey {
    /// What it is for.
    pub scope: KeyScope,
    /// From which month on: no text of a later one is sealed with it.
    pub month: Month,
    /// The version of the cluster key it is wrapped under.
    pub version: u32,
    /// When it was added.
    pub created: Timestamp,
    /// The key, wrapped (crate `seal`).
    pub wrapped: Vec<u8>,
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DataKey").field("scope", &self.scope).field("month", &self.month).finish_non_exhaustive()
    }
}

/// Who can open cluster keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// The recovery kit. Kind byte 1.
    Recovery,
    /// A node. Kind byte 2.
    Node(NodeId),
}

/// A holder's public key, and since when the cluster seals to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HolderKey {
    /// X25519.
    pub public: [u8; 32],
    /// When it was admitted.
    pub since: Timestamp,
}

/// A cluster key sealed to one holder.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// To whom.
    pub holder: Holder,
    /// The public key it is sealed to.
    pub public: [u8; 32],
    /// HPKE (crate `seal`).
    pub sealed: Vec<u8>,
}

impl core::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Envelope").field("holder", &self.holder).finish_non_exhaustive()
    }
}

/// A version of the cluster key as the state knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterKey {
    /// By it the key is recognised; it says nothing of the key.
    pub check: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// Data keys wrapped under it.
    pub data_keys: u64,
    /// When its envelopes were removed, no data key being wrapped under it any more.
    pub retired: Option<Timestamp>,
}

/// A new version of the cluster key, with an envelope for every holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewClusterKey {
    /// Its version: one more than the last.
    pub version: u32,
    /// See [`ClusterKey::check`].
    pub check: [u8; 32],
    /// One for each holder, sorted by holder.
    pub envelopes: Vec<Envelope>,
}

/// The id of the key that a payload says it was sealed with; none if it is too short for one.
///
/// Shape: version ‖ key id, 8 bytes big-endian ‖ … (crate `seal`).
#[must_use]
pub fn key_id_of(payload: &[u8]) -> Option<u64> {
    let (_, rest) = payload.split_first()?;
    rest.first_chunk().map(|id| u64::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let month = |year: u32, month: u32| Month((year - 1970) * 12 + month - 1);
        let day = |days: u64| Month::of(Timestamp(days * 86_400_000));
        assert_eq!(day(0), month(1970, 1));
        assert_eq!((day(30), day(31)), (month(1970, 1), month(1970, 2)));
        assert_eq!((day(19_781), day(19_782)), (month(2024, 2), month(2024, 2)));
        assert_eq!((day(19_782 + 1), day(20_453)), (month(2024, 3), month(2025, 12)));
        assert_eq!(day(20_454), month(2026, 1));
        assert!(Month::of(Timestamp(u64::MAX)).0 > 0);
        let mut last = Month(0);
        for days in 0..50_000 {
            assert!(day(days) == last || day(days).0 == last.0 + 1, "day {days}");
            last = day(days);
        }
    }
}
