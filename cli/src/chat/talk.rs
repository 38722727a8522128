//! One conversation as the client knows it: the newest run of its messages without a gap, and how far others are.

use std::collections::BTreeMap;

use prost_types::Timestamp;
use proto::v1;
use types::limits::UNREAD_COUNT_MAX;

/// Messages kept of one conversation; older ones are loaded again when scrolled to.
const KEPT_MAX: usize = 2_000;

/// Own messages of one conversation that are offered to be sent again after a restoration.
const LOST_MAX: usize = 64;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Tells it from others of this client.
    pub key: u64,
    /// What was typed.
    pub text: String,
    /// How urgent.
    pub priority: v1::Priority,
    /// How it stands.
    pub fate: Fate,
}

/// How a message on its way stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Under way.
    Sending,
    /// It may have arrived; it is tried again under the same number.
    Unconfirmed,
    /// It was not taken yet, for this reason; it is tried again.
    Waiting(String),
    /// It has this seq; the stream has not come so far yet.
    Saved(u64),
    /// It was refused.
    Refused(String),
    /// It had been saved, and did not survive a restoration of the cluster.
    Lost,
}

/// How far one user is, over all their devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// They have everything up to here.
    pub delivered: u64,
    /// Everything up to here was on a screen.
    pub displayed: u64,
}

/// When the other one of a direct conversation first had a message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noted {
    /// On a device.
    pub delivered: Option<Timestamp>,
    /// On a screen.
    pub displayed: Option<Timestamp>,
}

/// A conversation.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// As the server describes it; unread count and newest seq are kept up to date here.
    pub info: v1::Conversation,
    /// Known messages by seq: one run without a gap but for what is hidden.
    pub messages: BTreeMap<u64, v1::Message>,
    /// Runs one may not see, by first seq.
    pub hidden: BTreeMap<u64, u64>,
    /// Whether the newest messages are here.
    pub loaded: bool,
    /// Whether the first message is here.
    pub complete: bool,
    /// Whether a page is on its way.
    pub loading: bool,
    /// Whether receipts were asked for.
    pub receipts_asked: bool,
    /// How far others are.
    pub marks: BTreeMap<String, Mark>,
    /// When, for direct conversations.
    pub noted: BTreeMap<u64, Noted>,
    /// Counts of the newest own message, for conversations of more than 32: seq, delivered, displayed.
    pub counts: Option<(u64, i32, i32)>,
    /// Own messages on their way.
    pub outbox: Vec<Outgoing>,
    /// Rows scrolled up from the newest.
    pub scroll: usize,
    /// The first message that was new when the conversation was entered.
    pub new_from: Option<u64>,
    /// What this client confirmed: delivered, displayed.
    pub confirmed: (u64, u64),
    /// Who is typing, until when (milliseconds of the client's clock).
    pub typing: BTreeMap<String, u64>,
}

impl Talk {
    /// A conversation of which nothing is loaded.
    pub fn new(info: v1::Conversation) -> Self {
        Self { info, ..Self::default() }
    }

    /// The lowest seq known, hidden ones included.
    pub fn lowest(&self) -> Option<u64> {
        let message = self.messages.first_key_value().map(|(seq, _)| *seq);
        let hidden = self.hidden.first_key_value().map(|(seq, _)| *seq);
        [message, hidden].into_iter().flatten().min()
    }

    /// The highest seq known, hidden ones included.
    pub fn highest(&self) -> u64 {
        let message = self.messages.last_key_value().map_or(0, |(seq, _)| *seq);
        message.max(self.hidden.last_key_value().map_or(0, |(_, to)| *to))
    }

    /// A message came over the stream. False: it does not join what is here, which was dropped for it.
    pub fn posted(&mut self, message: v1::Message, mine: bool) -> bool {
        let (seq, known) = (message.seq, self.info.last_seq);
        if seq > known {
            self.info.last_seq = seq;
            self.info.last_time = message.create_time;
            if !mine {
                self.info.unread_count = (self.info.unread_count + 1).min(UNREAD_COUNT_MAX as i32);
            }
        }
        self.outbox.retain(|outgoing| outgoing.fate != Fate::Saved(seq));
        if self.messages.contains_key(&seq) {
            return true;
        }
        let empty = self.messages.is_empty() && self.hidden.is_empty();
        let joins = seq == self.highest() + 1 || (empty && (known == 0 || !self.loaded));
        if !joins && seq > self.highest() {
            self.messages.clear();
            self.hidden.clear();
            self.complete = false;
        }
        self.messages.insert(seq, message);
        if self.messages.len() > KEPT_MAX && self.scroll == 0 {
            self.messages.pop_first();
            self.hidden.clear();
            self.complete = false;
        }
        joins
    }

    /// An own message was saved. Others may have come before it that the stream has yet to bring.
    pub fn saved(&mut self, key: u64, message: v1::Message) {
        let seq = message.seq;
        if seq <= self.highest() || seq == self.highest() + 1 && self.loaded {
            self.outbox.retain(|outgoing| outgoing.key != key);
            self.posted(message, true);
        } else if let Some(outgoing) = self.outbox.iter_mut().find(|outgoing| outgoing.key == key) {
            outgoing.fate = Fate::Saved(seq);
        }
    }

    /// A page of older messages, or the newest, came.
    pub fn page(&mut self, page: v1::ListMessagesResponse) {
        self.loading = false;
        self.loaded = true;
        self.complete = page.next_seq == 0;
        self.info.last_seq = self.info.last_seq.max(page.last_seq);
        self.messages.extend(page.messages.into_iter().map(|message| (message.seq, message)));
        self.hidden.extend(page.hidden.into_iter().map(|run| (run.from_seq, run.to_seq)));
    }

    /// Someone else's device, or one's own other device, has come further.
    pub fn receipt(&mut self, receipt: &v1::Receipt, me: &str) {
        if receipt.user == me {
            self.displayed_by_me(receipt.displayed_seq, me);
            return;
        }
        let mark = self.marks.entry(receipt.user.clone()).or_default();
        let before = *mark;
        mark.delivered = mark.delivered.max(receipt.delivered_seq).max(receipt.displayed_seq);
        mark.displayed = mark.displayed.max(receipt.displayed_seq);
        let after = *mark;
        if self.info.kind() != v1::ConversationKind::Direct {
            return;
        }
        let own = |(seq, message): (&u64, &v1::Message)| (message.sender == me).then_some(*seq);
        let news: Vec<u64> =
            self.messages.range(before.displayed.min(before.delivered) + 1..).filter_map(own).collect();
        for seq in news {
            let noted = self.noted.entry(seq).or_default();
            if seq <= after.delivered && noted.delivered.is_none() {
                noted.delivered = receipt.deliver_time.or(receipt.display_time);
            }
            if seq <= after.displayed && noted.displayed.is_none() {
                noted.displayed = receipt.display_time;
            }
        }
    }

    /// One displayed everything up to here, on some device.
    pub fn displayed_by_me(&mut self, seq: u64, me: &str) {
        if seq <= self.info.displayed_seq {
            return;
        }
        self.info.displayed_seq = seq;
        let newer = self.messages.range(seq + 1..).filter(|(_, message)| message.sender != me).count();
        if seq >= self.info.last_seq {
            self.info.unread_count = 0;
        } else if self.loaded {
            self.info.unread_count = i32::try_from(newer).unwrap_or(i32::MAX).min(UNREAD_COUNT_MAX as i32);
        }
    }

    /// What to do about scrolling up: the seq to load backward from, if older messages are missing.
    pub fn older(&self) -> Option<u64> {
        (self.loaded && !self.complete && !self.loading)
            .then(|| self.lowest().map(|lowest| lowest - 1).filter(|seq| *seq > 0))
            .flatten()
    }

    /// What this client knew before a restoration: own messages that did not survive wait to be sent again, by whoever
    /// wrote them.
    pub fn take_over(&mut self, before: Self, me: &str, next_key: &mut u64) {
        let survived = self.info.surviving_seq;
        let own = |message: &&v1::Message| message.sender == me && message.kind == v1::MessageKind::Text as u32;
        let lost = before.messages.range(survived + 1..).map(|(_, message)| message).filter(own);
        let newest: Vec<&v1::Message> = lost.rev().take(LOST_MAX).collect();
        for message in newest.into_iter().rev() {
            let (key, text, priority) = (*next_key, message.text.clone(), message.priority());
            *next_key += 1;
            self.outbox.push(Outgoing { key, text, priority, fate: Fate::Lost });
        }
        for mut outgoing in before.outbox {
            if matches!(outgoing.fate, Fate::Saved(seq) if seq > survived) {
                outgoing.fate = Fate::Lost;
            }
            self.outbox.push(outgoing);
        }
    }

    /// Own messages that did not survive.
    pub fn lost(&self) -> usize {
        self.outbox.iter().filter(|outgoing| outgoing.fate == Fate::Lost).count()
    }

    /// Others who take part.
    pub fn others(&self) -> i32 {
        (self.info.participant_count - 1).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, sender: &str) -> v1::Message {
        v1::Message { seq, sender: sender.into(), kind: 1, ..Default::default() }
    }

    fn loaded(upto: u64) -> Talk {
        let mut talk = Talk::new(v1::Conversation { kind: 1, participant_count: 2, ..Default::default() });
        let messages = (1..=upto).map(|seq| message(seq, "users/me")).collect();
        talk.page(v1::ListMessagesResponse { messages, last_seq: upto, ..Default::default() });
        talk
    }

    #[test]
    fn what_does_not_join_replaces_what_is_here_instead_of_hiding_a_gap() {
        let mut talk = loaded(3);
        assert!(talk.posted(message(4, "users/x"), false));
        assert!(talk.posted(message(4, "users/x"), false), "a repeat changes nothing");
        assert_eq!((talk.messages.len(), talk.info.unread_count), (4, 1));
        assert!(!talk.posted(message(9, "users/x"), false));
        assert_eq!(talk.messages.keys().copied().collect::<Vec<_>>(), [9]);
        assert_eq!(talk.older(), Some(8), "the rest is loaded when asked for");
    }

    #[test]
    fn an_own_message_waits_for_those_before_it() {
        let mut talk = loaded(3);
        let outgoing = |key| Outgoing { key, text: "x".into(), priority: v1::Priority::Routine, fate: Fate::Sending };
        talk.outbox = vec![outgoing(1), outgoing(2)];
        talk.saved(1, message(4, "users/me"));
        assert_eq!((talk.messages.len(), talk.outbox.len()), (4, 1));
        talk.saved(2, message(6, "users/me"));
        assert_eq!(talk.outbox[0].fate, Fate::Saved(6));
        talk.posted(message(5, "users/x"), false);
        talk.posted(message(6, "users/me"), true);
        assert_eq!((talk.highest(), talk.messages.len(), talk.outbox.len()), (6, 6, 0));
    }

    #[test]
    fn a_receipt_gives_each_message_the_time_it_first_came() {
        let mut talk = loaded(2);
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let receipt = |delivered_seq, displayed_seq, time| v1::Receipt {
            user: "users/ito".into(),
            delivered_seq,
            displayed_seq,
            deliver_time: at(time),
            display_time: at(time),
            ..Default::default()
        };
        talk.receipt(&receipt(1, 0, 10), "users/me");
        talk.receipt(&receipt(2, 1, 20), "users/me");
        assert_eq!(talk.noted[&1], Noted { delivered: at(10), displayed: at(20) });
        assert_eq!(talk.noted[&2], Noted { delivered: at(20), displayed: None });
        assert_eq!(talk.marks["users/ito"], Mark { delivered: 2, displayed: 1 });
    }

    #[test]
    fn what_was_displayed_elsewhere_is_not_unread_here() {
        let mut talk = loaded(1);
        for seq in 2..=5 {
            talk.posted(message(seq, "users/x"), false);
        }
        assert_eq!(talk.info.unread_count, 4);
        talk.displayed_by_me(3, "users/me");
        assert_eq!(talk.info.unread_count, 2);
        talk.displayed_by_me(5, "users/me");
        assert_eq!(talk.info.unread_count, 0);
    }
}
