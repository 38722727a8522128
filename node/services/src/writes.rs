//! How a request becomes a command, and what comes of it.

use std::time::Instant;

use prost::Message;
use proto::v1::RequestId;
use raft::Handle;
use state::view::Rows;
use types::backup::NoteBackup;
use types::certificate::NoteCertificates;
use types::features::{BACKUP_NOTES, CERTIFICATE_NOTES};
use types::seat::AdmitNode;
use types::{Author, Command, Envelope, EventNumber, Reply, Request};

use crate::Services;
use crate::call::Call;
use crate::errors::Error;

/// A numbered request, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) settled: u64,
}

/// Checks a request's number.
pub(crate) fn numbered(id: Option<RequestId>) -> Result<Numbered, Error> {
    let Some(id) = id else {
        return Err(Error::invalid("request_id", "is missing: number each write on this device, from 1"));
    };
    if id.number == 0 {
        return Err(Error::invalid("request_id.number", "must be 1 or more"));
    }
    if id.settled > id.number {
        return Err(Error::invalid("request_id.settled", "may not be above request_id.number"));
    }
    Ok(Numbered { number: id.number, settled: id.settled })
}

/// What was done, and the newest event then.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) reply: Reply,
    pub(crate) event: EventNumber,
}

impl<H: Handle> Services<H> {
    /// The envelope of a session's command. `content` is the request without its number, and without what the node
    /// mints or seals: by it a reused number is found out.
    pub(crate) fn envelope<M: Message>(
        &self,
        call: &Call,
        method: &str,
        id: Numbered,
        content: &M,
        command: Command,
    ) -> Result<Envelope, Error> {
        let mut bytes = Vec::with_capacity(method.len() + 1 + content.encoded_len());
        bytes.extend_from_slice(method.as_bytes());
        bytes.push(0);
        if call.location.is_some() {
            // One after another uses the device of a place: what one person asked for is not another's to have asked.
            bytes.extend_from_slice(&call.user.0);
        }
        content.encode_raw(&mut bytes);
        let content = self.keyed_hash(&bytes)?;
        let request = Request { session: call.session, number: id.number, settled: id.settled, content };
        Ok(Envelope { origin: self.inner.handle.node(), author: Author::Session(request), command })
    }

    /// A hash that says nothing to whoever has a disk and not the cluster's key.
    pub(crate) fn keyed_hash(&self, bytes: &[u8]) -> Result<[u8; 16], Error> {
        Ok(self.inner.keyring.requests(&self.inner.handle.view())?.hash(bytes))
    }

    /// Puts a session's command and waits for what comes of it.
    pub(crate) async fn put<M: Message>(
        &self,
        call: &Call,
        method: &str,
        id: Numbered,
        content: &M,
        command: Command,
    ) -> Result<Done, Error> {
        let envelope = self.envelope(call, method, id, content, command)?;
        if call.patient {
            return self.propose(envelope, call.deadline).await;
        }
        // From here on: what a password's hash took before says nothing of how long those who send would wait.
        let entered = Instant::now();
        let inside = self.inner.gate.enter(raft::is_urgent(&envelope), entered);
        let _inside = inside.ok_or(Error::Overloaded("too many calls wait"))?;
        let answer = self.inner.handle.propose_promptly(envelope, call.deadline).await?;
        let now = Instant::now();
        self.inner.gate.answered(now.saturating_duration_since(entered), now);
        Ok(Done { reply: answer.result?, event: answer.cursor })
    }

    /// Puts a command of this node itself.
    pub(crate) async fn put_own(&self, command: Command, deadline: Instant) -> Result<Done, Error> {
        let envelope = Envelope { origin: self.inner.handle.node(), author: Author::Node, command };
        self.propose(envelope, deadline).await
    }

    /// Tells the cluster what became of a backup that this node made or verified.
    ///
    /// Errors: in words, why the cluster was not told; trying again is safe.
    pub async fn note_backup(&self, note: NoteBackup, deadline: Instant) -> Result<(), String> {
        let view = self.inner.handle.view();
        let level = view.cluster().map_err(|error| error.to_string())?.map_or(0, |cluster| cluster.feature_level);
        if level < BACKUP_NOTES {
            return Err("the upgrade is not finalized (tricord cluster finalize)".to_owned());
        }
        let told = self.put_own(Command::NoteBackup(note), deadline).await;
        told.map(drop).map_err(|error| error.to_string())
    }

    /// Tells the cluster which certificates this node shows. While an upgrade is not finalized it is not told.
    ///
    /// Errors: in words, why the cluster was not told; trying again is safe.
    pub async fn note_certificates(&self, note: NoteCertificates, deadline: Instant) -> Result<(), String> {
        let view = self.inner.handle.view();
        let level = view.cluster().map_err(|error| error.to_string())?.map_or(0, |cluster| cluster.feature_level);
        if level < CERTIFICATE_NOTES {
            return Ok(());
        }
        let told = self.put_own(Command::NoteCertificates(note), deadline).await;
        told.map(drop).map_err(|error| error.to_string())
    }

    /// Lets a node in whose state came from a backup: it asks for itself.
    ///
    /// Errors: in words, why it is not let in yet; trying again is safe.
    pub async fn admit_restored(&self, admit: AdmitNode, deadline: Instant) -> Result<(), String> {
        let admitted = self.put_own(Command::AdmitNode(admit), deadline).await;
        admitted.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) async fn propose(&self, envelope: Envelope, deadline: Instant) -> Result<Done, Error> {
        let answer = self.inner.handle.propose(envelope, deadline).await?;
        Ok(Done { reply: answer.result?, event: answer.cursor })
    }
}

/// A reply that does not belong to its command: a defect, said rather than hidden.
pub(crate) fn unexpected() -> Error {
    Error::Internal("the reply does not belong to the command")
}
