//! What one can type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXITS: &str = "\
Exit status: 0 well; 1 failed; 2 usage; 3 degraded but serving; 4 not accepting messages (cluster status).

People and groups: @login a person, '#title' a group (quote it: a shell takes a bare # for a comment; title:NAME is the \
same), or a conversation's id.";

const INIT: &str = "\
The three nodes are given with --node, once for each slot:
  --node a=PEER_HOST:PORT,CLIENT_HOST:PORT[,OPS_HOST:PORT] --node b=… --node c=…
PEER is where the other nodes reach it, CLIENT where people's clients do, OPS where health and metrics are (default: the
client's host, port 7403). An IPv6 address stands in brackets.";

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
    /// A node's client address; repeat it for the others: the client goes on by itself when one does not answer.
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
    /// Sign in on this profile; asks for the password, or reads it from stdin.
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

/// `session …`
#[derive(Subcommand, Debug)]
pub enum SessionCommand {
    /// List sessions that have not ended.
    List {
        /// Whose (operators); without it one's own.
        user: Option<String>,
    },
    /// End a session: an id from the list, or users/ID/sessions/ID.
    End {
        /// Which.
        session: String,
    },
}

/// `user …`
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Create a user; prints a one-time enrolment code.
    Add(UserAdd),
    /// List users in the order of their logins.
    List {
        /// Also those who were deactivated.
        #[arg(long)]
        deactivated: bool,
        /// At most so many.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Show one user.
    Show {
        /// @login or an id.
        user: String,
    },
    /// Find users by the beginnings of words of login, name or unit.
    Search {
        /// A few letters of one or more words.
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Create users from a CSV file; all lines are checked before any is imported.
    #[command(long_about = crate::import::HELP)]
    Import {
        /// The file.
        file: PathBuf,
        /// Where to write the one-time codes: a new file that only you can read. Default: FILE with .codes.csv.
        #[arg(long, value_name = "FILE")]
        codes: Option<PathBuf>,
        /// Only check the file.
        #[arg(long)]
        check: bool,
    },
    /// Change a user.
    Update(UserUpdate),
    /// End an account for ever: its sessions and participations end with it.
    Deactivate {
        /// @login or an id.
        user: String,
    },
    /// Make a new one-time enrolment code; the user's sessions end.
    Code {
        /// @login or an id.
        user: String,
    },
}

/// `user add`
#[derive(Args, Debug)]
pub struct UserAdd {
    /// What one signs in with: a-z, 0-9, '.', '-', '_'.
    pub login: String,
    /// What people see.
    #[arg(long)]
    pub name: String,
    /// Where they work, shown with the name.
    #[arg(long, default_value = "")]
    pub unit: String,
    /// What it stands for.
    #[arg(long, value_enum, default_value = "person")]
    pub kind: Kind,
    /// Whose people it belongs to; default: staff, for a patient: patient.
    #[arg(long, value_enum)]
    pub realm: Option<RealmArg>,
    /// An id another system knows them by; may be repeated.
    #[arg(long = "external-id", value_name = "SYSTEM=VALUE")]
    pub external_ids: Vec<String>,
    /// What they may do as an operator; may be repeated.
    #[arg(long = "permission", value_enum)]
    pub permissions: Vec<Permission>,
    /// Make no enrolment code: nobody signs in as this user.
    #[arg(long)]
    pub without_code: bool,
}

/// `user update`
#[derive(Args, Debug)]
pub struct UserUpdate {
    /// @login or an id.
    pub user: String,
    /// What people see.
    #[arg(long)]
    pub name: Option<String>,
    /// Where they work.
    #[arg(long)]
    pub unit: Option<String>,
    /// All ids in other systems; replaces those there are. May be repeated.
    #[arg(long = "external-id", value_name = "SYSTEM=VALUE")]
    pub external_ids: Option<Vec<String>>,
    /// Whether they may message.
    #[arg(long, value_name = "true|false")]
    pub messaging: Option<bool>,
    /// All permission sets; replaces those there are. May be repeated.
    #[arg(long = "permission", value_enum)]
    pub permissions: Option<Vec<Permission>>,
    /// Take all permission sets away.
    #[arg(long, conflicts_with = "permissions")]
    pub no_permissions: bool,
}

/// What an account stands for.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A human being.
    Person,
    /// A place.
    Location,
    /// An interface or a bot.
    Service,
    /// A patient.
    Patient,
}

/// Whose people.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealmArg {
    /// The hospital's own.
    Staff,
    /// A business associate's.
    Partner,
    /// Patients.
    Patient,
}

/// Permission sets.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everything an operator can do.
    Admin,
    /// Reads the audit log.
    Auditor,
    /// Issues enrolment codes, ends sessions.
    Helpdesk,
    /// Creates and changes users.
    Integrator,
    /// Sees the cluster's status.
    Viewer,
}

/// `conversation …`
#[derive(Subcommand, Debug)]
pub enum ConversationCommand {
    /// Create a conversation with the people named.
    Create {
        /// The title; none for a direct one.
        #[arg(long, default_value = "")]
        title: String,
        /// What it is for.
        #[arg(long, value_enum, default_value = "group")]
        kind: ConversationKindArg,
        /// The patient of a care team: @login or an id.
        #[arg(long)]
        subject: Option<String>,
        /// Which earlier messages people see who are added later: none, or all.
        #[arg(long, value_enum)]
        history: Option<History>,
        /// @login of those who take part.
        people: Vec<String>,
        /// Those who take part only to read.
        #[arg(long, value_name = "@LOGIN")]
        reader: Vec<String>,
        /// Those who write: in a channel.
        #[arg(long, value_name = "@LOGIN")]
        writer: Vec<String>,
        /// Those who own it too.
        #[arg(long, value_name = "@LOGIN")]
        owner: Vec<String>,
        /// Further logins, one a line, from a file, or - for stdin.
        #[arg(long, value_name = "FILE")]
        people_from: Option<PathBuf>,
    },
    /// List one's conversations.
    List {
        /// Also those one has left.
        #[arg(long)]
        left: bool,
    },
    /// Show one, and who takes part.
    Show {
        /// @login, '#title' or an id.
        conversation: String,
    },
    /// Add people, or change their part.
    Add {
        /// '#title' or an id.
        conversation: String,
        /// @login of each.
        #[arg(required = true)]
        people: Vec<String>,
        /// What they may do.
        #[arg(long, value_enum)]
        part: Option<PartArg>,
    },
    /// Remove someone.
    Remove {
        /// '#title' or an id.
        conversation: String,
        /// @login.
        person: String,
    },
    /// Leave.
    Leave {
        /// '#title' or an id.
        conversation: String,
    },
    /// Give it another title.
    Rename {
        /// '#title' or an id.
        conversation: String,
        /// The new title.
        title: String,
    },
    /// Let it take no more messages.
    Close {
        /// '#title' or an id.
        conversation: String,
        /// Open it again instead.
        #[arg(long)]
        reopen: bool,
    },
}

/// Kinds of conversation.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationKindArg {
    /// Exactly two.
    Direct,
    /// Several who may all write.
    Group,
    /// Few write, many read.
    Channel,
    /// About one patient.
    CareTeam,
}

/// Which earlier messages newcomers see.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Nothing from before.
    Nothing,
    /// Everything.
    Everything,
}

/// Parts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartArg {
    /// Reads.
    Reader,
    /// Reads and writes.
    Writer,
    /// Also decides who takes part.
    Owner,
}

/// `message …`
#[derive(Subcommand, Debug)]
pub enum MessageCommand {
    /// Send a message; the text comes from a prompt or from stdin.
    Send {
        /// @login, '#title' or a conversation's id.
        to: String,
        /// How urgent.
        #[arg(long, value_enum, default_value = "routine")]
        priority: PriorityArg,
        /// The seq of the message it answers.
        #[arg(long, value_name = "SEQ")]
        reply_to: Option<u64>,
        /// The seq of one's own message that it takes the place of.
        #[arg(long, value_name = "SEQ")]
        supersedes: Option<u64>,
        /// @login of whom it mentions; may be repeated.
        #[arg(long, value_name = "@LOGIN")]
        mention: Vec<String>,
        /// Each line of stdin is a message of its own.
        #[arg(long)]
        lines: bool,
    },
    /// List messages, oldest first.
    List {
        /// @login, '#title' or a conversation's id.
        conversation: String,
        /// From this seq on; without it the newest.
        #[arg(long, value_name = "SEQ")]
        from: Option<u64>,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Show messages as they come, until interrupted. With --output json: one document a line.
    Tail {
        /// @login, '#title' or an id; without it all of one's conversations.
        conversation: Option<String>,
        /// Begin with what came since this cursor (hexadecimal, as --output json prints it).
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
        /// End after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Show one message.
    Get {
        /// @login, '#title' or a conversation's id.
        conversation: String,
        /// Its seq.
        seq: u64,
    },
}

/// How urgent.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorityArg {
    /// In its turn.
    Routine,
    /// Soon.
    Urgent,
    /// As soon as possible.
    Asap,
    /// At once.
    Stat,
}

/// `presence …`
#[derive(Subcommand, Debug)]
pub enum PresenceCommand {
    /// Show people's presence.
    Show {
        /// @login of each.
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Set one's own.
    Set {
        /// The state; auto: what the sessions show.
        #[arg(value_enum)]
        state: StateArg,
        /// What to say with it.
        #[arg(long, default_value = "")]
        text: String,
        /// For how long, as 30m or 2h.
        #[arg(long = "for", value_name = "TIME")]
        lasting: Option<String>,
    },
    /// Show changes as they come, until interrupted.
    Watch {
        /// @login of each.
        #[arg(required = true)]
        people: Vec<String>,
    },
}

/// What one says of oneself.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateArg {
    /// What the sessions show.
    Auto,
    /// Can be reached.
    Available,
    /// At work on something.
    Busy,
    /// Do not disturb.
    Dnd,
    /// Not there.
    Away,
}

/// `cluster …`
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Make the founding bundle: certificates, keys and configuration of the three nodes, and the first administrator.
    #[command(after_help = INIT)]
    Init(ClusterInit),
    /// Say in one plain line whether the cluster serves, then how each node is.
    Status,
}

/// `cluster init`
#[derive(Args, Debug)]
pub struct ClusterInit {
    /// What people call the cluster.
    #[arg(long)]
    pub name: String,
    /// The login of the first administrator.
    #[arg(long)]
    pub admin: String,
    /// The administrator's display name; default: the login.
    #[arg(long)]
    pub admin_name: Option<String>,
    /// The directory to write; it must not exist or be empty.
    #[arg(long)]
    pub out: PathBuf,
    /// Where the daemon keeps its data on its machine; `{slot}` stands for the slot.
    #[arg(long, default_value = "/var/lib/tricord")]
    pub data: String,
    /// Further names or IP addresses of all nodes' client ports (a load balancer, localhost).
    #[arg(long = "client-name", value_name = "NAME")]
    pub client_names: Vec<String>,
}

/// `pki …`
#[derive(Subcommand, Debug)]
pub enum PkiCommand {
    /// Make a certificate authority: ca.crt and ca.key.
    Init {
        /// What it is called.
        #[arg(long)]
        name: String,
        /// The directory to write; existing files are never replaced.
        #[arg(long)]
        out: PathBuf,
    },
    /// Issue a certificate: a node's for peers, or one for its client port.
    Issue {
        /// The directory of `pki init` or `cluster init` with ca.crt and ca.key.
        #[arg(long)]
        ca: PathBuf,
        /// For which port.
        #[arg(long = "for", value_enum)]
        purpose: Purpose,
        /// The cluster's id (peer certificates).
        #[arg(long, required_if_eq("purpose", "peer"))]
        cluster: Option<String>,
        /// a, b or c (peer certificates).
        #[arg(long, required_if_eq("purpose", "peer"))]
        slot: Option<String>,
        /// Names and IP addresses people connect to (client certificates); may be repeated.
        #[arg(long = "host", required_if_eq("purpose", "client"))]
        hosts: Vec<String>,
        /// How long it is good for.
        #[arg(long, default_value_t = 760, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// The directory to write.
        #[arg(long)]
        out: PathBuf,
    },
}

/// What a certificate is for.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Between nodes.
    Peer,
    /// The client and ops ports.
    Client,
}
