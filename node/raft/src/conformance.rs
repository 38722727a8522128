//! openraft's own suite for storage, run on ours: on the real engine and on the disk in memory.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use store::engine::{Kind, MemDisk};
use store::{Disk, Engine, LogStore, RocksDisk, StateStore};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use crate::kinds::TypeConfig;
use crate::log::Log;
use crate::machine::{Machine, Tell};
use crate::worker::Worker;

/// A disk, and the threads that write logs to it.
struct Builder<D>(Arc<D>, Mutex<Vec<JoinHandle<()>>>);

impl<D> Builder<D> {
    fn on(disk: D) -> Self {
        Self(Arc::new(disk), Mutex::default())
    }
}

/// The end of the process must not meet RocksDB's threads at work: it aborts then.
impl<D> Drop for Builder<D> {
    fn drop(&mut self) {
        for writer in self.1.get_mut().expect("no test panicked").drain(..) {
            writer.join().expect("the writer ends");
        }
    }
}

type Built<E> = (Log<E>, Machine<E>, JoinHandle<()>);

fn build<E: Engine>(disk: Arc<dyn Disk<E>>, dir: &Path) -> Result<Built<E>, Box<dyn std::error::Error>> {
    let (log, writer) = LogStore::open(disk.open(&dir.join("log"), Kind::Log)?)?;
    let writing = std::thread::spawn(move || writer.run().expect("the disk is well"));
    let state = StateStore::open(disk, &dir.join("state"))?;
    let (hub, _) = mpsc::channel(1);
    let (tell, _live) = Tell::new(hub, watch::channel(state.heads()).0, watch::channel(None).0, Arc::default());
    Ok((Log::new(log), Machine::new(Arc::new(state), Worker::start("apply")?, tell), writing))
}

macro_rules! builder {
    ($disk:ty, $engine:ty) => {
        impl StoreBuilder<TypeConfig, Log<$engine>, Machine<$engine>, TempDir> for Builder<$disk> {
            async fn build(&self) -> Result<(TempDir, Log<$engine>, Machine<$engine>), StorageError<TypeConfig>> {
                let dir = tempfile::tempdir().expect("a directory");
                let built = build::<$engine>(self.0.clone(), dir.path());
                let error = |error: Box<dyn std::error::Error>| {
                    StorageError::read(openraft::impls::BoxedErrorSource::from_error(&io::Error::other(
                        error.to_string(),
                    )))
                };
                let (log, machine, writer) = built.map_err(error)?;
                self.1.lock().expect("no test panicked").push(writer);
                Ok((dir, log, machine))
            }
        }
    };
}

use openraft::errors::ErrorSource;
builder!(RocksDisk, store::RocksEngine);
builder!(MemDisk, store::engine::MemEngine);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_on_rocksdb() {
    Suite::test_all(Builder::on(RocksDisk::default())).await.expect("conforms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_on_the_disk_in_memory() {
    Suite::test_all(Builder::on(MemDisk::default())).await.expect("conforms");
}
