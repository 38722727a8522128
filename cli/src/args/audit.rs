//! The audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const VERIFY: &str = "\
It asks no cluster and needs no network: only the export or the proof, and the founding key file (audit.pub of the founding \
bundle), which must come from somewhere the cluster's operators cannot change. It believes two signatures, and says exactly \
what is wrong: a changed record, a missing one, another log, too few signatures; with --since also a cut tail and a fork. \
Without an earlier head it can only say that what is there is whole: a tail that was cut off before anybody kept a head is not \
detectable.";

/// `audit …`
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// List records, the newest first, by day: number, time, who, what was done (✗: refused) and to what. Needs the permission
    /// set auditor; looking is itself recorded.
    List(AuditList),
    /// Print the newest sealed head: a signed note. Keep one outside the cluster now and then: it is what makes a cut
    /// tail detectable.
    Head {
        /// Write it to this new file.
        #[arg(long, value_name = "FILE", conflicts_with = "qr")]
        out: Option<PathBuf>,
        /// Print it as a QR code, to be kept on paper.
        #[arg(long)]
        qr: bool,
    },
    /// Prove that a message was sent, by whom and when, and that its record was not changed since.
    Prove {
        /// `CONVERSATION/SEQ` with the conversation's id, or conversations/ID/messages/SEQ.
        message: String,
        /// Also give away what it says, and its salt; needs the permission set discloser too, and is recorded with the
        /// reason.
        #[arg(long, requires = "reason")]
        reveal: bool,
        /// Why; it is recorded, so it should name nobody.
        #[arg(long)]
        reason: Option<String>,
        /// Write the proof to this new file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that the log as of one size is the beginning of the log as of a later one, and check the proof.
    ProveConsistency {
        /// The earlier size.
        old: u64,
        /// The later size; default: the newest sealed head's.
        new: Option<u64>,
    },
    /// Export the log: a C2SP tlog-tiles directory with the records. Goes on where an earlier run, or another day's export,
    /// ended.
    Export {
        /// The directory; it is created.
        dir: PathBuf,
    },
    /// Print the public half of the key that the node on this machine signs the audit log with.
    Key {
        /// The node's key.
        #[arg(default_value = "/etc/tricord/audit.key")]
        file: PathBuf,
    },
    /// Verify an export, or a proof, offline.
    #[command(after_help = VERIFY)]
    Verify {
        /// The directory of an export, or the file of a proof.
        path: PathBuf,
        /// The founding key file.
        #[arg(long, value_name = "FILE")]
        founding: PathBuf,
        /// Only after a restoration, when nobody from before is left to vouch for the new nodes: a file with their keys, one a
        /// line, as audit key prints each on its own machine.
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
        /// A head kept from earlier: the log must go on from it.
        #[arg(long, value_name = "HEAD")]
        since: Option<PathBuf>,
        /// The earlier head must be signed by this witness too (NAME+ID+BASE64): audit.cosigned of a node's data
        /// directory is one that is.
        #[arg(long, value_name = "KEY", requires = "since")]
        witness: Option<String>,
    },
    /// Say which log is right where the nodes disagree and the third is silent. Nodes with another one stop.
    Decide {
        /// The size at which they disagree; audit head shows it.
        size: u64,
        /// The right root, in hexadecimal digits.
        root: String,
    },
}

/// `audit list`
#[derive(Args, Debug)]
pub struct AuditList {
    /// Only what this user did: @login or an id.
    #[arg(long)]
    pub user: Option<String>,
    /// Only this action: post, fetch-messages, sign-in, …
    #[arg(long)]
    pub action: Option<String>,
    /// Only what was done to this: users/ID, conversations/ID, conversations/ID/messages/SEQ, sessions/ID, nodes/ID, …
    #[arg(long)]
    pub target: Option<String>,
    /// Only from then on: 2026-03-04T02:13:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<jiff::Timestamp>,
    /// Only before.
    #[arg(long, value_name = "TIME")]
    pub to: Option<jiff::Timestamp>,
    /// Only what was refused.
    #[arg(long)]
    pub refused: bool,
    /// Also from which network address sessions were begun, moved or refused; that it was shown is recorded as an action of its
    /// own. What was done in a session names the session.
    #[arg(long)]
    pub addresses: bool,
    /// All that is recorded, with full ids: number, time, login, user, action, outcome, targets, count, reason, purpose,
    /// session, device, node and address, tabs between.
    #[arg(long)]
    pub wide: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}
