//! That the cluster was restored, as a refused cursor tells, and how it is said to people.

use prost::{Message, Name};
use prost_types::Timestamp;
use proto::v1::LineageChanged;
use tonic::Status;

use crate::when::{clock, day};

/// The history that is now began with what there was of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Everything acknowledged up to then is there.
    pub survived: Option<Timestamp>,
    /// When it began.
    pub began: Option<Timestamp>,
}

impl Restored {
    /// What a status says of it, if it refuses a cursor of another lineage.
    pub fn of(status: &Status) -> Option<Self> {
        if crate::judge::reason(status) != "LINEAGE_CHANGED" {
            return None;
        }
        let whole = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
        let name = LineageChanged::full_name();
        let detail = whole.details.iter().find(|detail| detail.type_url.rsplit('/').next() == Some(name.as_str()));
        let told = detail.and_then(|detail| LineageChanged::decode(detail.value.as_slice()).ok()).unwrap_or_default();
        Some(Self { survived: told.survived_time, began: told.restore_time })
    }

    /// One sentence about the whole, one about what may be missing.
    pub fn words(&self) -> String {
        let (Some(survived), Some(began)) = (&self.survived, &self.began) else {
            return "Messaging was restored. The newest messages of before may be missing.".into();
        };
        let (from, to) = (Some(survived), Some(began));
        let since = if day(from) == day(to) { clock(from) } else { format!("{} {}", day(from), clock(from)) };
        format!("Messaging was restored at {}. Messages of {since}-{0} may be missing", clock(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: 1_772_589_600 + 60 * minutes, nanos: 0 })
    }

    /// A status as nodes make it.
    pub fn refused(told: Option<LineageChanged>) -> Status {
        use tonic_types::{ErrorDetails, StatusExt};
        let details = ErrorDetails::with_error_info("LINEAGE_CHANGED", "tricord", []);
        let status = Status::with_error_details(tonic::Code::FailedPrecondition, "words", details);
        let mut whole = tonic_types::pb::Status::decode(status.details()).unwrap();
        whole.details.extend(told.map(|told| prost_types::Any {
            type_url: "type.googleapis.com/tricord.v1.LineageChanged".into(),
            value: told.encode_to_vec(),
        }));
        Status::with_details(status.code(), status.message(), whole.encode_to_vec().into())
    }

    #[test]
    fn the_window_that_may_be_missing_is_said() {
        let told = LineageChanged { survived_time: at(46), restore_time: at(100), ..LineageChanged::default() };
        let restored = Restored::of(&refused(Some(told))).expect("told");
        assert_eq!(restored.words(), "Messaging was restored at 03:40. Messages of 02:46-03:40 may be missing");
        let long = Restored { survived: at(-180), began: at(100) };
        assert!(long.words().contains("of Tue 2026-03-03 23:00-03:40 may"), "{}", long.words());
        assert!(Restored::of(&refused(None)).is_some_and(|restored| restored.words().contains("restored")));
        assert_eq!(Restored::of(&Status::unavailable("gone")), None);
    }
}
