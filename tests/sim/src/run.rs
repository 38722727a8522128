//! One run: founding, faults, healing, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mad_turmoil::time::SimClocksGuard;
use raft::SnapshotLimits;
use rand::SeedableRng;
use rand::rngs::StdRng;
use types::Slot;

use crate::cluster::{Phase, Sim};
use crate::faults::{Kind, Nemesis};
use crate::invariants::Invariants;
use crate::people;
use crate::place::process;
use crate::ward;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// All else that is random follows from it.
    pub seed: u64,
    /// How long faults go on.
    pub safety_ms: u64,
    /// Longest pause between two faults.
    pub pause_ms: u64,
    /// How many clients.
    pub clients: usize,
    /// Of these faults.
    pub faults: Vec<Kind>,
    /// When snapshots are made, and how much log is kept.
    pub snapshots: SnapshotLimits,
    /// Whether each line of the trace is printed.
    pub aloud: bool,
}

impl Plan {
    /// Little log is kept and snapshots are frequent: purges and installs come often.
    #[must_use]
    pub fn with_little_log(mut self) -> Self {
        self.snapshots = SnapshotLimits {
            log_bytes: 3_000,
            every: Duration::from_secs(1),
            log_kept_entries: 8,
            flush_bytes: 2_000,
            flush_every: Duration::from_millis(300),
        };
        self
    }

    /// Little log is kept although the state is seldom made durable: what is purged is bound by that alone.
    #[must_use]
    pub fn with_lazy_flushes(mut self) -> Self {
        self.snapshots = SnapshotLimits {
            log_bytes: u64::MAX,
            every: Duration::from_secs(4),
            log_kept_entries: 2,
            flush_bytes: u64::MAX,
            flush_every: Duration::from_secs(60),
        };
        self
    }

    /// The usual run of a seed: some kinds of faults, often or seldom, with little log or much.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635;
        let mut below = |n: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) % n
        };
        // Pauses are drawn last: what a seed did before there were any, it does beside them.
        let drawn = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pause);
        let mut faults: Vec<Kind> = drawn.filter(|_| below(2) == 0).collect();
        if faults.is_empty() {
            faults.push(Kind::Kill);
        }
        let little = below(2) == 0;
        let snapshots = if little {
            SnapshotLimits {
                log_bytes: 2_000 + below(20_000),
                every: Duration::from_secs(1 + below(5)),
                log_kept_entries: 5 + below(60),
                flush_bytes: [1_000 + below(10_000), u64::MAX][below(2) as usize],
                flush_every: Duration::from_millis(200 + below(4_000)),
            }
        } else {
            SnapshotLimits::default()
        };
        let pause_ms = [150, 600, 2_000][below(3) as usize];
        if below(10) == 0 {
            faults = vec![Kind::FlipLast];
        }
        if below(2) == 0 {
            faults.push(Kind::Pause);
        }
        Self { seed, safety_ms: 12_000, pause_ms, clients: 4, faults, snapshots, aloud: false }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must not be. Empty: all held.
    pub findings: Vec<String>,
    /// A hash of everything that happened.
    pub trace: String,
    /// How much virtual time it took.
    pub virtual_ms: u64,
    /// How often each fault was made.
    pub faults: BTreeMap<Kind, u64>,
    /// What the checker counted.
    pub summary: String,
}

/// Longest that anything but the faults may take.
const PATIENCE_MS: u64 = 60_000;
/// Writes each client must get acknowledged once all is healed.
const HEALED_ACKS: u64 = 5;

/// Runs it, on a thread that has never run another: what the standard library keeps for a thread follows from the seed too.
///
/// # Panics
///
/// When the simulation itself fails.
#[must_use]
pub fn run(plan: Plan) -> Outcome {
    let seed = plan.seed;
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(move || {
        let rng = StdRng::seed_from_u64(seed);
        if let Some(mut known) = mad_turmoil::rand::try_rng() {
            *known = rng;
        } else {
            mad_turmoil::rand::set_rng(rng);
        }
        let _clocks = SimClocksGuard::init();
        raft::blocking::stay_on_this_thread();
        simulate(plan)
    });
    thread.expect("a thread").join().expect("the simulation itself does not fail")
}

fn simulate(plan: Plan) -> Outcome {
    let sim = Arc::new(Sim::new(plan));
    let mut world = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(100_000))
        .min_message_latency(Duration::from_micros(100))
        .max_message_latency(Duration::from_millis(3))
        .tcp_capacity(1 << 20)
        .rng_seed(sim.plan.seed)
        .enable_random_order()
        .build();
    for slot in Slot::ALL {
        let sim = sim.clone();
        world.host(slot.letter(), move || process(sim.clone(), slot));
    }
    for number in 0..sim.plan.clients as u64 {
        world.client(format!("client{number}"), people::live(sim.clone(), number));
    }
    world.client("ward", ward::live(sim.clone()));
    let mut findings = Vec::new();
    let mut nemesis = Nemesis::default();
    let mut invariants = Invariants::default();
    let mut entered = 0;
    loop {
        sim.now_ms.store(u64::try_from(world.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let over = match world.step() {
            Ok(over) => over,
            Err(error) => {
                findings.push(format!("the simulation broke off: {error}"));
                true
            }
        };
        let (phase, now) = (sim.phase(), sim.now());
        nemesis.act(&sim, &mut world, phase == Phase::Safety);
        nemesis.ended.drain(..).for_each(|place| invariants.ended(place));
        if now.is_multiple_of(20) {
            invariants.look(&sim, &mut findings);
        }
        findings.append(&mut sim.take_found());
        let all = |flags: &[std::sync::atomic::AtomicBool]| flags.iter().all(|flag| flag.load(Ordering::Relaxed));
        let next = match phase {
            Phase::Begin if all(&sim.ready) && sim.ward_ready.load(Ordering::Relaxed) => Some(Phase::Safety),
            Phase::Safety if now - entered >= sim.plan.safety_ms => Some(Phase::Liveness),
            Phase::Liveness
                if sim.newcomer().is_none()
                    && sim.healed_acks.iter().all(|acks| acks.load(Ordering::Relaxed) >= HEALED_ACKS) =>
            {
                Some(Phase::Settle)
            }
            _ => None,
        };
        if let Some(next) = next {
            sim.enter(next);
            entered = now;
            if next == Phase::Liveness {
                nemesis.heal(&sim, &mut world);
            }
        } else if phase != Phase::Safety && now - entered > PATIENCE_MS {
            findings.push(format!("{phase:?} does not end: {}", state_of(&sim)));
        }
        if over || findings.len() >= 5 || findings.iter().any(|finding| finding.contains("does not end")) {
            break;
        }
    }
    for place in &sim.places {
        let damaged = nemesis.damaged == Some(usize::from(place.slot.number() - 1));
        if damaged && place.refused().is_none() {
            findings.push(format!("{} opened a damaged log", place.host()));
        } else if let Some(refused) = place.refused().filter(|_| !damaged) {
            findings.push(format!("{} does not start: {refused}", place.host()));
        }
    }
    let report = checker::check(&sim.recorder.history());
    findings.extend(report.violations.iter().map(ToString::to_string));
    let virtual_ms = sim.now();
    findings.iter().for_each(|finding| sim.say(finding));
    let (trace, lines) = sim.trace.sum();
    sim.places.iter().for_each(crate::place::Place::end);
    drop(world);
    let summary = report.to_string().lines().next().unwrap_or_default().to_owned();
    Outcome { findings, trace: format!("{trace}/{lines}"), virtual_ms, faults: nemesis.done, summary }
}

fn state_of(sim: &Sim) -> String {
    use raft::Handle;
    let mut text = String::new();
    for place in &sim.places {
        let says = place.node().map_or_else(
            || format!("does not run ({:?} {:?})", place.fatal(), place.refused()),
            |node| {
                let status = node.status();
                format!("term {} leader {:?} stale {:?}", status.term, status.leader, node.stale_age())
            },
        );
        text.push_str(&format!("{}: {says}; ", place.host()));
    }
    text
}
