//! Events as a stream tells them: each checked with the policy, messages opened where asked for.

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};

use proto::v1::sync_response::Item;
use proto::v1::*;
use raft::Typing as Notice;
use state::policy::{self, Action};
use state::view::{Rows, View};
use types::message::Priority;
use types::session::Receipt as StoredReceipt;
use types::user::User as StoredUser;
use types::{ConversationId, DeviceId, Event, EventBody, Lineage, Principal, Scope, Seq, SessionId, UserId};

use crate::errors::Error;
use crate::keyring::Keyring;
use crate::remembered::Remembered;
use crate::{convert, cursor, fetch, names};

/// An event on its way to all streams that it is for.
pub(crate) struct Routed {
    pub(crate) event: Event,
    /// Its message, opened by the first stream that shows it: the text is the same for all who may see it.
    opened: OnceLock<Message>,
}

impl Routed {
    pub(crate) const fn new(event: Event) -> Self {
        Self { event, opened: OnceLock::new() }
    }
}

/// To whom a stream tells, and what.
#[derive(Clone)]
pub(crate) struct Telling {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) lineage: Lineage,
    pub(crate) with_messages: bool,
    /// Its session is locked: it is told that something urgent waits, and nothing else.
    pub(crate) locked: bool,
}

/// What is to be told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) items: Vec<SyncResponse>,
    /// The stream's own session has ended: nothing comes after.
    pub(crate) over: bool,
}

impl Telling {
    /// Events that the user may see, in their order.
    pub(crate) fn tell<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        events: &[impl Borrow<Routed>],
    ) -> Result<Told, Error> {
        let (view, mut told) = (&Remembered::new(view), Told::default());
        let Some(user) = view.user(self.user)? else { return Ok(told) };
        if self.locked {
            told.items = self.alerts(view, &user, events)?;
            return Ok(told);
        }
        for routed in events {
            let event = &routed.borrow().event;
            if matches!(event.body, EventBody::SessionLocked(id) | EventBody::SessionUnlocked(id) if id == self.session)
            {
                continue; // What was so then; what is so now ends the stream.
            }
            let over = event.body == EventBody::SessionEnded(self.session);
            // That one's own session has ended may be known even where the account has ended with it.
            let own_end = over && event.scope == Scope::User(self.user);
            if own_end || policy::may(view, &user, Action::SeeEvent(event.scope, event.number))?.is_yes() {
                told.items.push(SyncResponse {
                    cursor: cursor::encode(self.lineage, event.number),
                    time: Some(convert::time(event.at)),
                    item: Some(self.item(view, &user, routed.borrow())?),
                });
            }
            if own_end {
                told.over = true;
                break;
            }
        }
        Ok(told)
    }

    /// That urgent messages wait, for each that does: neither where nor from whom, and no cursor that would lead past them.
    fn alerts<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        user: &StoredUser,
        events: &[impl Borrow<Routed>],
    ) -> Result<Vec<SyncResponse>, Error> {
        let mut items = Vec::new();
        for routed in events {
            let event = &routed.borrow().event;
            let (Scope::Conversation(id), EventBody::Posted(seq)) = (event.scope, event.body) else { continue };
            if !policy::may(view, user, Action::SeeEvent(event.scope, event.number))?.is_yes() {
                continue;
            }
            let stored = match &event.message {
                Some(message) => Some((message.header.priority, message.sender.user)),
                None => view.message(id, seq)?.map(|message| (message.header.priority, message.sender.user)),
            };
            let Some((priority, sender)) = stored else { continue };
            let displayed = view.participant(id, Principal::User(user.id))?.is_some_and(|own| own.displayed >= seq);
            if priority >= Priority::Urgent && sender != user.id && !displayed {
                let alert = MessageAlert { priority: convert::priority(priority).into() };
                let time = Some(convert::time(event.at));
                items.push(SyncResponse { cursor: Vec::new(), time, item: Some(Item::MessageAlert(alert)) });
            }
        }
        Ok(items)
    }

    /// Typing notices of conversations the user takes part in.
    pub(crate) fn typing<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        notices: &[Notice],
    ) -> Result<Vec<SyncResponse>, Error> {
        let mut items = Vec::new();
        let Some(user) = view.user(self.user)?.filter(|_| !self.locked) else { return Ok(items) };
        for notice in notices {
            if policy::may(view, &user, Action::SeeParticipants(notice.conversation))?.is_yes() {
                let conversation = names::of_conversation(notice.conversation);
                let item = Item::Typing(Typing { conversation, user: names::of_user(notice.user) });
                items.push(SyncResponse { cursor: Vec::new(), time: None, item: Some(item) });
            }
        }
        Ok(items)
    }

    fn item<V: View<Fault = raft::Fault>>(&self, view: &V, user: &StoredUser, routed: &Routed) -> Result<Item, Error> {
        let event = &routed.event;
        let conversation = match event.scope {
            Scope::Conversation(id) => names::of_conversation(id),
            Scope::User(_) => String::new(),
        };
        Ok(match (event.body, event.scope) {
            (EventBody::Posted(seq), scope) => {
                let message = match scope {
                    Scope::Conversation(id) if self.with_messages => Some(self.message(view, user, id, seq, routed)?),
                    _ => None,
                };
                Item::MessagePosted(MessagePosted { conversation, seq: seq.0, message })
            }
            (EventBody::Confirmed { principal, device, conversation, delivered, displayed }, _) => {
                let receipt = receipt(view, event, conversation, (principal, device), (delivered, displayed))?;
                let conversation = names::of_conversation(conversation);
                Item::ReceiptChanged(ReceiptChanged { conversation, receipt: Some(receipt) })
            }
            (EventBody::Added(principal), _) => {
                Item::ParticipantAdded(ParticipantAdded { conversation, user: convert::principal(principal) })
            }
            (EventBody::Removed(principal), _) => {
                Item::ParticipantRemoved(ParticipantRemoved { conversation, user: convert::principal(principal) })
            }
            (EventBody::ConversationChanged, _) => Item::ConversationChanged(ConversationChanged { conversation }),
            (EventBody::Joined(id), _) => {
                Item::ConversationJoined(ConversationJoined { conversation: names::of_conversation(id) })
            }
            (EventBody::Left(id), _) => {
                Item::ConversationLeft(ConversationLeft { conversation: names::of_conversation(id) })
            }
            (EventBody::SessionEnded(session), _) => {
                Item::SessionEnded(SessionEnded { session: names::of_session(self.user, session) })
            }
            (EventBody::SessionLocked(session), _) => {
                Item::SessionLocked(SessionLocked { session: names::of_session(self.user, session) })
            }
            (EventBody::SessionUnlocked(session), _) => {
                Item::SessionUnlocked(SessionUnlocked { session: names::of_session(self.user, session) })
            }
            (EventBody::PinCleared(by), _) => {
                Item::PinCleared(PinCleared { time: Some(convert::time(event.at)), user: names::of_user(by) })
            }
            (EventBody::UserChanged, _) => Item::SelfChanged(SelfChanged {}),
            (EventBody::PasswordReset(by), _) => {
                let time = Some(convert::time(event.at));
                Item::PasswordReset(PasswordReset { time, user: names::of_user(by) })
            }
        })
    }

    fn message<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        user: &StoredUser,
        conversation: ConversationId,
        seq: Seq,
        routed: &Routed,
    ) -> Result<Message, Error> {
        policy::may(view, user, Action::SeeMessage(conversation, seq))?.check()?;
        if let Some(opened) = routed.opened.get() {
            return Ok(opened.clone());
        }
        let opened = match &routed.event.message {
            Some(message) => fetch::open_visible(&self.keyring, view, conversation, message)?,
            None => {
                let message = view.message(conversation, seq)?.ok_or(Error::Internal("a message is missing"))?;
                fetch::open_visible(&self.keyring, view, conversation, &message)?
            }
        };
        Ok(routed.opened.get_or_init(|| opened).clone())
    }
}

/// How far a device had come, with the times of its row as far as they belong to it.
fn receipt<V: View<Fault = raft::Fault>>(
    view: &V,
    event: &Event,
    conversation: ConversationId,
    (principal, device): (Principal, DeviceId),
    (delivered, displayed): (Seq, Seq),
) -> Result<Receipt, Error> {
    let row = view.receipt(conversation, principal, device)?.unwrap_or_default();
    let time = |mark: Seq, now: Seq, at| if mark == now || mark == Seq(0) { at } else { event.at };
    let then = StoredReceipt {
        delivered,
        delivered_at: time(delivered, row.delivered, row.delivered_at),
        displayed,
        displayed_at: if displayed == Seq(0) {
            types::Timestamp(0)
        } else {
            time(displayed, row.displayed, row.displayed_at)
        },
    };
    Ok(convert::receipt(principal, device, &then))
}
