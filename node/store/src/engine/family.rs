//! Families: parts of an engine that are tuned, flushed and measured by themselves.

use types::Table;

/// Which of the two engines of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The Raft log: every write synced.
    Log,
    /// The replicated state: durable by flushes, the Raft log is its write-ahead log.
    State,
}

impl Kind {
    /// Its families, in the order they are created.
    #[must_use]
    pub const fn families(self) -> &'static [Family] {
        match self {
            Self::Log => &[Family::LogMarks, Family::Entries],
            Self::State => &[
                Family::StateMarks,
                Family::Rows,
                Family::Answers,
                Family::Messages,
                Family::Events,
                Family::Records,
                Family::Tree,
                Family::DataKeys,
            ],
        }
    }
}

/// A part of an engine. The names on disk are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// Vote, purge mark, committed mark.
    LogMarks,
    /// Raft entries by index.
    Entries,
    /// The applied mark and the membership.
    StateMarks,
    /// Tables that are read often and change in place.
    Rows,
    /// Kept answers: one for every command, looked up by key.
    Answers,
    /// Messages: large, written once.
    Messages,
    /// Events: small, written once, dropped after a month.
    Events,
    /// The audit log: written once, seldom read.
    Records,
    /// The Merkle tree over it: hashes, written once.
    Tree,
    /// Wrapped data keys: by themselves, so that one that is destroyed can be compacted away at once.
    DataKeys,
}

impl Family {
    /// Its name on disk and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogMarks => "log_marks",
            Self::Entries => "entries",
            Self::StateMarks => "state_marks",
            Self::Rows => "rows",
            Self::Answers => "answers",
            Self::Messages => "messages",
            Self::Events => "events",
            Self::Records => "records",
            Self::Tree => "tree",
            Self::DataKeys => "data_keys",
        }
    }

    /// Where the rows of a table are. Fixed: moving a table is a new format of the data directory.
    #[must_use]
    pub const fn of(table: Table) -> Self {
        match table {
            Table::Answer => Self::Answers,
            Table::Message => Self::Messages,
            Table::ConversationEvent | Table::UserEvent | Table::EventScope => Self::Events,
            Table::Record => Self::Records,
            Table::TreeNode => Self::Tree,
            Table::DataKey | Table::ScopeKey => Self::DataKeys,
            _ => Self::Rows,
        }
    }
}
