//! What the actions of the audit log are called: for programs and for people.

use types::record::Action;

/// The name for programs: stable, lower case, words joined by hyphens.
#[must_use]
pub const fn code(action: Action) -> &'static str {
    match action {
        Action::Found => "found",
        Action::SignIn => "sign-in",
        Action::EndSession => "end-session",
        Action::CreateUser => "create-user",
        Action::UpdateUser => "update-user",
        Action::DeactivateUser => "deactivate-user",
        Action::SetPassword => "set-password",
        Action::IssueEnrolment => "issue-enrolment",
        Action::CreateConversation => "create-conversation",
        Action::UpdateConversation => "update-conversation",
        Action::AddParticipant => "add-participant",
        Action::RemoveParticipant => "remove-participant",
        Action::Post => "post",
        Action::DefinePolicy => "define-policy",
        Action::SetStatus => "set-status",
        Action::RaiseFeatureLevel => "raise-feature-level",

        Action::AddSigner => "add-signer",
        Action::FetchMessages => "fetch-messages",
        Action::OpenStream => "open-stream",
        Action::ReadAudit => "read-audit",
        Action::ShowAddresses => "show-addresses",
        Action::ProveMessage => "prove-message",
        Action::RevealMessage => "reveal-message",
        Action::ExportAudit => "export-audit",
        Action::FindDivergence => "find-divergence",
        Action::ResolveDivergence => "resolve-divergence",
        Action::Look => "look",

        Action::ResetPassword => "reset-password",
        Action::RefreshSession => "refresh-session",
        Action::AddSecondFactor => "add-second-factor",
        Action::ConfirmSecondFactor => "confirm-second-factor",
        Action::RemoveSecondFactor => "remove-second-factor",
        Action::ChangeSettings => "change-settings",
        Action::LogOff => "log-off",
        Action::RotateClusterKey => "rotate-cluster-key",
        Action::RetireClusterKey => "retire-cluster-key",
        Action::ApproveHolder => "approve-key-holder",

        Action::FetchTitles => "fetch-titles",
        Action::FetchNames => "fetch-names",
        Action::FetchStatuses => "fetch-statuses",
        Action::StepClock => "step-clock",
        Action::ConfirmClock => "confirm-clock",
        Action::AdmitNode => "admit-node",
        Action::SeatNode => "seat-node",
        Action::Refound => "refound",
        Action::CreateBackup => "create-backup",
        Action::FailBackup => "fail-backup",
        Action::VerifyBackup => "verify-backup",
        Action::RefuteBackup => "refute-backup",
        Action::RestoreBackup => "restore-backup",

        Action::LockSession => "lock-session",
        Action::UnlockSession => "unlock-session",
        Action::TapIn => "tap-in",
        Action::TapOut => "tap-out",
        Action::SetPin => "set-pin",
        Action::ClearPin => "clear-pin",
        Action::ResetPin => "reset-pin",
        Action::OpenEmergency => "open-emergency",
        Action::ApproveEmergency => "approve-emergency",
        Action::EndEmergency => "end-emergency",
        Action::ReviewEmergency => "review-emergency",

        Action::ChangeCertificates => "change-certificates",
        Action::RevokeCertificates => "revoke-certificates",
        Action::ProposeKit => "propose-recovery-kit",
        Action::ConfirmKit => "confirm-recovery-kit",
        Action::CancelKit => "cancel-recovery-kit",
        Action::LapseKit => "lapse-recovery-kit",
        Action::LoadConfiguration => "load-configuration",
    }
}

/// The same in words, to stand after who did it: "Dr Ito *posted a message*".
#[must_use]
pub const fn sentence(action: Action) -> &'static str {
    match action {
        Action::Found => "founded the cluster",
        Action::SignIn => "signed in",
        Action::EndSession => "ended a session",
        Action::CreateUser => "created an account",
        Action::UpdateUser => "changed an account",
        Action::DeactivateUser => "deactivated an account",
        Action::SetPassword => "set a password",
        Action::IssueEnrolment => "issued a one-time code",
        Action::CreateConversation => "created a conversation",
        Action::UpdateConversation => "changed a conversation",
        Action::AddParticipant => "added a participant",
        Action::RemoveParticipant => "removed a participant, or left",
        Action::Post => "posted a message",
        Action::DefinePolicy => "defined a history policy",
        Action::SetStatus => "set a status",
        Action::RaiseFeatureLevel => "raised the feature level",

        Action::AddSigner => "began to sign the audit log",
        Action::FetchMessages => "fetched messages",
        Action::OpenStream => "opened a stream of messages",
        Action::ReadAudit => "looked at the audit log",
        Action::ShowAddresses => "looked at network addresses in the audit log",
        Action::ProveMessage => "proved a message",
        Action::RevealMessage => "gave away a message's text",
        Action::ExportAudit => "exported the audit log",
        Action::FindDivergence => "found nodes to disagree about the audit log",
        Action::ResolveDivergence => "decided which audit log is right",
        Action::Look => "asked for something",

        Action::ResetPassword => "took a password away, with a one-time code in its place",
        Action::RefreshSession => "asked for a new token",
        Action::AddSecondFactor => "set up a second factor",
        Action::ConfirmSecondFactor => "confirmed a second factor",
        Action::RemoveSecondFactor => "took a second factor away",
        Action::ChangeSettings => "changed the cluster's settings",
        Action::LogOff => "signed others out",
        Action::RotateClusterKey => "replaced the cluster key",
        Action::RetireClusterKey => "removed an old cluster key",
        Action::ApproveHolder => "let a node hold the cluster key",

        Action::FetchTitles => "fetched titles of conversations",
        Action::FetchNames => "fetched names of patients",
        Action::FetchStatuses => "fetched status texts",
        Action::StepClock => "found that cluster time had stepped",
        Action::ConfirmClock => "said that cluster time is right",
        Action::AdmitNode => "let a new node into a slot",
        Action::SeatNode => "counted a new node as one of three",
        Action::Refound => "began a new history from one node",
        Action::CreateBackup => "made a backup",
        Action::FailBackup => "failed to make a backup",
        Action::VerifyBackup => "verified a backup by restoring it",
        Action::RefuteBackup => "found a backup to be bad",
        Action::RestoreBackup => "went on from a backup",

        Action::LockSession => "locked a session",
        Action::UnlockSession => "unlocked a session",
        Action::TapIn => "began a part at a place",
        Action::TapOut => "ended someone's part at a place",
        Action::SetPin => "set a PIN",
        Action::ClearPin => "gave up a PIN",
        Action::ResetPin => "took a PIN away",
        Action::OpenEmergency => "asked for emergency access",
        Action::ApproveEmergency => "approved emergency access",
        Action::EndEmergency => "ended emergency access",
        Action::ReviewEmergency => "signed off the review of emergency access",

        Action::ChangeCertificates => "began to show other certificates",
        Action::RevokeCertificates => "revoked certificates",
        Action::ProposeKit => "proposed a new recovery kit",
        Action::ConfirmKit => "confirmed the new recovery kit",
        Action::CancelKit => "withdrew the proposed recovery kit",
        Action::LapseKit => "let a proposed recovery kit lapse",
        Action::LoadConfiguration => "made a node take up its configuration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_lower_case_words() {
        assert!(code(Action::SetStatus).bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    }
}
