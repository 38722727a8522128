//! What happened, folded into one hash: two runs of a seed must have the same.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Everything that happened, in its order.
#[derive(Default)]
pub(crate) struct Trace {
    inner: Mutex<Inner>,
    /// Whether each line is printed as well.
    aloud: bool,
}

#[derive(Default)]
struct Inner {
    hash: Sha256,
    lines: u64,
}

impl Trace {
    pub(crate) fn new(aloud: bool) -> Self {
        Self { aloud, ..Self::default() }
    }

    pub(crate) fn say(&self, at_ms: u64, line: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.hash.update(at_ms.to_be_bytes());
        inner.hash.update(line);
        inner.lines += 1;
        drop(inner);
        if self.aloud {
            eprintln!("{:>7}.{:03}  {line}", at_ms / 1_000, at_ms % 1_000);
        }
    }

    /// The hash so far, in hexadecimal, and how many lines it is of.
    pub(crate) fn sum(&self) -> (String, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = inner.hash.clone().finalize();
        (sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect(), inner.lines)
    }
}
