//! What the terminal client knows: events in, state and effects out. Pure: no clock, terminal or network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proto::v1;
use proto::v1::sync_response::Item;
use types::limits::{RECEIPT_EVENTS_PARTICIPANTS_MAX, TYPING_MS};

use super::input::Input;
use super::search::Search;
use super::talk::{Fate, Talk};
use crate::rows::People;

/// Without a key for this long one is idle.
pub const IDLE_MS: u64 = 5 * 60 * 1000;
/// Counts of large conversations are asked for this often.
const COUNTS_MS: u64 = 5_000;

/// Conversations whose new messages are fetched at the start.
const UNREAD_LOADED_MAX: usize = 50;

/// What the link tells.
#[derive(Debug)]
pub enum News {
    /// All of one's conversations, as of the cursor the stream goes on from.
    Bootstrapped(Vec<v1::Conversation>),
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
    /// Idle since so many milliseconds; none: active.
    Activity(Option<u64>),
    /// End.
    Quit,
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

/// The client's state.
pub struct Model {
    /// `users/{id}` who is signed in.
    pub me: String,
    /// `users/{id}/sessions/{id}`.
    pub session: String,
    /// Known users.
    pub people: People,
    /// Presence of those watched.
    pub presence: BTreeMap<String, v1::Presence>,
    /// Conversations by name.
    pub talks: BTreeMap<String, Talk>,
    /// The one shown.
    pub shown: Option<String>,
    /// What is typed.
    pub input: Input,
    /// How urgent the next message is.
    pub priority: v1::Priority,
    /// The stream.
    pub link: Link,
    /// The node it is open at.
    pub node: String,
    /// Why it was lost last.
    pub why_lost: String,
    /// Without a majority: since when (client's clock).
    pub stale_since: Option<u64>,
    /// What covers the rest.
    pub overlay: Overlay,
    /// A line for the person, and until when.
    pub notice: Option<(String, u64)>,
    /// The client's clock, in milliseconds since 1970.
    pub now: u64,
    /// Whether the terminal has the focus.
    pub focused: bool,
    /// Rows of messages that fit, as last drawn.
    pub rows: usize,
    /// Why the session is over.
    pub over: Option<String>,
    /// Set before the first bootstrap: which conversation to show then.
    pub wanted: Option<String>,
    last_key: u64,
    idle: bool,
    typing_sent: u64,
    counts_asked: u64,
    next_key: u64,
    asked: BTreeSet<String>,
    watched: Vec<String>,
    effects: VecDeque<Effect>,
}

impl Model {
    /// Before anything is known.
    pub fn new(me: String, session: String, now: u64) -> Self {
        Self {
            me,
            session,
            people: People::default(),
            presence: BTreeMap::new(),
            talks: BTreeMap::new(),
            shown: None,
            input: Input::default(),
            priority: v1::Priority::Routine,
            link: Link::Connecting,
            node: String::new(),
            why_lost: String::new(),
            stale_since: None,
            overlay: Overlay::None,
            notice: None,
            now,
            focused: true,
            rows: 20,
            over: None,
            wanted: None,
            last_key: now,
            idle: false,
            typing_sent: 0,
            counts_asked: 0,
            next_key: 1,
            asked: BTreeSet::new(),
            watched: Vec::new(),
            effects: VecDeque::new(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.effects.drain(..).collect()
    }

    /// Asks for something.
    pub(super) fn ask(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// The conversations, the newest first.
    pub fn order(&self) -> Vec<&str> {
        let mut names: Vec<(&str, (i64, i32))> = self
            .talks
            .iter()
            .filter(|(_, talk)| talk.info.part() != v1::Part::Unspecified)
            .map(|(name, talk)| {
                let time = talk.info.last_time.or(talk.info.create_time);
                (name.as_str(), time.map_or((0, 0), |time| (time.seconds, time.nanos)))
            })
            .collect();
        names.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// The conversation shown.
    pub fn talk(&self) -> Option<&Talk> {
        self.talks.get(self.shown.as_ref()?)
    }

    /// The conversation shown, to change it.
    pub fn talk_mut(&mut self) -> Option<&mut Talk> {
        self.talks.get_mut(self.shown.as_ref()?)
    }

    /// Shows a conversation.
    pub fn show(&mut self, name: &str) {
        let Some(talk) = self.talks.get_mut(name) else { return };
        talk.scroll = 0;
        talk.new_from = (talk.info.unread_count > 0).then_some(talk.info.displayed_seq + 1);
        let (loaded, asked) = (talk.loaded || talk.loading, talk.receipts_asked);
        talk.loading |= !loaded;
        talk.receipts_asked = true;
        let small = talk.info.participant_count <= RECEIPT_EVENTS_PARTICIPANTS_MAX as i32;
        self.shown = Some(name.to_owned());
        if !loaded {
            self.ask(Effect::Load(name.to_owned(), 0));
        }
        if !asked && small {
            self.ask(Effect::Receipts(name.to_owned()));
        }
        self.counts_asked = 0;
        self.confirm_shown();
    }

    /// A line for the person, for some seconds.
    pub fn notify(&mut self, words: &str) {
        self.notice = Some((crate::text::line(words), self.now + 8_000));
    }

    /// Time passed.
    pub fn tick(&mut self, now: u64) {
        self.now = now;
        if self.notice.as_ref().is_some_and(|(_, until)| *until < now) {
            self.notice = None;
        }
        for talk in self.talks.values_mut() {
            talk.typing.retain(|_, until| *until > now);
        }
        if !self.idle && now.saturating_sub(self.last_key) >= IDLE_MS {
            self.idle = true;
            self.ask(Effect::Activity(Some(self.last_key)));
        }
        if let Overlay::New(search) = &mut self.overlay
            && let Some(query) = search.due(now)
        {
            self.ask(Effect::Search(query));
        }
        self.ask_counts();
    }

    /// A key was pressed: someone is there.
    pub(super) fn active(&mut self) {
        self.last_key = self.now;
        if self.idle {
            self.idle = false;
            self.ask(Effect::Activity(None));
        }
        self.confirm_shown();
    }

    /// Sends what was typed, to the conversation shown.
    pub fn send(&mut self, text: String) {
        let (key, priority) = (self.next_key, self.priority);
        let Some(conversation) = self.shown.clone() else { return };
        let Some(talk) = self.talks.get_mut(&conversation) else { return };
        talk.outbox.push(super::talk::Outgoing { key, text: text.clone(), priority, fate: Fate::Sending });
        talk.scroll = 0;
        talk.new_from = None;
        self.next_key += 1;
        self.priority = v1::Priority::Routine;
        self.typing_sent = 0;
        self.ask(Effect::Send { conversation, key, text, priority });
    }

    /// Says that one is typing, not more often than it lasts.
    pub(super) fn typing(&mut self) {
        if let Some(name) = self.shown.clone()
            && self.now.saturating_sub(self.typing_sent) >= TYPING_MS / 2
            && self.link == Link::Live
        {
            self.typing_sent = self.now;
            self.ask(Effect::Typing(name));
        }
    }

    /// Takes news from the link.
    pub fn news(&mut self, news: News) {
        match news {
            News::Bootstrapped(conversations) => self.bootstrapped(conversations),
            News::Connected(node) => {
                self.node = node;
                self.link = Link::CatchingUp;
                if self.idle {
                    self.ask(Effect::Activity(Some(self.last_key)));
                }
            }
            News::Disconnected(why) => {
                if !matches!(self.link, Link::Lost(_)) {
                    self.link = Link::Lost(self.now);
                }
                self.why_lost = why;
            }
            News::Item(item) => self.item(*item),
            News::Page(name, page) => {
                let senders = page.messages.iter().map(|message| message.sender.clone()).collect::<Vec<_>>();
                if let Some(talk) = self.talks.get_mut(&name) {
                    talk.page(*page);
                }
                self.need(senders);
                self.confirm_delivered(&name);
                self.confirm_shown();
            }
            News::PageFailed(name, why) => {
                if let Some(talk) = self.talks.get_mut(&name) {
                    talk.loading = false;
                }
                self.notify(&why);
            }
            News::Conversation(info, show) => self.conversation(*info, show),
            News::People(users) => self.people.0.extend(users.into_iter().map(|user| (user.name.clone(), user))),
            News::Receipts(name, receipts) => {
                let me = self.me.clone();
                if let Some(talk) = self.talks.get_mut(&name) {
                    receipts.iter().for_each(|receipt| talk.receipt(receipt, &me));
                }
            }
            News::Counts(name, seq, delivered, displayed) => {
                if let Some(talk) = self.talks.get_mut(&name) {
                    talk.counts = Some((seq, delivered, displayed));
                }
            }
            News::Sent(name, key, message) => {
                if let Some(talk) = self.talks.get_mut(&name) {
                    talk.saved(key, *message);
                }
            }
            News::Fate(name, key, fate) => {
                let talk = self.talks.get_mut(&name);
                let outgoing = talk.and_then(|talk| talk.outbox.iter_mut().find(|outgoing| outgoing.key == key));
                outgoing.into_iter().for_each(|outgoing| outgoing.fate = fate.clone());
            }
            News::Found(query, users, more) => {
                self.people.0.extend(users.iter().map(|user| (user.name.clone(), user.clone())));
                if let Overlay::New(search) = &mut self.overlay {
                    search.found(&query, users, more, &self.me);
                }
            }
            News::Notice(words) => self.notify(&words),
            News::Over(why) => self.over = Some(why),
        }
    }

    fn bootstrapped(&mut self, conversations: Vec<v1::Conversation>) {
        let mut old = std::mem::take(&mut self.talks);
        for info in conversations {
            let mut talk = Talk::new(info);
            if let Some(before) = old.remove(&talk.info.name) {
                talk.outbox = before.outbox;
                talk.confirmed = before.confirmed;
            }
            self.talks.insert(talk.info.name.clone(), talk);
        }
        let peers = self.talks.values().map(|talk| talk.info.peer.clone()).collect();
        self.need(peers);
        self.need(vec![self.me.clone()]);
        self.watch();
        let names: Vec<String> = self.talks.keys().cloned().collect();
        names.iter().for_each(|name| self.confirm_delivered(name));
        self.load_unread();
        let wanted = self.wanted.take().or_else(|| self.shown.clone()).filter(|name| self.talks.contains_key(name));
        let first = wanted.or_else(|| self.order().first().map(|&name| name.to_owned()));
        if let Some(name) = first {
            self.show(&name);
        }
    }

    /// Gets what is new, so that this device has it before anybody looks.
    fn load_unread(&mut self) {
        let unread = |name: &&str| self.talks.get(*name).is_some_and(|talk| talk.info.unread_count > 0);
        let names: Vec<String> =
            self.order().into_iter().filter(unread).take(UNREAD_LOADED_MAX).map(str::to_owned).collect();
        for name in names {
            if let Some(talk) = self.talks.get_mut(&name) {
                talk.loading = true;
            }
            self.ask(Effect::Load(name, 0));
        }
    }

    fn conversation(&mut self, info: v1::Conversation, show: bool) {
        let name = info.name.clone();
        self.need(vec![info.peer.clone()]);
        match self.talks.get_mut(&name) {
            Some(talk) => talk.info = info,
            None => drop(self.talks.insert(name.clone(), Talk::new(info))),
        }
        self.watch();
        if show || self.shown.is_none() {
            self.show(&name);
        }
    }

    fn item(&mut self, item: v1::SyncResponse) {
        let refresh = |name: &String| Effect::Refresh(name.clone());
        match item.item {
            Some(Item::MessagePosted(posted)) => self.posted(posted),
            Some(Item::ReceiptChanged(changed)) => {
                if let (Some(talk), Some(receipt)) = (self.talks.get_mut(&changed.conversation), &changed.receipt) {
                    talk.receipt(receipt, &self.me);
                }
            }
            Some(Item::ParticipantAdded(added)) => self.ask(refresh(&added.conversation)),
            Some(Item::ParticipantRemoved(removed)) => self.ask(refresh(&removed.conversation)),
            Some(Item::ConversationChanged(changed)) => self.ask(refresh(&changed.conversation)),
            Some(Item::ConversationJoined(joined)) => self.ask(refresh(&joined.conversation)),
            Some(Item::ConversationLeft(left)) => {
                if let Some(talk) = self.talks.get_mut(&left.conversation) {
                    talk.info.part = v1::Part::Unspecified as i32;
                }
            }
            Some(Item::SessionEnded(ended)) if ended.session == self.session => {
                self.over = Some("This session was ended. Sign in again: tricord login LOGIN.".into());
            }
            Some(Item::Progress(progress)) => {
                if progress.live {
                    self.link = Link::Live;
                }
                let since = |age: prost_types::Duration| self.now.saturating_sub(age.seconds.unsigned_abs() * 1000);
                self.stale_since = progress.stale.map(since);
            }
            Some(Item::PresenceChanged(changed)) => {
                if let Some(presence) = changed.presence {
                    self.presence.insert(presence.user.clone(), presence);
                }
            }
            Some(Item::Typing(typing)) if typing.user != self.me => {
                self.need(vec![typing.user.clone()]);
                if let Some(talk) = self.talks.get_mut(&typing.conversation) {
                    talk.typing.insert(typing.user, self.now + TYPING_MS);
                }
            }
            Some(Item::SelfChanged(_)) => {
                self.asked.remove(&self.me);
                self.people.0.remove(&self.me);
                self.need(vec![self.me.clone()]);
            }
            Some(Item::SessionEnded(_) | Item::Typing(_)) | None => {}
        }
    }

    fn posted(&mut self, posted: v1::MessagePosted) {
        let Some(message) = posted.message else { return };
        self.need(vec![message.sender.clone()]);
        let Some(talk) = self.talks.get_mut(&posted.conversation) else {
            self.ask(Effect::Refresh(posted.conversation));
            return;
        };
        talk.typing.remove(&message.sender);
        let (mine, below) = (message.sender == self.me, talk.scroll > 0);
        let seq = message.seq;
        let joins = talk.posted(message, mine);
        let shown = self.shown.as_ref() == Some(&posted.conversation);
        if shown && !mine && talk.new_from.is_none() && (below || !self.focused) {
            talk.new_from = Some(seq);
        }
        if shown && !joins {
            talk.loading = true;
            self.ask(Effect::Load(posted.conversation.clone(), seq.saturating_sub(1)));
        }
        self.confirm_delivered(&posted.conversation);
        self.confirm_shown();
    }

    /// This device has everything that the stream or the list of conversations told of.
    fn confirm_delivered(&mut self, name: &str) {
        let Some(talk) = self.talks.get_mut(name) else { return };
        let delivered = talk.highest();
        if delivered > talk.confirmed.0 {
            talk.confirmed.0 = delivered;
            let displayed = talk.confirmed.1;
            self.ask(Effect::Confirm(name.to_owned(), delivered, displayed));
        }
    }

    /// What is on the screen of someone who is there was displayed.
    pub(super) fn confirm_shown(&mut self) {
        if !self.focused || self.idle || !matches!(self.overlay, Overlay::None) {
            return;
        }
        let me = self.me.clone();
        let Some(name) = self.shown.clone() else { return };
        let Some(talk) = self.talks.get_mut(&name) else { return };
        let highest = talk.highest();
        if talk.scroll > 0 || !talk.loaded || highest <= talk.confirmed.1 {
            return;
        }
        let news = highest > talk.info.displayed_seq;
        talk.confirmed = (talk.confirmed.0.max(highest), highest);
        talk.displayed_by_me(highest, &me);
        if news {
            self.ask(Effect::Confirm(name, highest, highest));
        }
    }

    fn ask_counts(&mut self) {
        let Some(talk) = self.talk() else { return };
        let large = talk.info.participant_count > RECEIPT_EVENTS_PARTICIPANTS_MAX as i32;
        if !large || self.link != Link::Live || self.now.saturating_sub(self.counts_asked) < COUNTS_MS {
            return;
        }
        let own = talk.messages.iter().rev().find(|(_, message)| message.sender == self.me).map(|(seq, _)| *seq);
        let name = talk.info.name.clone();
        self.counts_asked = self.now;
        if let Some(seq) = own {
            self.ask(Effect::Counts(name, seq));
        }
    }

    fn need(&mut self, names: Vec<String>) {
        let mut unknown: Vec<String> = names
            .into_iter()
            .filter(|name| !name.is_empty() && self.people.get(name).is_none() && self.asked.insert(name.clone()))
            .collect();
        unknown.dedup();
        if !unknown.is_empty() {
            self.ask(Effect::People(unknown));
        }
    }

    /// The others of one's direct conversations, the newest first.
    fn watch(&mut self) {
        let mut peers: Vec<String> = self
            .order()
            .iter()
            .filter_map(|name| self.talks.get(*name))
            .map(|talk| talk.info.peer.clone())
            .filter(|peer| !peer.is_empty())
            .take(types::limits::PRESENCE_WATCH_MAX)
            .collect();
        peers.sort();
        peers.dedup();
        if peers != self.watched {
            self.watched.clone_from(&peers);
            self.ask(Effect::Watch(peers));
        }
    }
}

#[cfg(test)]
mod tests;
