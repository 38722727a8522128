//! Locking, places, PINs, emergency access.

use clap::{Args, Subcommand};

/// `place …`
#[derive(Subcommand, Debug)]
pub enum PlaceCommand {
    /// Take part at this place (a profile in which a location is signed in); whoever was there does not any more.
    ///
    /// Asks for the PIN, or reads it from stdin. What is done then in this profile is done by you, and names the place.
    /// It ends with `tricord place tap-out`, when someone else taps in, or when nothing is done for a while.
    TapIn {
        /// Your login name.
        login: String,
        /// Ask for the password instead of the PIN.
        #[arg(long)]
        password: bool,
    },
    /// End the part of whoever is there.
    TapOut,
}

/// `pin …`
#[derive(Subcommand, Debug)]
pub enum PinCommand {
    /// Set one's PIN, 6 to 12 digits; asks for the password and the PIN, or reads them from two lines of stdin.
    Set,
    /// Take a PIN away: one's own, or with permission that of USER, who is told.
    Clear {
        /// Whose (admin, helpdesk): @login or an id; without it one's own.
        user: Option<String>,
    },
}

/// `emergency …`
#[derive(Subcommand, Debug)]
pub enum EmergencyCommand {
    /// Ask for emergency access (keyholders); it is in force once a second keyholder approves. Asks for your password.
    Open(EmergencyOpen),
    /// Approve it as the second keyholder, within 15 minutes. Asks for your password.
    Approve {
        /// Which: its number.
        number: u64,
    },
    /// End it before its time, or withdraw it (the two, or an administrator).
    Close {
        /// Which: its number.
        number: u64,
    },
    /// Sign the review of one that is over off (an auditor who was neither of the two).
    Review {
        /// Which: its number.
        number: u64,
        /// What was found, for the audit log: a few words without names.
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
    /// List them, the newest first.
    List,
}

/// `emergency open`
#[derive(Args, Debug)]
pub struct EmergencyOpen {
    /// Why, for the audit log: a few words without names.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// For how long, from approval on.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=480))]
    pub minutes: u32,
}
