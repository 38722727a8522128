//! Network addresses for the audit log: sealed on the node that takes the request, shown to auditors who ask for them.
//!
//! A session's records name the session; its address is in the records that begin it or move it elsewhere, so that a message
//! costs no byte more (ADR audit).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use raft::{Handle, ProposeError};
use seal::{DataKey, Place};
use state::view::View;
use types::key::KeyScope;
use types::limits::RESEALS_MAX;
use types::record::{Entity, Record};
use types::session::Session;
use types::{Command, Reject, SessionId};

use crate::Services;
use crate::errors::Error;
use crate::keyring::Keyring;
use crate::writes::Done;

/// What an address that cannot be opened any more is shown as.
const UNREADABLE: &str = "unreadable";

/// Whose address it is: of the session a record begins with, or of a try to begin one.
pub(crate) fn of_record(record: &Record) -> SessionId {
    let session = record.entities.iter().find_map(|entity| match entity {
        Entity::Session(session) => Some(*session),
        _ => None,
    });
    session.unwrap_or(NOBODYS)
}

/// In place of a session, where there was none.
pub(crate) const NOBODYS: SessionId = SessionId([0; 16]);

impl<H: Handle> Services<H> {
    /// Puts a command of this node with the address it came from, sealed. Where the state refuses the key, it is sealed anew
    /// with another; where it refuses that too, it is put without.
    pub(crate) async fn put_from<F: Future<Output = Result<Done, Error>>>(
        &self,
        (of, address): (SessionId, Option<IpAddr>),
        deadline: Instant,
        put: impl Fn(Option<Vec<u8>>) -> F,
    ) -> Result<Done, Error> {
        for _ in 0..RESEALS_MAX {
            match put(self.sealed_address(of, address, deadline).await?).await {
                Err(Error::Reject(Reject::UnknownKey)) => {}
                done => return done,
            }
            self.inner.keyring.forget(KeyScope::Addresses);
            self.inner.handle.read_barrier(deadline).await?; // What the state knows that we do not.
        }
        put(None).await
    }

    /// The same for a command that is put as it is but for its address.
    pub(crate) async fn put_own_from(
        &self,
        from: (SessionId, Option<IpAddr>),
        deadline: Instant,
        make: impl Fn(Option<Vec<u8>>) -> Command,
    ) -> Result<Done, Error> {
        self.put_from(from, deadline, |address| self.put_own(make(address), deadline)).await
    }

    /// The address, where it is another than the session is known to be used from; none where this node cannot tell.
    pub(crate) fn elsewhere(&self, session: &Session, address: Option<IpAddr>) -> Result<Option<IpAddr>, Error> {
        let Some(known) = &session.address else { return Ok(address) };
        match self.inner.keyring.address(&self.inner.handle.view(), session.id, known) {
            Ok(known) => Ok(address.filter(|address| known != shown(*address))),
            Err(error) => unrecorded(error),
        }
    }

    /// None, said in the log, where there is no key to seal it with: a person who has to work is not kept out for the want
    /// of a line in a record.
    async fn sealed_address(
        &self,
        of: SessionId,
        address: Option<IpAddr>,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(address) = address else { return Ok(None) };
        match self.addresses_key(deadline).await {
            Ok(key) => Ok(Some(seal::text(&key, &Place::Address(of), &written(address))?)),
            Err(error) => unrecorded(error),
        }
    }

    async fn addresses_key(&self, deadline: Instant) -> Result<Arc<DataKey>, Error> {
        if let Some(key) = self.open_key(KeyScope::Addresses) {
            return Ok(key);
        }
        match self.known_key(KeyScope::Addresses)? {
            Some(key) => Ok(key),
            None => self.mint(KeyScope::Addresses, deadline).await,
        }
    }
}

impl Keyring {
    /// The address of a session as it is shown; that it cannot be read, where its key is gone.
    pub(crate) fn address<V: View<Fault = raft::Fault>>(
        &self,
        view: &V,
        of: SessionId,
        sealed: &[u8],
    ) -> Result<String, Error> {
        match self.text(view, &Place::Address(of), sealed) {
            Ok(text) => Ok(read(&text).map_or_else(|| UNREADABLE.to_owned(), shown)),
            Err(Error::Payload(_)) => Ok(UNREADABLE.to_owned()),
            Err(error) => Err(error),
        }
    }
}

/// Goes on without the address where only the keys are in the way: this node does not hold them, no key is added while nodes
/// disagree, or while disks are too full for one.
fn unrecorded<T>(error: Error) -> Result<Option<T>, Error> {
    match error {
        Error::KeysNotHeld | Error::Payload(_) | Error::Reject(_) | Error::Propose(ProposeError::DiskFull) => {
            tracing::warn!(%error, "from where a session is used is not recorded: there is no key to seal the address with");
            Ok(None)
        }
        error => Err(error),
    }
}

/// As it is sealed: 32 digits, so that its length tells nothing.
fn written(address: IpAddr) -> String {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    format!("{:032x}", u128::from(address))
}

fn read(text: &str) -> Option<IpAddr> {
    u128::from_str_radix(text, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
}

/// As it is shown: an IPv4 address as one, in whatever way it came.
fn shown(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_one_length_and_shown_as_they_are_known() {
        for (typed, is) in [("10.0.7.9", "10.0.7.9"), ("2001:db8::7", "2001:db8::7"), ("::ffff:10.0.7.9", "10.0.7.9")] {
            let written = written(typed.parse().expect("an address"));
            assert_eq!(written.len(), 32);
            assert_eq!(read(&written).map(shown).as_deref(), Some(is));
        }
    }
}
