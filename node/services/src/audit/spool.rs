//! What was shown while there was no majority to record it: kept on this node's disk, synced before anything leaves, and
//! put to the audit log when there is a majority again.
//!
//! Shape: entries of length (4 bytes big-endian) ‖ CRC-32C of what follows (4 bytes) ‖ an envelope of `codec` that
//! observes. A crash while the spool is emptied leaves it whole, so that something may be recorded twice, never not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::{Handle, ProposeError};
use types::command::{Observation, Once};
use types::limits::{AUDIT_SPOOL_BYTES_MAX, OBSERVATIONS_MAX};
use types::{Author, Command, Envelope, NodeId, Timestamp};

use crate::Services;
use crate::audit::observe::weight;
use crate::errors::Error;
use crate::limiter::lock;
use crate::once::Ticket;

/// How often a node looks whether its spool can be emptied.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one command of the spool may take; then it is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
const HEAD_BYTES: usize = 8;

/// This node's clock, for what no leader stamped.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The spool of one node.
pub(crate) struct Spool {
    /// None: in memory only, for a node without a data directory.
    file: Option<File>,
    path: PathBuf,
    bytes: usize,
    kept: Vec<Observation>,
    /// The disk has refused once: it takes nothing any more.
    broken: bool,
}

impl Spool {
    /// A spool that a restart forgets.
    pub(crate) fn in_memory() -> Self {
        Self { file: None, path: PathBuf::new(), bytes: 0, kept: Vec::new(), broken: false }
    }

    /// Opens the spool, an empty one if there is none. A torn end, of something that was never shown, is cut off.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(2 * AUDIT_SPOOL_BYTES_MAX as u64).read_to_end(&mut bytes)?;
        let (kept, whole) = read(&bytes);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(Self { file: Some(file), path: path.to_owned(), bytes: whole, kept, broken: false })
    }

    /// Bytes in it.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// Keeps observations. They are on the disk when this returns well.
    ///
    /// Errors: [`Error::SpoolFull`]; [`Error::Internal`] if the disk refused, and then the spool takes nothing any more.
    pub(crate) fn append(&mut self, observations: &[Observation]) -> Result<(), Error> {
        let command = Command::Observe(Once::default(), observations.to_vec());
        let body = codec::encode_envelope(&Envelope { origin: NodeId(0), author: Author::Node, command });
        let entry = [&(body.len() as u32).to_be_bytes()[..], &crc32c::crc32c(&body).to_be_bytes(), &body].concat();
        if self.broken || self.bytes + entry.len() > AUDIT_SPOOL_BYTES_MAX {
            return Err(Error::SpoolFull);
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&entry).and_then(|()| file.sync_data())
        {
            tracing::error!(%error, path = %self.path.display(), "the audit spool cannot be written: no content leaves");
            self.broken = true; // An fsync is never tried again.
            return Err(Error::SpoolFull);
        }
        self.bytes += entry.len();
        self.kept.extend_from_slice(observations);
        Ok(())
    }

    /// The first of what is kept: as much as one command takes.
    fn first(&self) -> Vec<Observation> {
        let mut weighs = 0;
        let fits = |one: &&Observation| {
            weighs += weight(std::slice::from_ref(*one));
            weighs <= OBSERVATIONS_MAX
        };
        self.kept.iter().take_while(fits).cloned().collect()
    }

    fn clear(&mut self, recorded: usize) {
        self.kept.drain(..recorded.min(self.kept.len()));
        if !self.kept.is_empty() {
            return; // More came meanwhile; the file goes when all of it is recorded.
        }
        if let Some(file) = &mut self.file {
            let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.sync_data());
            if let Err(error) = emptied {
                tracing::error!(%error, path = %self.path.display(), "the audit spool cannot be emptied");
                self.broken = true;
                return;
            }
        }
        self.bytes = 0;
    }
}

/// The observations of whole entries, and how many bytes those are.
pub(crate) fn read(bytes: &[u8]) -> (Vec<Observation>, usize) {
    let (mut kept, mut at) = (Vec::new(), 0);
    while let Some((head, rest)) = bytes[at..].split_first_chunk::<HEAD_BYTES>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(body) = rest.get(..length) else { break };
        if crc32c::crc32c(body) != u32::from_be_bytes([e, f, g, h]) {
            break;
        }
        let Ok(Envelope { command: Command::Observe(_, observations), .. }) = codec::decode_envelope(body) else {
            break;
        };
        kept.extend(observations);
        at += HEAD_BYTES + length;
    }
    (kept, at)
}

/// What is on its way from the spool to the audit log. It keeps its number until it is known to be there: tried again, it is
/// recorded once.
struct Batch {
    ticket: Ticket,
    observations: Vec<Observation>,
}

/// Empties the spool whenever there is a majority, until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let mut batch = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        loop {
            match step(&services, &mut batch).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "the audit spool is not recorded yet");
                    break;
                }
            }
        }
    }
}

/// Records the first of what is kept; says whether there may be more. The lock is held across writes to the disk, so it is
/// taken where it holds nobody up.
async fn step<H: Handle>(services: &Services<H>, batch: &mut Option<Batch>) -> Result<bool, Error> {
    if services.inner.handle.stale_age().is_some() {
        return Ok(false);
    }
    let stopped = |_| Error::ShuttingDown;
    if batch.is_none() {
        let reading = services.clone();
        let first = raft::blocking::run(move || lock(&reading.inner.spool).first()).await.map_err(stopped)?;
        if first.is_empty() {
            return Ok(false);
        }
        let ticket = services.inner.numbers.take(Instant::now())?;
        *batch = Some(Batch { ticket, observations: first });
    }
    let Some(Batch { ticket, observations }) = batch else { return Ok(false) };
    let count = observations.len();
    let recorded = services.record_observations(ticket.once, observations.clone(), Instant::now() + PATIENCE).await;
    if let Err(error) = recorded {
        let_go(batch, &error);
        return Err(error);
    }
    let clearing = services.clone();
    raft::blocking::run(move || lock(&clearing.inner.spool).clear(count)).await.map_err(stopped)?;
    if let Some(batch) = batch.take() {
        batch.ticket.settle();
    }
    tracing::info!(count, "what was shown without a majority is recorded now");
    Ok(true)
}

/// After a refusal nothing of the batch is recorded nor will be: it holds no number until it is put again, under the next
/// one. A number held for good would in the end leave none for what is read.
fn let_go(batch: &mut Option<Batch>, error: &Error) {
    let refused = match error {
        Error::Reject(_) => true,
        Error::Propose(why) => *why != ProposeError::OutcomeUnknown,
        _ => false,
    };
    if refused && let Some(batch) = batch.take() {
        tracing::warn!(%error, "what was shown without a majority is not taken into the audit log yet");
        batch.ticket.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::once::Numbers;
    use types::Reject;
    use types::SessionId;
    use types::record::Action;

    fn observation(session: u8) -> Observation {
        let one = crate::audit::observe::seen(SessionId([session; 16]), Action::FetchMessages, Vec::new());
        Observation { seen: Some(Timestamp(7)), ..one }
    }

    #[test]
    fn what_was_kept_survives_a_crash_and_a_torn_end_is_cut_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("spool");
        let mut spool = Spool::open(&path).expect("opens");
        spool.append(&[observation(1), observation(2)]).expect("kept");
        spool.append(&[observation(3)]).expect("kept");
        drop(spool);
        let whole = std::fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("cut");
            let spool = Spool::open(&path).expect("opens");
            assert!(matches!(spool.kept.len(), 0 | 2), "cut at {cut}");
            assert_eq!(std::fs::metadata(&path).expect("there").len(), spool.bytes as u64);
        }
        std::fs::write(&path, &whole).expect("whole");
        let mut spool = Spool::open(&path).expect("opens");
        assert_eq!(spool.kept, [observation(1), observation(2), observation(3)]);
        spool.clear(3);
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 0);
        spool.append(&[observation(4)]).expect("kept");
        assert_eq!(Spool::open(&path).expect("opens").kept, [observation(4)]);
    }

    #[test]
    fn a_refused_batch_holds_no_number_and_one_that_may_be_recorded_keeps_its_own() {
        let numbers = Numbers::new(7);
        let next = || numbers.take(Instant::now()).expect("room");
        let mut batch = Some(Batch { ticket: next(), observations: vec![observation(1)] });
        let_go(&mut batch, &ProposeError::OutcomeUnknown.into());
        let_go(&mut batch, &Error::Behind);
        assert_eq!(batch.as_ref().map(|batch| batch.ticket.once.number), Some(1));
        assert_eq!(next().once.settled, 1);
        for refusal in [ProposeError::Refused, ProposeError::Overloaded, ProposeError::DiskFull] {
            let mut refused = Some(Batch { ticket: next(), observations: Vec::new() });
            let_go(&mut refused, &refusal.into());
            assert!(refused.is_none());
        }
        let_go(&mut batch, &Error::Reject(Reject::NotPermitted));
        assert!(batch.is_none());
        assert_eq!(next().once.settled, 2, "what took its number without an answer is not settled");
    }

    #[test]
    fn a_full_spool_takes_nothing_more() {
        let mut spool = Spool::in_memory();
        let many = vec![observation(1); OBSERVATIONS_MAX];
        while spool.append(&many).is_ok() {}
        assert!(matches!(spool.append(&many), Err(Error::SpoolFull)));
        assert!(spool.bytes <= AUDIT_SPOOL_BYTES_MAX);
    }
}
