//! `tricord`: the operator's and the user's client. Nouns and verbs; data to stdout, words to stderr.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may fail that way"))]

mod address;
mod age;
mod args;
mod chat;
mod client;
mod commands;
mod controls;
mod custody;
mod daemon;
mod error;
mod figures;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod import;
mod join;
mod judge;
mod output;
mod pki;
mod profile;
mod prompt;
mod recovery;
mod renewal;
mod restored;
mod rows;
mod secrets;
mod session;
mod store;
mod text;
mod top;
mod when;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Does what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = seal::environment::hide(&[secrets::PASSWORD]) {
        let _ = writeln!(std::io::stderr(), "error: take the password out of the environment: {error}");
        return ExitCode::from(1);
    }
    let cli = args::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: start the client: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(commands::run(cli));
    // A prompt that waits on a terminal must not hold up the exit.
    runtime.shutdown_background();
    match result {
        Ok(exit) => ExitCode::from(exit),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", error.report());
            ExitCode::from(error.exit())
        }
    }
}
