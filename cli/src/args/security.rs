//! Second factors and the cluster's settings.

use clap::{Args, Subcommand, ValueEnum};

use super::Permission;

/// `totp …`
#[derive(Subcommand, Debug)]
pub enum TotpCommand {
    /// Set one-time passwords up for oneself; asks for the password, prints the secret and ten recovery codes, once.
    ///
    /// Type or scan the secret into an authenticator, keep the recovery codes on paper apart from it, then confirm with
    /// `tricord totp confirm`. Until then nothing is asked for.
    Add,
    /// Confirm the set-up with the one-time password that the authenticator shows; asks for it.
    Confirm,
    /// Take one-time passwords away: one's own (asks for the password), or with permission those of USER.
    Remove {
        /// Whose (admin, helpdesk): @login or an id; without it one's own.
        user: Option<String>,
    },
}

/// `settings …`
#[derive(Subcommand, Debug)]
pub enum SettingsCommand {
    /// Show what holds for the whole cluster.
    Show,
    /// Change it (admin); what is not named stays.
    Set(SettingsSet),
}

/// `settings set`
#[derive(Args, Debug)]
pub struct SettingsSet {
    /// Permission sets that are in force only in a session with a second factor; repeat it. Whoever holds one sets up
    /// theirs with `tricord totp add` and `tricord totp confirm`; who sets this, before.
    #[arg(long, value_enum, value_name = "SET")]
    pub second_factor: Option<Vec<Permission>>,
    /// No permission set needs a second factor.
    #[arg(long, conflicts_with = "second_factor")]
    pub no_second_factor: bool,
    /// A session on a personal device locks when nothing is done in it for so long (as 15m, 90s); never: not at all.
    #[arg(long, value_name = "SPAN")]
    pub lock_after: Option<String>,
    /// A person's part at a place ends when nothing is done in it for so long.
    #[arg(long, value_name = "SPAN")]
    pub part_idle: Option<String>,
    /// A session that is not used ends after so long (as 14d).
    #[arg(long, value_name = "SPAN")]
    pub session_idle: Option<String>,
    /// A session ends so long after sign-in, whatever it does.
    #[arg(long, value_name = "SPAN")]
    pub session_longest: Option<String>,
    /// By what a locked session is unlocked beside the password; repeat it. The password alone: password.
    #[arg(long, value_enum, value_name = "METHOD")]
    pub unlock: Option<Vec<UnlockMethod>>,
}

/// What unlocks a session.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockMethod {
    /// The password, which always does.
    Password,
    /// The PIN.
    Pin,
    /// The key of the device, where the client keeps it behind a lock of its own.
    DeviceKey,
}
