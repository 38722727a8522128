//! `backup …`: made by a node, through its local socket; listed and verified by the daemon's program, without a node.

mod daemon;
mod restore;
mod verify;

use indicatif::{ProgressBar, ProgressStyle};
use proto::local::backup_service_client::BackupServiceClient;
use proto::local::{CreateBackupRequest, CreatedBackup, GetBackupsRequest, GetBackupsResponse};
use serde::{Deserialize, Serialize};
use tonic::transport::Channel;

use super::node::{connect, refused};
use crate::args::{BackupCommand, BackupCreate, BackupPlace, Format, Global};
use crate::error::{Error, Result};
use crate::output::{print, say, table};
use crate::text::thousands;
use daemon::Daemon;

/// Does it.
pub async fn run(global: &Global, command: BackupCommand) -> Result<()> {
    match command {
        BackupCommand::Create(create) => self::create(global, &create).await,
        BackupCommand::List(place) => list(global, &place).await,
        BackupCommand::Verify(verify) => verify::run(global, &verify).await,
        BackupCommand::Restore(restore) => restore::run(global, &restore),
    }
}

async fn create(global: &Global, asked: &BackupCreate) -> Result<()> {
    let doing = "make a backup";
    // As long as it takes: a deadline is for answers, not for terabytes.
    let mut client = BackupServiceClient::new(connect(&asked.place.local.socket, doing, None).await?);
    let request = CreateBackupRequest {
        directory: asked.place.dir.as_ref().map_or_else(|| Ok(String::new()), |dir| absolute(dir))?,
        init: asked.init,
        keep: asked.keep.unwrap_or(0),
    };
    let mut told = client.create_backup(request).await.map_err(|status| refused(doing, &status))?.into_inner();
    let bar = bar();
    let mut created = None;
    while let Some(part) = told.message().await.map_err(|status| refused(doing, &status))? {
        bar.set_length(part.total_bytes);
        bar.set_position(part.done_bytes);
        created = part.created.or(created);
    }
    bar.finish_and_clear();
    let Some(created) = created else {
        return Err(Error::Content { doing: doing.into(), why: "the node stopped before it was made".into() });
    };
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "name": created.name, "directory": created.directory, "bytes": created.bytes,
            "written_bytes": created.written_bytes, "files": created.files, "reused_files": created.reused_files,
            "records": created.records, "sealed": created.sealed, "pruned": created.pruned,
            "unreadable": created.unreadable,
        }));
    }
    show_created(&created)
}

fn show_created(created: &CreatedBackup) -> Result<()> {
    print(&created.name)?;
    say(&format!(
        "Made in {}: {} files, {}; {} of it new, {} files were there already.",
        crate::text::line(&created.directory),
        created.files,
        size(created.bytes),
        size(created.written_bytes),
        created.reused_files
    ));
    say(&format!(
        "It holds the state with {} records of the audit log{}.",
        thousands(created.records),
        if created.sealed { ", covered by a head that two nodes sealed" } else { "" }
    ));
    if !created.sealed {
        say("NO SEALED HEAD COVERS IT: no two nodes signed in time. Make another when two nodes run.");
    }
    if !created.pruned.is_empty() {
        say(&format!("Taken away: {}.", created.pruned.join(", ")));
    }
    if !created.unreadable.is_empty() {
        say(&format!(
            "{} cannot be read. As long as it is there, no file of older backups is taken away: tricord backup verify says \
             what is wrong.",
            crate::text::line(&created.unreadable)
        ));
    }
    say("Next: tricord backup verify, and now and then with --kit.");
    Ok(())
}

/// What a directory holds, as `tricordd backup list` tells.
#[derive(Deserialize)]
struct Listing {
    backups: Vec<Listed>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    lineage: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    created_ms: u64,
    #[serde(default)]
    records: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    recovery: String,
}

async fn list(global: &Global, place: &BackupPlace) -> Result<()> {
    let node = ask_node(place).await;
    let listed = listing(place, node.as_ref())?;
    if global.output == Format::Json {
        return crate::output::json(&listed);
    }
    if listed.is_empty() {
        say("No backups yet: tricord backup create.");
        return Ok(());
    }
    let own = node.as_ref().map(|node| node.cluster.as_str()).filter(|cluster| !cluster.is_empty());
    let rows = listed.iter().map(|one| {
        let note = match &one.problem {
            Some(problem) => problem.clone(),
            None if own.is_some_and(|own| own != one.cluster) => format!("of another cluster: {}", one.cluster),
            None => String::new(),
        };
        let at = crate::when::minute(time(one.created_ms).as_ref());
        if one.problem.is_some() {
            return vec![one.name.clone(), "BAD".into(), String::new(), String::new(), note];
        }
        vec![one.name.clone(), at, size(one.bytes), thousands(one.records), note]
    });
    print(&table(&["name", "made", "size", "records", "note"], rows.collect()))
}

/// The backups in the directory asked for.
fn listing(place: &BackupPlace, node: Option<&GetBackupsResponse>) -> Result<Vec<Listed>> {
    let dir = directory(place, node)?;
    let doing = format!("list the backups in {}", dir.display());
    let answer =
        Daemon::find(place)?.ask(&doing, &["list".into(), "--dir".into(), dir.into()], None, &mut |_, _| {})?;
    let listing: Listing = serde_json::from_str(&answer)
        .map_err(|error| Error::Content { doing, why: format!("tricordd said something else: {error}") })?;
    Ok(listing.backups)
}

fn directory(place: &BackupPlace, node: Option<&GetBackupsResponse>) -> Result<std::path::PathBuf> {
    if let Some(dir) = &place.dir {
        return Ok(dir.clone());
    }
    let configured = node.map(|node| node.directory.as_str()).filter(|dir| !dir.is_empty());
    configured.map(Into::into).ok_or_else(|| {
        Error::Usage(
            "which directory? No node on this machine says: give --dir, or run this as root beside a node".into(),
        )
    })
}

/// What the node on this machine knows of backups; none if there is none, or it does not answer.
async fn ask_node(place: &BackupPlace) -> Option<GetBackupsResponse> {
    let mut client = client(place).await.ok()?;
    client.get_backups(GetBackupsRequest {}).await.ok().map(tonic::Response::into_inner)
}

async fn client(place: &BackupPlace) -> Result<BackupServiceClient<Channel>> {
    const ANSWER_S: u64 = 10;
    Ok(BackupServiceClient::new(connect(&place.local.socket, "ask the node on this machine", Some(ANSWER_S)).await?))
}

fn absolute(dir: &std::path::Path) -> Result<String> {
    let absolute = std::path::absolute(dir);
    let absolute = absolute.map_err(|source| Error::File { doing: "name", path: dir.to_owned(), source })?;
    Ok(absolute.display().to_string())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

fn time(ms: u64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: i64::try_from(ms / 1_000).ok()?, nanos: 0 })
}
