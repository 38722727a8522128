//! Audit records. Their bytes are hashed: what is written here is proven by what was published.

use types::record::{Action, Agent, Entity, Purpose, Record, Result as RecordResult};

use crate::declare::{choices, messages, numbers};

messages! {
    Record {
        1: at, 2: origin, 3: agent, 4: action, 5: entities, 6: result, 7: commitment, 8: location, 9: request, 10: policy,
        11: purpose, 12: reason, 13: count, 14: seen, 15: address,
    }
}

choices! {
    Agent { 1: User { 1: user, 2: acting_role, 3: device, 4: session }, 2: Unknown, 3: Cluster }
    Entity {
        1: User(id),
        2: Session(id),
        3: Conversation(id),
        4: Messages(1: conversation, 2: first, 3: last),
        5: Policy(id),
        6: Node(id),
        7: Head(size),
        8: Signer(1: node, 2: key),
        9: Records(1: first, 2: last),

        88: Emergency(number),
        144: Certificate(serial),
        145: RecoveryKit(public),
    }
    RecordResult { 1: Done, 2: Refused(number) }
}

numbers! {
    Action {
        1: Found, 2: SignIn, 3: EndSession, 4: CreateUser, 5: UpdateUser, 6: DeactivateUser, 7: SetPassword,
        8: IssueEnrolment, 9: CreateConversation, 10: UpdateConversation, 11: AddParticipant, 12: RemoveParticipant,
        13: Post, 14: DefinePolicy, 15: SetStatus, 16: RaiseFeatureLevel,

        32: AddSigner, 33: FetchMessages, 34: OpenStream, 35: ReadAudit, 36: ProveMessage, 37: RevealMessage,
        38: ExportAudit, 39: FindDivergence, 40: ResolveDivergence, 41: Look, 42: ShowAddresses,
        48: RotateClusterKey, 49: RetireClusterKey, 50: ApproveHolder,
        64: ResetPassword, 65: RefreshSession, 66: AddSecondFactor, 67: ConfirmSecondFactor, 68: RemoveSecondFactor, 69: ChangeSettings, 70: LogOff,

        112: FetchTitles, 113: FetchNames, 114: FetchStatuses, 115: StepClock, 116: ConfirmClock,

        128: LockSession, 129: UnlockSession, 130: TapIn, 131: TapOut, 132: SetPin, 133: ClearPin, 134: ResetPin,
        136: OpenEmergency, 137: ApproveEmergency, 138: EndEmergency, 139: ReviewEmergency,

        160: AdmitNode, 161: SeatNode, 162: Refound,
        176: CreateBackup, 177: FailBackup, 178: VerifyBackup, 179: RefuteBackup, 180: RestoreBackup,
        192: LoadConfiguration,

        216: ChangeCertificates, 217: RevokeCertificates, 218: ProposeKit, 219: ConfirmKit, 220: CancelKit, 221: LapseKit,
    }
    Purpose { 1: Treatment, 2: Emergency, 3: Operations, 4: Compliance, 5: BreakGlass }
}
