//! `ops/replay`: real days of a chat room against a cluster of its own, and every message looked for afterwards.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;
use cluster::replay::{Plan, Settings, Summary, run};
use cluster::{Cluster, Options, Result};
use indicatif::{ProgressBar, ProgressStyle};

/// Replays days of an IRC log through a cluster of three nodes that it founds, and verifies on every node and every stream
/// that each message is there once, in order, byte for byte.
#[derive(Parser)]
#[command(name = "ops/replay")]
struct Arguments {
    /// Kill and restart a node every few seconds, the leader included.
    #[arg(long)]
    kill: bool,
    /// Replay the first N days only.
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    days: usize,
    /// Go X times as fast as the files' clock; without it as fast as possible.
    #[arg(long, value_name = "X", value_parser = positive)]
    speed: Option<f64>,
    /// Keep the cluster's data here; without it in a temporary directory.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A directory of days, or a .tar.gz of them.
    #[arg(value_name = "TAR_OR_DIR")]
    source: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match replay(&arguments).await {
        Ok(summary) => {
            eprintln!(
                "{}; {} kills; longest time without an acknowledgement {:.2} s",
                summary.presence,
                summary.kills,
                summary.longest_pause.as_secs_f64()
            );
            say(&summary.line());
            if summary.verdict.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("replay failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn replay(arguments: &Arguments) -> Result<Summary> {
    let plan = Plan::read(&arguments.source, arguments.days)?;
    eprintln!(
        "{} days, {} messages, {} users; {} lines are neither said nor about someone's coming and going",
        plan.days.len(),
        plan.messages(),
        plan.people.len(),
        plan.skipped
    );
    let mut cluster = Cluster::found(Options { dir: arguments.data.clone(), ..Options::default() }).await?;
    let bar = Mutex::new((String::new(), ProgressBar::hidden()));
    let tell = |stage: &str, done: usize, all: usize| show(&bar, stage, done, all);
    let settings = Settings { kill: arguments.kill, speed: arguments.speed };
    let ended = tokio::select! {
        ended = run(&mut cluster, plan, settings, tell) => ended,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    let ended = ended.and_then(|summary| cluster.check_logs(&[]).map(|()| summary));
    if !ended.as_ref().is_ok_and(|summary| summary.verdict.is_well()) {
        eprintln!("the nodes' data and logs are kept in {}", cluster.keep().display());
    }
    ended
}

fn show(bar: &Mutex<(String, ProgressBar)>, stage: &str, done: usize, all: usize) {
    let mut bar = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if bar.0 != stage {
        bar.1.finish();
        let style = ProgressStyle::with_template("{msg:8} {wide_bar} {pos}/{len} {elapsed} (about {eta} left)");
        let new = ProgressBar::new(all as u64).with_message(stage.to_owned());
        *bar = (stage.to_owned(), style.map(|style| new.clone().with_style(style)).unwrap_or(new));
    }
    bar.1.set_position(done as u64);
    if done >= all {
        bar.1.finish();
    }
}

#[expect(clippy::print_stdout, reason = "the result is the output")]
fn say(line: &str) {
    println!("{line}");
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}
