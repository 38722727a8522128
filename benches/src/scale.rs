//! How much of everything a run does.

use std::time::Duration;

/// Sizes of the workloads.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Of each load.
    pub time: Duration,
    /// Users who send: each has a session of its own, as the rates of a session are bounded.
    pub senders: usize,
    /// Users with a stream each, in one group.
    pub subscribers: usize,
    /// Messages to that group.
    pub group_messages: usize,
    /// Pages of history read at each place.
    pub pages: u64,
    /// Conversations of the one who comes back, and messages missed in them.
    pub cases: usize,
    /// See [`Scale::cases`].
    pub missed: usize,
    /// Times the leader goes.
    pub deaths: usize,
    /// How long it is looked at what idle streams use: two progress marks on each.
    pub idle: Duration,
    /// Messages on the nodes when growth is first looked at.
    pub few: u64,
}

impl Scale {
    /// What the figures in README.md are measured with.
    pub fn full(seconds: u64) -> Self {
        Self {
            time: Duration::from_secs(seconds),
            senders: 64,
            subscribers: 500,
            group_messages: 100,
            pages: 200,
            cases: 200,
            missed: 5_000,
            deaths: 20,
            idle: Duration::from_secs(30),
            few: 10_000,
        }
    }

    /// Under five minutes.
    pub fn quick(seconds: u64) -> Self {
        Self { group_messages: 20, deaths: 5, ..Self::full(seconds.min(3)) }
    }

    /// Each workload as short as it can be and still be all there. Its figures mean nothing.
    pub fn smoke() -> Self {
        Self {
            time: Duration::from_millis(400),
            senders: 16,
            subscribers: 24,
            group_messages: 4,
            pages: 5,
            cases: 10,
            missed: 50,
            deaths: 1,
            idle: Duration::from_secs(1),
            few: 200,
        }
    }
}
