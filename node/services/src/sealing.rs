//! How texts are sealed before their command exists, and what happens when the state does not take the key.

use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use raft::Handle;
use seal::{DataKey, Place};
use state::newest_cluster_key;
use state::policy::{self, Action};
use state::view::Rows;
use types::command::AddDataKey;
use types::key::{KeyScope, Month};
use types::limits::RESEALS_MAX;
use types::message::Sealed;
use types::{Command, Reject, Reply};

use crate::Services;
use crate::call::Call;
use crate::errors::Error;
use crate::keyring;
use crate::writes::{Done, Numbered, unexpected};

/// What a command is sealed with; none where nobody may: the state then says why.
pub(crate) type SealingKey = Option<Arc<DataKey>>;

/// A key that the state does not know yet.
pub(crate) struct Fresh {
    pub(crate) key: Arc<DataKey>,
    pub(crate) add: AddDataKey,
}

/// Seals the text of a message.
pub(crate) fn message(key: &SealingKey, place: &Place, text: &str) -> Result<Sealed, Error> {
    Ok(match key {
        Some(key) => seal::message(key, place, text)?,
        None => seal::unkeyed_message(),
    })
}

/// Seals a title, a status text or a name; no text is no bytes.
pub(crate) fn text(key: &SealingKey, place: &Place, text: &str) -> Result<Vec<u8>, Error> {
    Ok(match key {
        Some(key) => seal::text(key, place, text)?,
        None if text.is_empty() => Vec::new(),
        None => seal::unkeyed_text(),
    })
}

/// Wipes opened keys that nobody uses any more.
pub(crate) async fn sweep<H: Handle>(services: Services<H>) {
    loop {
        tokio::time::sleep(keyring::SWEEP).await;
        services.inner.keyring.sweep();
        if let Ok(Some((version, _))) = newest_cluster_key(&services.inner.handle.view()) {
            services.inner.keyring.forget_cluster_keys_below(version);
        }
    }
}

impl<H: Handle> Services<H> {
    /// Puts a session's command with something sealed in it. Where the state refuses the key, it is sealed anew with
    /// another and put with the same number.
    ///
    /// `action` is what the caller must be permitted for a key to be minted; `make` makes the command.
    pub(crate) async fn put_sealed<M: Message>(
        &self,
        call: &Call,
        (method, id): (&str, Numbered),
        content: &M,
        (scope, action): (KeyScope, Action),
        make: impl Fn(&SealingKey) -> Result<Command, Error>,
    ) -> Result<Done, Error> {
        let key = self.sealing_key(call, scope, action).await?;
        self.put_sealed_with(key, call, (method, id), content, (scope, action), make).await
    }

    /// As [`Services::put_sealed`], with the key to begin with.
    pub(crate) async fn put_sealed_with<M: Message>(
        &self,
        mut key: SealingKey,
        call: &Call,
        (method, id): (&str, Numbered),
        content: &M,
        (scope, action): (KeyScope, Action),
        make: impl Fn(&SealingKey) -> Result<Command, Error>,
    ) -> Result<Done, Error> {
        for _ in 0..RESEALS_MAX {
            match self.put(call, method, id, content, make(&key)?).await {
                Err(Error::Reject(Reject::UnknownKey)) => {}
                done => return done,
            }
            self.inner.keyring.forget(scope);
            self.inner.handle.read_barrier(call.deadline).await?; // What the state knows that we do not.
            key = self.sealing_key(call, scope, action).await?;
        }
        Err(Reject::UnknownKey.into())
    }

    /// A key for what a command is about to make. It goes with the command, and is kept only if that is accepted; then the
    /// caller keeps it too ([`crate::keyring::Keyring::keep`]).
    pub(crate) fn fresh_key(&self, scope: KeyScope) -> Result<Fresh, Error> {
        let view = self.inner.handle.view();
        let (version, _) = newest_cluster_key(&view)?.ok_or(Error::NotFounded)?;
        let cluster = self.inner.keyring.cluster_key(&view, version)?;
        let month = self.month();
        let (key, wrapped) = DataKey::mint(&cluster, scope, month)?;
        let add = AddDataKey { id: key.id(), scope, month, version, wrapped };
        Ok(Fresh { key: Arc::new(key), add })
    }

    /// Keeps the key of what has come to be.
    pub(crate) fn keep_fresh(&self, fresh: &Fresh) {
        self.inner.keyring.keep(fresh.add.scope, fresh.add.month, Arc::clone(&fresh.key));
    }

    /// The key of a scope that is open already: the way of all but the first text of a month.
    pub(crate) fn open_key(&self, scope: KeyScope) -> SealingKey {
        self.inner.keyring.current(scope, self.month())
    }

    /// The key to seal texts of a scope with; minted, if the caller may do what it is for.
    pub(crate) async fn sealing_key(&self, call: &Call, scope: KeyScope, action: Action) -> Result<SealingKey, Error> {
        if let Some(key) = self.open_key(scope) {
            return Ok(Some(key));
        }
        if let Some(key) = self.known_or_minted(call, scope, action).await? {
            return Ok(Some(key));
        }
        // Nobody who may, as far as this node knows: it asks once whether it has all there is to know.
        self.inner.handle.read_barrier(call.deadline).await?;
        self.known_or_minted(call, scope, action).await
    }

    /// The key of a scope and this month, if this node knows of one.
    pub(crate) fn known_key(&self, scope: KeyScope) -> Result<SealingKey, Error> {
        self.inner.keyring.find(&self.inner.handle.view(), scope, self.month())
    }

    async fn known_or_minted(&self, call: &Call, scope: KeyScope, action: Action) -> Result<SealingKey, Error> {
        let permitted = {
            let view = self.inner.handle.view();
            if let Some(key) = self.inner.keyring.find(&view, scope, self.month())? {
                return Ok(Some(key));
            }
            match view.user(call.user)? {
                Some(user) => policy::may(&view, &user, action)?.is_yes(),
                None => false,
            }
        };
        if permitted { self.mint(scope, call.deadline).await.map(Some) } else { Ok(None) }
    }

    /// Adds a data key: one more commit for the first text of a scope and month.
    pub(crate) async fn mint(&self, scope: KeyScope, deadline: Instant) -> Result<Arc<DataKey>, Error> {
        let _one_at_a_time = self.inner.minting.of(scope).lock().await;
        let keyring = &self.inner.keyring;
        for _ in 0..RESEALS_MAX {
            if let Some(key) = keyring.current(scope, self.month()) {
                return Ok(key); // Minted while we waited.
            }
            let Fresh { key, add } = self.fresh_key(scope)?;
            let month = add.month;
            match self.put_own(Command::AddDataKey(add), deadline).await.map(|done| done.reply) {
                Ok(Reply::DataKey(id)) if id == key.id() => {
                    keyring.keep(scope, month, Arc::clone(&key));
                    return Ok(key);
                }
                Ok(Reply::DataKey(_)) => return self.minted_elsewhere(scope, month, deadline).await,
                Ok(_) => return Err(unexpected()),
                // The cluster key was rotated, or another scope's key has this id.
                Err(Error::Reject(Reject::UnknownKey | Reject::Taken(_))) => {
                    self.inner.handle.read_barrier(deadline).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Reject::UnknownKey.into())
    }

    /// Another node was first: its key comes by the log.
    async fn minted_elsewhere(&self, scope: KeyScope, month: Month, deadline: Instant) -> Result<Arc<DataKey>, Error> {
        self.seen(deadline, |view| view.scope_key(scope, month)).await?;
        let found = self.inner.keyring.find(&self.inner.handle.view(), scope, month)?;
        found.ok_or_else(|| Reject::UnknownKey.into())
    }

    fn month(&self) -> Month {
        Month::of(self.inner.handle.heads().borrow().clock)
    }
}

/// Locks by scope, a few for all of them: two requests for one key mint one.
pub(crate) struct Minting([tokio::sync::Mutex<()>; 64]);

impl Default for Minting {
    fn default() -> Self {
        Self(std::array::from_fn(|_| tokio::sync::Mutex::default()))
    }
}

impl Minting {
    fn of(&self, scope: KeyScope) -> &tokio::sync::Mutex<()> {
        let last = match scope {
            KeyScope::Conversation(id) => id.0[15],
            KeyScope::User(id) => id.0[15],
            KeyScope::Addresses => 1,
            KeyScope::Requests => 0, // Never minted after the founding.
        };
        &self.0[usize::from(last) % self.0.len()]
    }
}
