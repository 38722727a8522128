//! The keys this node has opened: its own pair, cluster keys, and the data keys in use. Everything sealed is opened here.
//!
//! Bounded: `OPEN_KEYS_MAX` data keys, each forgotten `OPEN_KEY_MS_MAX` after its last use. Keys are wiped when the last
//! user lets go of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use proto::v1;
use seal::{ClusterKey, DataKey, NodeKey, Payload, Place, RequestKey};
use state::view::{Rows, View};
use types::conversation::Conversation;
use types::key::{Holder, KeyScope, Month};
use types::limits::{OPEN_KEY_MS_MAX, OPEN_KEYS_MAX};
use types::message::Message;
use types::user::User;
use types::{ConversationId, NodeId, UserId};

use crate::convert;
use crate::errors::Error;

/// How often keys that nobody uses are looked for.
pub(crate) const SWEEP: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Keyring {
    node: NodeId,
    pair: NodeKey,
    open: Mutex<Open>,
    /// It is the same for ever.
    requests: OnceLock<Arc<RequestKey>>,
}

#[derive(Default)]
struct Open {
    cluster: BTreeMap<u32, Arc<ClusterKey>>,
    data: HashMap<u64, Kept>,
    /// What a scope's texts are sealed with at present.
    current: HashMap<KeyScope, (Month, u64)>,
}

struct Kept {
    key: Arc<DataKey>,
    scope: KeyScope,
    used: Instant,
}

impl Keyring {
    pub(crate) fn new(node: NodeId, pair: NodeKey) -> Self {
        Self { node, pair, open: Mutex::default(), requests: OnceLock::new() }
    }

    /// The key that texts of this scope are sealed with this month, if it is open already.
    pub(crate) fn current(&self, scope: KeyScope, month: Month) -> Option<Arc<DataKey>> {
        let mut open = self.open();
        let id = open.current.get(&scope).filter(|(of, _)| *of == month)?.1;
        open.used(id)
    }

    /// The same out of the state.
    pub(crate) fn find<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        scope: KeyScope,
        month: Month,
    ) -> Result<Option<Arc<DataKey>>, Error> {
        let Some(id) = view.scope_key(scope, month)? else { return Ok(None) };
        let key = self.key(view, id)?;
        self.open().current.insert(scope, (month, id));
        Ok(Some(key))
    }

    /// Keeps a key that was just minted and is now the scope's.
    pub(crate) fn keep(&self, scope: KeyScope, month: Month, key: Arc<DataKey>) {
        let mut open = self.open();
        open.current.insert(scope, (month, key.id()));
        open.keep(scope, key);
    }

    /// The state refused a scope's key: it is asked anew.
    pub(crate) fn forget(&self, scope: KeyScope) {
        self.open().current.remove(&scope);
    }

    /// Forgets what nobody has used for a while.
    pub(crate) fn sweep(&self) {
        let limit = Duration::from_millis(OPEN_KEY_MS_MAX);
        self.open().drop_if(|kept| kept.used.elapsed() > limit);
    }

    /// Cluster keys are opened again when next needed: after a rotation, none of an old version is kept.
    pub(crate) fn forget_cluster_keys_below(&self, version: u32) {
        self.open().cluster.retain(|known, _| *known >= version);
    }

    /// The key of an id.
    ///
    /// Errors: [`Error::KeysNotHeld`] while nobody has let this node hold the cluster key; [`seal::Error::Key`] for one that is
    /// gone.
    pub(crate) fn key<V: View<Fault = raft::Fault>>(&self, view: &V, id: u64) -> Result<Arc<DataKey>, Error> {
        if let Some(key) = self.open().used(id) {
            return Ok(key);
        }
        let row = view.data_key(id)?.ok_or(seal::Error::Key(id))?;
        let cluster = self.cluster_key(view, row.version)?;
        let key = Arc::new(DataKey::unwrap(&cluster, id, row.scope, row.month, &row.wrapped)?);
        self.open().keep(row.scope, Arc::clone(&key));
        Ok(key)
    }

    /// The key by which repeated requests are recognised.
    ///
    /// Errors: [`Error::NotFounded`]; [`Error::KeysNotHeld`] while nobody has let this node hold the cluster key.
    pub(crate) fn requests<V: View<Fault = raft::Fault>>(&self, view: &V) -> Result<Arc<RequestKey>, Error> {
        if let Some(key) = self.requests.get() {
            return Ok(Arc::clone(key));
        }
        let id = view.scope_key(KeyScope::Requests, RequestKey::MONTH)?.ok_or(Error::NotFounded)?;
        let row = view.data_key(id)?.ok_or(seal::Error::Key(id))?;
        let key = RequestKey::unwrap(&*self.cluster_key(view, row.version)?, id, &row.wrapped)?;
        Ok(Arc::clone(self.requests.get_or_init(|| Arc::new(key))))
    }

    /// A version of the cluster key.
    pub(crate) fn cluster_key<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        version: u32,
    ) -> Result<Arc<ClusterKey>, Error> {
        if let Some(key) = self.open().cluster.get(&version) {
            return Ok(Arc::clone(key));
        }
        let row = view.cluster_key(version)?.ok_or(Error::KeysNotHeld)?;
        let envelope = view.key_envelope(version, Holder::Node(self.node))?.ok_or(Error::KeysNotHeld)?;
        if envelope.public != self.pair.public()?.0 {
            return Err(Error::KeysNotHeld); // Sealed to a pair this node had before.
        }
        let key = Arc::new(ClusterKey::open(version, &row.check, &envelope.sealed, &self.pair)?);
        self.open().cluster.insert(version, Arc::clone(&key));
        Ok(key)
    }

    /// The text of a message of text.
    pub(crate) fn message<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        conversation: ConversationId,
        message: &Message,
    ) -> Result<String, Error> {
        Ok(self.payload(view, conversation, message)?.text)
    }

    /// The payload of a message, with its salt.
    pub(crate) fn payload<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        conversation: ConversationId,
        message: &Message,
    ) -> Result<Payload, Error> {
        let key = self.key(view, message.sealed.key_id)?;
        let place = Place::Message(conversation, message.header.kind, message.sender.user);
        Ok(seal::open(&key, &place, &message.sealed)?)
    }

    /// The title of a conversation.
    pub(crate) fn title<V: View<Fault = raft::Fault>>(&self, view: &V, of: &Conversation) -> Result<String, Error> {
        self.text(view, &Place::Title(of.id), &of.title)
    }

    /// A user's status text.
    pub(crate) fn status<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        user: UserId,
        text: &[u8],
    ) -> Result<String, Error> {
        self.text(view, &Place::Status(user), text)
    }

    /// The secret of a user's second factor.
    pub(crate) fn secret<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        user: UserId,
        sealed: &[u8],
    ) -> Result<String, Error> {
        self.text(view, &Place::Secret(user), sealed)
    }

    /// A user as clients see them, a patient's name among it; with what operators see, or without.
    pub(crate) fn user<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        user: &User,
        details: bool,
    ) -> Result<v1::User, Error> {
        let mut shown = convert::user(user, details);
        if !user.sealed_name.is_empty() {
            shown.display_name = self.text(view, &Place::Name(user.id), &user.sealed_name)?;
        }
        Ok(shown)
    }

    pub(crate) fn text<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        place: &Place,
        bytes: &[u8],
    ) -> Result<String, Error> {
        let Some(id) = (!bytes.is_empty()).then(|| seal::key_id(bytes)) else { return Ok(String::new()) };
        let key = self.key(view, id.ok_or(seal::Error::Short(bytes.len()))?)?;
        Ok(seal::open_text(&key, place, bytes)?)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn used(&mut self, id: u64) -> Option<Arc<DataKey>> {
        let kept = self.data.get_mut(&id)?;
        kept.used = Instant::now();
        Some(Arc::clone(&kept.key))
    }

    fn keep(&mut self, scope: KeyScope, key: Arc<DataKey>) {
        if self.data.len() >= OPEN_KEYS_MAX {
            // The less recently used half goes at once, so that this is seldom done.
            let mut used: Vec<Instant> = self.data.values().map(|kept| kept.used).collect();
            let middle = used.len() / 2;
            let median = *used.select_nth_unstable(middle).1;
            self.drop_if(|kept| kept.used <= median);
        }
        self.data.insert(key.id(), Kept { key, scope, used: Instant::now() });
    }

    fn drop_if(&mut self, over: impl Fn(&Kept) -> bool) {
        let current = &mut self.current;
        self.data.retain(|id, kept| {
            let over = over(kept);
            if over && current.get(&kept.scope).is_some_and(|(_, of)| of == id) {
                current.remove(&kept.scope);
            }
            !over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint(cluster: &ClusterKey, n: u64) -> (KeyScope, Arc<DataKey>) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let scope = KeyScope::Conversation(ConversationId(id));
        (scope, Arc::new(DataKey::mint(cluster, scope, Month(1)).expect("a key").0))
    }

    #[test]
    fn no_more_keys_are_kept_than_the_limit_and_those_in_use_stay() {
        let ring = Keyring::new(NodeId(1), NodeKey::generate().expect("a pair"));
        let cluster = ClusterKey::generate(1).expect("a key");
        let (busy, key) = mint(&cluster, 0);
        ring.keep(busy, Month(1), key);
        for n in 1..2 * OPEN_KEYS_MAX as u64 {
            let (scope, key) = mint(&cluster, n);
            ring.keep(scope, Month(1), key);
            assert!(ring.current(busy, Month(1)).is_some(), "after {n}");
            let open = ring.open();
            assert!(open.data.len() <= OPEN_KEYS_MAX && open.current.len() <= open.data.len());
        }
        assert!(ring.current(busy, Month(2)).is_none(), "another month needs another key");
    }
}
