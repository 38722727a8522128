//! Log lines: structured, without content and without names.

use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, reload};

use crate::config::{Config, LogFormat};
use crate::support::Recent;

/// Which log lines there are, to be changed while they are written. Cheap to clone.
#[derive(Clone)]
pub struct Level(Arc<dyn Fn(&str) + Send + Sync>);

impl Level {
    /// From now on these: a level or directives, as the configuration has them.
    pub fn set(&self, level: &str) {
        (self.0)(level);
    }
}

/// Writes log lines to standard error from now on; the newest are kept for a support bundle.
pub fn start(config: &Config) -> (Recent, Level) {
    let (kept, of_kept) = reload::Layer::new(filter(&config.log_level));
    let layer = fmt::layer().with_writer(std::io::stderr);
    let recent = Recent::default();
    let registry = tracing_subscriber::registry().with(recent.clone().with_filter(kept));
    let level = match config.log_format {
        LogFormat::Text => {
            let (shown, of_shown) = reload::Layer::new(filter(&config.log_level));
            registry.with(layer.with_ansi(false).with_filter(shown)).init();
            Level(Arc::new(move |level| {
                drop(of_shown.reload(filter(level)).and(of_kept.reload(filter(level))));
            }))
        }
        LogFormat::Json => {
            let (shown, of_shown) = reload::Layer::new(filter(&config.log_level));
            registry.with(layer.json().flatten_event(true).with_filter(shown)).init();
            Level(Arc::new(move |level| {
                drop(of_shown.reload(filter(level)).and(of_kept.reload(filter(level))));
            }))
        }
    };
    (recent, level)
}

fn filter(level: &str) -> Targets {
    let filter: Targets = level.parse().unwrap_or_else(|_| Targets::new());
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
    filter.with_target("openraft::core::heartbeat", LevelFilter::OFF)
}
