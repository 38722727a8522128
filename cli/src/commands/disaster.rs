//! `disaster …`: what is left to do when two of three nodes are lost for good.

use std::io::IsTerminal;

use serde::Deserialize;

use crate::args::{DisasterCommand, Format, Global, Refound};
use crate::error::{Error, Result};
use crate::join::take;
use crate::output::{print, say};
use crate::prompt;
use crate::when;

#[derive(Deserialize)]
struct Report {
    name: String,
    node: String,
    last_ms: i64,
    unapplied: u64,
    begun_ms: Option<i64>,
}

/// Does it.
pub fn run(global: &Global, command: DisasterCommand) -> Result<()> {
    match command {
        DisasterCommand::Refound(args) => refound(global, &args),
    }
}

fn refound(global: &Global, args: &Refound) -> Result<()> {
    let mut looking = vec!["refound"];
    args.lost.iter().for_each(|slot| looking.extend(["--lost", slot.as_str()]));
    let before = ask(args, &looking)?;
    if global.output == Format::Table {
        persuade(&before, args);
    }
    if !args.begin {
        if global.output == Format::Json {
            return crate::output::json(&serde_json::json!({
                "name": before.name, "node": before.node, "last_time": rfc(before.last_ms), "begun": false,
            }));
        }
        say("Nothing was done. If both are lost for good: tricord disaster refound --begin");
        return Ok(());
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None if std::io::stdin().is_terminal() => prompt::line("Type the name of the cluster to begin anew")?,
        None => return Err(Error::Usage("the name of the cluster is needed: --name".into())),
    };
    let mut arguments = looking;
    arguments.extend(["--begin", "--name", &name]);
    if args.accept_single_copy {
        arguments.push("--accept-single-copy");
    }
    let after = ask(args, &arguments)?;
    let begun = after.begun_ms.unwrap_or(0);
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "name": after.name, "node": after.node, "last_time": rfc(before.last_ms), "begun": true, "begun_time": rfc(begun),
        }));
    }
    print(&format!("A new history of {} has begun with what {} has.", after.name, after.node))?;
    say("Next:");
    say("  1. Start it: systemctl start tricordd. People can sign in and read.");
    if args.accept_single_copy {
        say("  2. Writes are on ONE disk until another node has joined. Join one now.");
    } else {
        say("  2. Writes wait until another node has joined.");
    }
    say("  3. For each of the two lost places, one after the other: tricord node approve SLOT");
    say("     here, and tricord node replace SLOT --from THIS_MACHINE on the new machine.");
    say(&format!("  4. Tell people: messages from {} until the failure may be missing.", time(before.last_ms)));
    Ok(())
}

fn persuade(report: &Report, args: &Refound) {
    say("THE LAST RESORT. First try to start one of the other two: with either back, nothing");
    say("is lost. A machine that does not boot can give its disk to another one.");
    say("");
    say(&format!("This machine is {} of {}. What it has ends at {}.", report.node, report.name, time(report.last_ms)));
    say("What was acknowledged after that is not here. It MAY BE MISSING FOR EVER.");
    if report.unapplied > 0 {
        say(&format!("{} entries of its log were perhaps never acknowledged; they are kept.", report.unapplied));
    }
    say("The disks of the other two are refused for ever once a new history has begun.");
    if args.accept_single_copy {
        say("You accept that messages are on ONE disk until another node has joined.");
    }
    say("");
}

fn ask(args: &Refound, arguments: &[&str]) -> Result<Report> {
    let said = take::daemon_says(&args.config, arguments)?;
    serde_json::from_str(said.trim()).map_err(|error| Error::Content {
        doing: "understand tricordd".into(),
        why: format!("{error}; are tricord and tricordd of one release?"),
    })
}

fn stamp(ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: ms / 1_000, nanos: 0 }
}

fn time(ms: i64) -> String {
    when::minute(Some(&stamp(ms)))
}

fn rfc(ms: i64) -> Option<String> {
    when::rfc3339(Some(&stamp(ms)))
}
