//! The one way by which content leaves a node: every path that returns texts of messages, titles, status texts or patients'
//! names goes through here.
//!
//! Access is decided here, and the record of each fetch is made here: it is committed, and applied on this node, before
//! content leaves. What a stream brings as it happens is covered by the record of the stream's opening.

use std::collections::HashMap;
use std::time::Instant;

use futures::future::try_join_all;
use proto::v1::{self, ReadOptions};
use raft::Handle;
use state::Rows;
use state::policy::{self, Action};
use types::conversation::{Conversation, Participant};
use types::limits::{OBSERVATIONS_MAX, OBSERVED_ENTITIES_MAX};
use types::message::Message;
use types::record::{Action as Fetched, Entity};
use types::user::User;
use types::{ConversationId, Principal, Seq, SessionId};

use crate::audit::observe::seen;
use crate::call::Call;
use crate::errors::Error;
use crate::keyring::Keyring;
use crate::reads::Read;
use crate::{Services, convert, names};

impl<H: Handle> Services<H> {
    /// Whether content may go to this session now: without a majority only to sessions in use on this node before.
    pub(crate) fn content_allowed(&self, session: SessionId) -> Result<(), Error> {
        let Some(age) = self.inner.handle.stale_age() else { return Ok(()) };
        let began = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        if self.inner.rates.used_before(session, began) { Ok(()) } else { Err(Error::NoMajority) }
    }
}

impl<H: Handle> Services<H> {
    /// Records that messages are about to be shown in a session: runs of conversations. See [`Services::observe`].
    pub(crate) async fn fetched(&self, call: &Call, runs: Vec<Run>) -> Result<(), Error> {
        let seen = |&(id, first, last): &Run| {
            seen(call.session, Fetched::FetchMessages, vec![Entity::Messages(id, first, last)])
        };
        // One command takes so many; they go one beside the other, and what is shown waits for all of them.
        let parts = runs.chunks(RUNS_AT_ONCE);
        let recorded = parts.map(|some| self.observe(some.iter().map(seen).collect(), call.deadline));
        try_join_all(recorded).await.map(drop)
    }

    /// Records that titles are about to be shown in a session.
    pub(crate) async fn fetched_titles(&self, call: &Call, shown: &[v1::Conversation]) -> Result<(), Error> {
        let titled = shown.iter().filter(|one| !one.title.is_empty());
        let ids = titled.filter_map(|one| names::conversation("name", &one.name).ok());
        self.fetched_of(call, Fetched::FetchTitles, ids.map(Entity::Conversation).collect()).await
    }

    /// Records that names of patients are about to be shown in a session; one's own is none.
    pub(crate) async fn fetched_names(&self, call: &Call, shown: &[v1::User]) -> Result<(), Error> {
        let named = shown.iter().filter(|one| one.kind() == v1::UserKind::Patient && !one.display_name.is_empty());
        let ids = named.filter_map(|one| names::user("name", &one.name).ok()).filter(|id| *id != call.user);
        self.fetched_of(call, Fetched::FetchNames, ids.map(Entity::User).collect()).await
    }

    /// Records that status texts are about to be shown in a session; one's own is none.
    pub(crate) async fn fetched_statuses(&self, call: &Call, shown: &[v1::Presence]) -> Result<(), Error> {
        let said = shown.iter().filter(|one| !one.text.is_empty());
        let ids = said.filter_map(|one| names::user("user", &one.user).ok()).filter(|id| *id != call.user);
        self.fetched_of(call, Fetched::FetchStatuses, ids.map(Entity::User).collect()).await
    }

    /// As few records as it takes; where nothing was shown that is sealed, none.
    async fn fetched_of(&self, call: &Call, action: Fetched, entities: Vec<Entity>) -> Result<(), Error> {
        let some = entities.chunks(OBSERVED_ENTITIES_MAX).map(|some| seen(call.session, action, some.to_vec()));
        self.observe(some.collect(), call.deadline).await
    }
}

/// Runs put to the audit log at a time.
const RUNS_AT_ONCE: usize = OBSERVATIONS_MAX / 2;

/// A run of messages of one conversation: first and last.
pub(crate) type Run = (ConversationId, Seq, Seq);

/// How fresh a read has to be once its record is applied here: as fresh as this node is now.
pub(crate) fn again(options: Option<&ReadOptions>) -> ReadOptions {
    let allow_stale = options.is_some_and(|options| options.allow_stale);
    ReadOptions { allow_stale, ..ReadOptions::default() }
}

/// What a page of messages follows from.
#[derive(PartialEq, Eq)]
pub(crate) struct Basis(Option<Conversation>, Option<Participant>);

impl Basis {
    /// That of a reader at one moment.
    pub(crate) fn of<V: state::View<Fault = raft::Fault>>(read: &Read<V>, id: ConversationId) -> Result<Self, Error> {
        let participant = read.view.participant(id, Principal::User(read.user.id))?;
        Ok(Self(read.view.conversation(id)?, participant))
    }
}

/// The lowest and the highest seq of a page.
pub(crate) fn range(messages: &[v1::Message]) -> Option<(Seq, Seq)> {
    let (first, last) = (messages.first()?.seq, messages.last()?.seq);
    Some((Seq(first.min(last)), Seq(first.max(last))))
}

/// The runs of messages that items of a stream show.
pub(crate) fn runs(items: &[v1::SyncResponse]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut newest: HashMap<ConversationId, usize> = HashMap::new(); // Of each conversation, its last run so far.
    for item in items {
        let Some(v1::sync_response::Item::MessagePosted(posted)) = &item.item else { continue };
        let Some(message) = &posted.message else { continue };
        let Ok((id, seq)) = names::message("name", &message.name) else { continue };
        match newest.get(&id).and_then(|&at| runs.get_mut(at)) {
            Some((_, _, last)) if last.next() == seq => *last = seq,
            _ => {
                newest.insert(id, runs.len());
                runs.push((id, seq, seq));
            }
        }
    }
    runs
}

/// Opens a message for someone, if they may see it.
///
/// Errors: `NOT_FOUND` if they may not.
pub(crate) fn open<V: state::View<Fault = raft::Fault>>(
    keyring: &Keyring,
    view: &V,
    user: &User,
    conversation: ConversationId,
    message: &Message,
) -> Result<v1::Message, Error> {
    policy::may(view, user, Action::SeeMessage(conversation, message.seq))?.check()?;
    open_visible(keyring, view, conversation, message)
}

/// Opens a message that the caller has found within the spans its reader may see (`state::visible`).
pub(crate) fn open_visible<V: state::View<Fault = raft::Fault>>(
    keyring: &Keyring,
    view: &V,
    conversation: ConversationId,
    message: &Message,
) -> Result<v1::Message, Error> {
    let text = match message.header.kind {
        types::message::MessageKind::TEXT => keyring.message(view, conversation, message)?,
        _ => String::new(), // A newer kind: the client says so.
    };
    Ok(convert::message(conversation, message, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(items: &[(u8, u64)]) -> Vec<v1::SyncResponse> {
        let posted = items.iter().map(|&(id, seq)| {
            let name = names::of_message(ConversationId([id; 16]), Seq(seq));
            let message = Some(v1::Message { name, ..v1::Message::default() });
            v1::sync_response::Item::MessagePosted(v1::MessagePosted { message, ..v1::MessagePosted::default() })
        });
        let other = v1::sync_response::Item::Progress(v1::Progress::default());
        posted.chain([other]).map(|item| v1::SyncResponse { item: Some(item), ..v1::SyncResponse::default() }).collect()
    }

    #[test]
    fn messages_that_follow_each_other_are_one_run_whatever_came_between() {
        let items = shown(&[(1, 4), (2, 9), (1, 5), (1, 6), (2, 11), (2, 12), (3, 1), (1, 7)]);
        let run = |id, first, last| (ConversationId([id; 16]), Seq(first), Seq(last));
        assert_eq!(runs(&items), [run(1, 4, 7), run(2, 9, 9), run(2, 11, 12), run(3, 1, 1)]);
        assert!(runs(&shown(&[])).is_empty());
    }
}
