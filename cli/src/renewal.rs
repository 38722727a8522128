//! New tokens in good time: the device's key proves who asks, once for each number.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proto::v1;
use types::identity::refresh_statement;
use types::{ClusterId, DeviceId, SessionId};

use crate::error::{Error, Result};
use crate::store::{State, Store};

/// A token is renewed when less than this share of its life is left.
const LEFT_OF: u64 = 3;

/// A device's key, as it lies in the state file: its seed in hexadecimal.
pub struct DeviceKey(Ed25519KeyPair);

impl DeviceKey {
    /// A new key, for a sign-in, and its seed for the state file. Its numbers begin anew, so that a state file from a
    /// backup does no harm.
    pub fn generate() -> Result<(Self, String)> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| broken(error.to_string()))?;
        Ok((Self::from_seed(&seed)?, crate::text::hex(&seed)))
    }

    /// The key of a profile's device.
    fn of(state: &State) -> Result<Self> {
        let seed = crate::text::unhex(&state.device_key).ok_or_else(|| broken("the state file is damaged".into()))?;
        Self::from_seed(&seed)
    }

    fn from_seed(seed: &[u8]) -> Result<Self> {
        Ok(Self(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| broken(error.to_string()))?))
    }

    /// The public key, as a sign-in names it.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }
}

fn broken(why: String) -> Error {
    Error::Content { doing: "use this device's key".into(), why }
}

/// What a client needs to renew its token.
pub struct Renewal {
    store: Store,
    /// The token in use, to see whether another process has renewed it.
    token: Mutex<String>,
}

impl Renewal {
    /// Of this profile's session.
    pub fn new(store: Store, token: &str) -> Self {
        Self { store, token: Mutex::new(token.to_owned()) }
    }

    /// Whether the token should be renewed by now, by this machine's clock.
    pub fn is_due(&self) -> bool {
        self.store.read().is_ok_and(|state| state.token_renew_at > 0 && now() >= state.token_renew_at)
    }

    /// The token that another process of this profile has got meanwhile, if one has.
    pub fn newer(&self) -> Option<String> {
        let state = self.store.read().ok()?;
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if state.token.is_empty() || state.token == *known {
            return None;
        }
        known.clone_from(&state.token);
        Some(state.token)
    }

    /// A statement that no one has used before: its number is on disk before it is sent.
    pub fn proof(&self) -> Result<Option<v1::RefreshSessionRequest>> {
        let state = self.store.update(|state| {
            state.proofs += 1;
            Ok(state.clone())
        })?;
        if state.device_key.is_empty() || state.cluster.is_empty() || state.session.is_empty() {
            return Ok(None); // Signed in before devices had keys, or by hand.
        }
        let key = DeviceKey::of(&state)?;
        let id = |text: &str| crate::text::unhex(text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let ids = (id(&state.cluster), id(crate::rows::id_of(&state.session)), id(&state.device));
        let (Some(cluster), Some(session), Some(device)) = ids else { return Ok(None) };
        let (cluster, session, device) = (ClusterId(cluster), SessionId(session), DeviceId(device));
        let statement = refresh_statement(cluster, session, device, state.proofs);
        let signature = key.0.sign(&statement).as_ref().to_vec();
        Ok(Some(v1::RefreshSessionRequest { session: state.session, number: state.proofs, signature }))
    }

    /// Keeps the new token.
    pub fn keep(&self, answer: &v1::RefreshSessionResponse) -> Result<()> {
        self.store.update(|state| {
            state.token.clone_from(&answer.token);
            state.token_renew_at = renew_at(answer.token_lifetime.as_ref());
            Ok(())
        })?;
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.token);
        Ok(())
    }
}

/// When a token with this much life should be renewed, in seconds since 1970 by this machine's clock; 0: never.
pub fn renew_at(lifetime: Option<&prost_types::Duration>) -> u64 {
    let seconds = lifetime.and_then(|lifetime| u64::try_from(lifetime.seconds).ok()).unwrap_or(0);
    if seconds == 0 { 0 } else { now() + seconds - seconds / LEFT_OF }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store
            .update(|state| {
                state.token = "old".into();
                state.cluster = "11".repeat(16);
                state.device = "22".repeat(16);
                state.session = format!("users/{}/sessions/{}", "33".repeat(16), "44".repeat(16));
                state.device_key = DeviceKey::generate()?.1;
                state.token_renew_at = 1;
                Ok(())
            })
            .unwrap();
        (dir, store)
    }

    #[test]
    fn each_proof_has_a_number_of_its_own_and_fits_the_key() {
        let (_dir, store) = store();
        let renewal = Renewal::new(store.clone(), "old");
        let proofs = [renewal.proof().unwrap().unwrap(), renewal.proof().unwrap().unwrap()];
        assert_eq!([proofs[0].number, proofs[1].number], [1, 2]);
        let public = DeviceKey::of(&store.read().unwrap()).unwrap().public();
        let statement =
            refresh_statement(ClusterId([0x11; 16]), SessionId([0x44; 16]), DeviceId([0x22; 16]), proofs[1].number);
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
        assert!(key.verify(&statement, &proofs[1].signature).is_ok());
        assert!(key.verify(&statement, &proofs[0].signature).is_err());
    }

    #[test]
    fn a_renewed_token_is_kept_and_seen_by_another_process() {
        let (_dir, store) = store();
        let (one, other) = (Renewal::new(store.clone(), "old"), Renewal::new(store, "old"));
        assert!(one.is_due() && one.newer().is_none());
        let lifetime = Some(prost_types::Duration { seconds: 900, nanos: 0 });
        let answer = v1::RefreshSessionResponse { token: "new".into(), token_lifetime: lifetime, expire_time: None };
        one.keep(&answer).unwrap();
        assert!(!one.is_due() && one.newer().is_none());
        assert_eq!(other.newer().as_deref(), Some("new"));
        assert!(other.newer().is_none());
    }
}
