//! Places at which a process ends as if it were killed, for tests. Nothing of them is in what ships: without the feature
//! `failpoints` the functions here do nothing. `FAILPOINTS='log-after-fsync=200*off->return'` in the environment ends the process
//! when it comes to that point for the 201st time; crate `fail` describes what else can be said.

/// Ends this process if this point is set.
#[inline]
pub fn end_at(point: &str) {
    if is_set(point) {
        end(point);
    }
}

/// Whether the process is to end at this point, for whoever leaves something half done first.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn is_set(point: &str) -> bool {
    fail::eval(point, |_| ()).is_some()
}

/// Whether the process is to end at this point: never, in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
#[must_use]
pub const fn is_set(_point: &str) -> bool {
    false
}

/// Ends this process: nothing is tidied up, nothing is flushed.
#[cfg(feature = "failpoints")]
pub fn end(point: &str) -> ! {
    tracing::warn!(point, "this process ends at a fail point");
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Never called in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn end(_point: &str) {}

/// Takes what the environment says; kept for as long as the process runs.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn from_environment() -> impl Sized {
    fail::FailScenario::setup()
}
