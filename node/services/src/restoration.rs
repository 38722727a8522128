//! What survived when the history was begun anew, for clients that know the one before.

use proto::v1::{LineageChanged, SurvivingConversation};
use raft::Handle;
use state::keys;
use state::view::{Rows, View};
use state::visible::Visible;
use types::conversation::Conversation;
use types::limits::LINEAGE_CONVERSATIONS_MAX;
use types::{EventNumber, Key, Principal, Seq, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::{Services, convert, cursor, names};

impl<H: Handle> Services<H> {
    /// The event of a client's cursor; none if it is empty.
    ///
    /// Errors: `CURSOR_INVALID`; `LINEAGE_CHANGED` with what survived of one's conversations.
    pub(crate) async fn position(&self, call: &Call, bytes: &[u8]) -> Result<Option<EventNumber>, Error> {
        match cursor::decode(self.cluster()?.lineage, bytes) {
            Err(Error::LineageChanged(_)) => {}
            decoded => return decoded,
        }
        let (view, user) = (self.inner.handle.view(), (!call.locked).then_some(call.user));
        let survived = raft::blocking::run(move || survived(&view, user));
        let survived = survived.await.map_err(|_| Error::Internal("a read was not finished"))??;
        Err(Error::LineageChanged(survived.map(Box::new)))
    }
}

/// What is told of the last restoration, if there was one. In a locked session, nothing of conversations.
fn survived<V: View<Fault = raft::Fault>>(view: &V, user: Option<UserId>) -> Result<Option<LineageChanged>, Error> {
    let Some(refounding) = view.refounding()? else { return Ok(None) };
    let mut told = LineageChanged {
        survived_time: Some(convert::time(refounding.last)),
        restore_time: Some(convert::time(refounding.at)),
        ..LineageChanged::default()
    };
    let Some(user) = user else { return Ok(Some(told)) };
    let principal = Principal::User(user);
    let (from, to) = keys::participations(principal);
    let rows = view.scan(&from, &to, false, LINEAGE_CONVERSATIONS_MAX + 1)?;
    told.truncated = rows.len() > LINEAGE_CONVERSATIONS_MAX;
    for (key, _) in rows.into_iter().take(LINEAGE_CONVERSATIONS_MAX) {
        let Key::Participation(_, id) = key else { continue };
        let (Some(conversation), Some(part)) = (view.conversation(id)?, view.participant(id, principal)?) else {
            continue;
        };
        let visible = Visible::new(&conversation, &part).last_seq();
        let last_seq = surviving_seq(view, &conversation, visible)?.0;
        told.conversations.push(SurvivingConversation { conversation: names::of_conversation(id), last_seq });
    }
    Ok(Some(told))
}

/// The last message that survived the last restoration, at most `to`; 0: none, or there was no restoration.
///
/// Cluster time never runs backwards, and a history that is begun anew begins later than all that survived: so the times
/// of messages tell, and bisection finds the last.
pub(crate) fn surviving_seq<V: View<Fault = raft::Fault>>(
    view: &V,
    conversation: &Conversation,
    to: Seq,
) -> Result<Seq, raft::Fault> {
    let Some(refounding) = view.refounding()? else { return Ok(Seq(0)) };
    if conversation.created > refounding.last {
        return Ok(Seq(0));
    }
    if conversation.last_at <= refounding.last {
        return Ok(to);
    }
    let (mut survived, mut end) = (0, to.0);
    while survived < end {
        let middle = survived + (end - survived).div_ceil(2);
        if view.message(conversation.id, Seq(middle))?.is_none_or(|message| message.at <= refounding.last) {
            survived = middle;
        } else {
            end = middle - 1;
        }
    }
    Ok(Seq(survived))
}
