//! How many streams for sending a session, and this node, may have open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use types::SessionId;
use types::limits::{SEND_STREAMS_PER_SESSION_MAX, STREAMS_PER_NODE_MAX};

use crate::errors::Error;
use crate::limiter::lock;

#[derive(Default)]
struct Taken {
    all: usize,
    sessions: HashMap<SessionId, usize>,
}

/// The places that are taken.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

impl Places {
    /// How many are taken.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).all
    }

    /// Takes a place; it is free again when what is returned is dropped.
    ///
    /// Errors: [`Error::TooManyStreams`] at the limits of the session and of this node.
    pub(crate) fn take(&self, session: SessionId) -> Result<Place, Error> {
        let mut taken = lock(&self.0);
        if taken.all >= STREAMS_PER_NODE_MAX {
            return Err(Error::TooManyStreams("this node has as many as it may; try another"));
        }
        let of_session = taken.sessions.entry(session).or_default();
        if *of_session >= SEND_STREAMS_PER_SESSION_MAX {
            return Err(Error::TooManyStreams("this session has as many as it may; close one"));
        }
        *of_session += 1;
        taken.all += 1;
        Ok(Place { places: self.clone(), session })
    }
}

/// A place of a session.
pub(crate) struct Place {
    places: Places,
    session: SessionId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        taken.all = taken.all.saturating_sub(1);
        match taken.sessions.get_mut(&self.session) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = taken.sessions.remove(&self.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_places_and_leaves_nothing_behind() {
        let (places, one, other) = (Places::default(), SessionId([1; 16]), SessionId([2; 16]));
        let mut taken: Vec<Place> =
            (0..SEND_STREAMS_PER_SESSION_MAX).map(|_| places.take(one).expect("room")).collect();
        assert!(matches!(places.take(one), Err(Error::TooManyStreams(_))));
        assert!(places.take(other).is_ok(), "others are not held up");
        taken.pop();
        taken.push(places.take(one).expect("room again"));
        drop(taken);
        assert!(lock(&places.0).sessions.is_empty() && lock(&places.0).all == 0);
    }
}
