//! Heads leave the building: sealed ones are written, each as a new file, to a directory that is somewhere else (write-once
//! storage, another machine's disk, a stick).

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft::Handle;
use types::limits::AUDIT_HEAD_PUSH_MS;

use super::log;
use crate::Services;
use crate::errors::Error;
use crate::rpc::audit::note;

/// Writes the newest sealed head now and then, until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let Some(dir) = services.inner.config.audit_heads.clone() else { return };
    let mut failed = false;
    loop {
        let (view, dir) = (services.inner.handle.view(), dir.clone());
        let pushed = raft::blocking::run(move || -> Result<Result<(), std::io::Error>, Error> {
            let Some((size, head)) = log::sealed_head(&view)? else { return Ok(Ok(())) };
            Ok(push(&dir, size, &note(&view, size, &head)?.note))
        });
        match pushed.await {
            Ok(Ok(Ok(()))) => {
                if std::mem::take(&mut failed) {
                    tracing::info!("heads of the audit log are written outside again");
                }
            }
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, "the newest head of the audit log could not be written outside");
                failed = true;
            }
            Ok(Err(error)) => drop(services.status(&error)),
            Err(_) => return,
        }
        tokio::time::sleep(Duration::from_millis(AUDIT_HEAD_PUSH_MS)).await;
    }
}

/// Writes a head under its size, synced; one that is there stays as it is.
fn push(dir: &Path, size: u64, note: &str) -> Result<(), std::io::Error> {
    let path: PathBuf = dir.join(format!("{size:020}"));
    if path.exists() {
        return Ok(());
    }
    // Under another name until it is whole: one that is there is never mended.
    let partial = dir.join(format!("{size:020}.partial"));
    let mut file = File::create(&partial)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    match std::fs::hard_link(&partial, &path) {
        Ok(()) => std::fs::remove_file(&partial)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => std::fs::remove_file(&partial)?,
        Err(_) => std::fs::rename(&partial, &path)?, // A stick's file system may know no links.
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_once_and_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        push(dir.path(), 7, "first").expect("written");
        push(dir.path(), 7, "second").expect("there already");
        std::fs::write(dir.path().join("00000000000000000008.partial"), "cut o").expect("a stick pulled out");
        push(dir.path(), 8, "whole").expect("written");
        assert_eq!(std::fs::read(dir.path().join("00000000000000000008")).expect("there"), b"whole");
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 2, "nothing else is left");
        assert_eq!(std::fs::read(dir.path().join("00000000000000000007")).expect("there"), b"first");
        assert!(push(&dir.path().join("none"), 8, "x").is_err(), "a stick that is not there is an error");
    }
}
