//! `backup verify`

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proto::local::{GetBackupsResponse, NoteVerificationRequest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::daemon::Daemon;
use super::{Listed, ask_node, bar, client, directory, listing, size};
use crate::args::{BackupPlace, BackupVerify, Format, Global};
use crate::error::{Error, Result};
use crate::output::{print, say};
use crate::prompt;
use crate::recovery::{self, Share};
use crate::text::{thousands, unhex};

/// What `tricordd backup verify` says.
#[derive(Serialize, Deserialize)]
struct Report {
    name: String,
    cluster: String,
    lineage: String,
    node: String,
    created_ms: u64,
    records: u64,
    root: String,
    bytes: u64,
    sealed_files: u64,
    recovery: String,
    signed: Option<String>,
    restored: Option<Restored>,
}

#[derive(Serialize, Deserialize)]
struct Restored {
    files: u64,
    bytes: u64,
    rows: u64,
    messages: u64,
    sealed_by: Vec<String>,
    founded: Option<u64>,
    #[serde(default)]
    believed: Vec<u64>,
    kit: Option<Kit>,
}

#[derive(Serialize, Deserialize)]
struct Kit {
    cluster_keys: u64,
    data_keys: u64,
    messages: u64,
}

pub(super) async fn run(global: &Global, asked: &BackupVerify) -> Result<()> {
    let place = &asked.place;
    let node = ask_node(place).await;
    let dir = directory(place, node.as_ref())?;
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => newest(place, node.as_ref())?,
    };
    let doing = format!("verify the backup {name} in {}", dir.display());
    let mut arguments: Vec<OsString> = ["verify", "--name"].map(Into::into).into();
    arguments.push(name.clone().into());
    let mut option = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    option("--dir", dir.clone().into());
    if let Some(founding) = &asked.founding {
        option("--founding", founding.into());
    }
    if let Some(signers) = &asked.signers {
        option("--signers", signers.into());
    }
    if let Some(room) = &asked.room {
        option("--room", room.into());
    }
    let own = node.as_ref().map(|node| node.cluster.clone()).filter(|cluster| !cluster.is_empty());
    if let Some(cluster) = asked.cluster.clone().or(own.clone()) {
        option("--cluster", cluster.into());
    }
    let own_series = if asked.series.is_none() { series_of(node.as_ref()) } else { None };
    let secret = if asked.kit { Some(ask_kit(place, node.as_ref(), &name)?) } else { None };
    if asked.kit {
        arguments.push("--kit".into());
    } else if let Some(series) = &asked.series {
        arguments.extend(["--series".into(), series.into()]);
    } else if let Some(series) = &own_series {
        // Another node may have made it: that its own key does not open it says nothing against it.
        arguments.extend(["--or-closed".into(), "--series".into(), series.into()]);
    }
    let bar = bar();
    let answer = Daemon::find(place)?.ask(&doing, &arguments, secret.as_ref(), &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report: Report = match answer {
        Ok(answer) => serde_json::from_str(&answer).map_err(|error| Error::Content {
            doing: doing.clone(),
            why: format!("tricordd said something else: {error}"),
        })?,
        Err(Error::NotVerified(why)) => {
            note(asked, 0, &[0; 32], 0, &why).await;
            return Err(Error::NotVerified(format!("{name} is not good. {why}")));
        }
        Err(error) => return Err(error),
    };
    if report.restored.is_some() && own.as_ref() == Some(&report.cluster) {
        note(asked, report.records, &unhex(&report.root).unwrap_or_default(), report.bytes, "").await;
    }
    if global.output == Format::Json {
        return crate::output::json(&report);
    }
    show(&report, asked)
}

pub(super) fn newest(place: &BackupPlace, node: Option<&GetBackupsResponse>) -> Result<String> {
    let listed = listing(place, node)?;
    let newest = newest_of(&listed, node.map(|node| (node.cluster.as_str(), node.lineage.as_str())));
    newest.map(str::to_owned).ok_or_else(|| Error::Usage("there is no backup there yet: tricord backup create".into()))
}

/// The last one of those listed, the oldest first; of the own cluster and history, where there is one.
fn newest_of<'a>(listed: &'a [Listed], own: Option<(&str, &str)>) -> Option<&'a str> {
    let near = |one: &Listed| {
        let of_cluster = own.is_some_and(|(cluster, _)| cluster == one.cluster);
        let of_history = own.is_some_and(|(_, lineage)| lineage == one.lineage);
        (one.problem.is_none(), of_cluster, of_cluster && of_history)
    };
    listed.iter().max_by_key(|one| near(one)).map(|one| one.name.as_str()) // Of several, the last.
}

/// The series' key of the node on this machine, if whoever runs this may read it.
fn series_of(node: Option<&GetBackupsResponse>) -> Option<PathBuf> {
    let path = Path::new(&node?.data_directory).join("backup.series");
    std::fs::File::open(&path).is_ok().then_some(path)
}

/// The recovery key out of two shares, as digits.
///
/// Errors: among others, the backup is sealed to another kit: that says nothing against the backup.
pub(super) fn ask_kit(place: &BackupPlace, node: Option<&GetBackupsResponse>, name: &str) -> Result<Zeroizing<String>> {
    let listed = listing(place, node)?.into_iter().find(|one| one.name == name);
    let needed: Option<seal::PublicKey> = listed.and_then(|one| one.recovery.parse().ok());
    if let Some(needed) = &needed {
        say(&format!("It is sealed to the recovery kit {}.", recovery::fingerprint(needed)));
    }
    let mut shares = Vec::new();
    for which in ["One share of the recovery kit", "Another share"] {
        shares.push(Share::parse(&Zeroizing::new(prompt::secret(which)?))?);
    }
    let key = recovery::combine(&shares)?;
    let given = key.public().map_err(|error| Error::Usage(error.to_string()))?;
    if let Some(needed) = needed.filter(|needed| *needed != given) {
        return Err(Error::Usage(format!(
            "the backup {name} is sealed to the recovery kit {}, and these shares are of {}, or not of one kit; nothing was \
             opened. 'tricord key recovery list' says which kit was the cluster's when",
            recovery::fingerprint(&needed),
            recovery::fingerprint(&given)
        )));
    }
    Ok(Zeroizing::new(crate::text::hex(key.private_bytes())))
}

/// Tells the node on this machine, which records it. Without one nothing is recorded, and nothing has to be.
async fn note(asked: &BackupVerify, records: u64, root: &[u8], bytes: u64, problem: &str) {
    let Ok(mut client) = client(&asked.place).await else { return };
    let request = NoteVerificationRequest { records, root: root.to_vec(), bytes, problem: problem.to_owned() };
    if let Err(status) = client.note_verification(request).await {
        say(&format!("The cluster was not told: {}.", crate::text::line(status.message())));
    }
}

fn show(report: &Report, asked: &BackupVerify) -> Result<()> {
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    shown.push(format!(
        "its manifest is whole; {} sealed files, {}, are as written",
        report.sealed_files,
        size(report.bytes)
    ));
    match &report.signed {
        Some(key) => shown.push(format!("its manifest is signed: {key}")),
        None => missing.push("who made it: its manifest is not signed".to_owned()),
    }
    match &report.restored {
        Some(restored) => tell_restored(report, restored, asked, &mut shown, &mut missing),
        None => missing.push("what is in it: nothing was given to open it with (--kit, or --series)".to_owned()),
    }
    let how =
        if report.restored.is_some() { "was restored in isolation and holds what it says" } else { "is as written" };
    print(&format!("{}. {} {how}.", if report.restored.is_some() { "GOOD" } else { "WHOLE" }, report.name))?;
    for (word, lines) in [("shown", shown), ("NOT SHOWN", missing)] {
        for line in lines {
            for (at, row) in crate::text::wrap(&crate::text::line(&line), 66).into_iter().enumerate() {
                print(&format!("  {:<10}{row}", if at == 0 { word } else { "" }))?;
            }
        }
    }
    Ok(())
}

fn tell_restored(
    report: &Report,
    restored: &Restored,
    asked: &BackupVerify,
    shown: &mut Vec<String>,
    missing: &mut Vec<String>,
) {
    shown.push(format!(
        "{} files, {}, opened; each of {} rows could be read, {} messages among them",
        restored.files,
        size(restored.bytes),
        thousands(restored.rows),
        thousands(restored.messages)
    ));
    let records = thousands(report.records);
    if restored.sealed_by.is_empty() {
        missing.push(format!(
            "that two nodes agree on its {records} audit records: no head that covers them was sealed yet"
        ));
    } else {
        let by = restored.sealed_by.join(" and ");
        shown.push(format!("its {records} audit records give a root that the head covers which {by} signed"));
    }
    match restored.founded {
        Some(size) => {
            shown.push(format!("the founding keys vouch for records 0 to {}", thousands(size.saturating_sub(1))))
        }
        None if asked.founding.is_some() => {
            missing.push("that the founding keys vouch for it: no head is sealed".to_owned())
        }
        None => missing.push("that its audit log is this cluster's since founding (--founding audit.pub)".to_owned()),
    }
    for record in &restored.believed {
        let record = thousands(*record);
        missing.push(format!("who signs since record {record}: believed because of the keys given (--signers) alone"));
    }
    match &restored.kit {
        Some(kit) => shown.push(format!(
            "the recovery kit opens {} cluster keys, {} data keys, and {} messages, one for each key that has any",
            kit.cluster_keys, kit.data_keys, kit.messages
        )),
        None => missing.push("that the recovery kit opens it: two shares are needed (--kit)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_the_last_listed_of_this_history_whatever_its_date() {
        let one = |name: &str, cluster: &str, lineage: &str, created_ms: u64| {
            let said = serde_json::json!({
                "name": name, "cluster": cluster, "lineage": lineage, "created_ms": created_ms
            });
            serde_json::from_value::<Listed>(said).expect("a line of the list")
        };
        let bad = serde_json::json!({ "name": "bad", "problem": "it is no text" });
        let bad: Listed = serde_json::from_value(bad).expect("a line of the list");
        let listed = [bad, one("ahead", "x", "1", 9_000), one("after", "x", "1", 10), one("restored", "x", "2", 20)];
        assert_eq!(newest_of(&listed, None), Some("restored"));
        assert_eq!(newest_of(&listed, Some(("x", "1"))), Some("after"), "by the log, not by the clock");
        assert_eq!(newest_of(&listed, Some(("x", "3"))), Some("restored"), "this history has none yet");
        assert_eq!(newest_of(&listed, Some(("y", "1"))), Some("restored"), "nor has this cluster");
        assert_eq!(
            newest_of(&listed[..1], None),
            Some("bad"),
            "what cannot be read is looked at if there is nothing else"
        );
        assert_eq!(newest_of(&[], None), None);
    }
}
