//! Cluster time after a step.

use proto::v1::clock_service_server::ClockService;
use proto::v1::*;
use raft::Handle;
use tonic::{Request, Response, Status};
use types::Command;

use crate::call::Call;
use crate::errors::Error;
use crate::writes::numbered;
use crate::{Services, convert};

#[tonic::async_trait]
impl<H: Handle> ClockService for Services<H> {
    async fn confirm_clock(
        &self,
        request: Request<ConfirmClockRequest>,
    ) -> Result<Response<ConfirmClockResponse>, Status> {
        self.call("ConfirmClock", request, |call, body| confirm(self, call, body)).await
    }
}

async fn confirm<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ConfirmClockRequest,
) -> Result<ConfirmClockResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = ConfirmClockRequest { request_id: None, ..body };
    let after =
        content.step_time.ok_or_else(|| Error::invalid("step_time", "is missing; GetClusterStatus names it"))?;
    let after = convert::time_in("step_time", after)?;
    let done = services.put(&call, "ConfirmClock", id, &content, Command::ConfirmClock(after)).await?;
    Ok(ConfirmClockResponse { cursor: services.cursor(done.event)? })
}
