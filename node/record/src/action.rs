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
