//! Data keys: what texts are sealed with. One for each scope and month.

use types::key::{KeyScope, Month};
use zeroize::Zeroizing;

use crate::xaes::Xaes;
use crate::{ClusterKey, Error, random};

/// A data key, opened. Wiped when dropped.
pub struct DataKey {
    id: u64,
    pub(crate) xaes: Xaes,
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "DataKey({:016x})", self.id)
    }
}

impl DataKey {
    /// A new key with a random id, and how it lies in the state: wrapped under the cluster key.
    pub fn mint(under: &ClusterKey, scope: KeyScope, month: Month) -> Result<(Self, Vec<u8>), Error> {
        let Minted { id, key, wrapped } = self::mint(under, scope, month)?;
        Ok((Self { id, xaes: Xaes::new(&key)? }, wrapped))
    }

    /// Opens a key as it lies in the state.
    ///
    /// Errors: [`Error::Damaged`] if it was not wrapped under this cluster key for this id, scope and month.
    pub fn unwrap(under: &ClusterKey, id: u64, scope: KeyScope, month: Month, wrapped: &[u8]) -> Result<Self, Error> {
        let key = under.xaes.open(&context(under.version(), id, scope, month), wrapped)?;
        let key = key.as_slice().try_into().map_err(|_| Error::Damaged)?;
        Ok(Self { id, xaes: Xaes::new(key)? })
    }

    /// Wraps a key anew under another cluster key, without its being used in between.
    pub fn rewrap(
        (from, to): (&ClusterKey, &ClusterKey),
        id: u64,
        scope: KeyScope,
        month: Month,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let key = from.xaes.open(&context(from.version(), id, scope, month), wrapped)?;
        let mut anew = Vec::new();
        to.xaes.seal(&context(to.version(), id, scope, month), &key, &mut anew)?;
        Ok(anew)
    }

    /// Its id: never 0.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }
}

/// A key just made: its id, never 0; the key; and the key as it lies in the state.
pub(crate) struct Minted {
    pub id: u64,
    pub key: Zeroizing<[u8; 32]>,
    pub wrapped: Vec<u8>,
}

/// A new key with a random id, and how it lies in the state.
pub(crate) fn mint(under: &ClusterKey, scope: KeyScope, month: Month) -> Result<Minted, Error> {
    let key = random::secret()?;
    let mut id = 0;
    while id == 0 {
        id = u64::from_be_bytes(random::bytes()?); // 0 is the id of no key.
    }
    let mut wrapped = Vec::new();
    under.xaes.seal(&context(under.version(), id, scope, month), key.as_ref(), &mut wrapped)?;
    Ok(Minted { id, key, wrapped })
}

/// What a wrapped key is bound to: it opens in no other place.
pub(crate) fn context(version: u32, id: u64, scope: KeyScope, month: Month) -> Vec<u8> {
    let (kind, of) = match scope {
        KeyScope::Conversation(conversation) => (1, conversation.0),
        KeyScope::User(user) => (2, user.0),
        KeyScope::Requests => (3, [0; 16]),
        KeyScope::Addresses => (4, [0; 16]),
    };
    let mut context = b"tricord/data-key/v1".to_vec();
    context.extend_from_slice(&version.to_be_bytes());
    context.extend_from_slice(&id.to_be_bytes());
    context.push(kind);
    context.extend_from_slice(&of);
    context.extend_from_slice(&month.0.to_be_bytes());
    context
}

#[cfg(test)]
mod tests {
    use types::{ConversationId, UserId};

    use super::*;

    #[test]
    fn a_key_opens_only_as_what_it_was_wrapped_as() -> Result<(), Error> {
        let (cluster, month) = (ClusterKey::generate(1)?, Month(683));
        let scope = KeyScope::Conversation(ConversationId([7; 16]));
        let (key, wrapped) = DataKey::mint(&cluster, scope, month)?;
        assert_eq!(DataKey::unwrap(&cluster, key.id(), scope, month, &wrapped)?.id(), key.id());
        let elsewhere = [
            (key.id() ^ 1, scope, month),
            (key.id(), KeyScope::User(UserId([7; 16])), month),
            (key.id(), KeyScope::Conversation(ConversationId([8; 16])), month),
            (key.id(), scope, Month(684)),
        ];
        for (id, scope, month) in elsewhere {
            assert_eq!(DataKey::unwrap(&cluster, id, scope, month, &wrapped).err(), Some(Error::Damaged));
        }
        let other = ClusterKey::generate(1)?;
        assert_eq!(DataKey::unwrap(&other, key.id(), scope, month, &wrapped).err(), Some(Error::Damaged));
        Ok(())
    }

    #[test]
    fn a_key_wrapped_anew_opens_what_it_sealed() -> Result<(), Error> {
        let (old, new) = (ClusterKey::generate(1)?, ClusterKey::generate(2)?);
        let (scope, month) = (KeyScope::User(UserId([7; 16])), Month(683));
        let (key, wrapped) = DataKey::mint(&old, scope, month)?;
        let place = crate::Place::Status(UserId([7; 16]));
        let text = crate::text(&key, &place, "out to lunch")?;
        let anew = DataKey::rewrap((&old, &new), key.id(), scope, month, &wrapped)?;
        let opened = DataKey::unwrap(&new, key.id(), scope, month, &anew)?;
        assert_eq!(crate::open_text(&opened, &place, &text)?, "out to lunch");
        assert!(DataKey::unwrap(&old, key.id(), scope, month, &anew).is_err());
        Ok(())
    }
}
