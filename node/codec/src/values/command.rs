//! What is in the log.

use types::command::{
    AddDataKey, ApproveHolder, Author, Command, Confirmation, Connections, CreateConversation, Enrol, Entry, Envelope,
    Found, Lease, NewUser, Observation, Once, Post, Request, ResolveDivergence, RewrapDataKeys, RewrappedKey,
    SetPassword, SetStatus, SignHead, SignIn, UpdateConversation, UpdateUser,
};
use types::presence::Connection;

use crate::declare::{choices, messages};

messages! {
    Entry { 1: at, 2: envelopes }
    Envelope { 1: origin, 2: author, 3: command }
    Request { 1: session, 2: number, 3: settled, 4: content }
    Found { 1: cluster, 2: lineage, 3: name, 4: feature_level, 6: admin, 7: audit_keys, 8: cluster_key,
        12: request_key,
    }
    Once { 1: epoch, 2: number, 3: settled }
    Lease { 1: epoch }
    Connections { 1: epoch, 2: changes }
    Confirmation { 1: session, 2: conversation, 3: delivered, 4: displayed }
    SignIn {
        1: user, 2: session, 3: token, 4: device, 5: credential_version, 6: rehashed, 7: attempt, 8: key, 9: methods, 10: second,
        11: address,
    }
    Enrol { 1: code, 2: password, 3: sign_in }
    NewUser {
        1: id, 2: kind, 3: realm, 4: login, 5: display_name, 6: unit, 7: words, 8: external_ids, 9: may_message,
        10: permissions, 11: enrolment, 16: sealed_name, 20: key,
    }
    UpdateUser {
        1: id, 2: version, 3: display_name, 4: unit, 5: words, 6: external_ids, 7: may_message, 8: permissions,
        16: sealed_name,
    }
    SetPassword { 1: password, 2: credential_version }
    CreateConversation { 1: id, 2: kind, 3: title, 4: history, 5: subject, 6: participants, 20: key }
    UpdateConversation { 1: id, 2: version, 3: title, 4: history, 5: open }
    Post { 1: conversation, 2: location, 3: header, 4: sealed }
    SetStatus { 1: availability, 2: text, 3: expires }
    SignHead { 1: size, 2: root, 3: signature, 4: number }
    ResolveDivergence { 1: size, 2: root }
    AddDataKey { 1: id, 2: scope, 3: month, 4: version, 5: wrapped }
    RewrapDataKeys { 1: from, 2: to, 3: keys }
    RewrappedKey { 1: id, 2: wrapped }
    ApproveHolder { 1: holder, 2: public, 3: envelopes }
    Observation { 1: session, 2: action, 3: entities, 4: refused, 5: purpose, 6: reason, 7: seen, 8: count, 12: by }
}

choices! {
    Author { 1: Session(request), 2: Node }
    Connection { 1: Active, 2: Idle(since), 3: Gone, 4: Used(ago) }
    // Numbers below 16 have a key of one byte; what is posted all day has one.
    Command {
        1: Post(post),
        2: Confirm(1: confirmations),
        3: Connections(connections),
        4: Tick,
        5: RenewLease(lease),
        6: ExpireLease(1: node, 2: lease),
        7: Found(found),
        8: RaiseFeatureLevel(level),
        9: SignIn(sign_in),
        10: Enrol(enrol),
        11: EndSession(session),
        12: SetStatus(status),
        16: CreateUsers(1: users),
        17: UpdateUser(update),
        18: DeactivateUser(user),
        19: SetPassword(password),
        20: IssueEnrolment(1: user, 2: code),
        24: CreateConversation(conversation),
        25: UpdateConversation(update),
        26: AddParticipants(1: conversation, 2: participants),
        27: RemoveParticipant(1: conversation, 2: principal),
        28: DefinePolicy(1: policy, 2: document),

        32: MarkHead,
        33: SignHead(head),
        34: SetSigner(key),
        35: ResolveDivergence(decision),
        36: Observe(1: once, 2: observations),
        40: AddDataKey(key),
        41: RewrapDataKeys(keys),
        42: RetireClusterKey(version),
        43: RotateClusterKey(1: key, 2: dropped),
        44: ApproveHolder(approve),
        48: RefuseSignIn(refuse),
        49: Refresh(refresh),
        50: AddSecondFactor(add),
        51: ConfirmSecondFactor(step),
        52: RemoveSecondFactor(user),
        53: ChangeSettings(settings),
        54: LogOff(log_off),

        80: ConfirmClock(after),

        88: LockSession(session),
        89: UnlockSession(unlock),
        90: TapIn(tap_in),
        91: SetPin(pin),
        92: ClearPin(user),
        93: OpenEmergency(open),
        94: ApproveEmergency(number),
        95: EndEmergency(number),
        96: ReviewEmergency(review),

        104: AdmitNode(admit),
        105: SeatNode(node),
        106: Refound(refound),
        112: NoteBackup(note),

        144: NoteCertificates(note),
        145: RevokeCertificates(revoke),
        146: ProposeKit(kit),
        147: ConfirmKit(kit),
        148: CancelKit,
    }
}
