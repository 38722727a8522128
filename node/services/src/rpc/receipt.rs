//! How far devices have come.

use std::collections::BTreeSet;

use proto::v1::*;
use raft::Handle;
use state::policy::Action;
use state::view::{Rows, View};
use types::command::Confirmation as Confirm;
use types::conversation::Participant as StoredParticipant;
use types::limits::RECEIPT_EVENTS_PARTICIPANTS_MAX;
use types::session::Receipt as StoredReceipt;
use types::{ConversationId, DeviceId, Key, Principal, Reject, RoleId, Row, Seq, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::reads::Read;
use crate::{Services, convert, names, pages, validation};

/// Confirmations in one call, at most.
const CONFIRMATIONS_PER_CALL_MAX: usize = 500;
/// Rows read at a time.
const CHUNK: usize = 1_000;

/// Takes confirmations in, to be folded with others.
pub(crate) async fn confirm<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ConfirmMessagesRequest,
) -> Result<ConfirmMessagesResponse, Error> {
    validation::count("confirmations", body.confirmations.len(), 1, CONFIRMATIONS_PER_CALL_MAX)?;
    let mut parsed = Vec::with_capacity(body.confirmations.len());
    for (at, confirmation) in body.confirmations.iter().enumerate() {
        let field = format!("confirmations[{at}]");
        let conversation = names::conversation(&format!("{field}.conversation"), &confirmation.conversation)?;
        if confirmation.delivered_seq == 0 && confirmation.displayed_seq == 0 {
            return Err(Error::invalid(field, "says nothing: delivered_seq or displayed_seq is 1 or more"));
        }
        // What was displayed was delivered.
        let delivered = Seq(confirmation.delivered_seq.max(confirmation.displayed_seq));
        let displayed = Seq(confirmation.displayed_seq);
        parsed.push(Confirm { session: call.session, conversation, delivered, displayed });
    }
    let read = services.read(&call, None).await?;
    for confirmation in &parsed {
        read.check(Action::Confirm(confirmation.conversation))?; // How far there is to confirm, the state decides.
    }
    services.inner.confirmations.add(&parsed)?;
    Ok(ConfirmMessagesResponse {})
}

/// Lists how far devices have come.
pub(crate) async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListReceiptsRequest,
) -> Result<ListReceiptsResponse, Error> {
    let (conversation, seq) = parent(&body.parent)?;
    let size = pages::size(body.page_size)?;
    let after = after(&body.page_token)?;
    let read = services.read(&call, body.read).await?;
    let work = move |read: &Read<H::View>| match seq {
        Some(seq) => of_message(read, conversation, seq, after, size),
        None => of_conversation(read, conversation, after, size),
    };
    let (mut answer, info) = services.scan(read, work).await?;
    answer.info = Some(info);
    Ok(answer)
}

fn parent(parent: &str) -> Result<(ConversationId, Option<Seq>), Error> {
    if parent.contains("/messages/") {
        return names::message("parent", parent).map(|(conversation, seq)| (conversation, Some(seq)));
    }
    names::conversation("parent", parent).map(|conversation| (conversation, None))
}

/// Where a page ended: a user and a device.
type After = Option<(UserId, DeviceId)>;

fn after(token: &str) -> Result<After, Error> {
    let Some(bytes) = pages::after("receipts", token)? else { return Ok(None) };
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| Error::invalid("page_token", "is not a token that this list gave"))?;
    let (mut user, mut device) = ([0; 16], [0; 16]);
    user.copy_from_slice(&bytes[..16]);
    device.copy_from_slice(&bytes[16..]);
    Ok(Some((UserId(user), DeviceId(device))))
}

fn token((user, device): (UserId, DeviceId)) -> String {
    pages::token("receipts", &[user.0, device.0].concat())
}

fn of_conversation<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    id: ConversationId,
    after: After,
    size: usize,
) -> Result<ListReceiptsResponse, Error> {
    read.check(Action::SeeParticipants(id))?;
    let conversation = read.view.conversation(id)?.ok_or(Reject::NotFound)?;
    if conversation.participants > RECEIPT_EVENTS_PARTICIPANTS_MAX {
        let what = format!(
            "the conversation has more than {RECEIPT_EVENTS_PARTICIPANTS_MAX} participants: name one of your own messages"
        );
        return Err(Error::invalid("parent", what));
    }
    let mut page = Page::new(after, size);
    page.walk(&read.view, id, |participant, _| participant.part.is_some())?;
    Ok(page.answer)
}

fn of_message<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    id: ConversationId,
    seq: Seq,
    after: After,
    size: usize,
) -> Result<ListReceiptsResponse, Error> {
    read.check(Action::SeeReceipts(id, seq))?;
    let message = read.view.message(id, seq)?.ok_or(Reject::NotFound)?;
    if message.sender.user != read.user.id {
        return Err(Reject::NotPermitted.into());
    }
    let first_page = after.is_none();
    let mut page = Page::new(after, size);
    page.counting = first_page.then(Counts::default);
    // Receipts are cumulative: who joined later has not got this message, whatever their mark says.
    page.walk(&read.view, id, |participant, receipt| participant.sees(seq) && receipt.delivered >= seq)?;
    if let Some(counts) = &page.counting {
        let others = |users: &BTreeSet<UserId>| {
            i32::try_from(users.iter().filter(|user| **user != read.user.id).count()).unwrap_or(i32::MAX)
        };
        page.answer.delivered_count = others(&counts.delivered);
        page.answer.displayed_count = others(&counts.displayed_from(seq));
    }
    Ok(page.answer)
}

#[derive(Default)]
struct Counts {
    delivered: BTreeSet<UserId>,
    displayed: Vec<(UserId, Seq)>,
}

impl Counts {
    fn displayed_from(&self, seq: Seq) -> BTreeSet<UserId> {
        self.displayed.iter().filter(|(_, displayed)| *displayed >= seq).map(|(user, _)| *user).collect()
    }
}

/// A page of receipts in the making.
struct Page {
    after: After,
    size: usize,
    counting: Option<Counts>,
    answer: ListReceiptsResponse,
}

impl Page {
    fn new(after: After, size: usize) -> Self {
        Self { after, size, counting: None, answer: ListReceiptsResponse::default() }
    }

    /// Goes through the conversation's receipts: a page of those that fit, and all of them while counting.
    fn walk<V: View<Fault = raft::Fault>>(
        &mut self,
        view: &V,
        id: ConversationId,
        fits: impl Fn(&StoredParticipant, &StoredReceipt) -> bool,
    ) -> Result<(), Error> {
        let mut at = self.after;
        let last = Key::Receipt(id, Principal::Role(RoleId([u8::MAX; 16])), DeviceId([u8::MAX; 16]));
        loop {
            let (user, device) = at.unwrap_or_default();
            let rows = view.scan(&Key::Receipt(id, Principal::User(user), device), &last, false, CHUNK)?;
            let more = rows.len() == CHUNK;
            let mut participant: Option<(UserId, Option<StoredParticipant>)> = None;
            for (key, row) in rows {
                let (Key::Receipt(_, principal @ Principal::User(user), device), Row::Receipt(receipt)) = (key, row)
                else {
                    continue;
                };
                if at == Some((user, device)) {
                    continue;
                }
                at = Some((user, device));
                if participant.as_ref().is_none_or(|(of, _)| *of != user) {
                    participant = Some((user, view.participant(id, principal)?));
                }
                let known = participant.as_ref().and_then(|(_, row)| row.as_ref());
                if !known.is_some_and(|known| fits(known, &receipt)) {
                    continue;
                }
                if self.take(user, device, principal, &receipt) {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Takes a receipt in; says whether nothing more is wanted.
    fn take(&mut self, user: UserId, device: DeviceId, of: Principal, receipt: &StoredReceipt) -> bool {
        if let Some(counts) = &mut self.counting {
            counts.delivered.insert(user);
            counts.displayed.push((user, receipt.displayed));
        }
        if self.answer.receipts.len() < self.size {
            self.answer.receipts.push(convert::receipt(of, device, receipt));
            self.after = Some((user, device));
            return false;
        }
        if self.answer.next_page_token.is_empty() {
            self.answer.next_page_token = self.after.map(token).unwrap_or_default();
        }
        self.counting.is_none()
    }
}
