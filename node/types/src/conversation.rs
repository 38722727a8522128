//! Conversations, who takes part, and what each may see.

use alloc::vec::Vec;

use crate::id::{ConversationId, EventNumber, Seq, Timestamp, UserId};

/// What a conversation is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConversationKind {
    /// Exactly two, the same two for ever; one such conversation for each pair.
    Direct,
    /// Several, who may all write.
    Group,
    /// Few write, many read.
    Channel,
    /// About one patient.
    CareTeam,
}

/// A conversation. Its participants are rows of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversation {
    /// Never reused.
    pub id: ConversationId,
    /// What it is for.
    pub kind: ConversationKind,
    /// The sealed title; empty for `Direct`.
    pub title: Vec<u8>,
    /// Who created it.
    pub created_by: UserId,
    /// When.
    pub created: Timestamp,
    /// The seq of the newest message, 0 before the first.
    pub last_seq: Seq,
    /// When the newest message came, or the creation.
    pub last_at: Timestamp,
    /// The newest event of this conversation.
    pub last_event: EventNumber,
    /// Participants at present.
    pub participants: u32,
    /// Which earlier messages people who are added see.
    pub history: PolicyRef,
    /// The patient a care team is about.
    pub subject: Option<UserId>,
    /// Whether it takes messages.
    pub open: bool,
    /// Counts changes of these fields other than the newest message's, from 1.
    pub version: u64,
}

/// A history policy as it stood: the document's id and version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyRef {
    /// Which document.
    pub id: u32,
    /// Which version of it; versions are never changed, only added.
    pub version: u32,
}

/// Which earlier messages someone sees who is added to a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistoryPolicy {
    /// None: from joining on.
    FromJoining,
    /// All of them.
    Everything,
    /// The newest so many before joining.
    Newest(u32),
}

/// The document every cluster begins with that shows nothing earlier; the default of groups.
pub const POLICY_FROM_JOINING: PolicyRef = PolicyRef { id: 1, version: 1 };
/// The document every cluster begins with that shows everything earlier; the default of care teams.
pub const POLICY_EVERYTHING: PolicyRef = PolicyRef { id: 2, version: 1 };

/// What a participant may do in a conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// Read.
    Reader,
    /// Read and write.
    Writer,
    /// Also add and remove participants, change title and policy.
    Owner,
}

/// Why a participant may see an interval.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// They were added, or created it.
    Joined,
}

/// Messages a participant may see: `from ≤ seq`, and `seq ≤ to` once it is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// The first seq of it; may lie in the future.
    pub from: Seq,
    /// The last seq of it; none while it is open.
    pub to: Option<Seq>,
    /// The same interval in events, for the sync stream: the event that opened it.
    pub from_event: EventNumber,
    /// The event that closed it; visible still.
    pub to_event: Option<EventNumber>,
    /// Why.
    pub cause: Cause,
}

impl Interval {
    /// Whether this seq lies within.
    #[must_use]
    pub fn covers(&self, seq: Seq) -> bool {
        self.from <= seq && self.to.is_none_or(|to| seq <= to)
    }
}

/// A principal in a conversation; the row stays when they leave, for what they may still see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Participant {
    /// What they may do; none once they have left.
    pub part: Option<Part>,
    /// What they may see: ascending, not overlapping, at most `INTERVALS_MAX`.
    pub intervals: Vec<Interval>,
    /// The highest seq any of their devices displayed.
    pub displayed: Seq,
    /// When they were first added.
    pub joined: Timestamp,
}

impl Participant {
    /// Whether this seq lies in one of their intervals.
    #[must_use]
    pub fn sees(&self, seq: Seq) -> bool {
        self.intervals.iter().any(|interval| interval.covers(seq))
    }
}
