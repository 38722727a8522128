//! What applying a message costs one node, on its own thread, with RocksDB: `cargo bench -p tricord-store --bench apply`.
//!
//! Prints, for entries of 1, 30 and 256 messages of 250 sealed bytes, by 64 people in one group, microseconds of processor time a
//! message: the median of several rounds. Nothing is synced, as in a node: the state's own log is that of Raft.

#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

mod ward;

use std::sync::Arc;
use std::time::Duration;

use store::{RocksDisk, RocksEngine, StateStore};
use ward::Ward;

const ROUNDS: usize = 7;
const MESSAGES: u64 = 8_192;

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = StateStore::open(Arc::new(RocksDisk::default()), dir.path()).expect("opens");
    let (mut ward, founding) = Ward::founded(64);
    let outputs = store.apply(vec![founding]).expect("applied");
    assert!(outputs[0].answers.iter().all(|answer| answer.result.is_ok()), "{:?}", outputs[0].answers);
    for per_entry in [1, 30, 256] {
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round(&store, &mut ward, per_entry)).collect();
        rounds.sort_unstable();
        let messages = (MESSAGES / per_entry * per_entry) as f64;
        println!("apply-{per_entry}-us-per-message {:.2}", rounds[ROUNDS / 2].as_secs_f64() * 1e6 / messages);
    }
}

fn round(store: &StateStore<RocksEngine>, ward: &mut Ward, per_entry: u64) -> Duration {
    let entries: Vec<_> = (0..MESSAGES / per_entry).map(|_| ward.posts(per_entry, 250)).collect();
    let began = on_processor();
    for entry in entries {
        let outputs = store.apply(vec![entry]).expect("applied");
        assert!(outputs[0].answers.iter().all(|answer| answer.result.is_ok()), "a message was refused");
    }
    on_processor().saturating_sub(began)
}

/// How long this thread was on a processor: on a busy machine a clock would say something else.
fn on_processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says so");
    Duration::from_nanos(stat.split(' ').next().and_then(|first| first.parse().ok()).expect("nanoseconds"))
}
