//! What goes between the model and the tasks beside it.

use proto::v1;

use super::search::Search;
use super::talk::Fate;
use crate::restored::Restored;

/// What the link tells.
#[derive(Debug)]
pub enum News {
    /// All of one's conversations, as of the cursor the stream goes on from.
    Bootstrapped(Vec<v1::Conversation>),
    /// The cluster was restored: what comes next is of another history.
    Restored(Restored),
    /// A stream is open at this node.
    Connected(String),
    /// The stream ended; another is being opened.
    Disconnected(String),
    /// An item of the stream.
    Item(Box<v1::SyncResponse>),
    /// A page of messages.
    Page(String, Box<v1::ListMessagesResponse>),
    /// A page could not be had.
    PageFailed(String, String),
    /// A conversation, new or as it is now; true: show it.
    Conversation(Box<v1::Conversation>, bool),
    /// Users that were asked for.
    People(Vec<v1::User>),
    /// How far others are in a conversation.
    Receipts(String, Vec<v1::Receipt>),
    /// How many have the newest own message of a large conversation: seq, delivered, displayed.
    Counts(String, u64, i32, i32),
    /// A message was saved.
    Sent(String, u64, Box<v1::Message>),
    /// A message is on its way still, or was refused.
    Fate(String, u64, Fate),
    /// Who was found.
    Found(String, Vec<v1::User>, bool),
    /// Something failed that is worth a line.
    Notice(String),
    /// The session is over.
    Over(String),
    /// The session is locked: what is shown goes.
    Locked,
    /// It is not any more.
    Unlocked,
    /// It could not be unlocked, and why.
    StillLocked(String),
}

/// What the link shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Load messages backward from a seq; 0: the newest.
    Load(String, u64),
    /// Ask how far others are.
    Receipts(String),
    /// Ask how many have this message.
    Counts(String, u64),
    /// Send.
    Send { conversation: String, key: u64, text: String, priority: v1::Priority },
    /// Confirm: delivered, displayed.
    Confirm(String, u64, u64),
    /// Say that one is typing.
    Typing(String),
    /// Get a conversation anew.
    Refresh(String),
    /// Look users up.
    People(Vec<String>),
    /// Whose presence to watch.
    Watch(Vec<String>),
    /// Find users.
    Search(String),
    /// Open the direct conversation with a user.
    Open(String),
    /// Create a group: title, users.
    Create(String, Vec<String>),
    /// Set one's presence.
    Presence(v1::PresenceState, String),
    /// Lock the session.
    Lock,
    /// Unlock it with what was typed: digits alone are a PIN.
    Unlock(Typed),
    /// Idle since so many milliseconds; none: active.
    Activity(Option<u64>),
    /// End.
    Quit,
}

/// A secret that was typed; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed(pub String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

/// How the stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not yet connected.
    Connecting,
    /// Open; what was missed is on its way.
    CatchingUp,
    /// Open and live.
    Live,
    /// Lost, since then (client's clock).
    Lost(u64),
}

/// What covers the conversations.
#[derive(Clone, Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys.
    Help,
    /// Looking for people to begin a conversation with.
    New(Search),
}
