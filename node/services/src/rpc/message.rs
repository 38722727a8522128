//! Messages: sending one, and reading them.

use prost::Message as _;
use proto::v1::message_service_server::MessageService;
use proto::v1::*;
use raft::Handle;
use seal::Place;
use state::policy::Action;
use state::view::{Rows, View};
use state::visible::Visible;
use tonic::{Request, Response, Status, Streaming};
use types::command::Post;
use types::key::KeyScope;
use types::limits::PAGE_BYTES_MAX;
use types::message::{Header, MessageKind as StoredKind};
use types::{Command, ConversationId, Key, Principal, Reject, Reply, Row, Seq, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::keyring::Keyring;
use crate::reads::Read;
use crate::rpc::{message_stream, receipt};
use crate::sealing::SealingKey;
use crate::writes::{Done, Numbered, numbered, unexpected};
use crate::{Services, convert, fetch, names, pages, sealing, validation};

#[tonic::async_trait]
impl<H: Handle> MessageService for Services<H> {
    type StreamMessagesStream = message_stream::Answers;

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        self.call("SendMessage", request, |call, body| send(self, call, body)).await
    }

    async fn stream_messages(
        &self,
        request: Request<Streaming<StreamMessagesRequest>>,
    ) -> Result<Response<Self::StreamMessagesStream>, Status> {
        message_stream::open(self, request).await
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        self.call("ListMessages", request, |call, body| list(self, call, body)).await
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Result<Response<GetMessageResponse>, Status> {
        self.call("GetMessage", request, |call, body| get(self, call, body)).await
    }

    async fn confirm_messages(
        &self,
        request: Request<ConfirmMessagesRequest>,
    ) -> Result<Response<ConfirmMessagesResponse>, Status> {
        self.call("ConfirmMessages", request, |call, body| receipt::confirm(self, call, body)).await
    }

    async fn list_receipts(
        &self,
        request: Request<ListReceiptsRequest>,
    ) -> Result<Response<ListReceiptsResponse>, Status> {
        self.call("ListReceipts", request, |call, body| receipt::list(self, call, body)).await
    }
}

async fn send<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SendMessageRequest,
) -> Result<SendMessageResponse, Error> {
    let result = async {
        let id = numbered(body.request_id)?;
        let outgoing = body.message.ok_or_else(|| Error::invalid("message", "is missing"))?;
        let draft = draft(&outgoing)?;
        let (scope, action) = draft.sealing();
        let key = services.sealing_key(&call, scope, action).await?;
        send_with(services, &call, id, (&outgoing, draft), key).await
    };
    let result = result.await;
    services.inner.metrics.sent(result.is_ok());
    result
}

/// A message to send, checked and not sealed yet.
#[derive(Clone)]
pub(crate) struct Draft<'a> {
    conversation: ConversationId,
    location: Option<UserId>,
    header: Header,
    text: &'a str,
}

impl Draft<'_> {
    /// The key it needs, and what one must be permitted for it to be minted.
    pub(crate) const fn sealing(&self) -> (KeyScope, Action) {
        (KeyScope::Conversation(self.conversation), Action::Post(self.conversation))
    }
}

/// Puts a message, sealed with this key to begin with.
pub(crate) async fn send_with<H: Handle>(
    services: &Services<H>,
    call: &Call,
    id: Numbered,
    (outgoing, draft): (&OutgoingMessage, Draft<'_>),
    key: SealingKey,
) -> Result<SendMessageResponse, Error> {
    let place = Place::Message(draft.conversation, draft.header.kind, call.user);
    let make = |key: &SealingKey| {
        let sealed = sealing::message(key, &place, draft.text)?;
        let Draft { conversation, location, header, .. } = draft.clone();
        Ok(Command::Post(Post { conversation, location, header, sealed }))
    };
    // The same name over a stream: a message tried over one may be tried again over the other.
    let done = services.put_sealed_with(key, call, ("SendMessage", id), outgoing, draft.sealing(), make).await?;
    sent(services, draft.conversation, &done)
}

/// Checks a message to send.
pub(crate) fn draft(outgoing: &OutgoingMessage) -> Result<Draft<'_>, Error> {
    let conversation = names::conversation("message.conversation", &outgoing.conversation)?;
    let text = validation::message_text("message.text", &outgoing.text)?;
    let expires_at = outgoing.expire_time.map(|at| convert::time_in("message.expire_time", at)).transpose()?;
    let header = Header {
        kind: StoredKind::TEXT,
        priority: validation::priority("message.priority", outgoing.priority)?,
        reply_to: Some(Seq(outgoing.reply_to)).filter(|seq| seq.0 > 0),
        supersedes: Some(Seq(outgoing.supersedes)).filter(|seq| seq.0 > 0),
        expires_at,
        mentions: validation::mentions("message.mentions", &outgoing.mentions)?,
    };
    let location = names::optional_user("message.location", &outgoing.location)?;
    Ok(Draft { conversation, location, header, text })
}

/// What a sender is told.
fn sent<H: Handle>(
    services: &Services<H>,
    conversation: ConversationId,
    done: &Done,
) -> Result<SendMessageResponse, Error> {
    let Reply::Posted { seq, at } = done.reply else { return Err(unexpected()) };
    Ok(SendMessageResponse {
        name: names::of_message(conversation, seq),
        seq: seq.0,
        create_time: Some(convert::time(at)),
        cursor: services.cursor(done.event)?,
    })
}

async fn get<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: GetMessageRequest,
) -> Result<GetMessageResponse, Error> {
    let (conversation, seq) = names::message("name", &body.name)?;
    services.content_allowed(call.session)?;
    let again = fetch::again(body.read.as_ref());
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeMessage(conversation, seq))?;
    services.fetched(&call, vec![(conversation, seq, seq)]).await?;
    // Looked at anew, for the record is applied here now: this read shows all that was acknowledged before it.
    let read = services.read(&call, Some(again)).await?;
    read.check(Action::SeeMessage(conversation, seq))?;
    let message = read.view.message(conversation, seq)?.ok_or(Reject::NotFound)?;
    let message = fetch::open(&read.keyring, &read.view, &read.user, conversation, &message)?;
    Ok(GetMessageResponse { message: Some(message), info: Some(read.info) })
}

async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListMessagesRequest,
) -> Result<ListMessagesResponse, Error> {
    let conversation = names::conversation("parent", &body.parent)?;
    let size = pages::size(body.page_size)?;
    let direction = Direction::try_from(body.direction).map_err(|_| convert::unknown("direction", body.direction))?;
    services.content_allowed(call.session)?;
    let again = fetch::again(body.read.as_ref());
    let mut read = services.read(&call, body.read).await?;
    let start = Seq(body.start_seq);
    let work = move |read: &Read<H::View>| match direction {
        Direction::Unspecified | Direction::Forward => List::of(read, conversation, size)?.forward(start),
        Direction::Backward => List::of(read, conversation, size)?.backward(start),
    };
    let mut recorded: Option<(Seq, Seq)> = None;
    loop {
        read.check(Action::SeeConversation(conversation))?;
        let basis = fetch::Basis::of(&read, conversation)?;
        let (mut answer, info) = services.scan(read, work).await?;
        answer.info = Some(info);
        let range = fetch::range(&answer.messages);
        let covered = match (range, recorded) {
            (Some((first, last)), Some((from, to))) => from <= first && last <= to,
            (range, _) => range.is_none(),
        };
        if covered {
            return Ok(answer);
        }
        let (first, last) = range.unwrap_or_default();
        services.fetched(&call, vec![(conversation, first, last)]).await?;
        if recorded.is_some() {
            return Ok(answer); // What it shows was read after a commit that came after the call began.
        }
        recorded = range;
        // The record is applied here now, and with it all that was acknowledged before. Mostly that changes nothing.
        read = services.read(&call, Some(again.clone())).await?;
        if fetch::Basis::of(&read, conversation)? == basis {
            answer.info = Some(read.info);
            return Ok(answer);
        }
    }
}

/// A page of messages in the making.
struct List<'a, V> {
    keyring: &'a Keyring,
    view: &'a V,
    conversation: ConversationId,
    visible: Visible,
    /// The newest seq this reader may know of.
    last: Seq,
    size: usize,
    bytes: usize,
    answer: ListMessagesResponse,
}

impl<'a, V: View<Fault = raft::Fault>> List<'a, V> {
    fn of(read: &'a Read<V>, id: ConversationId, size: usize) -> Result<Self, Error> {
        let conversation = read.view.conversation(id)?.ok_or(Reject::NotFound)?;
        let participant = read.view.participant(id, Principal::User(read.user.id))?.ok_or(Reject::NotFound)?;
        let visible = Visible::new(&conversation, &participant);
        // Who has left is not told how it went on.
        let last = if participant.part.is_some() { conversation.last_seq } else { visible.last_seq() };
        let answer = ListMessagesResponse { last_seq: last.0, ..ListMessagesResponse::default() };
        Ok(Self { keyring: &read.keyring, view: &read.view, conversation: id, visible, last, size, bytes: 0, answer })
    }

    fn forward(mut self, start: Seq) -> Result<ListMessagesResponse, Error> {
        for span in self.visible.spans(start.max(Seq(1)), self.last) {
            if self.full() {
                self.answer.next_seq = span.from.0;
                return Ok(self.answer);
            }
            if !span.visible {
                self.hide(span.from, span.to);
                continue;
            }
            let mut next = span.from;
            while next <= span.to {
                if self.full() {
                    self.answer.next_seq = next.0;
                    return Ok(self.answer);
                }
                let count = self.take(next, span.to, false)?;
                next = Seq(next.0.saturating_add(count));
            }
        }
        Ok(self.answer)
    }

    fn backward(mut self, start: Seq) -> Result<ListMessagesResponse, Error> {
        let start = if start == Seq(0) { self.last } else { start.min(self.last) };
        for span in self.visible.spans(Seq(1), start).into_iter().rev() {
            if self.full() {
                self.answer.next_seq = span.to.0;
                return Ok(self.answer);
            }
            if !span.visible {
                self.hide(span.from, span.to);
                continue;
            }
            let mut next = span.to;
            while next >= span.from {
                if self.full() {
                    self.answer.next_seq = next.0;
                    return Ok(self.answer);
                }
                let count = self.take(span.from, next, true)?;
                next = Seq(next.0.saturating_sub(count));
                if next == Seq(0) {
                    break;
                }
            }
        }
        Ok(self.answer)
    }

    fn full(&self) -> bool {
        self.answer.messages.len() >= self.size || self.bytes >= PAGE_BYTES_MAX
    }

    fn hide(&mut self, from: Seq, to: Seq) {
        let reason = HiddenReason::NotVisible.into();
        self.answer.hidden.push(HiddenRange { from_seq: from.0, to_seq: to.0, reason });
    }

    /// Takes messages of a visible run until the page is full; says how many. A missing one is an error, never a hole.
    fn take(&mut self, from: Seq, to: Seq, reverse: bool) -> Result<u64, Error> {
        /// Rows read at a time: with the largest texts still about the bytes of one page.
        const CHUNK: usize = 64;
        let limit = CHUNK.min(self.size.saturating_sub(self.answer.messages.len()));
        let keys = (Key::Message(self.conversation, from), Key::Message(self.conversation, to));
        let mut count = 0;
        for (_, row) in self.view.scan(&keys.0, &keys.1, reverse, limit)? {
            let Row::Message(message) = row else { continue };
            let expected = if reverse { to.0.saturating_sub(count) } else { from.0.saturating_add(count) };
            if message.seq.0 != expected {
                return Err(Error::Internal("a message is missing"));
            }
            let message = fetch::open_visible(self.keyring, self.view, self.conversation, &message)?;
            self.bytes = self.bytes.saturating_add(message.encoded_len());
            self.answer.messages.push(message);
            count += 1;
            if self.full() {
                break;
            }
        }
        if count == 0 { Err(Error::Internal("a message is missing")) } else { Ok(count) }
    }
}
