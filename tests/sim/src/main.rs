//! Runs seeds, each in a process of its own, and says which command repeats one that failed.

mod args;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, ExitCode};

use args::{Args, USAGE};
use sim::run;

#[expect(clippy::print_stdout, reason = "a command's output")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Args::parse(&words) {
        Some(args) if args.count == 1 => one(&args),
        Some(args) => many(&args, &words),
        None => {
            println!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Prints what came of one seed, in lines that [`many`] reads.
#[expect(clippy::print_stdout, reason = "a command's output")]
fn one(args: &Args) -> ExitCode {
    let outcome = run(args.plan());
    println!("seed {}: {}; {} ms, trace {}", args.from, outcome.summary, outcome.virtual_ms, outcome.trace);
    outcome.faults.iter().for_each(|(kind, times)| println!("  fault {kind:?} {times}"));
    outcome.findings.iter().for_each(|finding| println!("  FOUND {finding}"));
    ExitCode::from(u8::from(!outcome.findings.is_empty()))
}

/// What many runs came to.
#[derive(Default)]
struct Total {
    runs: u64,
    failed: u64,
    acknowledged: u64,
    virtual_ms: u64,
    faults: BTreeMap<String, u64>,
}

impl Total {
    fn add(&mut self, output: &str) {
        self.runs += 1;
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["seed", _, writes, "writes", "acknowledged,", ..] => {
                    self.acknowledged += writes.parse::<u64>().unwrap_or_default();
                    let ms = words.iter().position(|word| *word == "ms,").and_then(|at| words.get(at - 1));
                    self.virtual_ms += ms.and_then(|ms| ms.parse::<u64>().ok()).unwrap_or_default();
                }
                ["fault", kind, times] => {
                    *self.faults.entry((*kind).to_owned()).or_default() += times.parse::<u64>().unwrap_or_default();
                }
                _ => {}
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command's output")]
fn many(args: &Args, words: &[String]) -> ExitCode {
    let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
    let began = uptime_s();
    let mut total = Total::default();
    for seed in args.from..args.from.saturating_add(args.count) {
        if args.seconds.is_some_and(|seconds| uptime_s() - began >= seconds as f64) {
            break;
        }
        // A process of its own: some of what a seed decides counts on from run to run within one.
        let Ok(output) = Command::new(&program).args(words).arg("--seed").arg(seed.to_string()).output() else {
            return ExitCode::FAILURE;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        total.add(&text);
        if output.status.success() {
            continue;
        }
        total.failed += 1;
        print!("{text}");
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().rev().take(5).for_each(|line| println!("  {line}"));
        println!("  again: cargo run -p tricord-tests-sim -- {}--seed {seed} --trace", args.again());
        if let Some(path) = &args.keep {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            if let Err(error) = file.and_then(|mut file| writeln!(file, "{seed}")) {
                println!("keep the seed in {path}: {error}");
            }
        }
    }
    let faults: u64 = total.faults.values().sum();
    println!(
        "{} runs, {} failed: {faults} faults, {} writes acknowledged, {} s of virtual time in {:.0} s",
        total.runs,
        total.failed,
        total.acknowledged,
        total.virtual_ms / 1_000,
        uptime_s() - began
    );
    total.faults.iter().for_each(|(kind, times)| println!("  {kind} {times}"));
    ExitCode::from(u8::from(total.failed > 0 || total.runs == 0))
}

/// Seconds since the machine started: this program's own clocks are the simulation's.
fn uptime_s() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}
