//! The newest log lines, in memory, for a support bundle: of our own crates the words, which are fixed in the program, and
//! fields whose names are known to hold no text of anybody; of libraries only that they said something.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Our own crates, as the paths of their modules begin.
const OURS: [&str; 9] = ["tricordd", "server", "services", "raft", "store", "backup", "codec", "record", "seal"];
/// Bytes that are kept.
const BYTES_MAX: usize = 512 * 1024;
/// The longest value of a field.
const VALUE_CHARS_MAX: usize = 300;
/// Fields that are kept. `error` is the text of one of our own errors: they name files, addresses and numbers, never people.
const FIELDS: [&str; 24] = [
    "message",
    "error",
    "fault",
    "reason",
    "why",
    "node",
    "peer",
    "slot",
    "leader",
    "term",
    "index",
    "lag",
    "count",
    "bytes",
    "days",
    "seconds",
    "certificate",
    "feature_level",
    "records",
    "size",
    "version",
    "took",
    "age",
    "offset",
];

/// The newest lines. Clones are the same lines.
#[derive(Clone, Default)]
pub struct Recent(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Recent {
    /// All that are kept, the oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    fn keep(&self, line: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.bytes > BYTES_MAX {
            let Some(gone) = kept.lines.pop_front() else { return };
            kept.bytes -= gone.len();
        }
    }
}

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields(Map::new());
        let whose = metadata.target().split("::").next().unwrap_or_default();
        if OURS.contains(&whose) {
            event.record(&mut fields);
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let line = json!({
            "at": at, "level": metadata.level().as_str(), "target": metadata.target(), "fields": fields.0,
        });
        self.keep(line.to_string());
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if FIELDS.contains(&field.name()) {
            let text: String = format!("{value:?}").chars().take(VALUE_CHARS_MAX).collect();
            self.0.insert(field.name().to_owned(), text.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn only_what_is_on_the_list_is_kept_and_only_so_much() {
        let recent = Recent::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(recent.clone()), || {
            tracing::info!(target: "raft::node", node = "a1", login = "ito", "the node runs");
            tracing::warn!(target: "rustls::server", "connection of ito");
        });
        let lines = recent.lines();
        assert!(lines[0].contains("the node runs") && lines[0].contains("a1"), "{lines:?}");
        assert!(lines[1].contains("rustls"), "{lines:?}");
        let own = module_path!().split("::").next().unwrap_or_default();
        assert!(OURS.contains(&own), "{own} is ours, and its lines are not kept");
        assert!(lines.iter().all(|line| !line.contains("ito")), "{lines:?}");
        for _ in 0..100 {
            recent.keep("x".repeat(BYTES_MAX / 10));
        }
        assert!(recent.lines().len() <= 10);
    }
}
