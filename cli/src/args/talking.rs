//! Conversations and messages.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `conversation …`
#[derive(Subcommand, Debug)]
pub enum ConversationCommand {
    /// Create a conversation with the people named.
    Create {
        /// The title; none for a direct one.
        #[arg(long, default_value = "")]
        title: String,
        /// What it is for.
        #[arg(long, value_enum, default_value = "group")]
        kind: ConversationKindArg,
        /// The patient of a care team: @login or an id.
        #[arg(long)]
        subject: Option<String>,
        /// Which earlier messages people see who are added later: none, or all.
        #[arg(long, value_enum)]
        history: Option<History>,
        /// @login of those who take part.
        people: Vec<String>,
        /// Those who take part only to read.
        #[arg(long, value_name = "@LOGIN")]
        reader: Vec<String>,
        /// Those who write: in a channel.
        #[arg(long, value_name = "@LOGIN")]
        writer: Vec<String>,
        /// Those who own it too.
        #[arg(long, value_name = "@LOGIN")]
        owner: Vec<String>,
        /// Further logins, one a line, from a file, or - for stdin.
        #[arg(long, value_name = "FILE")]
        people_from: Option<PathBuf>,
    },
    /// List one's conversations.
    List {
        /// Also those one has left.
        #[arg(long)]
        left: bool,
    },
    /// Show one, and who takes part.
    Show {
        /// @login, '#title' or an id.
        conversation: String,
    },
    /// Add people, or change their part.
    Add {
        /// '#title' or an id.
        conversation: String,
        /// @login of each.
        #[arg(required = true)]
        people: Vec<String>,
        /// What they may do.
        #[arg(long, value_enum)]
        part: Option<PartArg>,
    },
    /// Remove someone.
    Remove {
        /// '#title' or an id.
        conversation: String,
        /// @login.
        person: String,
    },
    /// Leave.
    Leave {
        /// '#title' or an id.
        conversation: String,
    },
    /// Give it another title.
    Rename {
        /// '#title' or an id.
        conversation: String,
        /// The new title.
        title: String,
    },
    /// Let it take no more messages.
    Close {
        /// '#title' or an id.
        conversation: String,
        /// Open it again instead.
        #[arg(long)]
        reopen: bool,
    },
}

/// Kinds of conversation.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationKindArg {
    /// Exactly two.
    Direct,
    /// Several who may all write.
    Group,
    /// Few write, many read.
    Channel,
    /// About one patient.
    CareTeam,
}

/// Which earlier messages newcomers see.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Nothing from before.
    Nothing,
    /// Everything.
    Everything,
}

/// Parts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartArg {
    /// Reads.
    Reader,
    /// Reads and writes.
    Writer,
    /// Also decides who takes part.
    Owner,
}

/// `message …`
#[derive(Subcommand, Debug)]
pub enum MessageCommand {
    /// Send a message; the text comes from a prompt or from stdin.
    Send {
        /// @login, '#title' or a conversation's id.
        to: String,
        /// How urgent.
        #[arg(long, value_enum, default_value = "routine")]
        priority: PriorityArg,
        /// The seq of the message it answers.
        #[arg(long, value_name = "SEQ")]
        reply_to: Option<u64>,
        /// The seq of one's own message that it takes the place of.
        #[arg(long, value_name = "SEQ")]
        supersedes: Option<u64>,
        /// @login of whom it mentions; may be repeated.
        #[arg(long, value_name = "@LOGIN")]
        mention: Vec<String>,
        /// Each line of stdin is a message of its own.
        #[arg(long)]
        lines: bool,
    },
    /// List messages, oldest first.
    List {
        /// @login, '#title' or a conversation's id.
        conversation: String,
        /// From this seq on; without it the newest.
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Show messages as they come, until interrupted. With --output json: one document a line.
    Tail {
        /// @login, '#title' or an id; without it all of one's conversations.
        conversation: Option<String>,
        /// Begin with what came since this cursor (hexadecimal, as --output json prints it).
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
        /// End after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Show one message.
    Get {
        /// @login, '#title' or a conversation's id.
        conversation: String,
        /// Its seq.
        seq: u64,
    },
}

/// How urgent.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorityArg {
    /// In its turn.
    Routine,
    /// Soon.
    Urgent,
    /// As soon as possible.
    Asap,
    /// At once.
    Stat,
}
