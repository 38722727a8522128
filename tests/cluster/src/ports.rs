//! Free ports on the loopback interface.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::Result;

/// Below the range from which the kernel takes the ports of outgoing connections, so that a node that was killed finds its
/// port free again.
const LOWEST: u16 = 12_000;
const SPAN: u16 = 18_000;
/// Tries before giving up.
const TRIES_MAX: usize = 2_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Ports that nothing listens on now. They are far from those another test process begins with.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let offset = u16::try_from(u64::from(std::process::id()) * 97 % u64::from(SPAN))?;
    let mut found = Vec::with_capacity(N);
    for _ in 0..TRIES_MAX {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = LOWEST + (offset.wrapping_add(step)) % SPAN;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
        }
        if found.len() == N {
            return found.try_into().map_err(|_| "counted wrong".into());
        }
    }
    Err("no free ports on 127.0.0.1".into())
}
