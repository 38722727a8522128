//! Steps of cluster time: how they are shown, and `cluster confirm-time`.

use proto::v1;
use proto::v1::clock_service_client::ClockServiceClient;
use proto::v1::cluster_service_client::ClusterServiceClient;

use crate::args::Global;
use crate::client::Call;
use crate::error::Result;
use crate::output::{print, say};
use crate::session::Session;
use crate::when::{minute, rfc3339, roughly};
use crate::{prompt, rpc};

/// The step in lines of at most 80 columns, with what to do.
fn lines(step: &v1::ClockStep) -> [String; 3] {
    let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().map_or(0, |at| at.seconds);
    let far = seconds(&step.step_time).saturating_sub(seconds(&step.before_time));
    [
        format!(
            "Cluster time stepped by {} to {}: clocks, or an outage.",
            roughly(far),
            minute(step.step_time.as_ref())
        ),
        format!("Nothing expires because of it until {}.", minute(step.until_time.as_ref())),
        "If that time is right: tricord cluster confirm-time. If not: mend the clocks.".into(),
    ]
}

/// Shows a step with the status.
pub(super) fn show(step: &v1::ClockStep) -> Result<()> {
    lines(step).iter().try_for_each(|line| print(line))
}

/// The same for programs.
pub(super) fn document(step: &v1::ClockStep) -> serde_json::Value {
    serde_json::json!({
        "stepped": rfc3339(step.step_time.as_ref()), "before": rfc3339(step.before_time.as_ref()),
        "until": rfc3339(step.until_time.as_ref()),
    })
}

/// `cluster confirm-time`
pub(super) async fn confirm(session: &Session, global: &Global) -> Result<()> {
    let call = Call::read("ask how the cluster is");
    let body = |_| v1::GetClusterStatusRequest {};
    let status = session.client.call(&call, body, rpc!(ClusterServiceClient.get_cluster_status)).await?;
    let Some(step) = status.clock_step else {
        say("Cluster time has not stepped, or that was settled: there is nothing to confirm.");
        return Ok(());
    };
    lines(&step)[..2].iter().for_each(|line| say(line));
    prompt::confirm("Is it right, and may what waits expire now?", global.yes)?;
    let body = |id| v1::ConfirmClockRequest { step_time: step.step_time, request_id: Some(id) };
    session.write(Call::write("confirm cluster time"), body, rpc!(ClockServiceClient.confirm_clock)).await?;
    say("Confirmed. What was due expires now.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_within_80_columns() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let step = v1::ClockStep {
            step_time: at(4_070_908_800),
            before_time: at(1_795_300_000),
            until_time: at(4_070_995_200),
        };
        let lines = lines(&step);
        assert!(lines.iter().all(|line| crate::text::width(line) <= 80), "{lines:?}");
        assert!(lines[0].contains("2099"), "{lines:?}");
    }
}
