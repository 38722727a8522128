//! What is looked at is recorded before it leaves: all that waits goes into one command, and an answer waits until that
//! is applied here. Without a majority it goes into this node's spool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use raft::{Handle, ProposeError};
use state::view::Rows;
use tokio::sync::{Semaphore, mpsc, oneshot};
use types::command::{Observation, Once};
use types::features::CONFIGURATION_NOTES;
use types::limits::{OBSERVATIONS_IN_FLIGHT_MAX, OBSERVATIONS_MAX, OBSERVATIONS_WAITING_MAX, RECORD_REASON_BYTES_MAX};
use types::record::{Action, Entity};
use types::{Command, Reject, Reply, SessionId};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;
use crate::writes::unexpected;

/// How long a record nobody waits for may take to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that was looked at in a session, with nothing said that need not be.
pub(crate) const fn seen(session: SessionId, action: Action, entities: Vec<Entity>) -> Observation {
    Observation {
        session: Some(session),
        by: None,
        action,
        entities,
        refused: None,
        purpose: None,
        reason: None,
        seen: None,
        count: None,
    }
}

/// A refusal by the policy, of something that leaves no record of its own.
pub(crate) fn refused(session: Option<SessionId>, reject: &Reject, about: Option<Entity>) -> Observation {
    let refused = Some(state::records::reject_number(reject));
    let observation = seen(SessionId([0; 16]), Action::Look, about.into_iter().collect());
    Observation { session, refused, ..observation }
}

struct Waiting {
    observations: Vec<Observation>,
    deadline: Instant,
    /// None: nobody waits.
    done: Option<oneshot::Sender<Result<(), Error>>>,
}

/// The way in.
pub(crate) struct Observer(mpsc::Sender<Waiting>);

impl Observer {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

/// What waits.
pub(crate) struct Observations(mpsc::Receiver<Waiting>);

pub(crate) fn channel() -> (Observer, Observations) {
    let (sender, receiver) = mpsc::channel(OBSERVATIONS_WAITING_MAX);
    (Observer(sender), Observations(receiver))
}

impl<H: Handle> Services<H> {
    /// Records what is about to be shown. When this returns well it is in the audit log and applied here, or in this
    /// node's spool while there is no majority: then, and not before, it may leave.
    ///
    /// Errors: `NO_MAJORITY` and the like; `OVERLOADED`; `STALE_LIMIT` when the spool is full.
    pub(crate) async fn observe(&self, observations: Vec<Observation>, deadline: Instant) -> Result<(), Error> {
        if observations.is_empty() {
            return Ok(());
        }
        if self.inner.handle.stale_age().is_some() {
            return self.keep(observations).await;
        }
        let (done, answer) = oneshot::channel();
        let again = observations.clone();
        let waiting = Waiting { observations, deadline, done: Some(done) };
        self.inner.observer.0.try_send(waiting).map_err(|_| Error::Overloaded("too many fetches wait"))?;
        let mut stale = self.inner.stale.subscribe();
        let gone = async { stale.wait_for(|stale| *stale).await.is_ok() };
        tokio::select! {
            // The majority goes while this waits: the spool takes it. It may be recorded twice then, never not at all.
            true = gone => self.keep(again).await,
            answer = tokio::time::timeout_at(deadline.into(), answer) => match answer {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Error::ShuttingDown),
                Err(_) => Err(ProposeError::NoMajority.into()), // Nothing was shown: asking again is safe.
            },
        }
    }

    /// Records that this node took up its configuration, and of which keys what was written there.
    ///
    /// Errors: in words, why it is not recorded.
    pub async fn note_configuration(&self, keys: &[String], deadline: Instant) -> Result<(), String> {
        let view = self.inner.handle.view();
        let level = view.cluster().map_err(|error| error.to_string())?.map_or(0, |cluster| cluster.feature_level);
        drop(view);
        if level < CONFIGURATION_NOTES {
            return Err("the upgrade is not finalized (tricord cluster finalize)".to_owned());
        }
        let entities = vec![Entity::Node(self.inner.handle.node())];
        let keys = if keys.is_empty() { "nothing had changed".to_owned() } else { keys.join(" ") };
        let reason = Some(keys.chars().take(RECORD_REASON_BYTES_MAX / 4).collect());
        let seen = seen(SessionId([0; 16]), Action::LoadConfiguration, entities);
        let told = self.observe(vec![Observation { session: None, reason, ..seen }], deadline).await;
        told.map_err(|error| error.to_string())
    }

    /// Records what was refused. Nobody waits for it; what does not fit is counted.
    pub(crate) fn note_refusal(&self, observation: Observation) {
        let Some(observation) = lock(&self.inner.refusals).admit(observation, Instant::now()) else { return };
        self.note(vec![observation]);
    }

    pub(crate) fn note(&self, observations: Vec<Observation>) {
        let waiting = Waiting { observations, deadline: Instant::now() + PATIENCE, done: None };
        if self.inner.observer.0.try_send(waiting).is_err() {
            tracing::warn!("refusals were not recorded: too many wait");
        }
    }

    async fn keep(&self, observations: Vec<Observation>) -> Result<(), Error> {
        for session in observations.iter().filter_map(|one| one.session) {
            self.content_allowed(session)?;
        }
        let now = crate::audit::spool::wall_clock();
        let view = self.inner.handle.view();
        let mut kept = Vec::with_capacity(observations.len());
        for one in observations {
            // By the time it is recorded the session may have been forgotten.
            let session = one.session.map(|session| view.session(session)).transpose()?.flatten();
            let by = session.map(|row| (row.user, row.device));
            kept.push(Observation { seen: one.seen.or(Some(now)), by, ..one });
        }
        drop(view);
        let observations = kept;
        let services = self.clone();
        let kept = raft::blocking::run(move || lock(&services.inner.spool).append(&observations));
        kept.await.map_err(|_| Error::Internal("the spool was not written"))?
    }

    /// Puts observations to the cluster and waits until they are applied here. With the same number it may be tried again:
    /// they are recorded once.
    pub(crate) async fn record_observations(
        &self,
        once: Once,
        observations: Vec<Observation>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let done = self.put_own(Command::Observe(once, observations), deadline).await?;
        let Reply::Recorded(records) = done.reply else { return Err(unexpected()) };
        let mut heads = self.inner.handle.heads();
        let applied = heads.wait_for(|heads| heads.records >= records);
        match tokio::time::timeout_at(deadline.into(), applied).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::ShuttingDown),
            Err(_) => Err(Error::Behind),
        }
    }
}

/// Puts what waits, until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>, mut observations: Observations) {
    let places = Arc::new(Semaphore::new(OBSERVATIONS_IN_FLIGHT_MAX));
    let mut held = None;
    loop {
        // While all places are taken what comes gathers; it then goes together.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let first = match held.take() {
            Some(held) => held,
            None => match observations.0.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut batch = vec![first];
        let mut weighs = weight(&batch[0].observations);
        while let Ok(next) = observations.0.try_recv() {
            weighs += weight(&next.observations);
            if weighs > OBSERVATIONS_MAX {
                held = Some(next);
                break;
            }
            batch.push(next);
        }
        let services = services.clone();
        tokio::spawn(async move {
            put(&services, batch).await;
            drop(place);
        });
    }
}

/// What observations weigh, in observations without a target: a command of `OBSERVATIONS_MAX` is within its bytes.
pub(crate) fn weight(observations: &[Observation]) -> usize {
    observations.iter().map(|one| 1 + one.entities.len() / 8).sum()
}

async fn put<H: Handle>(services: &Services<H>, batch: Vec<Waiting>) {
    let Some(deadline) = batch.iter().map(|one| one.deadline).max() else { return };
    let (mut all, mut callers) = (Vec::new(), Vec::new());
    for one in batch {
        all.extend(one.observations);
        callers.extend(one.done);
    }
    services.inner.metrics.observed(all.len());
    let result = match services.inner.numbers.take(Instant::now()) {
        Ok(ticket) => {
            let result = services.record_observations(ticket.once, all, deadline).await;
            if !matches!(result, Err(Error::Propose(ProposeError::OutcomeUnknown))) {
                ticket.settle();
            }
            result
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        tracing::debug!(%error, "what was looked at is not recorded, and was not shown");
    }
    for caller in callers {
        // A caller that went away was shown nothing.
        drop(caller.send(match &result {
            Ok(()) => Ok(()),
            Err(Error::Propose(ProposeError::DiskFull)) => Err(Error::NoRoomToRecord),
            Err(Error::Propose(error)) => Err(error.clone().into()),
            Err(Error::Overloaded(what)) => Err(Error::Overloaded(what)),
            Err(Error::Reject(reject)) => Err(reject.clone().into()),
            Err(_) => Err(Error::Behind),
        }));
    }
}
