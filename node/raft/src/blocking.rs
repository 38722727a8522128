//! Work that blocks: on a thread of its own, or, in a simulation that has no threads, where it is asked for.

use std::cell::Cell;

use tokio::task::JoinHandle;

thread_local! {
    static INLINE: Cell<bool> = const { Cell::new(false) };
}

/// From now on what this thread would give to other threads runs on it, in turn with everything else. For a simulation.
pub fn stay_on_this_thread() {
    INLINE.set(true);
}

/// Whether [`stay_on_this_thread`] was said.
pub(crate) fn is_inline() -> bool {
    INLINE.get()
}

/// Runs the job where it holds nobody up.
///
/// Errors of the handle: the job panicked.
pub fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if is_inline() { tokio::spawn(async move { job() }) } else { tokio::task::spawn_blocking(job) }
}
