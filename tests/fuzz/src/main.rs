//! `tricord-fuzz`: everything that parses bytes from outside, given bytes that nobody would send, for a while.
//!
//! A target is a function of bytes that must not panic, must not take long, must not allocate beyond its bound, and checks
//! what should hold of what it has taken. A case is a target, a seed and a number, and always the same bytes; so a failure is
//! repeated by one command. Cases are made of samples, most of them written by our own encoders: of the stable toolchain we
//! ask nothing about which code ran.

mod case;
mod drive;
mod hex;
mod mutate;
mod report;
mod samples;
mod supervise;
mod target;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc};

use crate::report::say;
use crate::target::Target;

/// Counts what a case allocates.
#[global_allocator]
static ALLOCATOR: &PeakMemAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Gives every parser of bytes from outside what nobody would send.
#[derive(Parser, Clone)]
#[command(name = "tricord-fuzz", max_term_width = 100)]
struct Args {
    /// How long, all targets together.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// How long, in minutes; instead of --seconds.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// The seed; the same one gives the same cases.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Only this target; may be said several times.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Runs one case of one target, to repeat a failure.
    #[arg(long, value_name = "N")]
    case: Option<u64>,
    /// Runs the bytes of a file on one target.
    #[arg(long, value_name = "FILE", conflicts_with = "case")]
    from: Option<PathBuf>,
    /// Says which targets there are.
    #[arg(long)]
    list: bool,
    /// Runs the cases, watched by the process that was started by hand.
    #[arg(long, hide = true, value_name = "FILE")]
    watched: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut all = targets::all();
    // Those are found to be wrong: they run only when they are asked for.
    all.extend(targets::planted::all().into_iter().filter(|target| args.target.iter().any(|name| name == target.name)));
    let unknown = args.target.iter().find(|name| !all.iter().any(|target| target.name == name.as_str()));
    if let Some(name) = unknown {
        say(&format!("there is no target {name}; tricord-fuzz --list says which there are"));
        return ExitCode::from(2);
    }
    let chosen: Vec<Target> = all
        .into_iter()
        .filter(|target| args.target.is_empty() || args.target.iter().any(|name| name == target.name))
        .collect();
    if args.list {
        chosen.iter().for_each(|target| say(target.name));
        return ExitCode::SUCCESS;
    }
    if args.case.is_some() || args.from.is_some() {
        return one(&args, &chosen);
    }
    match &args.watched {
        Some(mark) => drive::run(&args, &chosen, mark),
        None => supervise::run(&args, &chosen),
    }
}

/// One case, or the bytes of a file: a panic is seen as it is.
fn one(args: &Args, chosen: &[Target]) -> ExitCode {
    let [target] = chosen else {
        say("one --target is needed");
        return ExitCode::from(2);
    };
    let bytes = match (&args.from, args.case) {
        (Some(path), _) => match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                say(&format!("read {}: {error}", path.display()));
                return ExitCode::from(2);
            }
        },
        (None, number) => case::bytes(target, args.seed, number.unwrap_or_default()),
    };
    say(&format!("{}: {} bytes: {}", target.name, bytes.len(), hex::of(&bytes)));
    match drive::check(target, &bytes) {
        Ok(_) => {
            say("nothing is wrong");
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}
