//! How fresh a read is, and over what it is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::v1::{ReadInfo, ReadOptions};
use raft::Handle;
use state::policy::{self, Action, Decision};
use state::view::Rows;
use types::limits::{READ_WAIT_MS_MAX, STALE_READS_MS_MAX};
use types::row::Cluster;
use types::user::User;
use types::{EventNumber, Reject, Timestamp};

use crate::call::Call;
use crate::errors::Error;
use crate::keyring::Keyring;
use crate::{Services, convert, cursor};

/// A view fresh enough for a call, with who reads it as that view knows them.
pub(crate) struct Read<V> {
    pub(crate) view: V,
    pub(crate) user: User,
    /// Cluster time of the view.
    pub(crate) now: Timestamp,
    /// For the answer.
    pub(crate) info: ReadInfo,
    /// Opens what is sealed.
    pub(crate) keyring: Arc<Keyring>,
}

impl<V: state::View<Fault = raft::Fault>> Read<V> {
    /// Asks the policy.
    pub(crate) fn may(&self, action: Action) -> Result<Decision, Error> {
        Ok(policy::may(&self.view, &self.user, action)?)
    }

    /// Asks the policy, and fails if it says no.
    pub(crate) fn check(&self, action: Action) -> Result<(), Error> {
        self.may(action)?.check().map_err(|reject| Error::Denied(reject, crate::audit::words::about(action)))
    }
}

/// How often a node looks whether it still hears of a leader, and whether it is alone, for the streams to say so.
const STALENESS_LOOK: Duration = Duration::from_millis(250);

/// Lets the streams know when this node loses word of a leader, and when it has it again; likewise when it is alone.
pub(crate) async fn watch_staleness<H: Handle>(services: Services<H>) {
    loop {
        tokio::time::sleep(STALENESS_LOOK).await;
        let stale = services.inner.handle.stale_age().is_some();
        services.inner.stale.send_if_modified(|known| std::mem::replace(known, stale) != stale);
        let single = services.inner.handle.single_copy();
        services.inner.single_copy.send_if_modified(|known| std::mem::replace(known, single) != single);
    }
}

impl<H: Handle> Services<H> {
    /// Waits until this node is as fresh as the caller asks, and takes a view.
    ///
    /// Errors: `BEHIND`, `NO_MAJORITY`, `STALE_LIMIT`, those of a cursor, and `NO_SESSION` if it ended meanwhile.
    pub(crate) async fn read(&self, call: &Call, options: Option<ReadOptions>) -> Result<Read<H::View>, Error> {
        let options = options.unwrap_or_default();
        let cluster = self.cluster()?;
        let age = self.inner.handle.stale_age();
        if age.is_some_and(|age| age > Duration::from_millis(STALE_READS_MS_MAX)) {
            return Err(Error::StaleLimit);
        }
        let mut behind = false;
        if let Some(number) = self.position(call, &options.at_least).await? {
            behind = !self.reach(number, call.deadline).await;
        }
        if behind && !options.allow_stale {
            return Err(if age.is_some() { Error::NoMajority } else { Error::Behind });
        }
        if options.linearizable {
            match self.inner.handle.read_barrier(call.deadline).await {
                Ok(()) => {}
                Err(_) if options.allow_stale => behind = true,
                Err(error) => return Err(error.into()),
            }
        }
        let view = self.inner.handle.view();
        let heads = state::view::heads(&view)?;
        let age = self.inner.handle.stale_age();
        let actor = self.standing(&view, heads.clock, call.session)?.ok_or(Reject::NoSession)?;
        if actor.is_locked() && !call.even_locked {
            return Err(Reject::SessionLocked.into()); // It was locked while the call was under way.
        }
        let info = ReadInfo {
            cursor: cursor::encode(cluster.lineage, heads.event),
            stale: behind || age.is_some(),
            age: age.map(convert::duration),
        };
        let keyring = Arc::clone(&self.inner.keyring);
        Ok(Read { view, user: actor.user, now: heads.clock, info, keyring })
    }

    /// Runs what may read many rows on a thread where it holds nobody up.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        read: Read<H::View>,
        work: impl FnOnce(&Read<H::View>) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, ReadInfo), Error> {
        let done = raft::blocking::run(move || work(&read).map(|result| (result, read.info)));
        done.await.map_err(|_| Error::Internal("a read was not finished"))?
    }

    /// Waits, bounded, until this event is applied here; says whether it is.
    pub(crate) async fn reach(&self, number: EventNumber, deadline: Instant) -> bool {
        let mut heads = self.inner.handle.heads();
        let until = deadline.min(Instant::now() + Duration::from_millis(READ_WAIT_MS_MAX));
        let wait = heads.wait_for(|heads| heads.event >= number);
        matches!(tokio::time::timeout_at(until.into(), wait).await, Ok(Ok(_)))
    }

    /// Waits until what a command did can be seen here.
    ///
    /// Errors: `OUTCOME_UNKNOWN` at the deadline: it was done, but not here yet, and trying again tells.
    pub(crate) async fn seen<T>(
        &self,
        deadline: Instant,
        look: impl Fn(&H::View) -> Result<Option<T>, raft::Fault>,
    ) -> Result<T, Error> {
        let mut heads = self.inner.handle.heads();
        loop {
            heads.borrow_and_update(); // Before the view: what comes after it wakes us again.
            if let Some(found) = look(&self.inner.handle.view())? {
                return Ok(found);
            }
            match tokio::time::timeout_at(deadline.into(), heads.changed()).await {
                Ok(Ok(())) => {}
                // Not that this node stops: what was asked for is done.
                Ok(Err(_)) | Err(_) => return Err(raft::ProposeError::OutcomeUnknown.into()),
            }
        }
    }

    /// The cluster: fixed once it is founded.
    pub(crate) fn cluster(&self) -> Result<Cluster, Error> {
        if let Some(cluster) = self.inner.cluster.get() {
            return Ok(cluster.clone());
        }
        let cluster = self.inner.handle.view().cluster()?.ok_or(Error::NotFounded)?;
        Ok(self.inner.cluster.get_or_init(|| cluster).clone())
    }

    /// The cursor of an event, for an answer.
    pub(crate) fn cursor(&self, number: EventNumber) -> Result<Vec<u8>, Error> {
        Ok(cursor::encode(self.cluster()?.lineage, number))
    }
}
