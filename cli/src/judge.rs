//! What a failed attempt means: final, or worth another.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer; another attempt would get the same.
    Final,
    /// Try the next node, after this long.
    Next(Duration),
}

/// A failed attempt, judged.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The stable reason.
    pub reason: String,
    /// Whether to go on.
    pub verdict: Verdict,
    /// Whether a write may have happened nevertheless.
    pub uncertain: bool,
}

/// Judges a status.
pub fn judge(status: &Status) -> Judgement {
    let reason = reason(status);
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or(Duration::ZERO);
    let wait = wait.min(Duration::from_secs(2));
    let (again, uncertain) = match reason.as_str() {
        "OUTCOME_UNKNOWN" | "NODE_FAULT" | "DEADLINE_EXCEEDED" | "UNAVAILABLE" | "CANCELLED" | "UNKNOWN"
        | "INTERNAL" | "RESOURCE_EXHAUSTED" => (true, true),
        "NO_MAJORITY" | "BEHIND" | "OVERLOADED" | "RATE_LIMITED" | "TOO_MANY_STREAMS" | "SLOW_READER"
        | "SHUTTING_DOWN" | "DISK_FULL" | "NOT_FOUNDED" | "STALE_LIMIT" | "STATE_DIVERGED" | "NOT_SEALED"
        | "TOKEN_EXPIRED" => (true, false),
        _ => (false, false),
    };
    let wait = if wait.is_zero() && matches!(reason.as_str(), "OVERLOADED" | "RATE_LIMITED") {
        Duration::from_millis(250)
    } else {
        wait
    };
    Judgement { reason, verdict: if again { Verdict::Next(wait) } else { Verdict::Final }, uncertain }
}

/// The stable reason of a status; without one, the name of its code.
pub fn reason(status: &Status) -> String {
    if let Some(info) = status.get_details_error_info()
        && !info.reason.is_empty()
    {
        return info.reason;
    }
    match status.code() {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "TAKEN",
        Code::PermissionDenied => "NOT_PERMITTED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "NO_SESSION",
    }
    .into()
}

/// The fields a status names as wrong.
pub fn fields(status: &Status) -> Vec<(String, String)> {
    status.get_details_bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn status(code: Code, reason: &str) -> Status {
        Status::with_error_details(code, "words", ErrorDetails::with_error_info(reason, "tricord", []))
    }

    #[test]
    fn the_reason_decides_not_the_code() {
        let behind = judge(&status(Code::Unavailable, "BEHIND"));
        assert_eq!((behind.verdict, behind.uncertain), (Verdict::Next(Duration::ZERO), false));
        assert!(judge(&status(Code::Unavailable, "OUTCOME_UNKNOWN")).uncertain);
        assert_eq!(judge(&status(Code::NotFound, "NOT_FOUND")).verdict, Verdict::Final);
        assert_eq!(judge(&Status::unavailable("gone")).reason, "UNAVAILABLE");
        assert_eq!(judge(&status(Code::ResourceExhausted, "LIMIT")).verdict, Verdict::Final);
        assert!(judge(&Status::resource_exhausted("the connection, not a node")).uncertain);
        assert!(
            matches!(judge(&status(Code::ResourceExhausted, "OVERLOADED")).verdict, Verdict::Next(wait) if !wait.is_zero())
        );
    }
}
