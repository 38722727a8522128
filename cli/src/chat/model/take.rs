//! What news from the link changes.

use proto::v1;
use proto::v1::sync_response::Item;
use types::limits::TYPING_MS;

use super::Model;
use crate::chat::news::{Effect, Link, News, Overlay};
use crate::chat::talk::Talk;

/// Conversations whose new messages are fetched at the start.
const UNREAD_LOADED_MAX: usize = 50;

impl Model {
    /// Takes news from the link.
    pub fn news(&mut self, news: News) {
        match news {
            News::Bootstrapped(conversations) => self.bootstrapped(conversations),
            News::Restored(restored) => (self.restored, self.restoring) = (Some(restored), true),
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
            News::Locked => self.lock(),
            News::Unlocked => self.locked = None,
            News::StillLocked(why) => {
                if let Some(locked) = &mut self.locked {
                    (locked.asked, locked.why) = (false, crate::text::line(&why));
                }
            }
        }
    }

    fn bootstrapped(&mut self, conversations: Vec<v1::Conversation>) {
        let mut old = std::mem::take(&mut self.talks);
        let restoring = std::mem::take(&mut self.restoring);
        for info in conversations {
            let mut talk = Talk::new(info);
            let before = old.remove(&talk.info.name);
            if restoring {
                // Marks of before say nothing of the messages that have these seqs now.
                before.into_iter().for_each(|before| talk.take_over(before, &self.me, &mut self.next_key));
            } else if let Some(before) = before {
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
            Some(Item::SessionLocked(locked)) if locked.session == self.session => self.lock(),
            Some(Item::SessionUnlocked(unlocked)) if unlocked.session == self.session => self.locked = None,
            Some(Item::MessageAlert(_)) => {
                if let Some(locked) = &mut self.locked {
                    locked.urgent += 1;
                }
            }
            Some(Item::PinCleared(_)) => {
                self.notify("Your PIN was taken away. If you did not ask for that, tell the help desk now.");
            }
            Some(Item::Progress(progress)) => {
                if progress.live {
                    self.link = Link::Live;
                }
                self.single_copy = progress.single_copy;
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
            Some(Item::PasswordReset(_)) => {
                self.notify("Your password was taken away. If you did not ask for that, tell the help desk now.");
            }
            Some(Item::SessionEnded(_) | Item::SessionLocked(_) | Item::SessionUnlocked(_) | Item::Typing(_))
            | None => {}
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
}
