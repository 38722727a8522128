//! `tricordd backup …`: what needs no running node, and no cluster at all. `tricord backup` calls it, and shows what it says.
//!
//! It tells its progress and its result as lines on standard output: `progress DONE TOTAL` and at the end one JSON document.
//! The recovery key comes on standard input, never as an argument. It ends with [`REFUTED`] if the backup is not good, and
//! with 1 if that could not be found out.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use backup::{Expected, Opener, Restored, Series, Target, Verified};
use clap::{Args, Subcommand};
use record::FoundingKeys;
use seal::NodeKey;
use serde_json::json;
use types::{ClusterId, Lineage};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::{Failure, restored};

/// How it ends when a backup is not what was written.
pub const REFUTED: u8 = 3;
/// Progress is told at most so often: after so many bytes.
const TOLD_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// What can be done with backups without a node.
#[derive(Subcommand)]
pub enum BackupCommand {
    /// Lists the backups in a directory: those that cannot be read, then the others, the oldest first.
    List {
        /// The directory with the backups.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Verifies a backup; with a key by restoring it where nobody else is.
    Verify(Verify),
    /// Makes this machine a node of a new history out of a backup: verifies it, and makes the data directory that the
    /// configuration names, which must be empty. The recovery key comes on standard input.
    Restore(Restore),
}

/// `backup verify`
#[derive(Args)]
pub struct Verify {
    /// The directory with the backups.
    #[arg(long)]
    dir: PathBuf,
    /// The backup's name.
    #[arg(long)]
    name: String,
    /// It must be of this cluster.
    #[arg(long)]
    cluster: Option<ClusterId>,
    /// And of this lineage.
    #[arg(long)]
    lineage: Option<Lineage>,
    /// Who signed the audit log from its first record on: audit.pub of the founding bundle and of each spare.
    #[arg(long)]
    founding: Option<PathBuf>,
    /// Only after a restoration: the keys of the nodes that came with it, one a line.
    #[arg(long, requires = "founding")]
    signers: Option<PathBuf>,
    /// Open it with the series' own key, from a node's data directory: backup.series.
    #[arg(long, conflicts_with = "kit")]
    series: Option<PathBuf>,
    /// If it is of another series, verify it as without a key.
    #[arg(long, requires = "series")]
    or_closed: bool,
    /// Open it with the recovery key, 64 hexadecimal digits on standard input.
    #[arg(long)]
    kit: bool,
    /// Where to restore it for the time being; it needs as much room as the backup.
    #[arg(long)]
    room: Option<PathBuf>,
}

/// `backup restore`
#[derive(Args)]
pub struct Restore {
    /// The node's configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/tricord/tricordd.toml")]
    config: PathBuf,
    /// The directory with the backups.
    #[arg(long)]
    dir: PathBuf,
    /// The backup's name.
    #[arg(long)]
    name: String,
    /// Who signed the audit log from its first record on: audit.pub of the founding bundle and of each spare.
    #[arg(long)]
    founding: Option<PathBuf>,
    /// Only if the cluster was restored before: the keys of the nodes that came with that, one a line.
    #[arg(long, requires = "founding")]
    signers: Option<PathBuf>,
    /// How the new history begins, the same on all three machines: LINEAGE-MILLISECONDS.
    #[arg(long)]
    beginning: String,
}

/// Does it.
pub fn run(command: &BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::List { dir } => list(dir),
        BackupCommand::Verify(verify) => self::verify(verify),
        BackupCommand::Restore(restore) => self::restore(restore),
    }
}

fn list(dir: &Path) -> Result<(), Failure> {
    let target = Target::open(dir)?;
    let (mut backups, mut manifests) = (Vec::new(), Vec::new());
    for name in target.names()? {
        match target.manifest(&name) {
            Ok(manifest) => manifests.push(manifest),
            Err(error) => backups.push(json!({ "name": name, "problem": crate::chain(&error) })),
        }
    }
    backup::sort_by_age(&mut manifests, None);
    backups.extend(manifests.iter().map(|manifest| {
        json!({
            "name": manifest.name, "cluster": manifest.cluster.to_string(), "lineage": manifest.lineage.to_string(),
            "node": manifest.node.to_string(), "created_ms": manifest.created.0, "records": manifest.records,
            "bytes": manifest.bytes(), "files": manifest.files.len(), "recovery": manifest.recovery.to_string(),
            "signed": manifest.signer().map(|key| key.name().to_owned()),
        })
    }));
    tell(&json!({ "backups": backups }).to_string())
}

fn restore(asked: &Restore) -> Result<(), Failure> {
    let config = Config::load(&asked.config)?;
    let beginning = restored::parse_beginning(&asked.beginning)
        .ok_or("--beginning: LINEAGE-MILLISECONDS is needed, as the first machine said")?;
    let founding = founding(asked.founding.as_deref(), asked.signers.as_deref())?;
    let expected = Expected { cluster: Some(config.cluster), lineage: None, founding };
    let target = Target::open(&asked.dir)?;
    let kit = recovery_key()?;
    let name = asked.name.as_str();
    let revived = restored::restore(&config, (&target, name), expected, kit, beginning, &mut told())?;
    let mut answer = document(&revived.verified);
    answer["new_node"] = revived.node.to_string().into();
    answer["new_lineage"] = beginning.lineage.to_string().into();
    tell(&answer.to_string())
}

fn founding(founding: Option<&Path>, signers: Option<&Path>) -> Result<Option<FoundingKeys>, Failure> {
    let Some(path) = founding else { return Ok(None) };
    let wrong = |path: &Path, error| format!("read the keys {}: {error}", path.display());
    let keys = FoundingKeys::parse(&read(path)?).map_err(|error| wrong(path, error))?;
    Ok(Some(match signers {
        Some(path) => keys.believe(&read(path)?).map_err(|error| wrong(path, error))?,
        None => keys,
    }))
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?)
}

/// Tells progress now and then.
fn told() -> impl FnMut(u64, u64) {
    let mut told = 0;
    move |done: u64, total: u64| {
        if done >= told + TOLD_EVERY_BYTES || done == total {
            told = done;
            let _ = tell(&format!("progress {done} {total}"));
        }
    }
}

fn verify(asked: &Verify) -> Result<(), Failure> {
    let founding = founding(asked.founding.as_deref(), asked.signers.as_deref())?;
    let expected = Expected { cluster: asked.cluster, lineage: asked.lineage, founding };
    let target = Target::open(&asked.dir)?;
    let opener = opener(asked, &target)?;
    let room = asked.room.clone().unwrap_or_else(std::env::temp_dir);
    let verified = backup::verify(&target, &asked.name, &expected, opener.as_ref(), &room, &mut told())?;
    tell(&document(&verified).to_string())
}

fn opener(asked: &Verify, target: &Target) -> Result<Option<Opener>, Failure> {
    if asked.kit {
        return Ok(Some(Opener::Kit(recovery_key()?)));
    }
    let Some(path) = &asked.series else { return Ok(None) };
    let series = Series::load(path)?.ok_or_else(|| format!("{}: this node has made no backup yet", path.display()))?;
    let closed = asked.or_closed && target.manifest(&asked.name)?.series != series.id;
    Ok((!closed).then_some(Opener::Series(series)))
}

/// The recovery key from standard input.
fn recovery_key() -> Result<NodeKey, Failure> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(128).read_to_string(&mut text)?;
    let digits = text.trim();
    let wrong = || Failure::from("standard input: 64 hexadecimal digits of the recovery key are needed");
    // `from_str_radix` would also take a sign.
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut private = Zeroizing::new([0; 32]);
    for (at, byte) in private.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(NodeKey::from_private(&private))
}

fn document(verified: &Verified) -> serde_json::Value {
    let manifest = &verified.manifest;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "name": manifest.name, "cluster": manifest.cluster.to_string(), "lineage": manifest.lineage.to_string(),
        "node": manifest.node.to_string(), "created_ms": manifest.created.0, "records": manifest.records,
        "root": hex(&manifest.root), "bytes": manifest.bytes(), "sealed_files": manifest.items().count(),
        "recovery": manifest.recovery.to_string(), "signed": manifest.signer().map(|key| key.name().to_owned()),
        "restored": verified.restored.as_ref().map(restored),
    })
}

fn restored(restored: &Restored) -> serde_json::Value {
    let sealed_by: Vec<String> = restored.sealed_by.iter().map(ToString::to_string).collect();
    json!({
        "files": restored.files, "bytes": restored.bytes, "rows": restored.rows, "messages": restored.messages,
        "sealed_by": sealed_by, "founded": restored.founded, "believed": restored.believed,
        "kit": restored.kit.map(|kit| json!({
            "cluster_keys": kit.cluster_keys, "data_keys": kit.data_keys, "messages": kit.messages,
        })),
    })
}

/// A line for whoever called.
fn tell(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
