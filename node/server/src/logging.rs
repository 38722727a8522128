//! Log lines: structured, without content and without names.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Config, LogFormat};
use crate::support::Recent;

/// Writes log lines to standard error from now on; the newest are kept for a support bundle.
pub fn start(config: &Config) -> Recent {
    let filter: Targets = config.log_level.parse().unwrap_or_else(|_| Targets::new());
    // What libraries say below a warning describes them, not us; the operator can still ask for it by name.
    let filter = filter.with_targets(
        ["openraft", "h2", "hyper", "rustls", "tonic", "tower"].map(|target| (target, tracing::Level::WARN)),
    );
    // Of a peer that is away openraft tells twenty times a second; `raft` says so once, and once when it is back.
    let filter = filter.with_targets(
        ["openraft::replication", "openraft::engine::handler::replication_handler"]
            .map(|target| (target, tracing::Level::ERROR)),
    );
    // The one error of these is that an answer came when consensus had stopped, as it does when a node stops.
    let filter = filter.with_target("openraft::core::heartbeat", LevelFilter::OFF);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let recent = Recent::default();
    let registry = tracing_subscriber::registry().with(recent.clone().with_filter(filter.clone()));
    match config.log_format {
        LogFormat::Text => registry.with(layer.with_ansi(false).with_filter(filter)).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true).with_filter(filter)).init(),
    }
    recent
}
