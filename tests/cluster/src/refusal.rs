//! Reads what a status says.

use prost::Message as _;
use proto::v1::LineageChanged;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The stable reason, or an empty text when the answer did not come from Tricord.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Whether the same call with the same number may end well later or on another node.
#[must_use]
pub fn retryable(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
        // A connection that broke under the call; the node itself always gives a reason.
        Code::Unknown | Code::Internal => reason(status).is_empty() || reason(status) == "NODE_FAULT",
        Code::FailedPrecondition => reason(status) == "NOT_FOUNDED", // Until the first entry is committed.
        Code::ResourceExhausted => {
            // Without a reason the connection said it, not a node.
            matches!(reason(status).as_str(), "" | "OVERLOADED" | "RATE_LIMITED" | "TOO_MANY_STREAMS")
        }
        _ => false,
    }
}

/// What a refused cursor of another lineage is told, if it is told anything.
#[must_use]
pub fn survived(status: &Status) -> Option<LineageChanged> {
    let whole = tonic_types::pb::Status::decode(status.details()).ok()?;
    let ours = whole.details.iter().find(|detail| detail.type_url.ends_with("/tricord.v1.LineageChanged"))?;
    LineageChanged::decode(ours.value.as_slice()).ok()
}
