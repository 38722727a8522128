//! What a node writes to its log when peers go and when it stops. In a process of its own: the count is global.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};
use types::Slot;

use super::support::{Cluster, has_user, until};

static WARNINGS: AtomicU64 = AtomicU64::new(0);
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Its one error is that an answer came when consensus had stopped; the daemon does not log it.
const NOT_LOGGED: &str = "openraft::core::heartbeat";

/// Counts warnings and keeps errors.
struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && !metadata.target().starts_with(NOT_LOGGED)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        ERRORS.lock().expect("nobody panics with it").push(format!("{}: {}", event.metadata().target(), text.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

/// Set in the process that counts.
const COUNTS: &str = "TRICORD_TEST_COUNTS_LOG_LINES";

#[test]
fn stopping_is_no_error_and_a_peer_that_is_gone_is_no_flood() {
    if std::env::var_os(COUNTS).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(count());
    }
    let name = "tests::log_lines::stopping_is_no_error_and_a_peer_that_is_gone_is_no_flood";
    let tests = std::env::current_exe().expect("this program");
    let child =
        Command::new(tests).args([name, "--exact", "--nocapture"]).env(COUNTS, "1").output().expect("it starts");
    let said = [child.stdout, child.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

async fn count() {
    tracing::subscriber::set_global_default(Lines).expect("the first");
    let mut cluster = Cluster::founded().await;
    // Each stops as leader once, under load, and comes back.
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let via = cluster.follower().await;
        let node = cluster.nodes[usize::from(leader.number() - 1)].take().expect("it runs").node;
        let (stopped, user) = tokio::join!(node.shutdown(), cluster.create_user(via));
        stopped.expect("its state is durable");
        cluster.start(leader).await;
        until("all have what was put meanwhile", || cluster.all(|node| has_user(node, user))).await;
    }
    let gone = cluster.follower().await;
    let node = cluster.nodes[usize::from(gone.number() - 1)].take().expect("it runs").node;
    node.shutdown().await.expect("its state is durable");
    let before = WARNINGS.load(Ordering::Relaxed);
    let seconds = 3;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let a_second = (WARNINGS.load(Ordering::Relaxed) - before) / seconds;
    assert!(a_second <= 60, "{a_second} warnings a second about a peer that is gone");
    for slot in Slot::ALL {
        if let Some(running) = cluster.nodes[usize::from(slot.number() - 1)].take() {
            running.node.shutdown().await.expect("its state is durable");
        }
    }
    let errors = ERRORS.lock().expect("nobody panics with it").clone();
    assert!(errors.is_empty(), "{errors:#?}");
}
