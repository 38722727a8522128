//! Runs cases, in turn of the targets, and leaves a mark of each, so that whoever watches can tell which one ended the process
//! or goes on for ever.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use peakmem_alloc::PeakMemAllocTrait;
use rustix::process::{Resource, Rlimit};

use crate::case;
use crate::report::{failure, say};
use crate::target::Target;
use crate::{ALLOCATOR, Args};

/// A target's turn.
const TURN: Duration = Duration::from_millis(40);
/// Longest time for one case, in a build without optimisation.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A case that took too long is tried again so often: on a busy machine it may just not have had its turn.
const TRIES: u32 = 3;
/// All memory of the process; what asks for more is refused it and ends.
const MEMORY_MAX: u64 = 4 << 30;

thread_local! {
    static PANICKED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What ran.
#[derive(Clone, Copy, Default)]
struct Ran {
    cases: u64,
    time: Duration,
    longest: Duration,
    peak: usize,
    failed: bool,
}

/// Runs the chosen targets until the time is over. Of a target that failed no more is run.
pub fn run(args: &Args, chosen: &[Target], mark: &Path) -> ExitCode {
    let limit = Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) };
    let mark = OpenOptions::new().write(true).open(mark);
    let (Ok(mark), Ok(())) = (mark, rustix::process::setrlimit(Resource::As, limit)) else {
        say("the watched process cannot set itself up");
        return ExitCode::from(2);
    };
    let until = Instant::now() + Duration::from_secs(args.minutes.map_or(args.seconds, |minutes| minutes * 60));
    let mut ran = vec![Ran::default(); chosen.len()];
    while Instant::now() < until && ran.iter().any(|ran| !ran.failed) {
        for (at, target) in chosen.iter().enumerate().filter(|(at, _)| !ran[*at].failed).collect::<Vec<_>>() {
            turn(target, args.seed, &mut ran[at], &mark);
        }
    }
    table(chosen, &ran);
    if ran.iter().any(|ran| ran.failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn turn(target: &Target, seed: u64, ran: &mut Ran, mark: &File) {
    let begun = Instant::now();
    while begun.elapsed() < TURN {
        let number = ran.cases;
        // Nobody reads it unless this process ends or hangs; a mark that was not left is one case less that can be named.
        let _ = mark.write_all_at(format!("{} {number}\n{:30}", target.name, "").as_bytes(), 0);
        let bytes = case::bytes(target, seed, number);
        ran.cases += 1;
        match check(target, &bytes) {
            Ok((took, peak)) => {
                ran.longest = ran.longest.max(took);
                ran.peak = ran.peak.max(peak);
            }
            Err(why) => {
                failure(target.name, seed, number, &bytes, &why);
                ran.failed = true;
                break;
            }
        }
    }
    ran.time += begun.elapsed();
}

/// One case: the time and the most memory that it took, or what is wrong.
pub fn check(target: &Target, bytes: &[u8]) -> Result<(Duration, usize), String> {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let (took, peak) = check_once(target, bytes)?;
        shortest = shortest.min(took);
        if shortest <= TIME_MAX {
            return Ok((shortest, peak));
        }
    }
    Err(format!("it took {shortest:?}, and longer each other time"))
}

fn check_once(target: &Target, bytes: &[u8]) -> Result<(Duration, usize), String> {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
        let said = info.payload();
        let formatted = said.downcast_ref::<String>().map(String::as_str);
        let what = said.downcast_ref::<&str>().copied().or(formatted).unwrap_or("a panic without words");
        PANICKED.with_borrow_mut(|said| *said = format!("{what}{place}"));
    }));
    ALLOCATOR.reset_peak_memory();
    let begun = Instant::now();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let (took, peak) = (begun.elapsed(), ALLOCATOR.get_peak_memory());
    drop(panic::take_hook());
    if ended.is_err() {
        return Err(PANICKED.with_borrow(Clone::clone));
    }
    let most = target.bytes_max(bytes.len());
    if peak > most {
        return Err(format!("it allocated {peak} bytes for {} bytes of input, {most} are allowed", bytes.len()));
    }
    Ok((took, peak))
}

fn table(chosen: &[Target], ran: &[Ran]) {
    say(&format!("{:<24} {:>12} {:>10} {:>12} {:>12}", "target", "cases", "cases/s", "longest", "most memory"));
    for (target, ran) in chosen.iter().zip(ran) {
        let rate = ran.cases as f64 / ran.time.as_secs_f64().max(f64::EPSILON);
        let longest = format!("{:.1} ms", ran.longest.as_secs_f64() * 1e3);
        let peak = format!("{} KiB", ran.peak / 1024);
        say(&format!("{:<24} {:>12} {rate:>10.0} {longest:>12} {peak:>12}", target.name, ran.cases));
    }
    let cases: u64 = ran.iter().map(|ran| ran.cases).sum();
    let failed = ran.iter().filter(|ran| ran.failed).count();
    say(&format!("{cases} cases of {} targets, {failed} failed", chosen.len()));
}
