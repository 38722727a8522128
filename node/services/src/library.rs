//! What is refused before a call reaches us: too large a message, a method that is not there. The library that speaks gRPC gives
//! a code alone; clients go by reasons, so these get one as every other refusal has.

use std::collections::HashMap;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::errors::DOMAIN;

/// The status as we would have put it; unchanged where it has a reason.
pub(crate) fn told(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    // What is too large stays so: the request is to be mended, not sent again.
    let (code, reason, what) = match status.code() {
        Code::OutOfRange => {
            (Code::InvalidArgument, "REQUEST_TOO_LARGE", format!("the request is too large ({})", status.message()))
        }
        Code::Unimplemented => (
            Code::Unimplemented,
            "UNKNOWN_METHOD",
            "this release has no such method, or does not take such an encoding".to_owned(),
        ),
        Code::Internal | Code::InvalidArgument => (Code::InvalidArgument, "MALFORMED", status.message().to_owned()),
        _ => return status,
    };
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::<String, String>::new());
    Status::with_error_details(code, what, details)
}

/// The same of an answer that consists of a refusal alone.
pub(crate) fn answered<B>(mut response: http::Response<B>) -> http::Response<B> {
    if let Some(told) = refusal(response.headers()) {
        // A message that fits no header leaves the answer as it was.
        let mut headers = response.headers().clone();
        if told.add_header(&mut headers).is_ok() {
            *response.headers_mut() = headers;
        }
    }
    response
}

fn refusal(headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    status.details().is_empty().then(|| told(status)).filter(|status| !status.details().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: &Status) -> Option<String> {
        status.get_details_error_info().map(|info| info.reason)
    }

    #[test]
    fn what_the_library_refuses_has_a_reason_and_what_we_refuse_keeps_its_own() {
        let large = told(Status::out_of_range("found 2000000 bytes, the limit is 1048576"));
        assert_eq!((large.code(), reason(&large).as_deref()), (Code::InvalidArgument, Some("REQUEST_TOO_LARGE")));
        assert!(large.message().contains("1048576"), "{large}");
        assert_eq!(reason(&told(Status::unimplemented(""))).as_deref(), Some("UNKNOWN_METHOD"));
        let own = told(crate::errors::Error::SlowReader.status());
        assert_eq!(reason(&own).as_deref(), Some("SLOW_READER"));
    }

    #[test]
    fn an_answer_that_went_well_is_left_as_it_is() {
        let mut response = http::Response::new(());
        response.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
        assert_eq!(answered(response).headers().len(), 1);
    }
}
