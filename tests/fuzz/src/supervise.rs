//! Watches a process that runs cases: one that ends by itself (a stack that overflowed, memory that was refused) or goes on for
//! ever is a failure of the case it was at, and another one goes on with the other targets.

use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::report::{failure, say};
use crate::target::Target;
use crate::{Args, case};

/// After so long at one case it is taken to go on for ever.
const STILL_MAX: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the chosen targets in a process of their own.
pub fn run(args: &Args, chosen: &[Target]) -> ExitCode {
    let seconds = args.minutes.map_or(args.seconds, |minutes| minutes * 60);
    let until = Instant::now() + Duration::from_secs(seconds);
    say(&format!("seed {}, {} targets, {seconds} s", args.seed, chosen.len()));
    let mut left: Vec<Target> = chosen.to_vec();
    let mut failed = false;
    while !left.is_empty() && (Instant::now() < until || !failed) {
        match round(args, &left, until.saturating_duration_since(Instant::now()).as_secs().max(1)) {
            Ok(Ended::Well) => break,
            Ok(Ended::Failed) => {
                failed = true;
                break;
            }
            Ok(Ended::At(name, number, why)) => {
                failed = true;
                if let Some(target) = left.iter().find(|target| target.name == name) {
                    failure(target.name, args.seed, number, &case::bytes(target, args.seed, number), &why);
                }
                left.retain(|target| target.name != name);
            }
            Err(why) => {
                say(&why);
                return ExitCode::from(2);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

enum Ended {
    Well,
    Failed,
    At(String, u64, String),
}

fn round(args: &Args, left: &[Target], seconds: u64) -> Result<Ended, String> {
    let failed = |error: std::io::Error| format!("start the process that runs the cases: {error}");
    let mark = tempfile::NamedTempFile::new().map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["--seed", &args.seed.to_string(), "--seconds", &seconds.to_string()]);
    command.arg("--watched").arg(mark.path());
    command.args(left.iter().flat_map(|target| ["--target", target.name]));
    let child = command.spawn().map_err(failed)?;
    let (ended, still) = watch(child, mark.path()).map_err(failed)?;
    let why = match ended.code() {
        Some(0) => return Ok(Ended::Well),
        Some(1) => return Ok(Ended::Failed),
        Some(2) => return Err("the process that runs the cases could not".into()),
        _ if still => format!("it went on for more than {} s", STILL_MAX.as_secs()),
        _ => format!("it ended the process ({ended})"),
    };
    let (name, number) = at(mark.path()).ok_or("the process that runs the cases ended before the first")?;
    Ok(Ended::At(name, number, why))
}

/// How it ended, and whether it was stopped because it stood still.
fn watch(mut child: Child, mark: &Path) -> std::io::Result<(ExitStatus, bool)> {
    let (mut last, mut since) = (at(mark), Instant::now());
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok((ended, false));
        }
        let now = at(mark);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > STILL_MAX {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
        sleep(LOOK);
    }
}

fn at(mark: &Path) -> Option<(String, u64)> {
    let text = std::fs::read_to_string(mark).ok()?;
    let (name, number) = text.lines().next()?.split_once(' ')?;
    Some((name.to_owned(), number.parse().ok()?))
}
