//! Where clients write down what they saw.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    Answer, Asked, Call, Conversation, Fingerprint, History, Listing, Moment, PresenceSeen, Print, Row, Stream,
};

/// A call that began.
#[derive(Clone, Copy, Debug)]
pub struct CallId(usize);

/// A stream that is followed.
#[derive(Clone, Copy, Debug)]
pub struct StreamId(usize);

/// Collects what all clients of a run saw. Shared by reference; each method takes a lock for a moment.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<History>);

impl Recorder {
    /// A client asks, now. Without an [`Self::end`] the call counts as unanswered.
    pub fn begin(&self, now: Moment, node: usize, asked: Asked) -> CallId {
        let mut history = self.lock();
        history.calls.push(Call { node, begin: now, end: None, asked, answer: Answer::Unknown });
        CallId(history.calls.len() - 1)
    }

    /// The answer came, now, or the client gave up waiting ([`Answer::Unknown`]).
    pub fn end(&self, call: CallId, now: Moment, answer: Answer) {
        let mut history = self.lock();
        let call = &mut history.calls[call.0];
        call.end = (answer != Answer::Unknown).then_some(now);
        call.answer = answer;
    }

    /// A client follows a stream from now on, over all its resumptions.
    pub fn follow(&self, name: impl Into<String>) -> StreamId {
        let mut history = self.lock();
        history.streams.push(Stream { name: name.into(), ..Stream::default() });
        StreamId(history.streams.len() - 1)
    }

    /// A stream brought a message.
    pub fn received(&self, stream: StreamId, conversation: Conversation, row: Row) {
        self.lock().streams[stream.0].events.push((conversation, row));
    }

    /// The dust has settled: the stream must have brought all of the conversation from seq `first` on.
    pub fn settled(&self, stream: StreamId, conversation: Conversation, first: u64) {
        self.lock().streams[stream.0].whole.insert(conversation, first);
    }

    /// The dust has settled: this is all that the node holds of the conversation.
    pub fn listed(&self, node: usize, conversation: Conversation, rows: Vec<Row>) {
        self.lock().listings.push(Listing { node, conversation, rows });
    }

    /// A node's hash, to be compared with the others' at the same place.
    pub fn fingerprint(&self, node: usize, print: Print, at: u64, value: &[u8]) {
        self.lock().fingerprints.push(Fingerprint { node, print, at, value: value.to_vec() });
    }

    /// The dust has settled: every observer must see the user so.
    pub fn expect_presence(&self, user: u64, presence: impl Into<String>) {
        self.lock().presence.insert(user, presence.into());
    }

    /// The dust has settled: this observer sees the user so.
    pub fn saw_presence(&self, observer: impl Into<String>, user: u64, presence: impl Into<String>) {
        let seen = PresenceSeen { observer: observer.into(), user, presence: presence.into() };
        self.lock().seen.push(seen);
    }

    /// What was recorded so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
