//! Backups as this daemon makes them: one at a time, on a thread that no call waits for, asked by root or by the schedule.

mod command;
mod local;
mod metrics;
mod schedule;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use backup::{Evidence, Order, Pace, Pruned, Series, Target};
use raft::Handle;
use record::note::Signer;
use services::Services;
use state::view::Rows;
use store::{RocksDisk, StateView};
use tokio::sync::Mutex;
use types::backup::{BackupDeed, NoteBackup};
use types::limits::{BACKUP_HEAD_MS_MAX, BACKUP_REASON_BYTES_MAX};
use types::{NodeId, row};

pub use command::{BackupCommand, REFUTED, run as run_command};
pub use metrics::Metrics;
pub use schedule::run as keep_schedule;

use crate::reload::InForce;
use crate::run::Consensus;

/// The file in the data directory that names the series this node goes on with.
const SERIES: &str = "backup.series";
/// How often a head that covers a backup is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long telling the cluster of a backup may take.
const TELL_MAX: Duration = Duration::from_secs(10);

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One is being made.
    #[error("a backup is being made already")]
    Busy,
    /// No directory is named, and none is configured.
    #[error("no directory: name one, or configure one ([backup] dir)")]
    NoDirectory,
    /// It failed.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// The thread that made it ended.
    #[error("the node is stopping")]
    Stopping,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The target; none: the one configured.
    pub dir: Option<PathBuf>,
    /// Make a target of an empty directory.
    pub init: bool,
    /// Keep so many; none: as configured.
    pub keep: Option<usize>,
    /// By the schedule.
    pub scheduled: bool,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Done {
    pub made: backup::Made,
    pub dir: PathBuf,
    pub sealed: bool,
    pub pruned: Pruned,
}

/// Makes backups of this node's state. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    node: Consensus,
    services: Services<Consensus>,
    config: InForce,
    data: PathBuf,
    signer: Option<Arc<Signer>>,
    metrics: Metrics,
    one: Mutex<()>,
}

impl Backups {
    /// Backups of this node.
    pub fn new(
        node: Consensus,
        services: Services<Consensus>,
        (config, data): (InForce, PathBuf),
        signer: Option<Arc<Signer>>,
        metrics: Metrics,
    ) -> Self {
        Self { inner: Arc::new(Inner { node, services, config, data, signer, metrics, one: Mutex::default() }) }
    }

    /// Makes one, and tells the cluster what came of it. `stop` ends it early; `progress` is told bytes written and bytes in
    /// all.
    pub async fn make(
        &self,
        wish: Wish,
        stop: Arc<AtomicBool>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Done, BackupError> {
        let _one = self.inner.one.try_lock().map_err(|_| BackupError::Busy)?;
        let scheduled = wish.scheduled;
        let made = self.make_one(wish, stop, progress).await;
        match &made {
            Ok(done) => {
                let manifest = &done.made.manifest;
                tracing::info!(
                    backup = manifest.name,
                    bytes = manifest.bytes(),
                    written = done.made.written,
                    "a backup was made"
                );
                let (records, root, bytes) = (manifest.records, manifest.root, manifest.bytes());
                let deed = BackupDeed::Create;
                self.tell(NoteBackup { deed, records, root, bytes, scheduled, reason: None }).await;
            }
            Err(BackupError::Backup(backup::Error::Stopped) | BackupError::Stopping) => {}
            Err(error) => {
                let why = crate::chain(error);
                tracing::error!(error = why, "no backup was made");
                self.inner.metrics.failures.inc();
                let (deed, reason) = (BackupDeed::Fail, Some(cut(&why)));
                self.tell(NoteBackup { deed, records: 0, root: [0; 32], bytes: 0, scheduled, reason }).await;
            }
        }
        made
    }

    async fn make_one(
        &self,
        wish: Wish,
        stop: Arc<AtomicBool>,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Done, BackupError> {
        let config = self.inner.config.load().backup.clone();
        let dir = wish.dir.or(config.dir).ok_or(BackupError::NoDirectory)?;
        let began = Instant::now();
        self.wait_until_known().await?;
        let (inner, at) = (self.inner.clone(), dir.clone());
        let (target, mut order) = blocking(move || {
            let target = if wish.init { Target::init(&at)? } else { Target::open(&at)? };
            let snapshot = inner.node.state().build_snapshot()?;
            let view = StateView::of_checkpoint(&RocksDisk::default(), &snapshot.dir())?;
            let order = Order::new(snapshot, &view, inner.node.node(), &target)?;
            Ok((target, order))
        })
        .await?;
        order.evidence = self.evidence(order.records, order.signers.clone()).await?;
        let sealed = order.evidence.is_some();
        let inner = self.inner.clone();
        let keep = wish.keep.or(config.keep);
        let (made, pruned) = blocking(move || {
            let whose = (order.cluster, order.lineage);
            let series = Series::go_on(&inner.data.join(SERIES), whose, order.recovery, order.created)?;
            let pace = Pace::new(config.bytes_per_second, stop);
            let made = backup::create(&order, &target, &series, inner.signer.as_deref(), pace, &mut progress)?;
            let pruned = match keep {
                Some(keep) => backup::prune(&target, &made.manifest, keep)?,
                None => Pruned::default(),
            };
            Ok((made, pruned))
        })
        .await?;
        self.inner.metrics.seconds.set(i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX));
        Ok(Done { made, dir, sealed, pruned })
    }

    /// Waits until the cluster knows the key that this node signs with: who reads a backup knows the signers that are in
    /// it. A node that has just come is not among them for a moment.
    async fn wait_until_known(&self) -> Result<(), BackupError> {
        let until = Instant::now() + Duration::from_millis(BACKUP_HEAD_MS_MAX);
        while self.inner.signer.is_some() && Instant::now() < until {
            let (view, node) = (self.inner.node.view(), self.node());
            if blocking(move || Ok(view.signer(node)?.is_some())).await? {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// A sealed head that covers this many records: soon after them there is one, as long as two nodes run.
    async fn evidence(
        &self,
        records: u64,
        signers: Vec<(NodeId, row::Signer)>,
    ) -> Result<Option<Evidence>, BackupError> {
        let until = Instant::now() + Duration::from_millis(BACKUP_HEAD_MS_MAX);
        loop {
            let (view, known) = (self.inner.node.view(), signers.clone());
            let found = blocking(move || Ok(Evidence::of(&view, records, &known)?)).await?;
            let signs = self.inner.signer.is_some();
            if found.is_some() || !signs || Instant::now() > until {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Puts a word on a backup to the cluster; without a majority it is lost, which the log says.
    async fn tell(&self, note: NoteBackup) {
        if let Err(error) = self.inner.services.note_backup(note, Instant::now() + TELL_MAX).await {
            tracing::warn!(%error, "the cluster was not told of the backup");
        }
    }

    fn cluster(&self) -> Option<types::row::Cluster> {
        self.inner.node.view().cluster().ok().flatten()
    }

    fn node(&self) -> NodeId {
        self.inner.node.node()
    }
}

/// On a thread of its own: a share that does not answer holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, backup::Error> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| BackupError::Stopping)?;
    Ok(done?)
}

/// As much of a reason as a record may hold.
fn cut(why: &str) -> String {
    let end = (0..=BACKUP_REASON_BYTES_MAX.min(why.len())).rev().find(|end| why.is_char_boundary(*end));
    why[..end.unwrap_or(0)].to_owned()
}

/// Whether this directory is one that backups could be kept in, for `tricordd check`.
pub fn check(dir: &Path) -> Result<(), backup::Error> {
    Target::open(dir).map(drop)
}
