//! What can go wrong, in words: what was being done, why not, a stable code, and what to do next.

use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line says something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The cluster said no.
    #[error("{doing}: {why}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        /// The stable reason.
        reason: String,
        /// The server's words.
        why: String,
        /// Fields that are wrong, and how.
        fields: Vec<(String, String)>,
    },
    /// No node answered; nothing was done.
    #[error("{doing}: no node answered within {seconds} s ({tried})")]
    NoAnswer {
        /// What was being done.
        doing: String,
        /// The deadline.
        seconds: u64,
        /// Each node, and what became of the attempt.
        tried: String,
    },
    /// It may or may not have been done.
    #[error("{doing}: not confirmed within {seconds} s ({tried})")]
    Unconfirmed {
        /// What was being done.
        doing: String,
        /// The deadline.
        seconds: u64,
        /// Each node, and what became of the attempt.
        tried: String,
    },
    /// Nobody is signed in on this profile.
    #[error("nobody is signed in on the profile {profile}")]
    NotSignedIn {
        /// The profile.
        profile: String,
    },
    /// A file could not be used.
    #[error("{doing} {path}: {source}", path = .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something that cannot be.
    #[error("{doing}: {why}")]
    Content {
        /// What was being done.
        doing: String,
        /// What is wrong.
        why: String,
    },
    /// An address fits several conversations, or none.
    #[error("find {address}: {why}")]
    Address {
        /// As typed.
        address: String,
        /// What is wrong; candidates, one a line.
        why: String,
    },
    /// A CSV file with bad lines.
    #[error("check {file}: {count} bad, nothing was imported\n{lines}")]
    Import {
        /// The file.
        file: String,
        /// How many faults.
        count: usize,
        /// One a line.
        lines: String,
    },
    /// Printing or reading failed.
    #[error("{doing}: {source}")]
    Terminal {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What was to be verified is not as it was signed.
    #[error("NOT VERIFIED. {0}")]
    NotVerified(String),
    /// A certificate or key could not be made.
    #[error("{doing}: {why}")]
    Pki {
        /// What was being done.
        doing: String,
        /// Why not.
        why: String,
    },
}

impl Error {
    /// The stable code, for programs and for the manual.
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::Refused { reason, .. } => reason,
            Self::NoAnswer { .. } => "NO_ANSWER",
            Self::Unconfirmed { .. } => "OUTCOME_UNKNOWN",
            Self::NotSignedIn { .. } => "NO_SESSION",
            Self::File { .. } => "FILE",
            Self::Content { .. } => "CONTENT",
            Self::Address { .. } => "ADDRESS",
            Self::Import { .. } => "IMPORT",
            Self::Terminal { .. } => "TERMINAL",
            Self::Pki { .. } => "PKI",
            Self::NotVerified(_) => "NOT_VERIFIED",
        }
    }

    /// 2 for what was typed wrongly, 1 for all else.
    pub fn exit(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }

    /// The reader of our output went away; that is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Terminal { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next.
    pub fn next(&self) -> Option<&str> {
        Some(match self {
            Self::Usage(_) => "tricord help shows what can be said.",
            Self::Refused { reason, .. } => return next_after(reason),
            Self::NoAnswer { .. } => {
                "nothing was done. Check the network and the addresses (--node); tricord cluster status asks every node."
            }
            Self::Unconfirmed { .. } => "trying again is safe: it cannot arrive twice.",
            Self::NotSignedIn { .. } => "tricord login LOGIN, or with a one-time code tricord enrol LOGIN.",
            Self::Address { .. } => "tricord conversation list and tricord user search show what there is.",
            Self::Import { .. } => "mend these lines and import the file again.",
            Self::NotVerified(_) => {
                "keep these files as they are, and compare with another export and with heads kept elsewhere (runbook audit)."
            }
            Self::File { .. } | Self::Content { .. } | Self::Terminal { .. } | Self::Pki { .. } => return None,
        })
    }

    /// The whole, for stderr.
    pub fn report(&self) -> String {
        let mut report = format!("error: {} [{}]", crate::text::lines(&self.to_string()), self.code());
        if let Self::Refused { fields, .. } = self {
            for (field, what) in fields {
                report += &format!("\n  {}: {}", crate::text::line(field), crate::text::line(what));
            }
        }
        if let Some(next) = self.next() {
            report += &format!("\nnext: {next}");
        }
        report
    }
}

fn next_after(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NO_SESSION" | "CREDENTIAL_CHANGED" => "sign in again: tricord login LOGIN.",
        "BAD_CREDENTIALS" => "check login and password; after a reset, ask for a one-time code and use tricord enrol.",
        "SECOND_FACTOR_NEEDED" | "BAD_SECOND_FACTOR" => {
            "each one-time password is good once: wait for the next, or use a recovery code."
        }
        "LOCKED_OUT" => {
            "wait as long as it says; another of your devices, or the help desk (tricord user reset), helps sooner."
        }
        "SESSION_LOCKED" => "unlock it with your password: tricord session unlock.",
        "TOKEN_EXPIRED" | "BAD_PROOF" => "this device could not prove itself: sign in again with tricord login LOGIN.",
        "BAD_CODE" => {
            "codes are good once, for 7 days (after a reset for one): ask for a new one (tricord user code @LOGIN)."
        }
        "DEACTIVATED" => "the account has ended; ask the administrator.",
        "NOT_ENTITLED" => "ask the administrator for the entitlement to message.",
        "NOT_PERMITTED" => "this needs a permission set you do not have; tricord whoami shows yours.",
        "NOT_FOUND" => "it does not exist, or is not yours to see.",
        "INVALID" => "mend what is named and try again.",
        "TAKEN" => "choose another; a login is never given to a second person.",
        "LIMIT" => "the limit is fixed; use fewer or smaller.",
        "VERSION_MISMATCH" => "someone changed it meanwhile: look at it again, then repeat.",
        "CONVERSATION_CLOSED" => "an owner can open it again: tricord conversation close --reopen.",
        "REQUEST_ID_REUSED" | "DEDUP_EXPIRED" | "WINDOW_EXCEEDED" => {
            "look whether it was done before you repeat it; if this stays, sign in again."
        }
        "CURSOR_INVALID" | "CURSOR_EXPIRED" => "begin without a cursor: what is older is in tricord message list.",
        "LINEAGE_CHANGED" => "begin without a cursor, and check what is missing: tricord message list.",
        "BEHIND" | "STALE_LIMIT" | "NO_MAJORITY" => "tricord cluster status says what is wrong and what to do.",
        "OVERLOADED" | "RATE_LIMITED" | "TOO_MANY_STREAMS" | "SLOW_READER" | "SHUTTING_DOWN" => {
            "try again in a moment."
        }
        "DISK_FULL" => "an operator must make room on the nodes' disks; tricord cluster status says on which.",
        "STATE_DIVERGED" => "tricord audit head shows who holds what; the runbook audit says what to do.",
        "NOT_SEALED" => "wait some seconds and try again: heads are sealed every few seconds while two nodes run.",
        "NODE_FAULT" => "look at that node's log; another node can be asked meanwhile (--node).",
        "NOT_FOUNDED" => "found the cluster: tricordd found on each of the three machines.",
        _ => return None,
    })
}

/// What a command gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_why_code_and_next() {
        let error = Error::Refused {
            doing: "send a message to #ward".into(),
            reason: "CONVERSATION_CLOSED".into(),
            why: "it is closed\u{1b}[2J".into(),
            fields: vec![("message.text".into(), "too long by 1,204 bytes".into())],
        };
        let report = error.report();
        assert!(
            report.starts_with("error: send a message to #ward: it is closed␛[2J [CONVERSATION_CLOSED]"),
            "{report}"
        );
        assert!(report.contains("  message.text: too long by 1,204 bytes"));
        assert!(report.contains("\nnext: an owner"));
        assert_eq!(error.exit(), 1);
        assert_eq!(Error::Usage("x".into()).exit(), 2);
    }
}
