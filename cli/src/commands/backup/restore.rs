//! `backup restore`

use std::ffi::OsString;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::daemon::Daemon;
use super::verify::{ask_kit, newest};
use super::{bar, directory, listing};
use crate::args::{BackupPlace, BackupRestore, Format, Global};
use crate::error::{Error, Result};
use crate::output::{print, say};
use crate::prompt;
use crate::text::thousands;

/// Makes this machine a node of a new history.
pub(super) fn run(global: &Global, asked: &BackupRestore) -> Result<()> {
    let place = &asked.place;
    let dir = directory(place, None)?;
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => newest(place, None)?,
    };
    if asked.founding.is_some() && asked.signers.is_none() {
        warn_of_restorations(place, &name)?;
    }
    let beginning = match &asked.beginning {
        Some(beginning) => beginning.clone(),
        None => {
            let question = format!(
                "This begins a new history from {name}. What was written after it is gone, and old nodes are refused for ever. \
                 First try to start two of them: with two, nothing is lost. Go on?"
            );
            prompt::confirm(&question, global.yes)?;
            begin()?
        }
    };
    let doing = format!("restore the backup {name}");
    let kit = ask_kit(place, None, &name)?;
    let mut arguments: Vec<OsString> = vec!["restore".into()];
    for (option, value) in [
        ("--dir", dir.into_os_string()),
        ("--name", name.clone().into()),
        ("--config", asked.config.clone().into_os_string()),
        ("--beginning", beginning.clone().into()),
    ] {
        arguments.extend([option.into(), value]);
    }
    if let Some(founding) = &asked.founding {
        arguments.extend(["--founding".into(), founding.into()]);
    }
    if let Some(signers) = &asked.signers {
        arguments.extend(["--signers".into(), signers.into()]);
    }
    let (bar, began) = (bar(), Instant::now());
    let answer = Daemon::find(place)?.ask(&doing, &arguments, Some(&kit), &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let answer = answer.map_err(|error| match error {
        Error::NotVerified(why) => Error::NotVerified(format!("{name} is not good, and was not restored. {why}")),
        other => other,
    })?;
    let mut report: Value = serde_json::from_str(&answer)
        .map_err(|error| Error::Content { doing, why: format!("tricordd said something else: {error}") })?;
    report["beginning"] = beginning.clone().into();
    if global.output == Format::Json {
        return crate::output::json(&report);
    }
    print(&beginning)?;
    say(&format!(
        "This machine is node {} of a new history, with {} records of the audit log ({} s).",
        crate::text::line(report["new_node"].as_str().unwrap_or_default()),
        thousands(report["records"].as_u64().unwrap_or_default()),
        began.elapsed().as_secs()
    ));
    if asked.beginning.is_none() {
        say("Next: 1. On the second and the third machine:");
        say(&format!("        tricord backup restore {name} --dir DIR --beginning \\\n          {beginning}"));
        say("      2. On each: systemctl start tricordd. They serve once all three run.");
    }
    say("Nothing of before is refused but old nodes and cursors: tricord cluster status.");
    Ok(())
}

/// Whether the founding keys reach up to a backup is known only when it is restored, which may take hours. Where they may
/// not, that is said before.
fn warn_of_restorations(place: &BackupPlace, name: &str) -> Result<()> {
    let made_by = listing(place, None)?.into_iter().find(|one| one.name == name).map(|one| one.node);
    if let Some(node) = made_by.filter(|node| came_later(node)) {
        say(&format!(
            "It was made by {}, which is not of the founding. If the cluster was restored since then, from a backup or from \
             one node, the founding keys alone do not vouch for it, and that shows only at the end: give the keys of that \
             restoration (--signers), or leave --founding out.",
            crate::text::line(&node)
        ));
    }
    Ok(())
}

/// `a1` is of the founding, `a2` is not.
fn came_later(node: &str) -> bool {
    node.trim_start_matches(|letter: char| letter.is_ascii_lowercase()) != "1"
}

/// A new lineage, and now.
fn begin() -> Result<String> {
    let failed = |why: String| Error::Content { doing: "begin a new history".into(), why };
    let mut lineage = [0; 16];
    getrandom::fill(&mut lineage).map_err(|error| failed(error.to_string()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| failed(error.to_string()))?;
    Ok(format!("{}-{}", crate::text::hex(&lineage), now.as_millis()))
}
