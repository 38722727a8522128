//! Stopping at once. A node that failed to read or write its own state, or whose core panicked, must not go on: it would
//! disagree with the others or hang. It stops, is started again, and recovers from its log and its peers.

/// Ends the process without unwinding, after one line that says why.
pub fn fatal(why: &str) -> ! {
    tracing::error!(
        reason = why,
        "stopping at once: this node cannot go on safely; started again it recovers, or the reason says why not"
    );
    std::process::abort()
}

/// Makes a panic on any thread end the process: a core that panicked would otherwise leave it running and mute.
pub fn on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        fatal("a panic");
    }));
}

/// No core files: they would hold message text and keys.
pub fn forbid_core_files() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "could not forbid core files");
    }
}

/// No debugger, and no reading of this process's memory, for anybody but root.
pub fn forbid_looking_in() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "could not forbid others to look into this process");
    }
}
