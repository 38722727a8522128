//! How many connections each address has, so that one machine alone, or whoever sits on it, cannot take the places of all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// The addresses that have connections.
pub struct Addresses {
    /// Connections of one address at a time.
    open_max: usize,
    /// Handshakes of one address at a time.
    handshakes_max: usize,
    known: Mutex<HashMap<IpAddr, Known>>,
}

struct Known {
    open: usize,
    handshakes: Arc<Semaphore>,
}

/// One connection of an address; it no longer counts when this is dropped.
pub struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
    /// The places for handshakes of its address.
    pub handshakes: Arc<Semaphore>,
}

impl Addresses {
    /// None yet; one may have so many connections, and so many handshakes among them.
    pub fn new(open_max: usize, handshakes_max: usize) -> Arc<Self> {
        Arc::new(Self { open_max, handshakes_max, known: Mutex::default() })
    }

    /// Counts one more; none if its address has as many as it may.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let address = whose(address);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let one = known
            .entry(address)
            .or_insert_with(|| Known { open: 0, handshakes: Arc::new(Semaphore::new(self.handshakes_max)) });
        if one.open >= self.open_max {
            return None;
        }
        one.open += 1;
        Some(Counted { addresses: Arc::clone(self), address, handshakes: Arc::clone(&one.handshakes) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut known = self.addresses.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut one) = known.entry(self.address) {
            one.get_mut().open -= 1;
            if one.get().open == 0 {
                one.remove();
            }
        }
    }
}

/// Of IPv6 a machine has as many addresses as it likes, all within one /64.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) & !u128::from(u64::MAX))),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_leaves_nothing_behind() {
        let addresses = Addresses::new(2, 1);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..2).map(|_| addresses.enter(one).expect("a place")).collect();
        assert!(addresses.enter(one).is_none() && addresses.enter(other).is_some());
        assert!(Arc::ptr_eq(&held[0].handshakes, &held[1].handshakes));
        drop(held);
        assert!(addresses.known.lock().expect("well").is_empty());
        assert!(addresses.enter(one).is_some());
    }

    #[test]
    fn one_machine_is_one_however_it_writes_its_address() {
        let of = |text: &str| whose(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
