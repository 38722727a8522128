//! What one can type.

use std::path::PathBuf;

mod audit;
mod backup;
mod disaster;
mod keys;
mod machine;
mod operating;
mod people;
mod places;
mod replacing;
mod security;
mod talking;

pub use audit::*;
pub use backup::*;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use disaster::*;
pub use keys::*;
pub use machine::*;
pub use operating::*;
pub use people::*;
pub use places::*;
pub use replacing::*;
pub use security::*;
pub use talking::*;

const EXITS: &str = "\
Exit status: 0 well; 1 failed; 2 usage; 3 degraded but serving; 4 not accepting messages (cluster status).

People and groups: @login a person, '#title' a group (quote it: a shell takes a bare # for a comment; title:NAME is the \
same), or a conversation's id.

For services and schedules a password can be handed over, in this order: the systemd credential tricord-password, the file that \
TRICORD_PASSWORD_FILE names (mode 600), TRICORD_PASSWORD (root and whoever reads the unit sees it), stdin. For emergency access \
and the recovery kit a person is always asked.";

/// Messages that three nodes keep: the client.
#[derive(Parser, Debug)]
#[command(name = "tricord", version, max_term_width = 100, after_help = EXITS)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// A node's client address; repeat it for the others: the client goes on by itself when one does not answer. As root on a
    /// node's own machine also unix:PATH of its local socket, which needs no certificate.
    #[arg(long, global = true, value_name = "HOST:PORT", env = "TRICORD_NODES")]
    pub node: Vec<String>,
    /// The certificate authority that signed the nodes' certificates (PEM).
    #[arg(long, global = true, value_name = "FILE", env = "TRICORD_CA")]
    pub ca: Option<PathBuf>,
    /// Which signed-in user to act as; each profile is a device of its own.
    #[arg(long, global = true, value_name = "NAME", env = "TRICORD_PROFILE")]
    pub profile: Option<String>,
    /// Tables for people, or one JSON document for programs.
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Format,
    /// Give up after so many seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub deadline: u64,
    /// Do not ask before what destroys.
    #[arg(long, global = true)]
    pub yes: bool,
}

/// How to print.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The nouns.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Sign in on this profile; asks for the password, or reads it from stdin (a one-time password from the next line).
    Login {
        /// The login name.
        login: String,
    },
    /// Set a password with a one-time code and sign in; asks for both, or reads two lines from stdin.
    Enrol {
        /// The login name.
        login: String,
    },
    /// End this profile's session.
    Logout,
    /// Say who is signed in, where.
    Whoami,
    /// Change one's password; asks, or reads old and new from two lines of stdin. Other sessions end.
    Password,
    /// One's signed-in periods.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Taking part at a place ("Room 1"), one after another.
    #[command(subcommand)]
    Place(PlaceCommand),
    /// The few digits for places and for unlocking.
    #[command(subcommand)]
    Pin(PinCommand),
    /// Emergency access: two keyholders open it, an auditor reviews it.
    #[command(subcommand)]
    Emergency(EmergencyCommand),
    /// One-time passwords beside the password.
    #[command(subcommand)]
    Totp(TotpCommand),
    /// What holds for the whole cluster.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Conversations and who takes part.
    #[command(subcommand)]
    Conversation(ConversationCommand),
    /// Messages.
    #[command(subcommand)]
    Message(MessageCommand),
    /// How far a conversation, or one message of one's own, has come.
    Receipts {
        /// @login, '#title' or a conversation's id.
        conversation: String,
        /// Only this message.
        seq: Option<u64>,
    },
    /// Who can be reached.
    #[command(subcommand)]
    Presence(PresenceCommand),
    /// The terminal client.
    Chat {
        /// Begin with this conversation: @login, '#title' or an id.
        conversation: Option<String>,
    },
    /// The three nodes.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// The three nodes, live: a full screen that asks every second.
    Top,
    /// The node on this machine, asked through its local socket: for root, when nothing else works.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Look at everything the node on this machine needs, whether it runs or not: configuration, certificates, disk, ports,
    /// peers, clocks, limits. Says of each finding what to do. Exit status: 0 nothing, 3 something should be done, 1 something
    /// must be.
    Doctor(Doctor),
    /// For whoever helps from elsewhere.
    #[command(subcommand)]
    Support(SupportCommand),
    /// The last resort, when two of the three nodes are lost for good.
    #[command(subcommand)]
    Disaster(DisasterCommand),
    /// The audit log: look, prove, export, verify.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What the product does for each item an auditor asks for, with evidence from this cluster.
    #[command(subcommand)]
    Controls(ControlsCommand),
    /// Backups: make, list, verify.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// The cluster's keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The cluster's own certificate authority.
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    Man {
        /// The directory; it is created.
        dir: PathBuf,
    },
}
