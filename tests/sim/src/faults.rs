//! What goes wrong: chosen by the seed, done to places and links, undone after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use raft::{Handle, Role};
use store::engine::Kind as Engine;
use types::Slot;

use crate::cluster::Sim;

/// Kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A process ends; the operating system keeps what it wrote.
    Kill,
    /// A machine loses power: what was not synced is gone.
    PowerCut,
    /// All machines lose power at once.
    PowerCutAll,
    /// All lose power while one's disk had stalled.
    PowerCutStalled,
    /// The power goes in the middle of a write of the log: it may be there, or not.
    TornWrite,
    /// All lose power in the middle of a write.
    TornWriteAll,
    /// Two nodes do not reach each other; the third is a bridge between them.
    Bridge,
    /// One node does not reach another, which does reach it.
    OneWay,
    /// A node reaches nobody, and nobody reaches it.
    Isolate,
    /// What is sent between two nodes waits, and comes late and at once.
    Hold,
    /// A link takes 200 ms.
    Delay,
    /// Links lose what is sent.
    Loss,
    /// Nothing is written for a while.
    DiskStall,
    /// Every write takes 20 ms.
    DiskSlow,
    /// A write of the log fails.
    LogError,
    /// A write of the state fails.
    StateError,
    /// A clock is an hour off.
    ClockJump,
    /// A clock says 2099.
    Clock2099,
    /// The leader is asked to stop: it hands over, stops and comes back.
    Stop,
    /// A disk is lost: a new node takes its place. One at a time.
    Replace,
    /// A process neither hears nor says nor writes anything for 0.1 s to 60 s, and then finds its clocks on by as much again. What the
    /// network can do of SIGSTOP: the node's own timers run meanwhile.
    Pause,
    /// A process ends, and a bit of its last batch flips. Alone: with another disk's fault at once it would be two.
    FlipLast,
    /// A process ends, and a bit before its last batch flips: it must not start again.
    FlipMiddle,
}

impl Kind {
    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = Self::ALL.into_iter().chain([Self::FlipLast, Self::FlipMiddle]);
        all.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    /// All that may come together.
    pub const ALL: [Self; 21] = [
        Self::Kill,
        Self::PowerCut,
        Self::PowerCutAll,
        Self::PowerCutStalled,
        Self::TornWrite,
        Self::TornWriteAll,
        Self::Bridge,
        Self::OneWay,
        Self::Isolate,
        Self::Hold,
        Self::Delay,
        Self::Loss,
        Self::DiskStall,
        Self::DiskSlow,
        Self::LogError,
        Self::StateError,
        Self::ClockJump,
        Self::Clock2099,
        Self::Stop,
        Self::Replace,
        Self::Pause,
    ];
}

/// What is to be done later.
#[derive(Clone, Copy, Debug)]
enum Later {
    Start(Slot),
    Cut(Slot),
    Repair(Slot, Slot),
    Release(Slot, Slot),
    Quick(Slot, Slot),
    Lossless,
    Fast(Slot),
    RightClock(Slot),
    Resume(Slot, u64),
}

/// Does it.
#[derive(Default)]
pub(crate) struct Nemesis {
    next_ms: u64,
    later: Vec<(u64, Later)>,
    down: [bool; 3],
    paused: [bool; 3],
    flipped_ms: u64,
    /// A place whose log was damaged: it must stay down.
    pub(crate) damaged: Option<usize>,
    /// Processes that ended, for who keeps account of them.
    pub(crate) ended: Vec<usize>,
    pub(crate) done: BTreeMap<Kind, u64>,
}

type World<'a, 'b> = &'a mut turmoil::Sim<'b>;

fn name(slot: Slot) -> &'static str {
    slot.letter()
}

impl Nemesis {
    /// What is due now; with `begin`, new faults as well.
    pub(crate) fn act(&mut self, sim: &Sim, world: World<'_, '_>, begin: bool) {
        let now = sim.now();
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        for (_, action) in due {
            self.undo(sim, world, action);
        }
        for place in &sim.places {
            // What ends is started again, as systemd does; a damaged log does not start whatever one does.
            let damaged = self.damaged == Some(usize::from(place.slot.number() - 1));
            let ended = place.fatal().is_some() || (place.refused().is_some() && !damaged);
            if ended && !self.is_down(place.slot) {
                self.end(sim, world, place.slot);
                self.later(now + 200 + sim.below(1_500), Later::Start(place.slot));
            }
        }
        if begin && now >= self.next_ms {
            self.next_ms = now + 50 + sim.below(sim.plan.pause_ms);
            let kinds = &sim.plan.faults;
            let kind = kinds[sim.below(kinds.len() as u64) as usize];
            self.fault(sim, world, kind);
        }
    }

    /// Everything is as it should be again, and every node is started.
    pub(crate) fn heal(&mut self, sim: &Sim, world: World<'_, '_>) {
        for (_, action) in std::mem::take(&mut self.later) {
            self.undo(sim, world, action);
        }
        for (one, other) in pairs() {
            world.release(name(one), name(other));
            world.repair(name(one), name(other));
        }
        for slot in Slot::ALL {
            if sim.place(slot).fatal().is_some() {
                self.end(sim, world, slot);
            }
            self.start(sim, world, slot);
        }
    }

    /// Nodes that run, as far as is known here.
    pub(crate) fn is_down(&self, slot: Slot) -> bool {
        self.down[usize::from(slot.number() - 1)]
    }

    fn later(&mut self, at: u64, action: Later) {
        self.later.push((at, action));
    }

    pub(crate) fn fault(&mut self, sim: &Sim, world: World<'_, '_>, kind: Kind) {
        let now = sim.now();
        let slot = Slot::ALL[sim.below(3) as usize];
        let other = Slot::ALL[((u64::from(slot.number()) + sim.below(2)) % 3) as usize];
        let (one, two) = (name(slot), name(other));
        let for_a_while = now + 100 + sim.below(3_000);
        *self.done.entry(kind).or_default() += 1;
        sim.say(&format!("fault: {kind:?} {one} {two} until {for_a_while}"));
        match kind {
            Kind::Kill => {
                self.end(sim, world, slot);
                self.later(for_a_while, Later::Start(slot));
            }
            Kind::PowerCut => self.cut(sim, world, slot, for_a_while),
            Kind::PowerCutAll => {
                for slot in Slot::ALL {
                    self.cut(sim, world, slot, for_a_while + sim.below(300));
                }
            }
            Kind::PowerCutStalled => {
                sim.place(slot).stall_until(now + 60_000);
                let at = now + 20 + sim.below(200);
                for slot in Slot::ALL {
                    self.later(at, Later::Cut(slot));
                }
            }
            Kind::TornWrite => {
                sim.place(slot).disk.fail_next_write(Engine::Log);
                self.later(now + 5 + sim.below(20), Later::Cut(slot));
            }
            Kind::TornWriteAll => {
                for slot in Slot::ALL {
                    sim.place(slot).disk.fail_next_write(Engine::Log);
                    self.later(now + 8, Later::Cut(slot));
                }
            }
            Kind::Bridge => {
                world.partition(one, two);
                self.later(for_a_while, Later::Repair(slot, other));
            }
            Kind::OneWay => {
                world.partition_oneway(one, two);
                self.later(for_a_while, Later::Repair(slot, other));
            }
            Kind::Isolate => {
                for peer in Slot::ALL.into_iter().filter(|peer| *peer != slot) {
                    world.partition(one, name(peer));
                    self.later(for_a_while, Later::Repair(slot, peer));
                }
            }
            Kind::Hold => {
                world.hold(one, two);
                self.later(now + 50 + sim.below(900), Later::Release(slot, other));
            }
            Kind::Delay => {
                world.set_link_latency(one, two, Duration::from_millis(200));
                self.later(for_a_while, Later::Quick(slot, other));
            }
            Kind::Loss => {
                for (one, other) in pairs() {
                    world.set_link_fail_rate(name(one), name(other), 0.002);
                }
                self.later(for_a_while, Later::Lossless);
            }
            Kind::DiskStall => sim.place(slot).stall_until(now + 50 + sim.below(2_500)),
            Kind::DiskSlow => {
                sim.place(slot).write_takes_us(20_000);
                self.later(for_a_while, Later::Fast(slot));
            }
            Kind::LogError => sim.place(slot).disk.fail_next_write(Engine::Log),
            Kind::StateError => sim.place(slot).disk.fail_next_write(Engine::State),
            Kind::FlipLast | Kind::FlipMiddle => self.flip(sim, world, slot, kind == Kind::FlipLast),
            Kind::ClockJump => self.clock(sim, slot, [-3_600_000, 3_600_000][sim.below(2) as usize], for_a_while),
            Kind::Clock2099 => self.clock(sim, slot, 73 * 365 * 86_400_000, for_a_while),
            Kind::Replace => self.replace(sim, world, slot, for_a_while),
            Kind::Pause => self.pause(sim, world, slot),
            Kind::Stop => {
                let leads = |slot: &Slot| {
                    let node = sim.place(*slot).node();
                    node.is_some_and(|node| node.status().nodes[usize::from(slot.number() - 1)].role == Role::Leader)
                };
                let slot = Slot::ALL.into_iter().find(leads).unwrap_or(slot);
                sim.place(slot).stop();
                self.later(now + 6_000, Later::Start(slot));
            }
        }
    }

    /// One disk at a time: the next is lost only once a new node counts in the place of the last.
    fn replace(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot, until: u64) {
        if sim.newcomer().is_some() {
            self.done.entry(Kind::Replace).and_modify(|times| *times -= 1); // It was not done.
            return;
        }
        self.end(sim, world, slot);
        sim.place(slot).lose_disk();
        sim.set_newcomer(Some(slot));
        self.later(until, Later::Start(slot));
    }

    /// As many pauses between 0.1 s and 0.5 s as between 12 s and 60 s; of those over 2.5 s one at a time, for two leave nothing to do.
    fn pause(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot) {
        let at = usize::from(slot.number() - 1);
        if self.down[at] || self.paused[at] {
            self.done.entry(Kind::Pause).and_modify(|times| *times -= 1); // It was not done.
            return;
        }
        let lengths = if self.paused.contains(&true) { 2 } else { 4 };
        let least = [100, 500, 2_500, 12_000][sim.below(lengths) as usize];
        let ms = least + sim.below(4 * least);
        sim.say(&format!("{} stands still for {ms} ms", name(slot)));
        sim.everybody()
            .iter()
            .filter(|peer| *peer != name(slot))
            .for_each(|peer| world.hold(name(slot), peer.as_str()));
        sim.place(slot).stall_until(sim.now() + ms);
        self.paused[at] = true;
        self.later(sim.now() + ms, Later::Resume(slot, sim.now()));
    }

    /// What was sent to it and by it meanwhile arrives at once, and its clocks jump.
    fn resume(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot, since: u64) {
        sim.everybody()
            .iter()
            .filter(|peer| *peer != name(slot))
            .for_each(|peer| world.release(name(slot), peer.as_str()));
        sim.place(slot).stall_until(0);
        self.paused[usize::from(slot.number() - 1)] = false;
        let ms = sim.now() - since;
        sim.say(&format!("{} goes on after {ms} ms", name(slot)));
        sim.place(slot).jump(ms);
    }

    /// One disk at a time, and only when its node has caught up since the last.
    fn flip(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot, last: bool) {
        let now = sim.now();
        if now < self.flipped_ms + 4_000 || self.damaged.is_some() || self.down.contains(&true) {
            let kind = if last { Kind::FlipLast } else { Kind::FlipMiddle };
            self.done.entry(kind).and_modify(|times| *times -= 1); // It was not done.
            return;
        }
        self.flipped_ms = now;
        self.end(sim, world, slot);
        if sim.place(slot).disk.flip_bit(last, sim.random()) && !last {
            self.damaged = Some(usize::from(slot.number() - 1));
        }
        self.later(now + 50 + sim.below(500), Later::Start(slot));
    }

    /// One clock at a time, and each wrong in its own way: two that agree are right, by design, whatever they say, and what a
    /// clock said counts for ten seconds.
    fn clock(&mut self, sim: &Sim, slot: Slot, off_ms: i64, until: u64) {
        let off_ms = off_ms + i64::from(slot.number()) * 86_400_000;
        let off = |slot: Slot| sim.place(slot).clock_off_ms.load(std::sync::atomic::Ordering::Relaxed) != 0;
        if Slot::ALL.into_iter().any(|other| other != slot && off(other)) {
            return;
        }
        sim.place(slot).clock_off_ms.store(off_ms, std::sync::atomic::Ordering::Relaxed);
        self.later(until, Later::RightClock(slot));
    }

    fn undo(&mut self, sim: &Sim, world: World<'_, '_>, action: Later) {
        let now = sim.now();
        match action {
            Later::Start(slot) => self.start(sim, world, slot),
            Later::Cut(slot) => self.cut(sim, world, slot, now + 300 + sim.below(1_500)),
            Later::Repair(one, other) => world.repair(name(one), name(other)),
            Later::Release(one, other) => world.release(name(one), name(other)),
            Later::Quick(one, other) => world.set_link_latency(name(one), name(other), Duration::from_millis(1)),
            Later::Lossless => {
                for (one, other) in pairs() {
                    world.set_link_fail_rate(name(one), name(other), 0.0);
                    world.repair(name(one), name(other));
                }
            }
            Later::Fast(slot) => sim.place(slot).write_takes_us(300),
            Later::Resume(slot, since) => self.resume(sim, world, slot, since),
            Later::RightClock(slot) => sim.place(slot).clock_off_ms.store(0, std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// The process is gone; its disk keeps what was written.
    fn end(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot) {
        self.crash(sim, world, slot);
        sim.place(slot).disk.end_process();
    }

    /// The power is gone, and comes back at `start`.
    fn cut(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot, start: u64) {
        self.crash(sim, world, slot);
        sim.place(slot).disk.lose_power(&mut || sim.random());
        self.later(start, Later::Start(slot));
    }

    fn crash(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot) {
        let at = usize::from(slot.number() - 1);
        sim.say(&format!("{} is gone", name(slot)));
        sim.place(slot).end();
        world.crash(name(slot));
        self.down[at] = true;
        self.ended.push(at);
        self.later.retain(|(_, later)| !matches!(later, Later::Start(other) if *other == slot));
    }

    /// Starts it if it does not run; one that stopped by itself counts as not running.
    fn start(&mut self, sim: &Sim, world: World<'_, '_>, slot: Slot) {
        let place = sim.place(slot);
        let stopped = place.node().is_none();
        if !self.is_down(slot) && !stopped {
            return;
        }
        if !self.is_down(slot) {
            self.end(sim, world, slot); // It stopped in order: what it had in memory is gone all the same.
        }
        place.stall_until(0);
        self.down[usize::from(slot.number() - 1)] = false;
        world.bounce(name(slot));
    }
}

fn pairs() -> [(Slot, Slot); 3] {
    [(Slot::A, Slot::B), (Slot::A, Slot::C), (Slot::B, Slot::C)]
}
