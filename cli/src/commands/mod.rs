//! One module for each noun.

mod account;
pub mod audit;
mod backup;
mod certificate;
mod clock;
mod cluster;
mod controls;
mod conversation;
mod disaster;
mod doctor;
mod emergency;
mod keys;
mod kit;
pub mod message;
mod node;
mod pki;
mod place;
pub mod presence;
mod receipts;
mod reload;
mod replace;
mod security;
mod sessions;
mod support;
mod tail;
mod top;
mod upgrade;
mod user;

use clap::CommandFactory;

use crate::args::{Cli, Command};
use crate::error::{Error, Result};
use crate::session::Session;

/// Does what was asked; the exit status.
pub async fn run(cli: Cli) -> Result<u8> {
    let global = &cli.global;
    match cli.command {
        Command::Login { login } => account::login(global, &login).await?,
        Command::Enrol { login } => account::enrol(global, &login).await?,
        Command::Logout => account::logout(global).await?,
        Command::Whoami => account::whoami(global).await?,
        Command::Password => account::password(global).await?,
        Command::Session(command) => sessions::run(&Session::open(global)?, global, command).await?,
        Command::Place(command) => place::place(global, command).await?,
        Command::Pin(command) => place::pin(&Session::open(global)?, global, command).await?,
        Command::Emergency(command) => emergency::run(&Session::open(global)?, global, command).await?,
        Command::Totp(command) => security::totp(&Session::open(global)?, global, command).await?,
        Command::Settings(command) => security::settings(&Session::open(global)?, global, command).await?,
        Command::User(command) => user::run(&Session::open(global)?, global, command).await?,
        Command::Conversation(command) => conversation::run(&Session::open(global)?, global, command).await?,
        Command::Message(command) => message::run(Session::open(global)?, global, command).await?,
        Command::Receipts { conversation, seq } => {
            receipts::run(&Session::open(global)?, global, &conversation, seq).await?;
        }
        Command::Presence(command) => presence::run(Session::open(global)?, global, command).await?,
        Command::Chat { conversation } => crate::chat::run(Session::open(global)?, conversation).await?,
        Command::Cluster(command) => return cluster::run(global, command).await,
        Command::Top => top::run(Session::open(global)?).await?,
        Command::Node(command) => return node::run(global, command).await,
        Command::Doctor(args) => return doctor::run(global, &args),
        Command::Support(command) => return support::run(global, command),
        Command::Disaster(command) => disaster::run(global, command)?,
        Command::Audit(command) => audit::run(global, command).await?,
        Command::Backup(command) => backup::run(global, command).await?,
        Command::Controls(command) => controls::run(&Session::open(global)?, global, command).await?,
        Command::Key(command) => keys::run(&Session::open(global)?, global, command).await?,
        Command::Pki(command) => pki::run(global, command)?,
        Command::Completions { shell } => completions(shell)?,
        Command::Man { dir } => man(&dir)?,
    }
    Ok(0)
}

fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tricord", &mut script);
    crate::output::print(String::from_utf8_lossy(&script).trim_end())
}

fn man(dir: &std::path::Path) -> Result<()> {
    let fail = |source| Error::File { doing: "write manual pages to", path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(fail)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// What stands without an option may not go by the name of an option of all commands: it would be taken for that.
    #[test]
    fn no_argument_is_taken_for_an_option_of_all_commands() {
        let cli = Cli::command();
        let all: Vec<String> =
            cli.get_arguments().filter(|one| one.is_global_set()).map(|one| one.get_id().to_string()).collect();
        assert!(all.iter().any(|one| one == "node"), "{all:?}");
        let mut left: Vec<(String, clap::Command)> =
            cli.get_subcommands().map(|one| (one.get_name().to_owned(), one.clone())).collect();
        while let Some((name, command)) = left.pop() {
            let taken = command.get_positionals().find(|one| all.contains(&one.get_id().to_string()));
            assert!(taken.is_none(), "tricord {name}: {:?}", taken.map(clap::Arg::get_id));
            left.extend(command.get_subcommands().map(|one| (format!("{name} {}", one.get_name()), one.clone())));
        }
    }

    #[test]
    fn no_password_and_no_text_can_be_given_as_an_argument() {
        for wrong in [
            &["tricord", "login", "ito", "secret"][..],
            &["tricord", "message", "send", "@ito", "hello"],
            &["tricord", "enrol", "ito", "1234"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn manual_pages_and_completions_are_made() {
        let dir = tempfile::tempdir().unwrap();
        man(dir.path()).unwrap();
        assert!(dir.path().join("tricord-message-send.1").exists());
        let mut script = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "tricord", &mut script);
        assert!(String::from_utf8(script).unwrap().contains("conversation"));
    }
}
