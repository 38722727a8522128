//! Emergency access: asked for by one, approved by another, reviewed by a third.

use std::time::Duration;

use proto::v1::emergency_service_server::EmergencyService;
use proto::v1::*;
use raft::Handle;
use state::keys;
use state::policy::Action;
use state::view::View;
use tonic::{Request, Response, Status};
use types::emergency::{Emergency as Stored, OpenEmergency, ReviewEmergency};
use types::limits::RECORD_REASON_BYTES_MAX;
use types::{Command, Key, Reply, Row, Timestamp};

use crate::call::Call;
use crate::errors::Error;
use crate::writes::{Done, numbered, unexpected};
use crate::{Services, convert, names, pages};

/// For so long it is in force if nothing else is asked for.
const LASTS_MS_DEFAULT: u64 = 60 * 60 * 1000;

#[tonic::async_trait]
impl<H: Handle> EmergencyService for Services<H> {
    async fn open_emergency(
        &self,
        request: Request<OpenEmergencyRequest>,
    ) -> Result<Response<OpenEmergencyResponse>, Status> {
        self.call("OpenEmergency", request, |call, body| open(self, call, body)).await
    }

    async fn approve_emergency(
        &self,
        request: Request<ApproveEmergencyRequest>,
    ) -> Result<Response<ApproveEmergencyResponse>, Status> {
        self.call("ApproveEmergency", request, |call, body| approve(self, call, body)).await
    }

    async fn end_emergency(
        &self,
        request: Request<EndEmergencyRequest>,
    ) -> Result<Response<EndEmergencyResponse>, Status> {
        self.call("EndEmergency", request, |call, body| end(self, call, body)).await
    }

    async fn review_emergency(
        &self,
        request: Request<ReviewEmergencyRequest>,
    ) -> Result<Response<ReviewEmergencyResponse>, Status> {
        self.call("ReviewEmergency", request, |call, body| review(self, call, body)).await
    }

    async fn list_emergencies(
        &self,
        request: Request<ListEmergenciesRequest>,
    ) -> Result<Response<ListEmergenciesResponse>, Status> {
        self.call("ListEmergencies", request, |call, body| list(self, call, body)).await
    }
}

async fn open<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: OpenEmergencyRequest,
) -> Result<OpenEmergencyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = OpenEmergencyRequest { request_id: None, ..body };
    check_words("reason", &content.reason)?;
    let lasts_ms = content.duration.map(|lasts| convert::ms_in("duration", lasts)).transpose()?;
    let open = OpenEmergency { reason: content.reason.clone(), lasts_ms: lasts_ms.unwrap_or(LASTS_MS_DEFAULT) };
    let done = services.put(&call, "OpenEmergency", id, &content, Command::OpenEmergency(open)).await;
    let done = done.map_err(|error| error.taken("reason"))?;
    Ok(OpenEmergencyResponse { name: names::of_emergency(number(&done)?), cursor: services.cursor(done.event)? })
}

async fn approve<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ApproveEmergencyRequest,
) -> Result<ApproveEmergencyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ApproveEmergencyRequest { request_id: None, ..body };
    let which = names::emergency("name", &content.name)?;
    let done = services.put(&call, "ApproveEmergency", id, &content, Command::ApproveEmergency(which)).await?;
    number(&done)?;
    services.reach(done.event, call.deadline).await; // What they do next comes to this node, most likely.
    Ok(ApproveEmergencyResponse { cursor: services.cursor(done.event)? })
}

async fn end<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: EndEmergencyRequest,
) -> Result<EndEmergencyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = EndEmergencyRequest { request_id: None, ..body };
    let which = names::emergency("name", &content.name)?;
    let done = services.put(&call, "EndEmergency", id, &content, Command::EndEmergency(which)).await?;
    Ok(EndEmergencyResponse { cursor: services.cursor(done.event)? })
}

async fn review<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ReviewEmergencyRequest,
) -> Result<ReviewEmergencyResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ReviewEmergencyRequest { request_id: None, ..body };
    let number = names::emergency("name", &content.name)?;
    check_words("note", &content.note)?;
    let command = Command::ReviewEmergency(ReviewEmergency { number, note: content.note.clone() });
    let done = services.put(&call, "ReviewEmergency", id, &content, command).await?;
    Ok(ReviewEmergencyResponse { cursor: services.cursor(done.event)? })
}

fn check_words(field: &str, words: &str) -> Result<(), Error> {
    types::text::check_name(words, RECORD_REASON_BYTES_MAX).map_err(|error| Error::invalid(field, error.to_string()))
}

fn number(done: &Done) -> Result<u64, Error> {
    match done.reply {
        Reply::Emergency(number) => Ok(number),
        _ => Err(unexpected()),
    }
}

async fn list<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListEmergenciesRequest,
) -> Result<ListEmergenciesResponse, Error> {
    let size = pages::size(body.page_size)?;
    let below = pages::after("emergencies", &body.page_token)?;
    let below = below.map(|last| last.try_into().map(u64::from_be_bytes)).transpose();
    let below = below.map_err(|_| Error::invalid("page_token", "is not a token that this list gave"))?;
    let read = services.read(&call, body.read).await?;
    read.check(Action::SeeEmergencies)?;
    let (from, to) = (keys::emergencies(1).0, Key::Emergency(below.map_or(u64::MAX, |below| below.saturating_sub(1))));
    let mut rows = read.view.scan(&from, &to, true, size + 1)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let mut answer = ListEmergenciesResponse { info: Some(read.info), ..ListEmergenciesResponse::default() };
    for (key, row) in rows {
        let (Key::Emergency(number), Row::Emergency(one)) = (key, row) else { continue };
        if more {
            answer.next_page_token = pages::token("emergencies", &number.to_be_bytes());
        }
        answer.emergencies.push(emergency(number, &one, read.now));
    }
    Ok(answer)
}

fn emergency(number: u64, one: &Stored, now: Timestamp) -> Emergency {
    let time = |at: Option<Timestamp>| at.map(convert::time);
    let by = |step: Option<(types::UserId, Timestamp)>| step.map(|(by, _)| names::of_user(by)).unwrap_or_default();
    let state = match one {
        one if one.is_pending(now) => EmergencyState::Pending,
        one if one.is_in_force(now) => EmergencyState::InForce,
        one if one.approved.is_none() => EmergencyState::Lapsed,
        one if one.reviewed.is_none() => EmergencyState::Unreviewed,
        _ => EmergencyState::Reviewed,
    };
    Emergency {
        name: names::of_emergency(number),
        state: state.into(),
        opened_by: names::of_user(one.opened_by),
        open_time: Some(convert::time(one.opened)),
        reason: one.reason.clone(),
        duration: Some(convert::duration(Duration::from_millis(one.lasts_ms))),
        approved_by: by(one.approved),
        approve_time: time(one.approved.map(|(_, at)| at)),
        end_time: Some(convert::time(one.ended.unwrap_or(one.until))),
        first_record: one.records_from,
        last_record: one.records_to.map_or(0, |to| to.saturating_sub(1)),
        reviewed_by: by(one.reviewed),
        review_time: time(one.reviewed.map(|(_, at)| at)),
        note: one.note.clone(),
    }
}
