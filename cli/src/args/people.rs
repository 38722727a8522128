//! Sessions, accounts and presence.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `session …`
#[derive(Subcommand, Debug)]
pub enum SessionCommand {
    /// List sessions that have not ended.
    List {
        /// Whose (operators); without it one's own.
        user: Option<String>,
    },
    /// Lock this profile's session, or another of one's own: it stays signed in, and shows and does nothing.
    Lock {
        /// Which: an id from the list; without it this one.
        session: Option<String>,
    },
    /// Unlock this profile's session; asks for the password, or reads it from stdin.
    Unlock {
        /// Ask for the PIN instead.
        #[arg(long)]
        pin: bool,
    },
    /// Sign out a user, a device or everybody (admin; helpdesk, but not everybody). Their streams end at once.
    LogOff(LogOff),
    /// End a session: an id from the list, or users/ID/sessions/ID.
    End {
        /// Which.
        session: String,
    },
}

/// `session log-off`
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["user", "device", "everybody"])))]
pub struct LogOff {
    /// A user, everywhere: @login or an id.
    pub user: Option<String>,
    /// Whoever is signed in on this device.
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// Everybody, oneself included.
    #[arg(long)]
    pub everybody: bool,
    /// Why, for the audit log: a few words without names.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
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
    /// Take a user's password away and make a one-time code to set another with (for the help desk).
    ///
    /// Be sure who is asking: the code is the account. It is good once and for a day. All sessions of the user end, the
    /// user is told at the next sign-in who did it, and the audit log has it as a class of its own.
    Reset {
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
    /// Gives away the text of single messages with their proof, each with a reason.
    Discloser,
    /// May open emergency access together with another keyholder.
    Keyholder,
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
