//! `cargo xtask`: what rewrites files on purpose. `ops/test` only checks.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Chores that rewrite files of the checkout.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format everything and apply clippy's suggestions.
    Fix,
    /// Take the .proto files as they are for what clients depend on: write proto/baseline.binpb, against which `ops/test`
    /// looks for breaking changes. Done with a release, on purpose.
    Baseline,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Fix => fix(),
        Chore::Baseline => baseline(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn fix() -> Result<(), String> {
    run(Command::new("cargo")
        .args(["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"])
        .current_dir(root()))?;
    run(Command::new("cargo").args(["fmt", "--all"]).current_dir(root()))
}

fn baseline() -> Result<(), String> {
    let buf = cache()?.join("interop-node/node_modules/.bin/buf");
    if !buf.is_file() {
        return Err("buf is missing; run 'ops/deps --test' first".to_owned());
    }
    run(Command::new(buf)
        .args(["build", "--exclude-source-info", "-o", "baseline.binpb"])
        .current_dir(root().join("proto")))
}

fn run(command: &mut Command) -> Result<(), String> {
    let said = format!("{command:?}");
    let status = command.status().map_err(|error| format!("{said}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{said}: {status}")) }
}

/// The checkout.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where `ops/lib.sh` keeps what is installed for one user.
fn cache() -> Result<PathBuf, String> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("TRICORD_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("tricord")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/tricord")))
        .ok_or_else(|| "neither TRICORD_CACHE nor HOME is set".to_owned())
}
