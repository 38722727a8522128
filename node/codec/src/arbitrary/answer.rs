//! What comes of a command.

use proptest::prelude::*;
use types::reply::{Answer, Field, Reject, Reply};

use super::primitive::*;

structs!(
    /// Any answer.
    pub answer: Answer {
        result: prop_oneof![reply().prop_map(Ok), reject().prop_map(Err)], cursor: event_number(),
    }
);

/// Any reply.
pub fn reply() -> BoxedStrategy<Reply> {
    prop_oneof![
        Just(Reply::Done),
        (seq(), timestamp()).prop_map(|(seq, at)| Reply::Posted { seq, at }),
        (user_id(), session_id(), device_id(), timestamp(), number(), timestamp()).prop_map(
            |(user, session, device, expires, next_number, token_expires)| Reply::SignedIn {
                user,
                session,
                device,
                expires,
                next_number,
                token_expires
            }
        ),
        (conversation_id(), any::<bool>()).prop_map(|(id, created)| Reply::Conversation { id, created }),
        list(user_id()).prop_map(Reply::Users),
        number().prop_map(Reply::Version),
        number().prop_map(Reply::Recorded),
        Just(Reply::PasswordReset),
        user_id().prop_map(Reply::LoggedOff),
        (timestamp(), timestamp()).prop_map(|(token_expires, expires)| Reply::Refreshed { token_expires, expires }),
        number().prop_map(Reply::DataKey),
        number().prop_map(Reply::Emergency),
        Just(Reply::PinReset),
        Just(Reply::PartEnded),
    ]
    .boxed()
}

/// Any refusal.
pub fn reject() -> BoxedStrategy<Reject> {
    prop_oneof![
        Just(Reject::NoSession),
        Just(Reject::NotFound),
        Just(Reject::NotPermitted),
        Just(Reject::RequestIdReused),
        Just(Reject::DedupExpired),
        Just(Reject::WindowExceeded),
        number32().prop_map(Reject::Taken),
        field().prop_map(Reject::Invalid),
        field().prop_map(Reject::Limit),
        number().prop_map(Reject::VersionMismatch),
        Just(Reject::ConversationClosed),
        Just(Reject::BadCode),
        Just(Reject::CredentialChanged),
        Just(Reject::Deactivated),
        Just(Reject::NotEntitled),
        Just(Reject::WrongPhase),
        Just(Reject::LeaseOver),
        Just(Reject::StateDiverged),
        number().prop_map(Reject::LockedOut),
        Just(Reject::BadProof),
        Just(Reject::SecondFactorNeeded),
        Just(Reject::BadSecondFactor),
        Just(Reject::SessionLocked),
        Just(Reject::PinBlocked),
        Just(Reject::MethodNotTaken),
        Just(Reject::EmergencyState),
        Just(Reject::ProofTooOld),
        node_id().prop_map(Reject::CertificateInUse),
        Just(Reject::MajorityCutOff),
        Just(Reject::UnknownKey),
    ]
    .boxed()
}

one_of!(field: Field {
    Login, DisplayName, Unit, ExternalIds, Permissions, Participants, Conversations, Title, History, Subject, Mentions,
    ReplyTo, Supersedes, ExpiresAt, Payload, Kind, Sessions, Devices, Users, StatusText, Location, Intervals, Password,
    Part, Batch, SecondFactor, Settings, Reason, AuditKeys, Observations, Head, Backup,

    Key, Envelopes,

    Node, Address,

    Pin, Times, Emergency, Place, Certificate,
});
