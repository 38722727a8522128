//! Second factors and the cluster's settings.

use clap::{Args, Subcommand};

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
    /// theirs with `tricord totp add`.
    #[arg(long, value_enum, value_name = "SET")]
    pub second_factor: Option<Vec<Permission>>,
    /// No permission set needs a second factor.
    #[arg(long, conflicts_with = "second_factor")]
    pub no_second_factor: bool,
}
