//! The bodies of clients' requests, through the codec that serves them: none is taken with a field that this release does not
//! know.

use futures::FutureExt;
use http_body_util::Full;
use prost::bytes::{BufMut, Bytes, BytesMut};
use prost::{Message, Name};
use proto::strict::StrictCodec;
use proto::v1::*;
use tonic::Streaming;
use tonic::codec::Codec;
use tonic_types::StatusExt;
use types::limits::CLIENT_REQUEST_BYTES_MAX;

use crate::samples::{described, filled};
use crate::target::Target;

pub fn all() -> Vec<Target> {
    vec![Target::new("request", request, samples).factor(512)]
}

macro_rules! requests {
    ($($name:ident),* $(,)?) => {
        /// Which request the first byte stands for.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        const TAKE: &[fn(&[u8])] = &[$(take::<$name>),*];
    };
}

requests! {
    AddParticipantsRequest, ApproveEmergencyRequest, ApproveKeyHolderRequest, BatchCreateUsersRequest,
    BatchGetPresenceRequest, BatchGetUsersRequest, CancelKitRequest, ClearPinRequest, ConfirmClockRequest,
    ConfirmKitRequest, ConfirmMessagesRequest, ConfirmTotpRequest, CreateConversationRequest,
    CreateEnrolmentCodeRequest, CreateHistoryPolicyRequest, CreateTotpRequest, CreateUserRequest,
    DeactivateUserRequest, DeleteTotpRequest, EndEmergencyRequest, EndSessionRequest, EnrolRequest,
    ExportRecordsRequest, GetClusterStatusRequest, GetConversationRequest, GetHeadRequest, GetMessageRequest,
    GetRecoveryEnvelopeRequest, GetSelfRequest, GetSettingsRequest, GetUserRequest, ListCertificatesRequest,
    ListConversationsRequest, ListEmergenciesRequest, ListKeysRequest, ListKitsRequest, ListMessagesRequest,
    ListParticipantsRequest, ListReceiptsRequest, ListRecordsRequest, ListSessionsRequest, ListUsersRequest,
    LockSessionRequest, LogOffRequest, OpenEmergencyRequest, ProposeKitRequest, ProveConsistencyRequest,
    ProveMessageRequest, RefreshSessionRequest, RemoveParticipantRequest, ReportActivityRequest,
    ResolveDivergenceRequest, ReviewEmergencyRequest, RevokeCertificateRequest, RotateClusterKeyRequest,
    SearchUsersRequest, SendMessageRequest, SendTypingRequest, SetPasswordRequest, SetPinRequest, SetPresenceRequest,
    SignInRequest, SignOutRequest, StreamMessagesRequest, SyncRequest, TapInRequest, TapOutRequest,
    UnlockSessionRequest, UpdateConversationRequest, UpdateSettingsRequest, UpdateUserRequest,
}

fn request(bytes: &[u8]) {
    if let Some((kind, body)) = bytes.split_first() {
        TAKE[usize::from(*kind) % TAKE.len()](body);
    }
}

/// One of each, with every field set.
fn samples() -> Vec<Vec<u8>> {
    let all = described();
    let requests: Vec<&str> =
        all.iter().map(|message| message.name()).filter(|name| name.ends_with("Request")).collect();
    let left_out: Vec<&&str> = requests.iter().filter(|name| !NAMES.contains(name)).collect();
    assert!(left_out.is_empty(), "requests that are not among the targets: {left_out:?}");
    drop(decode::<GetHeadRequest>(&[])); // What the codec makes once, for all.
    let numbered = NAMES.iter().enumerate();
    let body = |(kind, name): (usize, &&str)| [vec![kind as u8], filled(name, &all, 0)].concat();
    numbered.map(body).collect()
}

/// What is taken is taken again as it is encoded, and not with one field more.
fn take<T: Message + Name + Default + PartialEq + 'static>(body: &[u8]) {
    let Ok(message) = decode::<T>(body) else { return };
    let again = decode::<T>(&message.encode_to_vec());
    assert!(
        again.is_ok_and(|again| again == message || has_nan(&message)),
        "a request changes when it is encoded again"
    );
    let mut more = body.to_vec();
    more.extend([0xF8, 0x3F, 1]); // field 1023, a varint
    let refused = decode::<T>(&more).err().and_then(|status| status.get_error_details().error_info().cloned());
    assert!(refused.is_some_and(|info| info.reason == "UNKNOWN_FIELD"), "an unknown field is passed over");
}

/// Not a number is not equal to itself.
fn has_nan<T: PartialEq>(message: &T) -> bool {
    #[expect(clippy::eq_op, reason = "that is the question")]
    let differs = message != message;
    differs
}

fn decode<T: Message + Name + Default + 'static>(body: &[u8]) -> Result<T, tonic::Status> {
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put_slice(body);
    let decoder = StrictCodec::<T, T>::default().decoder();
    let body = Full::<Bytes>::new(framed.freeze());
    let mut stream = Streaming::new_request(decoder, body, None, Some(CLIENT_REQUEST_BYTES_MAX));
    let taken = stream.message().now_or_never().unwrap_or_else(|| Err(tonic::Status::internal("it waits")))?;
    taken.ok_or_else(|| tonic::Status::internal("nothing came"))
}
