//! `ops/soak --cluster`: faults of all kinds under load, for as long as one likes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster::Result;
use cluster::faults::{Crowd, Settings, Size, overload, run, vanish};
use tokio::time::Instant;

/// Founds clusters of three processes, each with a host and a disk of its own, breaks them under load in every way it can, and
/// checks every answer anyone was given. Needs root, nftables and xfsprogs; without them it makes only the faults that need
/// none of these, and says so.
#[derive(Parser)]
#[command(name = "ops/soak --cluster")]
struct Arguments {
    /// For so long in all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Begin with this seed; each round takes the next.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Minutes of one round, after which everything is checked and a new cluster founded.
    #[arg(long, value_name = "N", default_value_t = 5)]
    round: u64,
    /// The longest fault, in seconds.
    #[arg(long, value_name = "S", default_value_t = 10)]
    longest: u64,
    /// Only faults with this in their name, as the result names them.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// People who write.
    #[arg(long, value_name = "N", default_value_t = 12)]
    writers: usize,
    /// Instead: let the leader's host vanish so many times, and measure how long nothing is acknowledged.
    #[arg(long, value_name = "TIMES")]
    vanish: Option<usize>,
    /// Instead: a storm of so many sessions after the leader's end, 500 readers that never read, ten times the writers; says what
    /// did not hold of the bounds on memory and waiting.
    #[arg(long, value_name = "SESSIONS")]
    overload: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(times) = arguments.vanish {
        return measure(times, arguments.writers).await;
    }
    if let Some(sessions) = arguments.overload {
        let (deaf, measured) = (500.min(sessions / 2), Duration::from_secs(10));
        return crowd(Crowd { sessions, deaf, writers: arguments.writers, measured }).await;
    }
    let mut sum = Sum::default();
    let ended = tokio::select! {
        ended = soak(&arguments, &mut sum) => ended,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    sum.say();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak failed: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result is the output")]
async fn measure(times: usize, writers: usize) -> ExitCode {
    match vanish(times, writers, |line| eprintln!("{line}")).await {
        Ok((mut gaps, report)) => {
            gaps.sort();
            let at =
                |share: usize| gaps.get((gaps.len() * share / 100).min(gaps.len() - 1)).copied().unwrap_or_default();
            println!("{report}");
            println!(
                "{times} times, {writers} clients: without an acknowledgement for {:.3} s (median), {:.3} s (longest)",
                at(50).as_secs_f64(),
                at(100).as_secs_f64()
            );
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The admitted take no longer than so many times what they take in quiet times.
const TIMES_QUIET_MAX: u32 = 5;
/// A call waits no longer than this for its entry before others are refused.
const WAIT_MAX: Duration = Duration::from_millis(50);

#[expect(clippy::print_stdout, reason = "the result is the output")]
async fn crowd(crowd: Crowd) -> ExitCode {
    let seen = match overload(crowd, |line| eprintln!("{line}")).await {
        Ok(seen) => seen,
        Err(error) => {
            eprintln!("soak failed: {error}");
            return ExitCode::FAILURE;
        }
    };
    let held = [
        (format!("memory of a node at most {} MiB of {}", seen.memory >> 20, seen.memory_max >> 20), {
            seen.memory <= seen.memory_max
        }),
        (format!("{} of {} readers that never read cut off", seen.cut, crowd.deaf), seen.cut >= crowd.deaf),
        (format!("{} sessions live {:.1} s after the leader's end", crowd.sessions, seen.storm.as_secs_f64()), true),
        (format!("in the rush {} acknowledged, {} refused", seen.rush.0, seen.rush.1), seen.rush.0 > 0),
        (format!("p99 of waiting for an entry {:.1?} of {WAIT_MAX:.1?}", seen.waited_p99), seen.waited_p99 <= WAIT_MAX),
        (
            format!("p99 in the nodes {:.1?}, in quiet times {:.1?}", seen.rush_p99, seen.quiet_p99),
            seen.rush_p99 <= seen.quiet_p99 * TIMES_QUIET_MAX,
        ),
    ];
    for (what, holds) in &held {
        println!("{:4} {what}", if *holds { "ok" } else { "NOT" });
    }
    if held.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Of all rounds.
#[derive(Default)]
struct Sum {
    rounds: usize,
    faults: BTreeMap<&'static str, (usize, Duration)>,
    acknowledged: usize,
    unknown: usize,
    events: usize,
}

impl Sum {
    #[expect(clippy::print_stdout, reason = "the result is the output")]
    fn say(&self) {
        let all: usize = self.faults.values().map(|(times, _)| times).sum();
        println!("{:24} {:>6} {:>22}", "fault", "times", "longest gap in acks");
        for (name, (times, gap)) in &self.faults {
            println!("{name:24} {times:>6} {:>20.2} s", gap.as_secs_f64());
        }
        println!(
            "{} rounds, {all} faults, {} writes acknowledged, {} unanswered, {} events on streams",
            self.rounds, self.acknowledged, self.unknown, self.events
        );
    }
}

async fn soak(arguments: &Arguments, sum: &mut Sum) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(60 * arguments.minutes);
    for seed in arguments.seed.. {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let settings = Settings {
            seed,
            time: left.min(Duration::from_secs(60 * arguments.round)),
            longest: Duration::from_secs(arguments.longest),
            only: arguments.only.clone(),
            size: Size { writers: arguments.writers, ..Size::default() },
        };
        eprintln!("round with seed {seed}");
        let ended =
            run(settings, |line| eprintln!("  {line}")).await.map_err(|error| again(seed, arguments, &error))?;
        for what in &ended.skipped {
            eprintln!("  SKIPPED, not run: {what}");
        }
        sum.rounds += 1;
        sum.acknowledged += ended.report.acknowledged;
        sum.unknown += ended.report.unknown;
        sum.events += ended.report.events;
        for (name, times) in &ended.faults {
            let entry = sum.faults.entry(name).or_default();
            entry.0 += times;
            entry.1 = entry.1.max(ended.gaps.get(name).copied().unwrap_or_default());
        }
        if !ended.is_well() {
            let what = ended.logged.unwrap_or_else(|| "the checker found something".to_owned());
            return Err(again(seed, arguments, what).into());
        }
    }
    Ok(())
}

fn again(seed: u64, arguments: &Arguments, why: impl std::fmt::Display) -> String {
    let Arguments { round, longest, writers, .. } = arguments;
    format!(
        "{why}\nthe same faults again: ops/soak --cluster --minutes {round} --round {round} --seed {seed} --longest {longest} \
         --writers {writers}"
    )
}
