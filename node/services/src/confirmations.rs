//! Confirmations, folded for a moment so that a ward that reads one message writes once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use raft::Handle;
use tokio::sync::Notify;
use types::command::Confirmation;
use types::limits::{CONFIRM_FOLD_MS, CONFIRMATIONS_MAX};
use types::{Command, ConversationId, Seq, SessionId};

use crate::Services;
use crate::errors::Error;
use crate::limiter::lock;

/// Most (session, conversation) pairs that wait.
pub(crate) const WAITING_MAX: usize = 16 * CONFIRMATIONS_MAX;
/// How long one try to put them may take; then it is tried again.
const TRY: Duration = Duration::from_secs(5);

type Marks = BTreeMap<(SessionId, ConversationId), (Seq, Seq)>;

/// What waits to be put to the cluster. Cumulative, so that folding loses nothing.
#[derive(Default)]
pub(crate) struct Confirmations {
    waiting: Mutex<Marks>,
    added: Notify,
}

impl Confirmations {
    /// Takes confirmations in, all or none.
    ///
    /// Errors: [`Error::Overloaded`] when too many wait.
    pub(crate) fn add(&self, confirmations: &[Confirmation]) -> Result<(), Error> {
        let mut waiting = lock(&self.waiting);
        if waiting.len().saturating_add(confirmations.len()) > WAITING_MAX {
            return Err(Error::Overloaded("too many confirmations wait"));
        }
        fold(&mut waiting, confirmations);
        drop(waiting);
        self.added.notify_one();
        Ok(())
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    fn take(&self) -> Vec<Confirmation> {
        let mut waiting = lock(&self.waiting);
        let rest = match waiting.keys().nth(CONFIRMATIONS_MAX).copied() {
            Some(first) => waiting.split_off(&first),
            None => Marks::new(),
        };
        let taken = std::mem::replace(&mut *waiting, rest).into_iter();
        taken
            .map(|((session, conversation), (delivered, displayed))| Confirmation {
                session,
                conversation,
                delivered,
                displayed,
            })
            .collect()
    }

    /// Puts back what could not be put to the cluster; at most what one command holds beyond the bound.
    fn put_back(&self, confirmations: &[Confirmation]) {
        fold(&mut lock(&self.waiting), confirmations);
    }
}

fn fold(marks: &mut Marks, confirmations: &[Confirmation]) {
    for one in confirmations {
        let mark = marks.entry((one.session, one.conversation)).or_default();
        *mark = (mark.0.max(one.delivered), mark.1.max(one.displayed));
    }
}

/// Puts what was folded to the cluster, until the services end.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let confirmations = &services.inner.confirmations;
    loop {
        if confirmations.len() == 0 {
            confirmations.added.notified().await;
        }
        tokio::time::sleep(Duration::from_millis(CONFIRM_FOLD_MS)).await;
        if !flush(&services).await {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Puts one command; says whether it was taken.
pub(crate) async fn flush<H: Handle>(services: &Services<H>) -> bool {
    let confirmations = &services.inner.confirmations;
    let folded = confirmations.take();
    if folded.is_empty() {
        return true;
    }
    let done = services.put_own(Command::Confirm(folded.clone()), Instant::now() + TRY).await;
    match done {
        // Refused as a whole: trying again would be refused again.
        Ok(_) | Err(Error::Reject(_)) => true,
        Err(_) => {
            confirmations.put_back(&folded);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(session: u8, delivered: u64, displayed: u64) -> Confirmation {
        Confirmation {
            session: SessionId([session; 16]),
            conversation: ConversationId([1; 16]),
            delivered: Seq(delivered),
            displayed: Seq(displayed),
        }
    }

    #[test]
    fn marks_of_one_session_fold_to_the_highest() {
        let confirmations = Confirmations::default();
        confirmations.add(&[mark(1, 5, 0), mark(1, 3, 3), mark(2, 1, 0)]).expect("room");
        let taken = confirmations.take();
        assert_eq!(taken, [mark(1, 5, 3), mark(2, 1, 0)]);
        confirmations.add(&[mark(1, 4, 4)]).expect("room");
        confirmations.put_back(&taken);
        assert_eq!(
            confirmations.take(),
            [mark(1, 5, 4), mark(2, 1, 0)],
            "what came back does not undo what came since"
        );
    }

    #[test]
    fn what_waits_and_what_one_command_takes_are_bounded() {
        let confirmations = Confirmations::default();
        let many: Vec<Confirmation> = (0..WAITING_MAX as u128)
            .map(|at| Confirmation { session: SessionId(at.to_be_bytes()), ..mark(0, 1, 0) })
            .collect();
        confirmations.add(&many).expect("room");
        assert!(matches!(confirmations.add(&[mark(9, 1, 0)]), Err(Error::Overloaded(_))));
        assert_eq!(confirmations.take().len(), CONFIRMATIONS_MAX);
        assert_eq!(confirmations.len(), WAITING_MAX - CONFIRMATIONS_MAX);
    }
}
