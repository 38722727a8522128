//! openraft's own suite for storage, run on ours: on the real engine and on the disk in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;

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

struct Builder<D>(Arc<D>);

fn build<E: Engine>(disk: Arc<dyn Disk<E>>, dir: &Path) -> Result<(Log<E>, Machine<E>), Box<dyn std::error::Error>> {
    let (log, writer) = LogStore::open(disk.open(&dir.join("log"), Kind::Log)?)?;
    std::thread::spawn(move || writer.run());
    let state = StateStore::open(disk, &dir.join("state"))?;
    let (hub, _) = mpsc::channel(1);
    let (tell, _live) = Tell::new(hub, watch::channel(state.heads()).0, watch::channel(None).0, Arc::default());
    Ok((Log::new(log), Machine::new(Arc::new(state), Worker::start("apply")?, tell)))
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
                let (log, machine) = built.map_err(error)?;
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
    Suite::test_all(Builder(Arc::new(RocksDisk::default()))).await.expect("conforms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes_on_the_disk_in_memory() {
    Suite::test_all(Builder(Arc::new(MemDisk::default()))).await.expect("conforms");
}
