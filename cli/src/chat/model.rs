//! What the terminal client knows: events in, state and effects out. Pure: no clock, terminal or network.

mod take;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proto::v1;
use types::limits::{RECEIPT_EVENTS_PARTICIPANTS_MAX, TYPING_MS};

use super::input::Input;
use super::news::{Effect, Link, Overlay};
use super::talk::{Fate, Talk};
use crate::restored::Restored;
use crate::rows::People;

/// Without a key for this long one is idle.
pub const IDLE_MS: u64 = 5 * 60 * 1000;
/// That someone is there is said this often, while they are.
pub const ACTIVE_MS: u64 = 10_000;
/// Counts of large conversations are asked for this often.
const COUNTS_MS: u64 = 5_000;

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
    /// While the session is locked.
    pub locked: Option<Locked>,
    /// The cluster was restored, and nobody has said yet that they know.
    pub restored: Option<Restored>,
    /// What is written now is on one node's disk alone.
    pub single_copy: bool,
    /// What was known before the restoration is looked through with the next list of conversations.
    restoring: bool,
    last_key: u64,
    active_told: u64,
    idle: bool,
    typing_sent: u64,
    counts_asked: u64,
    next_key: u64,
    asked: BTreeSet<String>,
    watched: Vec<String>,
    effects: VecDeque<Effect>,
}

/// What a locked screen knows.
#[derive(Clone, Default)]
pub struct Locked {
    /// What is typed to unlock it.
    pub input: Input,
    /// Urgent messages that wait.
    pub urgent: usize,
    /// It was typed, and is being looked at.
    pub asked: bool,
    /// Why it did not do.
    pub why: String,
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
            locked: None,
            restored: None,
            single_copy: false,
            restoring: false,
            last_key: now,
            active_told: now,
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

    /// The session is locked: what was shown goes, also from memory. What was typed and not sent stays.
    pub(super) fn lock(&mut self) {
        if self.locked.is_none() {
            self.locked = Some(Locked::default());
        }
        self.overlay = Overlay::None;
        self.notice = None;
        self.presence.clear();
        self.people = People::default();
        self.asked.clear();
        for talk in self.talks.values_mut() {
            let mut empty = Talk::new(talk.info.clone());
            empty.outbox = std::mem::take(&mut talk.outbox);
            empty.confirmed = talk.confirmed;
            *talk = empty;
        }
    }

    /// A key was pressed: someone is there.
    pub(super) fn active(&mut self) {
        self.last_key = self.now;
        if self.idle || self.now.saturating_sub(self.active_told) >= ACTIVE_MS {
            self.idle = false;
            self.active_told = self.now;
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

    /// Own messages that did not survive a restoration.
    pub fn lost(&self) -> usize {
        self.talks.values().map(Talk::lost).sum()
    }

    /// Sends again what did not survive: as new messages, for nobody has them.
    pub(super) fn send_lost(&mut self) {
        let mut effects = Vec::new();
        for (name, talk) in &mut self.talks {
            for outgoing in talk.outbox.iter_mut().filter(|outgoing| outgoing.fate == Fate::Lost) {
                outgoing.fate = Fate::Sending;
                effects.push(Effect::Send {
                    conversation: name.clone(),
                    key: outgoing.key,
                    text: outgoing.text.clone(),
                    priority: outgoing.priority,
                });
            }
        }
        self.restored = None;
        self.effects.extend(effects);
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
