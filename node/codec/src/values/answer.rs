//! What comes of a command.

use types::reply::{Answer, Field, Reject, Reply};

use crate::declare::{choices, messages, numbers};

messages! {
    Answer { 1: result, 2: cursor }
}

choices! {
    Result<Reply, Reject> { 1: Ok(reply), 2: Err(reject) }
    Reply {
        1: Done,
        2: Posted { 1: seq, 2: at },
        3: SignedIn { 1: user, 2: session, 3: device, 4: expires, 5: next_number, 6: token_expires },
        4: Conversation { 1: id, 2: created },
        5: Users(1: users),
        6: Version(version),
        16: Refreshed { 1: token_expires, 2: expires },
        17: PasswordReset,
        18: LoggedOff(user),

        32: Recorded(records),
        40: DataKey(id),

        88: Emergency(number),
        89: PinReset,
        90: PartEnded,
    }
    Reject {
        1: NoSession,
        2: NotFound,
        3: NotPermitted,
        4: RequestIdReused,
        5: DedupExpired,
        6: WindowExceeded,
        7: Taken(item),
        8: Invalid(field),
        9: Limit(field),
        10: VersionMismatch(version),
        11: ConversationClosed,
        12: BadCode,
        13: CredentialChanged,
        14: Deactivated,
        15: NotEntitled,
        16: WrongPhase,
        17: LeaseOver,

        32: StateDiverged,
        40: UnknownKey,
        48: LockedOut(wait),
        49: BadProof,
        50: SecondFactorNeeded,
        51: BadSecondFactor,

        88: SessionLocked,
        89: PinBlocked,
        90: MethodNotTaken,
        91: EmergencyState,
        92: ProofTooOld,

        144: CertificateInUse(node),
        145: MajorityCutOff,
    }
}

numbers! {
    Field {
        1: Login, 2: DisplayName, 3: Unit, 4: ExternalIds, 5: Permissions, 6: Participants, 7: Conversations, 8: Title,
        9: History, 10: Subject, 11: Mentions, 12: ReplyTo, 13: Supersedes, 14: ExpiresAt, 15: Payload, 16: Kind,
        17: Sessions, 18: Devices, 19: Users, 20: StatusText, 21: Location, 22: Intervals, 23: Password, 24: Part,
        25: Batch,

        32: AuditKeys, 33: Observations, 34: Head,
        40: Key, 41: Envelopes,

        48: SecondFactor, 49: Settings, 50: Reason,

        88: Pin, 89: Times, 90: Emergency, 91: Place,

        104: Node, 105: Address,
        112: Backup,

        144: Certificate,
    }
}
