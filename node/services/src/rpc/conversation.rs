//! Conversations and who takes part.

use std::sync::Arc;

use proto::v1::conversation_service_server::ConversationService;
use proto::v1::*;
use raft::Handle;
use seal::Place;
use state::keys;
use state::policy::Action;
use state::view::{Rows, View};
use state::visible::Visible;
use tonic::{Request, Response, Status};
use types::command::{CreateConversation, UpdateConversation};
use types::conversation::{self as stored, ConversationKind, Part as StoredPart};
use types::key::KeyScope;
use types::limits::{PARTICIPANTS_PER_COMMAND_MAX, RECEIPT_EVENTS_PARTICIPANTS_MAX, RESEALS_MAX, UNREAD_COUNT_MAX};
use types::{Command, ConversationId, Key, Principal, Reject, Reply, Row, Seq, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::keyring::Keyring;
use crate::reads::Read;
use crate::sealing::SealingKey;
use crate::writes::{Done, Numbered, numbered, unexpected};
use crate::{Services, codes, convert, names, pages, restoration, sealing, validation};

/// Message rows looked at to count the unread ones of one conversation: one's own are among them.
const UNREAD_ROWS_MAX: usize = 4 * UNREAD_COUNT_MAX as usize;
/// Rows one page looks at, at most.
const PAGE_ROWS_MAX: usize = 10_000;

#[tonic::async_trait]
impl<H: Handle> ConversationService for Services<H> {
    async fn create_conversation(
        &self,
        request: Request<CreateConversationRequest>,
    ) -> Result<Response<CreateConversationResponse>, Status> {
        self.call("CreateConversation", request, |call, body| create(self, call, body)).await
    }

    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Result<Response<GetConversationResponse>, Status> {
        self.call("GetConversation", request, |call, body| get(self, call, body)).await
    }

    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Result<Response<ListConversationsResponse>, Status> {
        self.call("ListConversations", request, |call, body| list(self, call, body)).await
    }

    async fn update_conversation(
        &self,
        request: Request<UpdateConversationRequest>,
    ) -> Result<Response<UpdateConversationResponse>, Status> {
        self.call("UpdateConversation", request, |call, body| update(self, call, body)).await
    }

    async fn add_participants(
        &self,
        request: Request<AddParticipantsRequest>,
    ) -> Result<Response<AddParticipantsResponse>, Status> {
        self.call("AddParticipants", request, |call, body| add_participants(self, call, body)).await
    }

    async fn remove_participant(
        &self,
        request: Request<RemoveParticipantRequest>,
    ) -> Result<Response<RemoveParticipantResponse>, Status> {
        self.call("RemoveParticipant", request, |call, body| remove_participant(self, call, body)).await
    }

    async fn list_participants(
        &self,
        request: Request<ListParticipantsRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        self.call("ListParticipants", request, |call, body| list_participants(self, call, body)).await
    }

    async fn create_history_policy(
        &self,
        request: Request<CreateHistoryPolicyRequest>,
    ) -> Result<Response<CreateHistoryPolicyResponse>, Status> {
        self.call("CreateHistoryPolicy", request, |call, body| create_history_policy(self, call, body)).await
    }
}

async fn create<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CreateConversationRequest,
) -> Result<CreateConversationResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = CreateConversationRequest { request_id: None, ..body };
    let asked = content.conversation.as_ref().ok_or_else(|| Error::invalid("conversation", "is missing"))?;
    let kind = validation::conversation_kind("conversation.kind", asked.kind)?;
    validation::title("conversation.title", Some(kind), &asked.title)?;
    let subject = names::optional_user("conversation.subject", &asked.subject)?;
    if subject.is_some() != (kind == ConversationKind::CareTeam) {
        let what = "a care team is about one patient, and no other conversation is";
        return Err(Error::invalid("conversation.subject", what));
    }
    validation::count("participants", content.participants.len(), 0, PARTICIPANTS_PER_COMMAND_MAX)?;
    let participants = validation::participants(&content.participants, unspecified_part(kind))?;
    let others: Vec<_> =
        participants.into_iter().filter(|(principal, _)| *principal != Principal::User(call.user)).collect();
    if kind == ConversationKind::Direct && others.len() != 1 {
        return Err(Error::invalid("participants", "a direct conversation is with exactly one other user"));
    }
    let create = CreateConversation {
        id: ConversationId(codes::random_id()?),
        kind,
        title: Vec::new(),
        history: validation::policy_ref("conversation.history_policy", asked.history_policy, kind)?,
        subject,
        participants: others,
        key: None,
    };
    let done = put_titled(services, &call, id, &content, (create, &asked.title)).await?;
    let Reply::Conversation { id, created } = done.reply else { return Err(unexpected()) };
    let user = call.user;
    let keyring = &services.inner.keyring;
    let conversation = services.seen(call.deadline, |view| seen_by(keyring, view, user, id)).await?;
    let conversation = conversation?;
    Ok(CreateConversationResponse {
        conversation: Some(conversation),
        existed: !created,
        cursor: services.cursor(done.event)?,
    })
}

/// Puts a conversation with its title, which is sealed with a key of its own that comes with it.
async fn put_titled<H: Handle>(
    services: &Services<H>,
    call: &Call,
    id: Numbered,
    content: &CreateConversationRequest,
    (create, title): (CreateConversation, &str),
) -> Result<Done, Error> {
    let method = "CreateConversation";
    if title.is_empty() {
        return services.put(call, method, id, content, Command::CreateConversation(create)).await;
    }
    for _ in 0..RESEALS_MAX {
        let fresh = services.fresh_key(KeyScope::Conversation(create.id))?;
        let key = Some(Arc::clone(&fresh.key));
        let title = sealing::text(&key, &Place::Title(create.id), title)?;
        let command = CreateConversation { title, key: Some(fresh.add.clone()), ..create.clone() };
        match services.put(call, method, id, content, Command::CreateConversation(command)).await {
            // The cluster key was rotated meanwhile.
            Err(Error::Reject(Reject::UnknownKey)) => services.inner.handle.read_barrier(call.deadline).await?,
            Ok(done) => {
                if matches!(done.reply, Reply::Conversation { id, .. } if id == create.id) {
                    services.keep_fresh(&fresh);
                }
                return Ok(done);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Reject::UnknownKey.into())
}

const fn unspecified_part(kind: ConversationKind) -> StoredPart {
    match kind {
        ConversationKind::Channel => StoredPart::Reader,
        ConversationKind::Direct | ConversationKind::Group | ConversationKind::CareTeam => StoredPart::Writer,
    }
}

/// The conversation once it can be seen; an error within is not this node's fault.
fn seen_by<V: View<Fault = raft::Fault>>(
    keyring: &Keyring,
    view: &V,
    user: UserId,
    id: ConversationId,
) -> Result<Option<Result<Conversation, Error>>, raft::Fault> {
    match shown(keyring, view, user, id) {
        Ok(shown) => Ok(shown.map(Ok)),
        Err(Error::Fault(fault)) => Err(fault),
        Err(error) => Ok(Some(Err(error))),
    }
}

/// A conversation as one user sees it; none if they never took part.
///
/// Who has left sees it as of then: title, state and participants may have changed since, so they are left out.
fn shown<V: View<Fault = raft::Fault>>(
    keyring: &Keyring,
    view: &V,
    user: UserId,
    id: ConversationId,
) -> Result<Option<Conversation>, Error> {
    let Some(participant) = view.participant(id, Principal::User(user))? else { return Ok(None) };
    let Some(conversation) = view.conversation(id)? else { return Ok(None) };
    let visible = Visible::new(&conversation, &participant);
    let last_seq = visible.last_seq();
    let last_time = match last_seq {
        Seq(0) => None,
        seq if seq == conversation.last_seq => Some(conversation.last_at),
        seq => view.message(id, seq)?.map(|message| message.at),
    };
    let takes_part = participant.part.is_some();
    let peer = match conversation.kind {
        ConversationKind::Direct => peer(view, user, id)?,
        ConversationKind::Group | ConversationKind::Channel | ConversationKind::CareTeam => String::new(),
    };
    Ok(Some(Conversation {
        name: names::of_conversation(id),
        kind: convert::conversation_kind(conversation.kind).into(),
        title: if takes_part { keyring.title(view, &conversation)? } else { String::new() },
        subject: conversation.subject.map(names::of_user).unwrap_or_default(),
        creator: names::of_user(conversation.created_by),
        create_time: Some(convert::time(conversation.created)),
        history_policy: takes_part.then(|| convert::policy_ref(conversation.history)),
        closed: takes_part && !conversation.open,
        participant_count: if takes_part { i32::try_from(conversation.participants).unwrap_or(i32::MAX) } else { 0 },
        version: if takes_part { conversation.version } else { 0 },
        last_seq: last_seq.0,
        last_time: last_time.map(convert::time),
        displayed_seq: participant.displayed.0,
        unread_count: unread(view, user, id, &visible, participant.displayed)?,
        part: convert::part(participant.part).into(),
        peer,
        surviving_seq: restoration::surviving_seq(view, &conversation, last_seq)?.0,
    }))
}

fn peer<V: View<Fault = raft::Fault>>(view: &V, user: UserId, id: ConversationId) -> Result<String, Error> {
    let (from, to) = keys::participants(id);
    let others = view.scan(&from, &to, false, 3)?.into_iter().filter_map(|(key, _)| match key {
        Key::Participant(_, Principal::User(other)) if other != user => Some(other),
        _ => None,
    });
    Ok(others.map(names::of_user).next().unwrap_or_default())
}

/// Messages of others after `displayed` that the user may see, counted up to `UNREAD_COUNT_MAX`.
fn unread<V: View<Fault = raft::Fault>>(
    view: &V,
    user: UserId,
    id: ConversationId,
    visible: &Visible,
    displayed: Seq,
) -> Result<i32, Error> {
    let (mut count, mut looked) = (0_u32, 0);
    for &(from, to) in &visible.seqs {
        let mut from = from.max(displayed.next());
        // As many at a time as may still count: rows hold the messages, and few of them are one's own.
        while from <= to && count < UNREAD_COUNT_MAX && looked < UNREAD_ROWS_MAX {
            let limit = UNREAD_COUNT_MAX.saturating_sub(count) as usize;
            let rows = view.scan(&Key::Message(id, from), &Key::Message(id, to), false, limit)?;
            let Some((Key::Message(_, last), _)) = rows.last() else { break };
            from = last.next();
            looked += rows.len();
            let others = rows.iter().filter(|(_, row)| matches!(row, Row::Message(one) if one.sender.user != user));
            count = count.saturating_add(u32::try_from(others.count()).unwrap_or(u32::MAX));
        }
    }
    Ok(i32::try_from(count.min(UNREAD_COUNT_MAX)).unwrap_or(i32::MAX))
}

async fn get<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: GetConversationRequest,
) -> Result<GetConversationResponse, Error> {
    let id = names::conversation("name", &body.name)?;
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeConversation(id))?;
    let conversation = shown(&read.keyring, &read.view, call.user, id)?.ok_or(Reject::NotFound)?;
    let info = read.info;
    services.fetched_titles(&call, std::slice::from_ref(&conversation)).await?;
    Ok(GetConversationResponse { conversation: Some(conversation), info: Some(info) })
}

async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListConversationsRequest,
) -> Result<ListConversationsResponse, Error> {
    let size = pages::size(body.page_size)?;
    let after = pages::after_id("conversations", &body.page_token)?.map(ConversationId);
    let read = services.read(&call, body.read).await?;
    let work = move |read: &Read<H::View>| page(read, after, size, body.show_left);
    let ((conversations, next_page_token), info) = services.scan(read, work).await?;
    services.fetched_titles(&call, &conversations).await?;
    Ok(ListConversationsResponse { conversations, next_page_token, info: Some(info) })
}

fn page<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    mut after: Option<ConversationId>,
    size: usize,
    left: bool,
) -> Result<(Vec<Conversation>, String), Error> {
    let principal = Principal::User(read.user.id);
    let (first, to) = keys::participations(principal);
    let (mut conversations, mut looked) = (Vec::new(), 0);
    loop {
        let from = after.map_or(first.clone(), |after| Key::Participation(principal, after));
        let limit = size.saturating_add(2);
        let rows = read.view.scan(&from, &to, false, limit)?;
        let more = rows.len() == limit;
        for (key, row) in rows {
            let (Key::Participation(_, id), Row::Participation(active)) = (key, row) else { continue };
            if after == Some(id) {
                continue;
            }
            if conversations.len() == size || looked == PAGE_ROWS_MAX {
                let token = after.map(|after| pages::token("conversations", &after.0));
                return Ok((conversations, token.unwrap_or_default()));
            }
            after = Some(id);
            looked += 1;
            if (active || left) && read.may(Action::SeeConversation(id))?.is_yes() {
                conversations.extend(shown(&read.keyring, &read.view, read.user.id, id)?);
            }
        }
        if !more {
            return Ok((conversations, String::new()));
        }
    }
}

async fn update<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: UpdateConversationRequest,
) -> Result<UpdateConversationResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = UpdateConversationRequest { request_id: None, ..body };
    let asked = content.conversation.as_ref().ok_or_else(|| Error::invalid("conversation", "is missing"))?;
    let which = names::conversation("conversation.name", &asked.name)?;
    validation::count("update_paths", content.update_paths.len(), 1, 3)?;
    let mut update = UpdateConversation { id: which, version: asked.version, title: None, history: None, open: None };
    let mut title = None;
    for path in &content.update_paths {
        match path.as_str() {
            "title" => {
                validation::title("conversation.title", None, &asked.title)?;
                title = Some(asked.title.as_str());
            }
            "history_policy" => {
                let field = "conversation.history_policy";
                let at = asked.history_policy.ok_or_else(|| Error::invalid(field, "is missing"))?;
                update.history = Some(validation::policy_named(field, at)?);
            }
            "closed" => update.open = Some(!asked.closed),
            other => {
                let what = format!("{other:?} cannot be changed; any of title, history_policy, closed can");
                return Err(Error::invalid("update_paths", what));
            }
        }
    }
    let make = |key: &SealingKey| {
        let title = title.map(|title| sealing::text(key, &Place::Title(which), title)).transpose()?;
        Ok(Command::UpdateConversation(UpdateConversation { title, ..update.clone() }))
    };
    let done = if title.is_none_or(str::is_empty) {
        services.put(&call, "UpdateConversation", id, &content, make(&None)?).await?
    } else {
        let needs = (KeyScope::Conversation(which), Action::UpdateConversation(which));
        services.put_sealed(&call, ("UpdateConversation", id), &content, needs, make).await?
    };
    let Reply::Version(version) = done.reply else { return Err(unexpected()) };
    Ok(UpdateConversationResponse { version, cursor: services.cursor(done.event)? })
}

async fn add_participants<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: AddParticipantsRequest,
) -> Result<AddParticipantsResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = AddParticipantsRequest { request_id: None, ..body };
    let which = names::conversation("name", &content.name)?;
    validation::count("participants", content.participants.len(), 1, PARTICIPANTS_PER_COMMAND_MAX)?;
    let kind = kind_of(services, &call, which).await?;
    let added = validation::participants(&content.participants, unspecified_part(kind))?;
    let command = Command::AddParticipants(which, added);
    let done = services.put(&call, "AddParticipants", id, &content, command).await?;
    Ok(AddParticipantsResponse { cursor: services.cursor(done.event)? })
}

/// What a conversation is for: it says what an unspecified part means. An unknown one is left for the state to refuse,
/// and one the caller never took part in is as unknown.
async fn kind_of<H: Handle>(
    services: &Services<H>,
    call: &Call,
    id: ConversationId,
) -> Result<ConversationKind, Error> {
    let known = || {
        let view = services.inner.handle.view();
        let took_part = view.participant(id, Principal::User(call.user))?.is_some();
        Ok::<_, Error>(view.conversation(id)?.filter(|_| took_part).map(|found| found.kind))
    };
    if let Some(kind) = known()? {
        return Ok(kind);
    }
    services.inner.handle.read_barrier(call.deadline).await?; // Made on another node a moment ago, perhaps.
    Ok(known()?.unwrap_or(ConversationKind::Group))
}

async fn remove_participant<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: RemoveParticipantRequest,
) -> Result<RemoveParticipantResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = RemoveParticipantRequest { request_id: None, ..body };
    let which = names::conversation("name", &content.name)?;
    let user = names::user("user", &content.user)?;
    let command = Command::RemoveParticipant(which, Principal::User(user));
    let done = services.put(&call, "RemoveParticipant", id, &content, command).await?;
    Ok(RemoveParticipantResponse { cursor: services.cursor(done.event)? })
}

async fn list_participants<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListParticipantsRequest,
) -> Result<ListParticipantsResponse, Error> {
    let id = names::conversation("name", &body.name)?;
    let size = pages::size(body.page_size)?;
    let after = pages::after_id("participants", &body.page_token)?.map(UserId);
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeParticipants(id))?;
    let work = move |read: &Read<H::View>| page_of_participants(read, id, after, size);
    let ((participants, next_page_token), info) = services.scan(read, work).await?;
    Ok(ListParticipantsResponse { participants, next_page_token, info: Some(info) })
}

fn page_of_participants<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    id: ConversationId,
    mut after: Option<UserId>,
    size: usize,
) -> Result<(Vec<Participant>, String), Error> {
    let conversation = read.view.conversation(id)?.ok_or(Reject::NotFound)?;
    let displayed = conversation.participants <= RECEIPT_EVENTS_PARTICIPANTS_MAX;
    let (first, to) = keys::participants(id);
    let mut participants = Vec::new();
    loop {
        let from = after.map_or(first.clone(), |after| Key::Participant(id, Principal::User(after)));
        let limit = size.saturating_add(2);
        let rows = read.view.scan(&from, &to, false, limit)?;
        let more = rows.len() == limit;
        for (key, row) in rows {
            let (Key::Participant(_, Principal::User(user)), Row::Participant(row)) = (key, row) else { continue };
            if after == Some(user) {
                continue;
            }
            if participants.len() == size {
                let token = after.map(|after| pages::token("participants", &after.0));
                return Ok((participants, token.unwrap_or_default()));
            }
            after = Some(user);
            participants.extend(participant(user, &row, displayed));
        }
        if !more {
            return Ok((participants, String::new()));
        }
    }
}

fn participant(user: UserId, row: &stored::Participant, displayed: bool) -> Option<Participant> {
    row.part.map(|part| Participant {
        user: names::of_user(user),
        part: convert::part(Some(part)).into(),
        join_time: Some(convert::time(row.joined)),
        displayed_seq: if displayed { row.displayed.0 } else { 0 },
    })
}

async fn create_history_policy<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CreateHistoryPolicyRequest,
) -> Result<CreateHistoryPolicyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = CreateHistoryPolicyRequest { request_id: None, ..body };
    let at = content.r#ref.ok_or_else(|| Error::invalid("ref", "is missing"))?;
    let at = validation::policy_named("ref", at)?;
    if at.id == 1 || at.id == 2 {
        return Err(Error::invalid("ref.id", "documents 1 and 2 cannot be changed; take another number"));
    }
    let policy = convert::policy_in(content.policy)?;
    let command = Command::DefinePolicy(at, policy);
    let done = services.put(&call, "CreateHistoryPolicy", id, &content, command).await;
    let done = done.map_err(|error| error.taken("ref"))?;
    Ok(CreateHistoryPolicyResponse { cursor: services.cursor(done.event)? })
}
