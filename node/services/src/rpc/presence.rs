//! Who can be reached, and who is typing.

use std::time::Instant;

use proto::v1::presence_service_server::PresenceService;
use proto::v1::*;
use raft::{Handle, Typing as Notice};
use seal::Place;
use state::policy::Action;
use state::view::{Rows, View};
use tonic::{Request, Response, Status};
use types::command::SetStatus;
use types::key::KeyScope;
use types::limits::PRESENCE_WATCH_MAX;
use types::presence::Connection;
use types::{Command, Reply, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::reads::Read;
use crate::sealing::SealingKey;
use crate::writes::{numbered, unexpected};
use crate::{Services, convert, names, sealing, validation};

#[tonic::async_trait]
impl<H: Handle> PresenceService for Services<H> {
    async fn set_presence(
        &self,
        request: Request<SetPresenceRequest>,
    ) -> Result<Response<SetPresenceResponse>, Status> {
        self.call("SetPresence", request, |call, body| set(self, call, body)).await
    }

    async fn batch_get_presence(
        &self,
        request: Request<BatchGetPresenceRequest>,
    ) -> Result<Response<BatchGetPresenceResponse>, Status> {
        self.call("BatchGetPresence", request, |call, body| batch_get(self, call, body)).await
    }

    async fn report_activity(
        &self,
        request: Request<ReportActivityRequest>,
    ) -> Result<Response<ReportActivityResponse>, Status> {
        self.call("ReportActivity", request, |call, body| report_activity(self, call, body)).await
    }

    async fn send_typing(&self, request: Request<SendTypingRequest>) -> Result<Response<SendTypingResponse>, Status> {
        self.call("SendTyping", request, |call, body| send_typing(self, call, body)).await
    }
}

async fn set<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SetPresenceRequest,
) -> Result<SetPresenceResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = SetPresenceRequest { request_id: None, ..body };
    let availability = convert::availability_in("state", content.state)?;
    validation::status_text("text", &content.text)?;
    let expires = content.expire_time.map(|at| convert::time_in("expire_time", at)).transpose()?;
    let place = Place::Status(call.user);
    let make = |key: &SealingKey| {
        let text = sealing::text(key, &place, &content.text)?;
        Ok(Command::SetStatus(SetStatus { availability, text, expires }))
    };
    let done = if content.text.is_empty() {
        services.put(&call, "SetPresence", id, &content, make(&None)?).await?
    } else {
        let needs = (KeyScope::User(call.user), Action::SetStatus);
        services.put_sealed(&call, ("SetPresence", id), &content, needs, make).await?
    };
    let Reply::Done = done.reply else { return Err(unexpected()) };
    Ok(SetPresenceResponse { cursor: services.cursor(done.event)? })
}

async fn batch_get<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: BatchGetPresenceRequest,
) -> Result<BatchGetPresenceResponse, Error> {
    validation::count("users", body.users.len(), 1, PRESENCE_WATCH_MAX)?;
    let users = body.users.iter().enumerate().map(|(at, name)| names::user(&format!("users[{at}]"), name));
    let users: Vec<UserId> = users.collect::<Result<_, _>>()?;
    let read = services.read(&call, body.read).await?;
    let (presences, info) = services.scan(read, move |read| all(read, &users)).await?;
    services.fetched_statuses(&call, &presences).await?;
    Ok(BatchGetPresenceResponse { presences, info: Some(info) })
}

/// The presence of those one may see, in their order.
pub(crate) fn all<'a, V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    users: impl IntoIterator<Item = &'a UserId>,
) -> Result<Vec<Presence>, Error> {
    let mut presences = Vec::new();
    for &user in users {
        if read.may(Action::SeePresence(user))?.is_yes() {
            presences.push(of(read, user)?);
        }
    }
    Ok(presences)
}

fn of<V: View<Fault = raft::Fault>>(read: &Read<V>, user: UserId) -> Result<Presence, Error> {
    let presence = state::presence::of(&read.view, read.now, user)?;
    let status = read.view.status(user)?;
    let status = status.filter(|status| status.expires.is_none_or(|expires| read.now < expires));
    let text = match &status {
        Some(status) => read.keyring.status(&read.view, user, &status.text)?,
        None => String::new(),
    };
    Ok(convert::presence(user, presence, text, status.and_then(|status| status.expires)))
}

async fn report_activity<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ReportActivityRequest,
) -> Result<ReportActivityResponse, Error> {
    let idle_since = body.idle_since.map(|at| convert::time_in("idle_since", at)).transpose()?;
    if idle_since.is_none() && call.idles {
        services.inner.activity.note(call.session, Instant::now());
    }
    // Without a stream on this node the session is not connected here, and there is nothing to say of it.
    if services.inner.hub.has_session(call.session) {
        let connection = idle_since.map_or(Connection::Active, Connection::Idle);
        services.inner.connections.note(call.session, connection);
    }
    Ok(ReportActivityResponse {})
}

async fn send_typing<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SendTypingRequest,
) -> Result<SendTypingResponse, Error> {
    let conversation = names::conversation("conversation", &body.conversation)?;
    let read = services.read(&call, None).await?;
    read.check(Action::Type(conversation))?;
    if services.inner.typing.admit(call.user, conversation, Instant::now()) {
        let notice = Notice { conversation, user: call.user };
        services.inner.handle.send_typing(notice);
        services.inner.metrics.typing_dropped.inc_by(services.inner.hub.route_typing(notice));
    }
    Ok(SendTypingResponse {})
}
