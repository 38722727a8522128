//! Sealed heads, for whoever takes them out of the building.

use raft::{Handle, TreeNodes};
use record::{Hash, tree};
use state::view::Rows;
use tonic::Status;
use types::{ClusterId, Timestamp};

use super::log;
use crate::Services;
use crate::errors::Error;
use crate::rpc::audit::note;

/// A head that two nodes signed.
#[derive(Clone, Debug)]
pub struct SealedHead {
    /// Whose log.
    pub cluster: ClusterId,
    /// How many records it covers.
    pub size: u64,
    /// When the second signature came.
    pub sealed: Timestamp,
    /// The signed note (C2SP `tlog-checkpoint`).
    pub note: String,
}

impl<H: Handle> Services<H> {
    /// The newest sealed head this node knows; none before the first.
    ///
    /// Errors: the state cannot be read, or the node stops.
    pub async fn sealed_head(&self) -> Result<Option<SealedHead>, Status> {
        let view = self.inner.handle.view();
        self.off(move || {
            let Some((size, head)) = log::sealed_head(&view)? else { return Ok(None) };
            let cluster = view.cluster()?.ok_or(Error::NotFounded)?.id;
            let note = note(&view, size, &head)?.note;
            Ok(Some(SealedHead { cluster, size, sealed: head.sealed.unwrap_or_default(), note }))
        })
        .await
    }

    /// The hashes that prove the log of size `old` to be the beginning of that of size `new` (RFC 6962); none of nothing.
    ///
    /// Errors: `old` is above `new`, or `new` above the log; the state cannot be read; the node stops.
    pub async fn prove_head(&self, old: u64, new: u64) -> Result<Vec<Hash>, Status> {
        let view = self.inner.handle.view();
        self.off(move || match old {
            0 => Ok(Vec::new()),
            _ if new > state::view::heads(&view)?.records => {
                Err(Error::invalid("new_size", "there are not so many records"))
            }
            _ => tree::prove_consistency(&TreeNodes(&view), old, new)?
                .ok_or_else(|| Error::invalid("old_size", "must be at most the later size")),
        })
        .await
    }

    async fn off<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        match raft::blocking::run(work).await {
            Ok(done) => done.map_err(|error| self.status(&error)),
            Err(_) => Err(Status::unavailable("the node stops")),
        }
    }
}
