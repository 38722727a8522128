//! Backups on the local socket: for root on this machine.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proto::local::backup_service_server::{BackupService, BackupServiceServer};
use proto::local::{
    CreateBackupRequest, CreateBackupResponse, CreatedBackup, GetBackupsRequest, GetBackupsResponse,
    NoteVerificationRequest, NoteVerificationResponse,
};
use raft::Handle;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::backup::{BackupDeed, NoteBackup};

use super::{BackupError, Backups, Done, TELL_MAX, Wish, cut};

/// Answers of progress that wait for a slow reader; more are left out.
const PROGRESS_WAITING_MAX: usize = 16;

impl Backups {
    /// The service, to be mounted beside the node's own.
    pub fn service(&self) -> BackupServiceServer<Self> {
        BackupServiceServer::new(self.clone())
    }
}

#[tonic::async_trait]
impl BackupService for Backups {
    type CreateBackupStream = Pin<Box<dyn Stream<Item = Result<CreateBackupResponse, Status>> + Send>>;

    async fn create_backup(
        &self,
        request: Request<CreateBackupRequest>,
    ) -> Result<Response<Self::CreateBackupStream>, Status> {
        let asked = request.into_inner();
        let wish = Wish {
            dir: (!asked.directory.is_empty()).then(|| asked.directory.into()),
            init: asked.init,
            keep: (asked.keep > 0).then(|| usize::try_from(asked.keep).unwrap_or(usize::MAX)),
            scheduled: false,
        };
        let (told, tells) = mpsc::channel(PROGRESS_WAITING_MAX);
        let (backups, stop) = (self.clone(), Arc::new(AtomicBool::new(false)));
        tokio::spawn(async move {
            let (progress, gone, stopping) = (told.clone(), told.clone(), stop.clone());
            let making = backups.make(wish, stop, move |done_bytes, total_bytes| {
                let _ = progress.try_send(Ok(CreateBackupResponse { total_bytes, done_bytes, created: None }));
            });
            tokio::pin!(making);
            let done = tokio::select! {
                done = &mut making => done,
                () = gone.closed() => {
                    stopping.store(true, Ordering::Relaxed); // Whoever asked has gone away.
                    making.await
                }
            };
            let answer = done.map(created).map_err(|error| refused(&error));
            let _ = told.send(answer).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(tells))))
    }

    async fn get_backups(&self, _: Request<GetBackupsRequest>) -> Result<Response<GetBackupsResponse>, Status> {
        let (config, cluster) = (self.inner.config.load().backup.clone(), self.cluster());
        Ok(Response::new(GetBackupsResponse {
            directory: config.dir.as_ref().map_or_else(String::new, |dir| dir.display().to_string()),
            every_seconds: config.every.as_secs(),
            keep: config.keep.map_or(0, |keep| u32::try_from(keep).unwrap_or(u32::MAX)),
            cluster: cluster.as_ref().map_or_else(String::new, |cluster| cluster.id.to_string()),
            lineage: cluster.map_or_else(String::new, |cluster| cluster.lineage.to_string()),
            data_directory: self.inner.data.display().to_string(),
        }))
    }

    async fn note_verification(
        &self,
        request: Request<NoteVerificationRequest>,
    ) -> Result<Response<NoteVerificationResponse>, Status> {
        let asked = request.into_inner();
        let root =
            asked.root.as_slice().try_into().map_err(|_| Status::invalid_argument("root: 32 bytes are needed"))?;
        let (deed, reason) = match asked.problem.as_str() {
            "" => (BackupDeed::Verify, None),
            problem => (BackupDeed::Refute, Some(cut(problem))),
        };
        let (records, bytes) = (asked.records, asked.bytes);
        let note = NoteBackup { deed, records, root, bytes, scheduled: false, reason };
        let noted = self.inner.services.note_backup(note, Instant::now() + TELL_MAX).await;
        noted.map_err(|error| Status::unavailable(error.to_string()))?;
        let clock = self.inner.node.heads().borrow().clock;
        let seconds = i64::try_from(clock.0 / 1_000).unwrap_or(i64::MAX);
        Ok(Response::new(NoteVerificationResponse { time: Some(prost_types::Timestamp { seconds, nanos: 0 }) }))
    }
}

fn created(done: Done) -> CreateBackupResponse {
    let manifest = &done.made.manifest;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let created = CreatedBackup {
        name: manifest.name.clone(),
        directory: done.dir.display().to_string(),
        bytes: manifest.bytes(),
        written_bytes: done.made.written,
        reused_files: count(done.made.reused),
        files: count(manifest.files.len()),
        records: manifest.records,
        sealed: done.sealed,
        pruned: done.pruned.backups,
        unreadable: done.pruned.unreadable.unwrap_or_default(),
    };
    CreateBackupResponse { total_bytes: done.made.written, done_bytes: done.made.written, created: Some(created) }
}

fn refused(error: &BackupError) -> Status {
    let why = crate::chain(error);
    match error {
        BackupError::Busy => Status::aborted(why),
        BackupError::NoDirectory | BackupError::Backup(_) => Status::failed_precondition(why),
        BackupError::Stopping => Status::unavailable(why),
    }
}
