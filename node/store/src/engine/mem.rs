//! A disk in memory whose power can be cut: what was not synced is lost, all of it or all but a beginning.
//!
//! The log's engine keeps a write-ahead log as bytes beside its map. After [`MemDisk::lose_power`], [`MemDisk::end_process`]
//! and [`MemDisk::flip_bit`] it is opened from those bytes, by the scan that ships. The state's engine has none, as in a
//! hospital: a flush makes it durable, whole, and anything later is lost with the process.

mod wal;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::wal::Wal;
use super::{Batch, Disk, Engine, Family, Keys, Kind, Op, Reader, Sizes, Visit, Work};
use crate::Fault;

/// The one file of a checkpoint.
const CHECKPOINT_FILE: &str = "MEMORY";

/// Engines by directory. What was synced outlives [`MemDisk::cut_power`]; a checkpoint is a real file.
#[derive(Clone, Default)]
pub struct MemDisk {
    engines: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Versions>>>>>,
}

impl MemDisk {
    /// Cuts the power: every engine of this disk is as it was synced, and of what was written after that the first
    /// `survivors` batches of the log are there as well, for a disk may have taken them. Engines opened before answer
    /// with errors from now on.
    pub fn cut_power(&self, survivors: u64) {
        for versions in lock(&self.engines).values() {
            let mut versions = lock(versions);
            let durable = match versions.kind {
                Kind::Log => versions.now.min(versions.synced + survivors),
                Kind::State => versions.synced,
            };
            versions.forget_after(durable);
            versions.generation += 1;
        }
    }

    /// The power goes. Of the log's writes that were not synced some pages are there and others are zeros, as `random` has
    /// it; the state is as it was flushed. Engines opened before answer with errors from now on.
    pub fn lose_power(&self, random: &mut dyn FnMut() -> u64) {
        self.each(|versions| match versions.kind {
            Kind::Log => {
                versions.wal.tear(random);
                versions.reopens = true;
            }
            Kind::State => versions.forget_after(versions.synced),
        });
    }

    /// The process ends and the machine goes on: all that was written to the log is there.
    pub fn end_process(&self) {
        self.each(|versions| match versions.kind {
            Kind::Log => versions.reopens = true,
            Kind::State => versions.forget_after(versions.synced),
        });
    }

    /// Flips a bit in the log of a node that does not run: of the last batch, or of one before it. Says whether there was
    /// any to flip.
    pub fn flip_bit(&self, last: bool, random: u64) -> bool {
        let mut flipped = false;
        self.each(|versions| flipped |= versions.wal.flip(last, random).is_some());
        flipped
    }

    fn each(&self, mut change: impl FnMut(&mut Versions)) {
        for versions in lock(&self.engines).values() {
            let mut versions = lock(versions);
            change(&mut versions);
            versions.generation += 1;
        }
    }

    /// Makes the next write of every engine of this kind fail, as a disk that is full or dying does: what was written
    /// is not synced, and may survive a power cut or not.
    pub fn fail_next_write(&self, kind: Kind) {
        for versions in lock(&self.engines).values() {
            let mut versions = lock(versions);
            versions.fail_next_write |= versions.kind == kind;
        }
    }
}

impl Disk<MemEngine> for MemDisk {
    fn open(&self, dir: &Path, kind: Kind) -> Result<MemEngine, Fault> {
        let mut engines = lock(&self.engines);
        let versions = match engines.get(dir) {
            Some(versions) => versions.clone(),
            None => {
                std::fs::create_dir_all(dir).map_err(Fault::io("create the directory", dir))?;
                let versions = Arc::new(Mutex::new(load(dir, kind)?));
                engines.insert(dir.to_path_buf(), versions.clone());
                versions
            }
        };
        let generation = {
            let mut versions = lock(&versions);
            versions.reopen(dir)?;
            versions.generation
        };
        Ok(MemEngine { versions, generation })
    }

    fn open_checkpoint(&self, dir: &Path, kind: Kind) -> Result<Box<dyn Reader>, Fault> {
        Ok(Box::new(MemEngine { versions: Arc::new(Mutex::new(load(dir, kind)?)), generation: 0 }))
    }
}

/// An ordered map that keeps old values for views and for what is not synced.
pub struct MemEngine {
    versions: Arc<Mutex<Versions>>,
    generation: u64,
}

/// The values of a key by the batch that wrote them, ascending; none where it was removed.
type History = Vec<(u64, Option<Vec<u8>>)>;

struct Versions {
    kind: Kind,
    values: BTreeMap<(Family, Vec<u8>), History>,
    /// Batches written.
    now: u64,
    /// Batches that a power cut leaves.
    synced: u64,
    /// How often the power was cut.
    generation: u64,
    /// Versions that views look at, and how many views.
    viewed: BTreeMap<u64, usize>,
    fail_next_write: bool,
    /// Of the log only: what was written since `base`.
    wal: Wal,
    base: BTreeMap<(Family, Vec<u8>), Vec<u8>>,
    /// The map is to be made from `base` and `wal` when it is opened next.
    reopens: bool,
}

impl Versions {
    fn reopen(&mut self, dir: &Path) -> Result<(), Fault> {
        if !std::mem::take(&mut self.reopens) {
            return Ok(());
        }
        let recovered = self.wal.recover();
        let (batches, torn_bytes) = recovered.map_err(|at| {
            self.reopens = true;
            Fault::DamagedLog { path: dir.to_path_buf(), at: at as u64 }
        })?;
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, "cut off a write that a power cut had torn");
        }
        self.values.clear();
        self.forget_after(0);
        for ((family, key), value) in self.base.clone() {
            self.put(family, key, Some(value));
        }
        for batch in batches {
            self.apply(batch);
        }
        (self.synced, self.wal) = (self.now, Wal::default());
        let (all, now) = (&self.values, self.now);
        let held = |(key, history): (&(Family, Vec<u8>), &History)| Some((key.clone(), as_of(history, now)?.to_vec()));
        self.base = all.iter().filter_map(held).collect();
        Ok(())
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            values: BTreeMap::new(),
            now: 0,
            synced: 0,
            generation: 0,
            viewed: BTreeMap::new(),
            fail_next_write: false,
            wal: Wal::default(),
            base: BTreeMap::new(),
            reopens: false,
        }
    }

    fn get(&self, family: Family, key: &[u8], at: u64) -> Option<&[u8]> {
        as_of(self.values.get(&(family, key.to_vec()))?, at)
    }

    fn put(&mut self, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) {
        let oldest_needed = self.viewed.keys().next().copied().unwrap_or(u64::MAX).min(self.synced);
        let history = self.values.entry((family, key)).or_default();
        let seen = history.partition_point(|(version, _)| *version <= oldest_needed);
        history.drain(..seen.saturating_sub(1));
        history.push((self.now, value));
    }

    fn forget_after(&mut self, version: u64) {
        for history in self.values.values_mut() {
            history.retain(|(at, _)| *at <= version);
        }
        self.values.retain(|_, history| !history.is_empty());
        self.now = version;
        self.synced = version;
        self.viewed.clear();
    }

    fn write(&mut self, batch: Batch) {
        if self.kind == Kind::Log {
            self.wal.append(batch.ops());
        }
        self.apply(batch);
    }

    fn apply(&mut self, batch: Batch) {
        self.now += 1;
        for (family, op) in batch.into_ops() {
            match op {
                Op::Put(key, value) => self.put(family, key, Some(value)),
                Op::Delete(key) => self.put(family, key, None),
                Op::DeleteRange(from, to) => {
                    let range = self.values.range((family, from)..(family, to));
                    let keys: Vec<Vec<u8>> = range.map(|((_, key), _)| key.clone()).collect();
                    keys.into_iter().for_each(|key| self.put(family, key, None));
                }
            }
        }
    }

    /// The pairs of a family as of a version. A copy, so that a visitor may take its time and read as well.
    fn pairs(&self, family: Family, (from, to): Keys<'_>, at: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
        let from = match from {
            Bound::Included(key) => Bound::Included((family, key.to_vec())),
            Bound::Excluded(key) => Bound::Excluded((family, key.to_vec())),
            Bound::Unbounded => Bound::Included((family, Vec::new())),
        };
        let inside = |key: &[u8]| match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        };
        let range = self.values.range((from, Bound::Unbounded));
        let range = range.take_while(|((in_family, key), _)| *in_family == family && inside(key));
        range.filter_map(|((_, key), history)| Some((key.clone(), as_of(history, at)?.to_vec()))).collect()
    }
}

fn as_of(history: &[(u64, Option<Vec<u8>>)], at: u64) -> Option<&[u8]> {
    let (_, value) = history.iter().rev().find(|(version, _)| *version <= at)?;
    value.as_deref()
}

impl MemEngine {
    fn powered(&self) -> Result<MutexGuard<'_, Versions>, Fault> {
        let versions = lock(&self.versions);
        if versions.generation == self.generation { Ok(versions) } else { Err(failed("use a disk without power")) }
    }
}

impl Reader for MemEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let versions = self.powered()?;
        Ok(versions.get(family, key, versions.now).map(<[u8]>::to_vec))
    }

    fn range(&self, family: Family, keys: Keys<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
        let versions = self.powered()?;
        let pairs = versions.pairs(family, keys, versions.now);
        drop(versions);
        show(pairs, reverse, visit)
    }
}

impl Engine for MemEngine {
    fn write(&self, batch: Batch, sync: bool) -> Result<(), Fault> {
        let mut versions = self.powered()?;
        versions.write(batch);
        if std::mem::take(&mut versions.fail_next_write) {
            return Err(failed("write a batch"));
        }
        if sync && versions.kind == Kind::Log {
            versions.synced = versions.now;
            versions.wal.sync();
        }
        Ok(())
    }

    fn get_durable(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let versions = self.powered()?;
        Ok(versions.get(family, key, versions.synced).map(<[u8]>::to_vec))
    }

    fn flush(&self) -> Result<(), Fault> {
        let mut versions = self.powered()?;
        versions.synced = versions.now;
        Ok(())
    }

    fn view(&self) -> Arc<dyn Reader> {
        let mut versions = lock(&self.versions);
        let at = versions.now;
        *versions.viewed.entry(at).or_default() += 1;
        drop(versions);
        Arc::new(MemView { engine: Self { versions: self.versions.clone(), generation: self.generation }, at })
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), Fault> {
        self.flush()?;
        let versions = self.powered()?;
        std::fs::create_dir(dir).map_err(Fault::io("create the directory", dir))?;
        let mut bytes = Vec::new();
        for (number, family) in versions.kind.families().iter().enumerate() {
            for (key, value) in versions.pairs(*family, (Bound::Unbounded, Bound::Unbounded), versions.now) {
                bytes.push(u8::try_from(number).unwrap_or(u8::MAX));
                for part in [key, value] {
                    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
                    bytes.extend_from_slice(&part);
                }
            }
        }
        let file = dir.join(CHECKPOINT_FILE);
        std::fs::write(&file, bytes).map_err(Fault::io("write the checkpoint", &file))
    }

    fn healthy(&self) -> Result<(), Fault> {
        self.powered().map(drop)
    }

    fn sizes(&self) -> Sizes {
        Sizes::default()
    }

    fn work(&self) -> Work {
        Work::default()
    }
}

struct MemView {
    engine: MemEngine,
    at: u64,
}

impl Reader for MemView {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.engine.powered()?.get(family, key, self.at).map(<[u8]>::to_vec))
    }

    fn range(&self, family: Family, keys: Keys<'_>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
        let pairs = self.engine.powered()?.pairs(family, keys, self.at);
        show(pairs, reverse, visit)
    }
}

impl Drop for MemView {
    fn drop(&mut self) {
        let mut versions = lock(&self.engine.versions);
        if let Some(views) = versions.viewed.get_mut(&self.at) {
            *views -= 1;
            if *views == 0 {
                versions.viewed.remove(&self.at);
            }
        }
    }
}

fn show(mut pairs: Vec<(Vec<u8>, Vec<u8>)>, reverse: bool, visit: Visit<'_>) -> Result<(), Fault> {
    if reverse {
        pairs.reverse();
    }
    for (key, value) in pairs {
        if let ControlFlow::Break(()) = visit(&key, &value)? {
            break;
        }
    }
    Ok(())
}

fn load(dir: &Path, kind: Kind) -> Result<Versions, Fault> {
    let mut versions = Versions::new(kind);
    let file = dir.join(CHECKPOINT_FILE);
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(versions),
        Err(error) => return Err(Fault::io("read the checkpoint", &file)(error)),
    };
    let mut batch = Batch::default();
    let mut rest = bytes.as_slice();
    while let Some((number, after)) = rest.split_first() {
        rest = after;
        let family = kind.families().get(usize::from(*number)).copied();
        let (Some(family), Some(key), Some(value)) = (family, part(&mut rest), part(&mut rest)) else {
            return Err(Fault::damaged("a checkpoint"));
        };
        batch.put(family, key, value);
    }
    versions.write(batch);
    versions.synced = versions.now;
    Ok(versions)
}

fn part(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part.to_vec())
}

fn failed(doing: &'static str) -> Fault {
    Fault::Engine { doing, source: "the simulated disk failed".into() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
