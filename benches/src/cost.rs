//! What sealing and the audit log cost: the same loads with the daemon as it ships, and with one that was built to leave both
//! out. In turns, for the machine differs more from minute to minute than the two from each other.

use cluster::{Cluster, Options, Result};

use crate::report::Report;
use crate::scale::Scale;
use crate::send::{Mode, Senders};

/// The daemon without; `ops/bench --bare` builds it beside the other.
const BARE: &str = "tricordd-bare";
/// Turns each has of each load.
const TURNS: usize = 5;
/// One load of calls, one of streams.
const LOADS: [(Mode, usize); 2] = [(Mode::Unary, 64), (Mode::Streaming, 256)];

/// What one daemon has done of one load so far.
#[derive(Clone, Copy, Default)]
struct Sum {
    messages: u64,
    seconds: f64,
    processor: f64,
}

impl Sum {
    fn per_second(self) -> f64 {
        self.messages as f64 / self.seconds
    }

    fn processor_each(self) -> f64 {
        self.processor / self.messages as f64
    }
}

/// Measures both daemons, each on three nodes of its own.
pub async fn measure(scale: &Scale, report: &mut Report) -> Result<()> {
    let shipped = Cluster::found(Options::default()).await?;
    let bare = Cluster::found(Options { release: Some((BARE, types::features::KNOWN)), ..Options::default() }).await?;
    let clusters = [&shipped, &bare];
    let senders = [Senders::sign_in(&shipped, scale.senders).await?, Senders::sign_in(&bare, scale.senders).await?];
    for (mode, in_flight) in LOADS {
        let mut sums = [Sum::default(); 2];
        for turn in 0..=TURNS {
            for ((cluster, senders), sum) in clusters.iter().zip(&senders).zip(&mut sums) {
                let sends = senders.run(cluster, mode, in_flight, scale.time).await?;
                if turn > 0 {
                    // The first warms connections and caches.
                    sum.messages += sends.messages;
                    sum.seconds += sends.time.as_secs_f64();
                    sum.processor += sends.processor.as_secs_f64();
                }
            }
        }
        let [shipped, bare] = sums;
        let name = format!("{}-{in_flight}", mode.id());
        eprintln!(
            "{name}: {:.0}/s and {:.0}/s without sealing and audit; {:.1} and {:.1} µs of processor a message",
            shipped.per_second(),
            bare.per_second(),
            shipped.processor_each() * 1e6,
            bare.processor_each() * 1e6
        );
        let slower = (1.0 - shipped.per_second() / bare.per_second()) * 100.0;
        let dearer = (shipped.processor_each() / bare.processor_each() - 1.0) * 100.0;
        report.row(&format!("sealed-audited-{name}-rate-percent"), slower)?;
        report.row(&format!("sealed-audited-{name}-cpu-percent"), dearer)?;
    }
    shipped.check_logs(&[])?;
    bare.check_logs(&[])
}
