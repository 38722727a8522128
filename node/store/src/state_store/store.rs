//! The state as the rest of the node sees it.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use prometheus::Registry;
use sha2::{Digest, Sha256};
use state::Rows;
use types::Table;
use types::row::Heads;

use super::apply::{Decided, Outputs, check, decide};
use super::cache::Cache;
use super::generation::{self, Generation};
use super::marks::{APPLIED, read_applied};
use super::view::StateView;
use crate::engine::{Disk, Engine, Family};
use crate::files::{move_dir, remove_dir};
use crate::log::decode_log_id;
use crate::metrics::StateMetrics;
use crate::snapshot::{self, Incoming, Manifest, Snapshot, Snapshots};
use crate::{Fault, LogId, Payload, failing};

/// The last applied entry, and the membership with the entry it came by.
pub type Applied = (Option<LogId>, Option<(Option<LogId>, Bytes)>);

/// The replicated state of this node. All methods block on the disk but [`StateStore::view`] and [`StateStore::heads`].
pub struct StateStore<E: Engine> {
    disk: Arc<dyn Disk<E>>,
    root: PathBuf,
    /// Held by whoever changes the state; readers take [`StateStore::view`].
    current: Mutex<Arc<Generation<E>>>,
    /// Of the current generation; whoever holds `current` may take it.
    cache: Mutex<Cache>,
    published: RwLock<StateView>,
    snapshots: Snapshots,
    metrics: StateMetrics,
    /// The highest feature level this release knows.
    known: u32,
    /// Dropped when the engine is closed, but for views in use: after the fields above.
    until_closed: OnceLock<Box<dyn Send + Sync>>,
}

impl<E: Engine> StateStore<E> {
    /// Opens the state in this directory, an empty one if there is none. What a crash left unfinished is removed.
    pub fn open(disk: Arc<dyn Disk<E>>, root: &Path) -> Result<Self, Fault> {
        let generation = Generation::open_current(disk.as_ref(), root)?;
        let view = StateView::new(generation.engine.view(), generation.dir.clone())?;
        read_applied(view.reader())?;
        let snapshots = Snapshots::open(root)?;
        Ok(Self {
            disk,
            root: root.to_path_buf(),
            current: Mutex::new(Arc::new(generation)),
            cache: Mutex::default(),
            published: RwLock::new(view),
            snapshots,
            metrics: StateMetrics::default(),
            known: u32::MAX,
            until_closed: OnceLock::new(),
        })
    }

    /// Drops `held` when this store is closed. Only the first call counts.
    pub fn hold_until_closed(&self, held: Box<dyn Send + Sync>) {
        let _ = self.until_closed.set(held);
    }

    /// The same, in a release that knows feature levels up to `known`; before this, every level is taken.
    ///
    /// Errors: [`Fault::Newer`] if the cluster has a higher one.
    pub fn knowing(mut self, known: u32) -> Result<Self, Fault> {
        self.known = known;
        check_level(&self.view(), known)?;
        Ok(self)
    }

    /// The highest feature level this release knows.
    #[must_use]
    pub const fn known_level(&self) -> u32 {
        self.known
    }

    /// The last applied entry and the membership, as of the last apply call.
    pub fn applied(&self) -> Result<Applied, Fault> {
        read_applied(self.view().reader())
    }

    /// Applies committed entries in order: each command sees those before it, and all that follows is written in one
    /// batch with the applied mark. The outputs are one for each entry, and may be told once this returns.
    ///
    /// Errors: nothing was written, or nobody knows. The node stops; what is on disk is as of some earlier call.
    pub fn apply(&self, entries: Vec<(LogId, Payload)>) -> Result<Vec<Outputs>, Fault> {
        let began = Instant::now();
        let current = self.lock_current();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Decided { batch, outputs, rows, edge } = decide(&self.view(), &cache, self.known, &entries)?;
        if batch.is_empty() {
            return Ok(outputs);
        }
        self.metrics.apply_entries.observe(entries.len() as f64);
        self.metrics.apply_bytes.observe(batch.bytes() as f64);
        current.engine.write(batch, false)?;
        rows.into_iter().for_each(|(key, row)| cache.put(key, row));
        cache.put_edge(edge);
        self.publish(&current)?;
        failing::end_at("state-applied");
        self.metrics.apply_seconds.observe(began.elapsed().as_secs_f64());
        Ok(outputs)
    }

    /// The state as of the last apply call, or the last snapshot installed.
    #[must_use]
    pub fn view(&self) -> StateView {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Clock and newest event as of the last apply call.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.published.read().unwrap_or_else(PoisonError::into_inner).heads()
    }

    /// The last entry whose effects a power cut now would leave. The log may be purged up to here, never further.
    pub fn durable_applied(&self) -> Result<Option<LogId>, Fault> {
        match self.current().engine.get_durable(Family::StateMarks, APPLIED)? {
            Some(bytes) => decode_log_id(&bytes, "the applied mark"),
            None => Ok(None),
        }
    }

    /// Makes everything applied durable.
    pub fn flush(&self) -> Result<(), Fault> {
        let _timer = self.metrics.flush_seconds.start_timer();
        self.current().engine.flush()?;
        failing::end_at("state-flushed");
        Ok(())
    }

    /// SHA-256 over all rows in key order. Reads everything: for tests and tools.
    pub fn digest(&self) -> Result<[u8; 32], Fault> {
        let view = self.view();
        let mut hash = Sha256::new();
        for table in Table::ALL {
            let (from, to) = ([*table as u8], [*table as u8 + 1]);
            let keys = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
            view.reader().range(Family::of(*table), keys, false, &mut |key, value| {
                for part in [key, value] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(hash.finalize().into())
    }

    /// Makes a snapshot of everything applied. Apply calls go on meanwhile. The one before is removed once nobody
    /// reads it.
    pub fn build_snapshot(&self) -> Result<Snapshot, Fault> {
        self.build(None, &[])
    }

    /// The same right after [`StateStore::install`]: of the tables that were `received` and verified none is read again.
    pub fn build_snapshot_of(&self, received: &Manifest) -> Result<Snapshot, Fault> {
        self.build(Some(received), &[])
    }

    /// Looks through a snapshot that did not arrive as it should have. If it has rotted on this node's disk, a fresh one
    /// takes its place; answers whether that is so.
    ///
    /// Errors: [`Fault::Damaged`] when what has rotted is a table that the state has too: the node stops.
    pub fn replace_if_rotten(&self, snapshot: &Snapshot) -> Result<bool, Fault> {
        let rotten = snapshot.rotten();
        if rotten.is_empty() {
            return Ok(false);
        }
        let current = self.current();
        if let Some(name) = rotten.iter().find(|name| snapshot.shares_table(name, current.dir.path())) {
            return Err(Fault::damaged(format!("the table {name} of the state")));
        }
        let newer = self.current_snapshot().is_some_and(|newest| newest.dir() != snapshot.dir());
        if !newer {
            self.build(None, &rotten)?;
        }
        Ok(true)
    }

    fn build(&self, received: Option<&Manifest>, rotten: &[&str]) -> Result<Snapshot, Fault> {
        let _timer = self.metrics.snapshot_seconds.start_timer();
        let checkpoint = |dir: &Path| self.current().engine.checkpoint(dir); // Of what is current when its turn comes.
        let snapshot = self.snapshots.build(self.disk.as_ref(), received, rotten, checkpoint);
        self.metrics.snapshots.with_label_values(&[if snapshot.is_ok() { "made" } else { "failed" }]).inc();
        snapshot.inspect(|snapshot| self.note(snapshot))
    }

    /// The newest snapshot, if there is one.
    #[must_use]
    pub fn current_snapshot(&self) -> Option<Snapshot> {
        self.snapshots.current()
    }

    /// Where a snapshot from another node is received; see [`crate::Receiver::begin`].
    #[must_use]
    pub fn incoming_dir(&self) -> PathBuf {
        snapshot::incoming_dir(&self.root)
    }

    /// Replaces the whole state by a snapshot that was received: a crash leaves the old one or the new one. Views
    /// handed out before go on showing the old one.
    ///
    /// Returns what it consisted of, for [`StateStore::build_snapshot_of`].
    ///
    /// Errors: [`Fault::Damaged`] if it does not hold what its manifest says; the old state is still there.
    pub fn install(&self, incoming: Incoming) -> Result<Manifest, Fault> {
        let mut current = self.lock_current();
        let number = current.number + 1;
        remove_dir(&generation::dir(&self.root, number))?; // An attempt that failed may have left it.
        move_dir(&incoming.database(), &generation::dir(&self.root, number))?;
        failing::end_at("snapshot-moved");
        let generation = Generation::open(self.disk.as_ref(), &self.root, number)?;
        let view = generation.engine.view();
        let (applied, membership) = read_applied(view.as_ref())?;
        let manifest = incoming.manifest();
        if applied != manifest.applied || membership != manifest.membership {
            generation.dir.retire();
            return Err(Fault::damaged("the snapshot that was received"));
        }
        drop(view);
        let received = StateView::new(generation.engine.view(), generation.dir.clone())?;
        if let Err(newer) = check_level(&received, self.known) {
            generation.dir.retire();
            return Err(newer);
        }
        drop(received);
        failing::end_at("snapshot-before-switch");
        generation::point_to(&self.root, number)?;
        failing::end_at("snapshot-after-switch");
        let old = std::mem::replace(&mut *current, Arc::new(generation));
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Cache::default();
        self.publish(&current)?;
        old.dir.retire();
        incoming.remove()
    }

    /// Whether the engine's background work is well; asked every second or so. A fault stops the node.
    pub fn healthy(&self) -> Result<(), Fault> {
        self.current().engine.healthy()
    }

    /// Registers the state's metrics; the sizes are as of the last [`StateStore::measure`].
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.metrics.register(registry)
    }

    /// Brings the sizes among the metrics up to date.
    pub fn measure(&self) {
        let current = self.current();
        let work = current.engine.work();
        self.metrics.engine.set(current.engine.sizes(), work);
        self.metrics.cache(work);
        if let Some(snapshot) = self.snapshots.current() {
            self.note(&snapshot);
        }
    }

    fn note(&self, snapshot: &Snapshot) {
        self.metrics.snapshot_bytes.set(i64::try_from(snapshot.manifest().bytes()).unwrap_or(i64::MAX));
        let made = std::fs::metadata(snapshot.dir()).and_then(|dir| dir.modified()).ok();
        let since = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        self.metrics.snapshot_made.set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    }

    fn publish(&self, generation: &Generation<E>) -> Result<(), Fault> {
        let view = StateView::new(generation.engine.view(), generation.dir.clone())?;
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }

    fn current(&self) -> Arc<Generation<E>> {
        self.lock_current().clone()
    }

    fn lock_current(&self) -> MutexGuard<'_, Arc<Generation<E>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a release that knows levels up to `known` may go on with this state.
fn check_level(view: &StateView, known: u32) -> Result<(), Fault> {
    check(known, view.cluster()?.map_or(0, |cluster| cluster.feature_level))
}
