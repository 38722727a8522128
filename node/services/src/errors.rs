//! What can go wrong, and the one mapping to what a client is told.

use std::time::Duration;

use prost::Message as _;
use proto::v1::SendError;
use raft::{BarrierError, ProposeError};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use types::Reject;

/// The domain of every reason.
pub(crate) const DOMAIN: &str = "tricord";

/// A field of a request that is wrong, and what about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The field's path in the request.
    pub(crate) field: String,
    /// For people: what is wrong, and what would be right.
    pub(crate) what: String,
}

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Fields of the request are wrong; nothing was proposed.
    #[error("{}", sentence(.0))]
    Invalid(Vec<Violation>),
    /// The state refused it.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// What this field names is taken.
    #[error("already taken")]
    Taken(&'static str),
    /// Consensus gave no answer.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// Consensus could not make a read linearizable.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    /// Login and password do not fit together.
    #[error("login name or password is wrong")]
    BadCredentials,
    /// The token was good once; the device proves itself for the next.
    #[error("the token has expired; refresh the session")]
    TokenExpired,
    /// Too many sign-ins have been made, or have failed, here lately.
    #[error("too many sign-ins lately; try again in {} s", .0.as_secs().max(1))]
    SignInsLimited(Duration),
    /// Too much waits on this node already.
    #[error("this node is busy ({0}); try again shortly")]
    Overloaded(&'static str),
    /// The session makes more calls than it may.
    #[error("too many calls in this session; wait {} ms", .0.as_millis())]
    RateLimited(Duration),
    /// More streams than a session, or this node, may have.
    #[error("too many streams: {0}")]
    TooManyStreams(&'static str),
    /// A stream's reader did not keep up.
    #[error("the stream was read too slowly; go on from the last cursor")]
    SlowReader,
    /// This node has not come as far as asked.
    #[error("this node has not come so far yet; try again, or another node")]
    Behind,
    /// There has been no majority for longer than stale reads are allowed.
    #[error("there has been no majority of nodes for too long; nothing is shown any more")]
    StaleLimit,
    /// Without a majority, content goes only to sessions that were in use on this node before.
    #[error("no majority of nodes answers, and this session was not in use on this node before")]
    NoMajority,
    /// Refused by the policy when something was asked for, not by a command: recorded by this node. With what it was about.
    #[error("{0}")]
    Denied(Reject, Option<types::record::Entity>),
    /// No head of the audit log has what is asked for yet.
    #[error("no sealed head of the audit log covers it yet; it takes seconds")]
    NotSealed,
    /// What may be shown without a majority is used up.
    #[error("too much was shown without a majority already; nothing is shown until there is one")]
    SpoolFull,
    /// The disks are so full that reading cannot be recorded.
    #[error(
        "the disks of two nodes or more are full: what is read cannot be recorded, so nothing is shown until there is room"
    )]
    NoRoomToRecord,
    /// The call's time is over.
    #[error("the call's deadline is over")]
    Deadline,
    /// Bytes that are not a cursor.
    #[error("this is not a cursor of this service")]
    CursorInvalid,
    /// Events after this cursor have been dropped.
    #[error("the cursor is older than the events that are kept; bootstrap again")]
    CursorExpired,
    /// A cursor of another history.
    #[error("the cursor belongs to another lineage of the cluster; bootstrap again")]
    LineageChanged(Option<Box<proto::v1::LineageChanged>>),
    /// The state was replaced by a snapshot, or the node stops: resume.
    #[error("the stream ends here; go on from the last cursor")]
    ShuttingDown,
    /// The cluster was not founded yet.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// This node cannot read its own state; it is about to stop.
    #[error("this node cannot read its own state")]
    Fault(#[source] raft::Fault),
    /// A payload that cannot be opened here.
    #[error("a payload cannot be opened by this node")]
    Payload(#[from] seal::Error),
    /// Nobody has let this node hold the cluster's key yet.
    #[error("this node may not open the cluster's key; see 'tricord key list', or ask another node")]
    KeysNotHeld,
    /// The rotation of the cluster key before this one has not ended.
    #[error("a rotation of the cluster key is under way; 'tricord key list' shows how far")]
    RotationUnderWay,
    /// A task of this node ended before its time.
    #[error("an internal task failed")]
    Internal(&'static str),
}

impl From<raft::Fault> for Error {
    fn from(fault: raft::Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The status with a detail of ours beside the usual ones.
fn with_detail<M: prost::Name>(status: &Status, detail: &M) -> Status {
    let mut whole = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
    whole.details.push(prost_types::Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: detail.encode_to_vec(),
    });
    Status::with_details(status.code(), status.message(), whole.encode_to_vec().into())
}

fn sentence(violations: &[Violation]) -> String {
    let each: Vec<String> = violations.iter().map(|one| format!("{}: {}", one.field, one.what)).collect();
    each.join("; ")
}

/// What a client is told of an error, beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) reason: &'static str,
    /// Trying again as it is helps, after this time.
    pub(crate) retry: Option<Duration>,
}

impl Told {
    const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason, retry: None }
    }

    const fn after(code: Code, reason: &'static str, ms: u64) -> Self {
        Self { code, reason, retry: Some(Duration::from_millis(ms)) }
    }
}

impl Error {
    /// Names the field that is taken, where a request has one item only.
    pub(crate) fn taken(self, field: &'static str) -> Self {
        match self {
            Self::Reject(Reject::Taken(_)) => Self::Taken(field),
            other => other,
        }
    }

    /// A single wrong field.
    pub(crate) fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), what: what.into() }])
    }

    /// Refused for too much waiting, before it waited itself.
    pub(crate) const fn is_overload(&self) -> bool {
        matches!(self, Self::Overloaded(_) | Self::Propose(ProposeError::Overloaded))
    }

    /// Code, reason and retry of each error. No `_` arm: a new one does not compile until someone has decided.
    pub(crate) fn told(&self) -> Told {
        match self {
            Self::Invalid(_) => Told::new(Code::InvalidArgument, "INVALID"),
            Self::Reject(reject) | Self::Denied(reject, _) => told_of_reject(reject),
            Self::NotSealed => Told::after(Code::Unavailable, "NOT_SEALED", 2_000),
            Self::SpoolFull => Told::after(Code::Unavailable, "STALE_LIMIT", 5_000),
            Self::NoRoomToRecord => Told::after(Code::ResourceExhausted, "DISK_FULL", 5_000),
            Self::Taken(_) => told_of_reject(&Reject::Taken(0)),
            Self::Propose(error) => told_of_propose(error),
            Self::Barrier(BarrierError::NoMajority) => Told::after(Code::Unavailable, "NO_MAJORITY", 500),
            Self::Barrier(BarrierError::Behind) => Told::after(Code::Unavailable, "BEHIND", 200),
            Self::BadCredentials => Told::new(Code::Unauthenticated, "BAD_CREDENTIALS"),
            Self::TokenExpired => Told::new(Code::Unauthenticated, "TOKEN_EXPIRED"),
            Self::SignInsLimited(wait) => {
                Told { code: Code::ResourceExhausted, reason: "RATE_LIMITED", retry: Some(*wait) }
            }
            Self::Overloaded(_) => Told::after(Code::ResourceExhausted, "OVERLOADED", 500),
            Self::RateLimited(wait) => {
                Told { code: Code::ResourceExhausted, reason: "RATE_LIMITED", retry: Some(*wait) }
            }
            Self::TooManyStreams(_) => Told::new(Code::ResourceExhausted, "TOO_MANY_STREAMS"),
            Self::SlowReader => Told::after(Code::Aborted, "SLOW_READER", 0),
            Self::Behind => Told::after(Code::Unavailable, "BEHIND", 200),
            Self::StaleLimit => Told::new(Code::Unavailable, "STALE_LIMIT"),
            Self::NoMajority => Told::after(Code::Unavailable, "NO_MAJORITY", 500),
            Self::Deadline => Told::new(Code::DeadlineExceeded, "OUTCOME_UNKNOWN"),
            Self::CursorInvalid => Told::new(Code::InvalidArgument, "CURSOR_INVALID"),
            Self::CursorExpired => Told::new(Code::OutOfRange, "CURSOR_EXPIRED"),
            Self::LineageChanged(_) => Told::new(Code::FailedPrecondition, "LINEAGE_CHANGED"),
            Self::ShuttingDown => Told::after(Code::Unavailable, "SHUTTING_DOWN", 100),
            Self::NotFounded => Told::after(Code::FailedPrecondition, "NOT_FOUNDED", 1_000),
            Self::Fault(_) => Told::new(Code::Internal, "NODE_FAULT"),
            Self::Payload(_) => Told::new(Code::Internal, "NODE_FAULT"),
            Self::RotationUnderWay => Told::new(Code::FailedPrecondition, "ROTATION_UNDER_WAY"),
            Self::KeysNotHeld => Told::after(Code::Unavailable, "KEYS_NOT_HELD", 1_000),
            Self::Internal(_) => Told::new(Code::Internal, "NODE_FAULT"),
        }
    }

    /// The status of a call that failed.
    pub(crate) fn status(&self) -> Status {
        let told = self.told();
        let mut details = ErrorDetails::new();
        details.set_error_info(told.reason, DOMAIN, std::collections::HashMap::<String, String>::new());
        for violation in self.violations() {
            details.add_bad_request_violation(violation.field, violation.what);
        }
        if let Some(wait) = told.retry {
            details.set_retry_info(Some(wait));
        }
        let status = Status::with_error_details(told.code, self.to_string(), details);
        match self {
            Self::LineageChanged(Some(survived)) => with_detail(&status, survived.as_ref()),
            _ => status,
        }
    }

    /// The same for one message of a stream.
    pub(crate) fn send_error(&self) -> SendError {
        let told = self.told();
        SendError {
            code: told.code.into(),
            reason: told.reason.into(),
            message: self.to_string(),
            retryable: told.retry.is_some(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::Reject(reject @ Reject::Invalid(field)) => {
                vec![Violation { field: field.to_string(), what: reject.to_string() }]
            }
            Self::Taken(field) => vec![Violation { field: (*field).into(), what: self.to_string() }],
            Self::Reject(reject @ Reject::Taken(item)) => {
                vec![Violation { field: format!("users[{item}].login"), what: reject.to_string() }]
            }
            _ => Vec::new(),
        }
    }
}

fn told_of_reject(reject: &Reject) -> Told {
    match reject {
        Reject::NoSession => Told::new(Code::Unauthenticated, "NO_SESSION"),
        Reject::NotFound => Told::new(Code::NotFound, "NOT_FOUND"),
        Reject::NotPermitted => Told::new(Code::PermissionDenied, "NOT_PERMITTED"),
        Reject::RequestIdReused => Told::new(Code::InvalidArgument, "REQUEST_ID_REUSED"),
        Reject::DedupExpired => Told::new(Code::FailedPrecondition, "DEDUP_EXPIRED"),
        Reject::WindowExceeded => Told::new(Code::ResourceExhausted, "WINDOW_EXCEEDED"),
        Reject::Taken(_) => Told::new(Code::AlreadyExists, "TAKEN"),
        Reject::Invalid(_) => Told::new(Code::InvalidArgument, "INVALID"),
        Reject::Limit(_) => Told::new(Code::ResourceExhausted, "LIMIT"),
        Reject::VersionMismatch(_) => Told::new(Code::Aborted, "VERSION_MISMATCH"),
        Reject::ConversationClosed => Told::new(Code::FailedPrecondition, "CONVERSATION_CLOSED"),
        Reject::BadCode => Told::new(Code::Unauthenticated, "BAD_CODE"),
        Reject::CredentialChanged => Told::new(Code::Unauthenticated, "CREDENTIAL_CHANGED"),
        Reject::Deactivated => Told::new(Code::PermissionDenied, "DEACTIVATED"),
        Reject::NotEntitled => Told::new(Code::PermissionDenied, "NOT_ENTITLED"),
        Reject::WrongPhase => Told::after(Code::FailedPrecondition, "NOT_FOUNDED", 1_000),
        Reject::LeaseOver => Told::after(Code::Unavailable, "BEHIND", 1_000),

        Reject::StateDiverged => Told::after(Code::Unavailable, "STATE_DIVERGED", 5_000),
        Reject::LockedOut(wait) => Told::after(Code::ResourceExhausted, "LOCKED_OUT", *wait),
        Reject::BadProof => Told::new(Code::Unauthenticated, "BAD_PROOF"),
        Reject::SecondFactorNeeded => Told::new(Code::Unauthenticated, "SECOND_FACTOR_NEEDED"),
        Reject::BadSecondFactor => Told::new(Code::Unauthenticated, "BAD_SECOND_FACTOR"),
        Reject::SessionLocked => Told::new(Code::FailedPrecondition, "SESSION_LOCKED"),
        Reject::PinBlocked => Told::new(Code::FailedPrecondition, "PIN_BLOCKED"),
        Reject::MethodNotTaken => Told::new(Code::FailedPrecondition, "METHOD_NOT_TAKEN"),
        Reject::EmergencyState => Told::new(Code::FailedPrecondition, "EMERGENCY_STATE"),
        Reject::ProofTooOld => Told::new(Code::FailedPrecondition, "PROOF_TOO_OLD"),
        Reject::CertificateInUse(_) => Told::new(Code::FailedPrecondition, "CERTIFICATE_IN_USE"),
        Reject::MajorityCutOff => Told::new(Code::FailedPrecondition, "MAJORITY_CUT_OFF"),
        Reject::UnknownKey => Told::after(Code::Unavailable, "UNKNOWN_KEY", 100),
    }
}

fn told_of_propose(error: &ProposeError) -> Told {
    match error {
        ProposeError::NoMajority => Told::after(Code::Unavailable, "NO_MAJORITY", 500),
        ProposeError::OutcomeUnknown => Told::after(Code::Unavailable, "OUTCOME_UNKNOWN", 100),
        ProposeError::Overloaded => Told::after(Code::ResourceExhausted, "OVERLOADED", 500),
        ProposeError::DiskFull => Told::after(Code::ResourceExhausted, "DISK_FULL", 5_000),
        ProposeError::SingleCopy => Told::after(Code::Unavailable, "SINGLE_COPY", 5_000),
        ProposeError::TooLarge(_) => Told::new(Code::InvalidArgument, "INVALID"),
        ProposeError::Refused => Told::new(Code::Internal, "NODE_FAULT"),
        ProposeError::ShuttingDown => Told::after(Code::Unavailable, "SHUTTING_DOWN", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_reason_field_and_retry() {
        let status = Error::invalid("message.text", "it is empty").status();
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().map(|info| (info.reason.as_str(), info.domain.as_str())),
            Some(("INVALID", DOMAIN))
        );
        assert_eq!(details.bad_request().map(|bad| bad.field_violations[0].field.as_str()), Some("message.text"));
        let status = Error::Propose(ProposeError::OutcomeUnknown).status();
        assert!(status.get_error_details().retry_info().is_some());
        assert_eq!(status.code(), Code::Unavailable);
    }

    #[test]
    fn what_may_not_be_seen_answers_as_what_does_not_exist() {
        let hidden = state::Decision::Hidden.check().map_err(Error::Reject);
        let status = hidden.expect_err("hidden is a refusal").status();
        assert_eq!(status.message(), Error::Reject(Reject::NotFound).status().message());
        assert_eq!(status.details(), Error::Reject(Reject::NotFound).status().details());
    }
}
