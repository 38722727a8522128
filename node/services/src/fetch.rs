//! The one way by which content leaves a node: every path that returns message texts goes through here.
//!
//! Access is decided here. The record of each fetch, committed before content leaves, comes in here too when fetches are
//! audited; until then a fetch leaves no record.

use std::time::Instant;

use proto::v1;
use raft::Handle;
use state::policy::{self, Action};
use types::message::Message;
use types::user::User;
use types::{ConversationId, SessionId};

use crate::errors::Error;
use crate::{Services, convert};

impl<H: Handle> Services<H> {
    /// Whether content may go to this session now: without a majority only to sessions in use on this node before.
    pub(crate) fn content_allowed(&self, session: SessionId) -> Result<(), Error> {
        let Some(age) = self.inner.handle.stale_age() else { return Ok(()) };
        let began = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        if self.inner.rates.used_before(session, began) { Ok(()) } else { Err(Error::NoMajority) }
    }
}

/// Opens a message for someone, if they may see it.
///
/// Errors: `NOT_FOUND` if they may not.
pub(crate) fn open<V: state::View<Fault = raft::Fault>>(
    view: &V,
    user: &User,
    conversation: ConversationId,
    message: &Message,
) -> Result<v1::Message, Error> {
    policy::may(view, user, Action::SeeMessage(conversation, message.seq))?.check()?;
    open_visible(conversation, message)
}

/// Opens a message that the caller has found within the spans its reader may see (`state::visible`).
pub(crate) fn open_visible(conversation: ConversationId, message: &Message) -> Result<v1::Message, Error> {
    let text = match message.header.kind {
        types::message::MessageKind::TEXT => seal::open(&message.sealed)?.text,
        _ => String::new(), // A newer kind: the client says so.
    };
    Ok(convert::message(conversation, message, text))
}
