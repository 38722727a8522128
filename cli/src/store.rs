//! A profile's state file: the session, the device's numbering of writes, the highest cursor. Written whole to a temporary
//! file, synced and renamed, under a lock, so that neither a crash nor a second invocation uses a number twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::limits::REQUEST_WINDOW;

use crate::error::{Error, Result};

/// A write whose answer this device does not have.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub number: u64,
    /// A salted hash of what it asks, by which a repetition is recognised.
    pub digest: String,
    /// The process that is at it; 0: none, it ended unconfirmed.
    pub owner: u32,
}

/// What the file holds. Everything in it is the user's own secret: mode 0600.
#[derive(Serialize, Deserialize, Clone, Default)]
#[serde(default)]
pub struct State {
    /// The format: 1.
    pub version: u32,
    /// Who signed in last: the login.
    pub login: String,
    /// `users/{id}`.
    pub user: String,
    /// `users/{id}/sessions/{id}`; empty: signed out.
    pub session: String,
    /// The bearer token; empty: signed out.
    pub token: String,
    /// This device's id; kept when signed out.
    pub device: String,
    /// The next unused number.
    pub next_number: u64,
    /// Numbers without an answer, lowest first.
    pub pending: Vec<Pending>,
    /// The highest cursor this device was given, in hexadecimal.
    pub cursor: String,
    /// The node that worked last.
    pub node: String,
    /// Salt of the digests.
    pub salt: String,
    /// The seed of this device's key, in hexadecimal.
    pub device_key: String,
    /// How many statements the key has signed for new tokens; none has the number of another.
    pub proofs: u64,
    /// The cluster's id.
    pub cluster: String,
    /// When the token should be renewed, in seconds since 1970 by this machine's clock; 0: never.
    pub token_renew_at: u64,
    /// While a person takes part at this place: the place's own session, to go on with afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<At>,
}

/// A place's own session, kept while a person takes part there.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Eq)]
pub struct At {
    /// The location's login.
    pub login: String,
    /// `users/{id}` of the location.
    pub user: String,
    /// Its session.
    pub session: String,
    /// Its token.
    pub token: String,
    /// Its cursor.
    pub cursor: String,
}

/// A number to use for one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The number.
    pub number: u64,
    /// Below it the device has all its answers.
    pub settled: u64,
    /// The same was asked before, without an answer; this is its number.
    pub repeated: bool,
}

/// The state file of one profile.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in a profile's directory, which exists.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The state as it is; empty if there is none yet.
    pub fn read(&self) -> Result<State> {
        let path = self.path();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Content {
                doing: format!("read {}", path.display()),
                why: format!("{error}; remove the file and sign in again"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State { version: 1, ..State::default() }),
            Err(source) => Err(Error::File { doing: "read", path, source }),
        }
    }

    /// Changes the state under the lock. It is on stable storage when this returns.
    pub fn update<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let _lock = self.lock()?;
        let mut state = self.read()?;
        let result = change(&mut state)?;
        self.write(&state)?;
        Ok(result)
    }

    /// Goes on as the place, if a person took part there; whether one did.
    pub fn leave_place(&self) -> Result<bool> {
        if self.read()?.place.is_none() {
            return Ok(false);
        }
        self.update(|state| {
            let Some(at) = state.place.take() else { return Ok(false) };
            (state.login, state.user, state.session, state.token) = (at.login, at.user, at.session, at.token);
            state.cursor = at.cursor;
            state.token_renew_at = 1; // It lay still for long: renewed with the next call.
            Ok(true)
        })
    }

    /// Takes a number for a write, durably, before it is used. A write that asks exactly the same as one that ended
    /// unconfirmed gets that one's number: so trying again cannot do it twice. An empty digest is like no other.
    pub fn take(&self, digest: &str) -> Result<Ticket> {
        let me = std::process::id();
        self.update(|state| {
            state.next_number = state.next_number.max(1);
            let orphan = state
                .pending
                .iter_mut()
                .find(|pending| !digest.is_empty() && pending.digest == digest && !lives(pending.owner, me));
            let (number, repeated) = if let Some(pending) = orphan {
                pending.owner = me;
                (pending.number, true)
            } else {
                make_room(state, me)?;
                let number = state.next_number;
                state.next_number += 1;
                state.pending.push(Pending { number, digest: digest.to_owned(), owner: me });
                (number, false)
            };
            Ok(Ticket { number, settled: settled(state).min(number), repeated })
        })
    }

    /// The device has the answer to this number, which reflects this cursor (empty: none).
    pub fn settle(&self, number: u64, cursor: &[u8]) -> Result<()> {
        self.update(|state| {
            state.pending.retain(|pending| pending.number != number);
            keep_higher(state, cursor);
            Ok(())
        })
    }

    /// Nobody is at this number any more, and its fate is unknown.
    pub fn release(&self, number: u64) -> Result<()> {
        self.update(|state| {
            state.pending.iter_mut().filter(|pending| pending.number == number).for_each(|pending| pending.owner = 0);
            Ok(())
        })
    }

    /// Remembers a cursor if it is higher than the one known.
    pub fn saw(&self, cursor: &[u8]) -> Result<()> {
        let known = crate::text::unhex(&self.read()?.cursor).unwrap_or_default();
        if !is_higher(cursor, &known) {
            return Ok(()); // Nothing to write, so nothing to sync.
        }
        self.update(|state| {
            keep_higher(state, cursor);
            Ok(())
        })
    }

    fn path(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    fn lock(&self) -> Result<File> {
        let path = self.dir.join("lock");
        let fail = |source| Error::File { doing: "lock", path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(fail)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).map_err(|errno| fail(errno.into()))?;
        Ok(file)
    }

    fn write(&self, state: &State) -> Result<()> {
        let path = self.path();
        let fail = |source| Error::File { doing: "write", path: path.clone(), source };
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| fail(error.into()))?;
        replace(&path, &bytes).map_err(fail)
    }
}

/// Replaces a file whole: temporary file, mode 0600, synced, renamed, directory synced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether one cursor is further than another. They are opaque; of two of one length and lineage the greater bytes are
/// further, and of others the newer one counts.
pub fn is_higher(cursor: &[u8], known: &[u8]) -> bool {
    !cursor.is_empty() && (cursor.len() != known.len() || cursor > known)
}

fn keep_higher(state: &mut State, cursor: &[u8]) {
    let known = crate::text::unhex(&state.cursor).unwrap_or_default();
    if is_higher(cursor, &known) {
        state.cursor = crate::text::hex(cursor);
    }
}

fn settled(state: &State) -> u64 {
    state.pending.iter().map(|pending| pending.number).min().unwrap_or(state.next_number)
}

/// Gives up the oldest unconfirmed numbers when the window is nearly full: their answers will not be asked for again.
fn make_room(state: &mut State, me: u32) -> Result<()> {
    state.pending.sort_by_key(|pending| pending.number);
    while state.next_number - settled(state) >= REQUEST_WINDOW - 1 {
        let Some(oldest) = state.pending.first() else { break };
        if lives(oldest.owner, me) {
            return Err(Error::Content {
                doing: "take a request number".into(),
                why: "too many writes of this profile are under way; wait for them".into(),
            });
        }
        state.pending.remove(0);
    }
    Ok(())
}

fn lives(owner: u32, me: u32) -> bool {
    let pid = i32::try_from(owner).ok().and_then(rustix::process::Pid::from_raw);
    owner == me || pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        (dir, store)
    }

    /// As if the process that was at it had been killed.
    fn crash(store: &Store) {
        store
            .update(|state| {
                state.pending.iter_mut().for_each(|pending| pending.owner = u32::MAX / 2);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn numbers_go_upwards_and_settle() {
        let (_dir, store) = store();
        let first = store.take("a").unwrap();
        let second = store.take("b").unwrap();
        assert_eq!((first.number, first.settled), (1, 1));
        assert_eq!((second.number, second.settled), (2, 1));
        store.settle(1, &[]).unwrap();
        assert_eq!(store.take("c").unwrap(), Ticket { number: 3, settled: 2, repeated: false });
        store.settle(2, &[]).unwrap();
        store.settle(3, &[]).unwrap();
        assert_eq!(store.take("d").unwrap().settled, 4);
    }

    #[test]
    fn after_a_crash_the_same_request_has_its_old_number_and_another_a_new_one() {
        let (_dir, store) = store();
        let before = store.take("same").unwrap();
        assert!(!store.take("same").unwrap().repeated, "one under way is another request");
        crash(&store);
        let after = store.take("same").unwrap();
        assert_eq!((after.number, after.repeated), (before.number, true));
        let other = store.take("other").unwrap();
        assert_eq!((other.number, other.repeated, other.settled), (3, false, 1));
    }

    #[test]
    fn an_unconfirmed_request_is_repeated_under_its_number() {
        let (_dir, store) = store();
        let first = store.take("x").unwrap();
        store.release(first.number).unwrap();
        assert_eq!(store.take("x").unwrap(), Ticket { number: 1, settled: 1, repeated: true });
        store.settle(1, &[]).unwrap();
        assert_eq!(store.take("x").unwrap(), Ticket { number: 2, settled: 2, repeated: false });
    }

    #[test]
    fn a_number_is_on_disk_before_it_is_used_and_a_torn_write_changes_nothing() {
        let (dir, store) = store();
        store.take("a").unwrap();
        std::fs::write(dir.path().join("state.new"), b"{\"next_num").unwrap();
        assert_eq!(Store::new(dir.path()).read().unwrap().next_number, 2);
        assert_eq!(Store::new(dir.path()).take("b").unwrap().number, 2);
    }

    #[test]
    fn the_window_is_never_exceeded() {
        let (_dir, store) = store();
        let stuck = store.take("stuck").unwrap();
        store.release(stuck.number).unwrap();
        store
            .update(|state| {
                state.next_number = 1 + REQUEST_WINDOW - 1;
                Ok(())
            })
            .unwrap();
        let ticket = store.take("next").unwrap();
        assert!(ticket.number < ticket.settled + REQUEST_WINDOW);
        assert_eq!(ticket.settled, ticket.number, "the stuck one was given up");
    }

    #[test]
    fn many_at_once_never_share_a_number() {
        let (_dir, store) = store();
        let numbers: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let store = store.clone();
                    scope.spawn(move || {
                        (0..10).map(|n| store.take(&format!("{thread}/{n}")).unwrap().number).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), 80);
    }

    #[test]
    fn the_file_is_only_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, store) = store();
        store.take("a").unwrap();
        let mode = std::fs::metadata(dir.path().join("state.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_cursors_the_higher_is_kept() {
        let (_dir, store) = store();
        store.saw(&[1, 0, 9]).unwrap();
        store.saw(&[1, 0, 3]).unwrap();
        store.saw(&[]).unwrap();
        assert_eq!(store.read().unwrap().cursor, "010009");
    }
}
