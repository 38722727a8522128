//! By what a reused request number is found out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use types::command::AddDataKey;
use types::key::{KeyScope, Month};
use zeroize::Zeroizing;

use crate::data_key::{self, Minted, context};
use crate::{ClusterKey, Error};

/// The key of the hash by which a repeated request is recognised, opened. Wiped when dropped.
///
/// It lies in the state as data keys do, wrapped under the cluster key, in a scope of its own, and a rotation wraps it anew
/// with them: the hash of a request stays what it was, and whoever has a disk alone cannot test guesses with it.
pub struct RequestKey(Zeroizing<[u8; 32]>);

impl core::fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RequestKey")
    }
}

impl RequestKey {
    /// The month that the only key of its scope is of.
    pub const MONTH: Month = Month(0);

    /// A new key, as the founding brings it.
    pub fn mint(under: &ClusterKey) -> Result<AddDataKey, Error> {
        let (scope, month) = (KeyScope::Requests, Self::MONTH);
        let Minted { id, wrapped, .. } = data_key::mint(under, scope, month)?;
        Ok(AddDataKey { id, scope, month, version: under.version(), wrapped })
    }

    /// Opens the key as it lies in the state.
    ///
    /// Errors: [`Error::Damaged`] if it was not wrapped under this cluster key as the key of requests.
    pub fn unwrap(under: &ClusterKey, id: u64, wrapped: &[u8]) -> Result<Self, Error> {
        let key = under.xaes.open(&context(under.version(), id, KeyScope::Requests, Self::MONTH), wrapped)?;
        Ok(Self(Zeroizing::new(key.as_slice().try_into().map_err(|_| Error::Damaged)?)))
    }

    /// A keyed hash of what a request asks for, taken before sealing: a retry seals anew, with another salt, and is still
    /// the same request. `content` says which call it is and has the request's bytes without its number; ids that the node
    /// mints must not be in it.
    ///
    /// Shape: the first 16 bytes of HMAC-SHA256 under the key.
    #[must_use]
    pub fn hash(&self, content: &[u8]) -> [u8; 16] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("HMAC takes a key of 32 bytes");
        mac.update(content);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut hash = [0; 16];
        hash.copy_from_slice(&full[..16]);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataKey;

    #[test]
    fn other_content_or_another_key_has_another_hash() -> Result<(), Error> {
        let cluster = ClusterKey::generate(1)?;
        let key = || {
            let key = RequestKey::mint(&cluster)?;
            RequestKey::unwrap(&cluster, key.id, &key.wrapped)
        };
        let (one, other) = (key()?, key()?);
        let hash = one.hash(b"send hello");
        assert_eq!(hash, one.hash(b"send hello"));
        assert_ne!(hash, one.hash(b"send hullo"));
        assert_ne!(hash, other.hash(b"send hello"));
        Ok(())
    }

    #[test]
    fn a_rotation_of_the_cluster_key_leaves_every_hash_as_it_was() -> Result<(), Error> {
        let (old, new) = (ClusterKey::generate(1)?, ClusterKey::generate(2)?);
        let AddDataKey { id, wrapped, .. } = RequestKey::mint(&old)?;
        let hash = RequestKey::unwrap(&old, id, &wrapped)?.hash(b"send hello");
        let anew = DataKey::rewrap((&old, &new), id, KeyScope::Requests, RequestKey::MONTH, &wrapped)?;
        assert_eq!(RequestKey::unwrap(&new, id, &anew)?.hash(b"send hello"), hash);
        assert!(RequestKey::unwrap(&new, id, &wrapped).is_err(), "a thief without the cluster key has nothing");
        assert!(RequestKey::unwrap(&new, id ^ 1, &anew).is_err());
        Ok(())
    }
}
